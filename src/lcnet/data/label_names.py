"""Tells label names that are several names, no names at all, or hard to tell apart."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection

SEPARATORS = ("|", ";", ",", "\t", "/", " ")
"""What may join names; a blank stands for any space, also for several."""
OTHER_NAMES = 3
"""A part of a name counts as a name of its own if so many other names have it as well."""
EMPTY = frozenset({"nan", "none", "null", "n/a", "<na>", "#n/a"})
"""What programs write where there is no value, in lower case."""
SHEET_ERROR = re.compile(
    r"#(NAME\?|VALUE!|REF!|DIV/0!|NULL!|NUM!|WERT!|BEZUG!|ZAHL!|NOM\s?\?)", re.I
)
"""What a spreadsheet shows in place of a result."""
PICTURE = re.compile(r".+\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|hei[cf]|p[pgn]m|dcm)", re.I)


def several_names(
    names: Collection[str], separators: Collection[str] = SEPARATORS
) -> dict[str, str]:
    """The names that seem to be several names, each with the separator that joins them.

    `cat dog` is one beside `cat` and `dog`: each of its parts is itself a name. A part that
    `OTHER_NAMES` other names have counts as well, if then at least half of all names with that
    separator fall apart. So `Lung Lesion` beside `Lung Opacity` stays one name, and so does
    `pleural thickening` in a long list of such names.
    """
    known, found = set(names), dict[str, str]()
    for separator in separators:
        parts_of = {name: set(parts(name, separator)) for name in names if separator in name}
        having = Counter(part for of_name in parts_of.values() for part in of_name)
        shared = {part for part, count in having.items() if count > OTHER_NAMES}
        joined = _made_of(parts_of, known | shared)
        if 2 * len(joined) < len(parts_of):
            joined = _made_of(parts_of, known)
        for name in joined:
            found.setdefault(name, separator)
    return found


def parts(name: str, separator: str) -> list[str]:
    """What a name falls into at a separator, without outer spaces; empty parts are left out."""
    pieces = name.split() if separator == " " else name.split(separator)
    return [stripped for piece in pieces if (stripped := piece.strip())]


def _made_of(parts_of: dict[str, set[str]], allowed: set[str]) -> list[str]:
    return [name for name, of_name in parts_of.items() if of_name and of_name <= allowed]


def no_name(name: str) -> str:
    """What a label name is instead, in a few words, such as `an empty value`; empty if a name."""
    if name.casefold() in EMPTY:
        return "an empty value"
    wrapped = name[:1] + name[-1:] in ("[]", "{}", "()")
    if wrapped or any(name.count(one) != name.count(other) for one, other in ("[]", "{}")):
        return "a list, or a piece of one"
    if SHEET_ERROR.fullmatch(name):
        return "an error of a spreadsheet"
    if name[:1] in "'\"" and name[-1:] in "'\"":
        return "a text in quotation marks"
    if PICTURE.fullmatch(name):
        return "the name of a picture"
    return ""


def plain(name: str) -> str:
    """A name without what the eye passes over: equal for names that look alike.

    Case, spaces and the Unicode form do not count, nor a hyphen or an underscore between letters.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return re.sub(r"\s+|(?<=[^\W\d_])[-_](?=[^\W\d_])", "", folded)
