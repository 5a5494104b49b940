"""Two runs on tables that lcnet divided: whether it was into the same pictures."""

from pathlib import Path
from shlex import quote

from lcnet.config import Data
from lcnet.data.readers import read_split
from lcnet.data.readers.split_names import naming_splits, split_called
from lcnet.errors import ConfigError
from lcnet.evaluating.measuring import data_set
from lcnet.progress import tell
from lcnet.run_folder import RunFolder


def one_data_set(
    runs: tuple[Path, Path], names: tuple[str, str], *, split: str, root: str
) -> Data | None:
    """The data set on which both are measured, if one is a corrected table of the other's pictures.

    It is that of the first. None if each is measured on its own, as nothing or not the same was
    divided, or the pictures of a split are the same by name alone.

    Raises ConfigError if the runs divided one set of pictures in two ways, and DataError if the
    data cannot be read.
    """
    if not all(RunFolder(run).is_run for run in runs):
        return None
    ours, theirs = (data_set(run, None, root)[0] for run in runs)
    if ours == theirs or not (ours.splits and theirs.splits):
        return None
    our_name, theirs_name = (_name(data, split) for data in (ours, theirs))
    our_files, their_files = (
        _files(data, name) for data, name in ((ours, our_name), (theirs, theirs_name))
    )
    if our_files == their_files:
        if our_name == theirs_name:
            return None
        tell(f"both are measured by the labels of {our_name}: the pictures are those of both")
        return ours
    if {file.name for file in our_files} == {file.name for file in their_files}:
        return None  # perhaps the same pictures in another folder
    common = len(our_files & their_files)
    raise ConfigError(
        f"--against {names[1]}: expected runs with the same {split or 'test'} pictures, got "
        f"{len(our_files):,} and {len(their_files):,}, of which {common:,} are in both: each run "
        f"drew its own. Train {names[0]} on those of {names[1]}: lcnet train TABLE --data.splits "
        f"{quote(theirs.splits)} --out RUN"
    )


def _name(data: Data, split: str) -> str:
    return split_called(data, split or data.test or data.val)


def _files(data: Data, name: str) -> set[Path]:
    with naming_splits(data, name, whose="this run"):
        return {sample.path.resolve() for sample in read_split(data, name).samples}
