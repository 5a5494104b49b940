"""Config files that come with lcnet, by name: `--config digits`, also where there is no clone."""

from pathlib import Path

FOLDER = Path(__file__).parent / "files"


def config_file(name: Path | str) -> Path:
    """The file that a name or a path stands for: a file of that path goes first.

    Without either it is the path as given, which whoever reads it says is not there.
    """
    path, known = Path(name), FOLDER / f"{name}.yaml"
    is_name = path.name == str(name) and not path.is_file()
    return known if is_name and known.is_file() else path


def names() -> list[str]:
    """The names of the config files that come with lcnet."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))
