"""What to say of a command that cannot be read: what is missing or too much, and what to write."""

import re
import shlex
from argparse import Action
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

NO_VERB = re.compile(r"argument VERB: invalid choice: '(.*)' \(choose from .*\)")
MISSING = re.compile(r"the following arguments are required: (.+)")
PLACES = {
    "model": "RUN",
    "models": "RUNS",
    "paths": "PICTURES",
    "name": "USER/NAME",
    "--out": "--out PATH",
}
"""How arguments are shown, where it is not their name in capitals."""
COUNTED = {"--minutes": "a number of minutes "}
"""What a number of these flags counts; it goes before the bound."""


ELSEWHERE = {
    ("predict", "--threshold"): "thresholds are the model's: lcnet calibrate RUN --set LABEL=0.5, "
    "or for 0.5 everywhere lcnet calibrate RUN --reset",
}
"""What to write in place of a flag that people look for at a verb without it."""


def unknown_verb(message: str, verbs: Iterable[str]) -> str:
    """The line for a word that is no verb, with the nearest one; empty for another message."""
    if not (found := NO_VERB.fullmatch(message)):
        return ""
    near = get_close_matches(found[1], list(verbs), n=1)
    advice = f"Did you mean {near[0]}? " if near else ""
    return f"expected a verb, got {found[1]}. {advice}(lcnet --help lists all verbs)"


def missing_words(
    message: str, verb: str, actions: Sequence[Action], words: Sequence[str] = ()
) -> str:
    """The line for what a verb lacks, with the whole command; empty for another message.

    If only flags are missing, the command has the words that were given.
    """
    if not (found := MISSING.fullmatch(message)) or not actions:
        return ""
    names = [name.removeprefix(f"{verb}.") for name in found[1].split(", ")]
    lacking = [_place(one) for one in actions if one.dest in names]
    needed = [_place(one) for one in actions if one.required and one.nargs != "?"]
    if verb in words and all(place.startswith("--") for place in lacking):
        given = words[words.index(verb) + 1 :]
        needed = [*map(shlex.quote, given), *lacking]
    return (
        f"{verb}: expected {' and '.join(lacking)}, got none. "
        f"Write: lcnet {' '.join([verb, *needed])} (lcnet {verb} --help lists all flags)"
    )


def elsewhere(unknown: str, verb: str) -> str:
    """The line for a flag that is sought at a verb without it; empty for another one."""
    flag = unknown.split()[0].split("=")[0]
    other = ELSEWHERE.get((verb, flag))
    return f"{flag}: {verb} has no such flag; {other}" if other else ""


def too_many_words(unknown: str, verb: str, words: Sequence[str]) -> str:
    """The line for words that are too many; empty if the first of them is a flag."""
    if unknown.startswith("-") or not verb:
        return ""
    if verb == "compare":
        one, other = _two_runs(unknown, words)
        return (
            f"compare: expected one data set, on which it trains, got {unknown} as well. To "
            f"compare two finished runs: lcnet report {other} --against {one}"
        )
    return (
        f"{verb}: expected fewer words, got {unknown} as well. Leave it out, or quote a name with "
        f"spaces (lcnet {verb} --help lists all flags)"
    )


def _two_runs(unknown: str, words: Sequence[str]) -> tuple[str, str]:
    """The word that is too many and the one before it, or placeholders if that is a flag's."""
    before = ["--", "--", *words]
    for place, word in enumerate(words, start=2):
        is_it = unknown == word or unknown.startswith(f"{word} ")
        if is_it and not any(one.startswith("--") for one in before[place - 2 : place]):
            return shlex.quote(before[place - 1]), shlex.quote(word)
    return "RUN", "OTHER"


def counted(message: str) -> str:
    """The message with what a number counts: `expected a number of minutes above 0`."""
    flag, expected, bound = message.partition(": expected ")
    return f"{flag}{expected}{COUNTED[flag]}{bound}" if flag in COUNTED and expected else message


def _place(action: Action) -> str:
    """An argument as it is shown in a command."""
    name = action.option_strings[0] if action.option_strings else action.dest
    return PLACES.get(name, name.upper())
