"""How many of the pictures that are measured a run was trained on."""

from dataclasses import replace
from pathlib import Path

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.readers import read_split
from lcnet.errors import DataError, LCNetError
from lcnet.run_folder import RunFolder


def trained_on(run: Path, samples: Split, root: str) -> int:
    """How many pictures of a split are among the training pictures of a run; 0 if not known.

    `root` is the folder of the split's data set. A picture is the same if its file is, or in a copy
    of the data set if its path in the folder and its size are.
    """
    try:
        data = RunFolder(run).data()
        if data is None or data.format == "digits":
            return 0
        moved = not Path(data.root).is_dir()
        data = replace(data, root=root) if moved else data
        paths = picture_files(data, data.train)
    except (LCNetError, OSError):
        return 0  # the run's data set is gone, and so are its pictures' names
    there, here = Path(data.root).resolve(), Path(root).resolve()
    inside = {str(path.relative_to(there)): path for path in paths if path.is_relative_to(there)}
    measured = [sample.path.resolve() for sample in samples.samples]
    return sum(_is_among(path, here, paths, inside) for path in measured)


def picture_files(data: Data, split: str) -> set[Path]:
    """The files of a split's pictures, as absolute paths. Raises DataError if it cannot be read."""
    if not Path(data.root).exists():  # a data set that is drawn would be drawn now
        raise DataError(f"data.root: no folder {data.root}.")
    return {sample.path.resolve() for sample in read_split(data, split).samples}


def _is_among(path: Path, root: Path, paths: set[Path], inside: dict[str, Path]) -> bool:
    if path in paths:
        return True
    if not path.is_relative_to(root) or (other := inside.get(str(path.relative_to(root)))) is None:
        return False
    try:
        return path.stat().st_size == other.stat().st_size
    except OSError:
        return False
