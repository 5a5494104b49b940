"""Which split of a data set is meant by a name that a person gives."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.dividing import ROLES
from lcnet.data.readers import load_split_for, read_split
from lcnet.data.readers.checks import MissingSplit


def split_called(data: Data, name: str) -> str:
    """The split that a name stands for, as the settings or the data set call it.

    `train`, `val` and `test` stand for `data.train`, `data.val` and `data.test`, unless the data
    set has a split of that very name. Every other name stands for itself; whether there is such a
    split shows when it is read.

    Raises DataError if the data set has such a split but it cannot be read.
    """
    own = {role: getattr(data, role) for role in ROLES}
    if not own.get(name) or name in own.values():
        return name
    try:
        read_split(data, name)
    except MissingSplit:
        return str(own[name])
    return name


def load_split_called(data: Data, name: str, labels: Sequence[str], *, whose: str) -> Split:
    """The split that a name stands for, for a model with the given labels.

    `whose` is as in `naming_splits`. Raises DataError for a name that stands for no split, and as
    `load_split_for` does.
    """
    with naming_splits(data, name, whose=whose):
        return load_split_for(data, split_called(data, name), labels)


@contextmanager
def naming_splits(data: Data, name: str, *, whose: str) -> Iterator[None]:
    """Name the splits that there are in the error for a name that stands for none.

    `whose` says who has them, such as `this run`.
    """
    try:
        yield
    except MissingSplit as error:
        own = {role: split for role in ROLES if (split := getattr(data, role))}
        if name in own.values():
            raise  # the settings name it; the reader says what there is in its place
        roles, splits = ", ".join(own), ", ".join(own.values())
        named = roles if roles == splits else f"{roles} ({splits})"
        raise MissingSplit(
            f'no split "{name}"; {whose} has {named}. Name one of these with --split, or another '
            f"that is in {data.root}."
        ) from error
