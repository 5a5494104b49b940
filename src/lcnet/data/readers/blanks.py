"""Says of entries that name no label how they are read, and how they are read the other way."""

from collections.abc import Sequence

from lcnet.data.readers.table_cells import quoted
from lcnet.data.readers.table_names import EMPTY, EMPTY_LIST

SAID = {EMPTY: "an empty cell", EMPTY_LIST: "an empty list"}


def blank_entries(where: str, blank: Sequence[str], entries: int, place: str) -> tuple[str, ...]:
    """A line for `Split.doubts` on the entries without a name; none if there are none.

    `blank` has `EMPTY` or `EMPTY_LIST` for each of them, of so many `entries` in all.
    """
    if not blank:
        return ()
    kinds = sorted(set(blank))
    count = f"{len(blank):,} of {entries:,} {'entries name' if len(blank) > 1 else 'entries names'}"
    return (
        f"{where}: {count} no label ({' or '.join(SAID[kind] for kind in kinds)} in {place}). This "
        f"is read as all labels absent. If it means not labelled yet, set {as_unknown(kinds)}.",
    )


def as_unknown(kinds: Sequence[str]) -> str:
    """The setting under which such entries are unknown."""
    return f"--data.table.unknown '[{', '.join(map(quoted, kinds))}]'"
