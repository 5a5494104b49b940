"""Rules between labels: which exclude each other, of which exactly one holds, which imply others.

Decisions keep them; probabilities, and so the AP, stay as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lcnet.metrics.array_checks import Flags, Floats
from lcnet.schema import check_mapping, check_names, unknown_label

KEYS = ("exclusive", "one_of", "implies")
MOST_NAMED = 4
"""Labels of a group that a line names."""


@dataclass(frozen=True)
class LabelRules:
    """Rules by the names of labels; build it with `from_dict`, which checks it."""

    exclusive: tuple[tuple[str, ...], ...] = ()
    """Groups of labels of which a picture has at most one."""
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of labels of which a picture has exactly one."""
    implies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """A label, and the labels that a picture has if it has this one."""

    @classmethod
    def from_dict(cls, stored: object, labels: Sequence[str]) -> "LabelRules":
        """The rules that `to_dict` stored, or that a user wrote, for a model's labels.

        Raises ValueError for anything else, an unknown label, and rules that contradict each other.
        """
        given = check_mapping(stored, "rules")
        for key in given:
            if key not in KEYS:
                raise ValueError(f"rules: expected {', '.join(KEYS)}, got {str(key)[:50]!r}")
        implied = check_mapping(given.get("implies") or {}, "implies")
        rules = cls(
            exclusive=_groups(given.get("exclusive"), "exclusive"),
            one_of=_groups(given.get("one_of"), "one_of"),
            implies=tuple((label, _several(names, label)) for label, names in implied.items()),
        )
        _check_labels(rules, labels)
        rules.on(labels).check()
        return rules

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for JSON."""
        return {
            "exclusive": [list(group) for group in self.exclusive],
            "one_of": [list(group) for group in self.one_of],
            "implies": {label: list(names) for label, names in self.implies},
        }

    @property
    def names(self) -> set[str]:
        """The labels that have a rule."""
        implied = [name for label, names in self.implies for name in (label, *names)]
        return {*implied, *(name for group in self.exclusive + self.one_of for name in group)}

    def __bool__(self) -> bool:
        return bool(self.exclusive or self.one_of or self.implies)

    def __str__(self) -> str:
        """How many rules there are, in words."""
        counts = (
            (len(self.exclusive), "exclusive group"),
            (len(self.one_of), "group with exactly one"),
            (sum(len(names) for _, names in self.implies), "implication"),
        )
        shown = [f"{count} {what}{'s' * (count > 1)}" for count, what in counts if count]
        return ", ".join(shown) or "none"

    def on(self, labels: Sequence[str]) -> "IndexedRules":
        """The rules by the places of the labels."""
        place = {label: index for index, label in enumerate(labels)}

        def places(group: Iterable[str]) -> tuple[int, ...]:
            return tuple(place[name] for name in group)

        return IndexedRules(
            tuple(labels),
            tuple(map(places, self.exclusive)),
            tuple(map(places, self.one_of)),
            {place[label]: places(names) for label, names in self.implies},
        )


@dataclass(frozen=True)
class IndexedRules:
    """Rules by the places of labels (0 to L - 1); `LabelRules.on` makes it."""

    labels: tuple[str, ...]
    exclusive: tuple[tuple[int, ...], ...]
    one_of: tuple[tuple[int, ...], ...]
    implies: Mapping[int, tuple[int, ...]]

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """All groups of which at most one label holds."""
        return self.exclusive + self.one_of

    @cached_property
    def groups_of(self) -> dict[int, list[int]]:
        """The places in `groups` of each label's groups."""
        found: dict[int, list[int]] = {}
        for number, group in enumerate(self.groups):
            for label in group:
                found.setdefault(label, []).append(number)
        return found

    @cached_property
    def closures(self) -> dict[int, tuple[int, ...]]:
        """Each label that has a rule, with all that it implies, itself first."""
        involved = {*self.groups_of, *self.implies}
        return {label: self._closure(label) for label in sorted(involved)}

    def _closure(self, label: int) -> tuple[int, ...]:
        seen, waiting = {label: None}, [label]
        while waiting:
            for implied in self.implies.get(waiting.pop(), ()):
                if implied not in seen:
                    seen[implied] = None
                    waiting.append(implied)
        return tuple(seen)

    def decide(self, predicted: Flags, probabilities: Floats) -> Flags:
        """The predicted labels (N x L) that keep the rules; see `keep`."""
        broken = np.zeros(len(predicted), dtype=np.bool_)
        for group in self.groups:
            broken |= predicted[:, list(group)].sum(axis=1) > 1
        for group in self.one_of:
            broken |= ~predicted[:, list(group)].any(axis=1)
        for label, implied in self.implies.items():
            broken |= predicted[:, label] & ~predicted[:, list(implied)].all(axis=1)
        decided = predicted.copy()
        for row in np.flatnonzero(broken).tolist():
            shown = self.keep(np.flatnonzero(predicted[row]).tolist(), probabilities[row])
            decided[row] = False
            decided[row, shown] = True
        return decided

    def keep(self, above: Sequence[int], probabilities: Sequence[float] | Floats) -> list[int]:
        """The labels that one picture gets, from those above their thresholds; by place.

        From the most probable one on, each label is taken with all that it implies, unless that
        would bring two labels of a group together. A group that needs exactly one and has none gets
        its most probable label that fits.
        """
        free = [label for label in above if label not in self.closures]
        taken: set[int] = set()
        filled: dict[int, int] = {}

        def take(label: int) -> bool:
            closure = self.closures[label]
            for one in closure:
                for group in self.groups_of.get(one, ()):
                    if filled.get(group, one) != one:
                        return False
            taken.update(closure)
            filled.update({group: one for one in closure for group in self.groups_of.get(one, ())})
            return True

        def ranked(labels: Iterable[int]) -> list[int]:
            return sorted(labels, key=lambda label: -probabilities[label])

        for label in ranked(label for label in above if label in self.closures):
            take(label)
        first = len(self.exclusive)
        for number, group in enumerate(self.one_of, start=first):
            if number not in filled:
                any(take(label) for label in ranked(group))
        return sorted({*free, *taken})

    def check(self) -> None:
        """Raise ValueError if the rules contradict each other, or cannot be kept in all cases."""
        for label, closure in self.closures.items():
            for one in closure[1:]:
                if label in self._closure(one):
                    raise ValueError(
                        f"{self._name(label)} and {self._name(one)} imply each other, so they are "
                        "one label. Drop one of the two implications"
                    )
            for number, members in self._filled(closure).items():
                if len(members) > 1:
                    raise ValueError(self._contradiction(label, members, self.groups[number]))
        for group in self.one_of:
            self._check_fillable(group)

    def _filled(self, closure: Iterable[int]) -> dict[int, list[int]]:
        """The labels of a closure in each group."""
        found: dict[int, list[int]] = {}
        for one in closure:
            for number in self.groups_of.get(one, ()):
                found.setdefault(number, []).append(one)
        return found

    def _contradiction(self, label: int, members: list[int], group: tuple[int, ...]) -> str:
        first, second = map(self._name, members[:2])
        named = ", ".join(map(self._name, group[:MOST_NAMED])) + ", ..." * (len(group) > MOST_NAMED)
        what = f"{first} implies {second}" if label == members[0] else ""
        what = what or f"{self._name(label)} implies {first} and {second}"
        return f"{what}, which exclude each other in [{named}]. Correct one of the two rules"

    def _check_fillable(self, group: tuple[int, ...]) -> None:
        """Raise ValueError if another label can rule out a label of a group that needs one.

        It may do so by implying another label of the group, which is then the one.
        """
        rivals: dict[int, int] = {}
        for member in group:
            for number, (own, *_) in self._filled(self.closures[member]).items():
                for other in self.groups[number]:
                    if other != own:
                        rivals.setdefault(other, member)
        for label, closure in self.closures.items():
            if set(closure) & set(group):
                continue
            for one in closure:
                if one in rivals:
                    raise ValueError(
                        f"one_of: {self._name(label)} and {self._name(rivals[one])} exclude each "
                        "other, so a picture could have no label of "
                        f"[{', '.join(map(self._name, group[:MOST_NAMED]))}]. Make that group "
                        "exclusive, or drop the other rule"
                    )

    def _name(self, label: int) -> str:
        return repr(self.labels[label])


def _groups(stored: object, where: str) -> tuple[tuple[str, ...], ...]:
    if stored is None:
        return ()
    if not isinstance(stored, list | tuple):
        raise ValueError(f"{where}: expected a list of groups such as [[Day, Night]]")
    groups = []
    for place, names in enumerate(stored, start=1):
        group = check_names(names, f"{where}: group {place}")
        if len(group) < 2:
            raise ValueError(f"{where}: group {place}: expected two labels or more, got {group[0]}")
        groups.append(group)
    return tuple(groups)


def _several(names: object, label: str) -> tuple[str, ...]:
    return check_names([names] if isinstance(names, str) else names, f"implies: {str(label)[:50]}")


def _check_labels(rules: LabelRules, labels: Sequence[str]) -> None:
    known = set(labels)
    pairs = [
        *(("exclusive", name) for group in rules.exclusive for name in group),
        *(("one_of", name) for group in rules.one_of for name in group),
        *(("implies", name) for label, names in rules.implies for name in (label, *names)),
    ]
    for where, name in pairs:
        if name not in known:
            raise ValueError(f"{where}: {unknown_label(name, labels)}. Correct the name")
    for label, names in rules.implies:
        if label in names:
            raise ValueError(f"implies: {label!r} implies itself. Drop it")
