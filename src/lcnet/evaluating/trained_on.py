"""How many of the pictures that are measured a run was trained on."""

from dataclasses import replace
from pathlib import Path

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.readers import read_split
from lcnet.errors import LCNetError
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
        paths, inside = _pictures(replace(data, root=root) if moved else data)
    except (LCNetError, OSError):
        return 0  # the run's data set is gone, and so are its pictures' names
    here = Path(root).resolve()
    measured = [sample.path.resolve() for sample in samples.samples]
    return sum(_is_among(path, here, paths, inside) for path in measured)


def _pictures(data: Data) -> tuple[set[Path], dict[str, Path]]:
    """The training pictures, and these by their paths in the data set's folder."""
    root = Path(data.root).resolve()
    paths = {sample.path.resolve() for sample in read_split(data, data.train).samples}
    return paths, {str(path.relative_to(root)): path for path in paths if path.is_relative_to(root)}


def _is_among(path: Path, root: Path, paths: set[Path], inside: dict[str, Path]) -> bool:
    if path in paths:
        return True
    if not path.is_relative_to(root) or (other := inside.get(str(path.relative_to(root)))) is None:
        return False
    try:
        return path.stat().st_size == other.stat().st_size
    except OSError:
        return False
