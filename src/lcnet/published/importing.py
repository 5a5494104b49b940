"""From a published checkpoint, or a shared model, to a model folder."""

from pathlib import Path

from lcnet.errors import CheckpointError, ConfigError, reason_of
from lcnet.files import is_free
from lcnet.hub import Repository, is_shared
from lcnet.model_folder import ModelFolder, load_model, local_model, read_info
from lcnet.progress import tell
from lcnet.published.choices import ImportChoices
from lcnet.published.import_released import import_released
from lcnet.published.import_rivals import import_rival
from lcnet.published.imported import Import
from lcnet.published.reading import read_published
from lcnet.published.released_layout import is_released
from lcnet.published.rival_layouts import rival_layout


def import_checkpoint(file: Path, out: Path, choices: ImportChoices) -> Import:
    """Write a model folder from a published checkpoint and print what was read and assumed.

    `file` is the checkpoint, a folder that holds model_best.pth.tar, or hf://user/name, whose model
    is copied unchanged. Raises CheckpointError if it cannot be used, and ConfigError if `out` is
    taken or a choice does not fit; then nothing is written.
    """
    if not is_free(out):
        raise ConfigError(f"--out {out}: already there. Choose another folder.")
    made = _shared(file, choices) if is_shared(file) else read_model(file, choices)
    write_import(made, out)
    return made


def write_import(made: Import, out: Path) -> None:
    """Write the model folder, replacing an older one, and print what was read."""
    ModelFolder(out).save(made.model, made.info)
    for line in (*made.report, f"model folder: {out}"):
        tell(line)


def _shared(model: Path, choices: ImportChoices) -> Import:
    """A shared model, uploaded by lcnet push."""
    repository = Repository.parse(str(model))
    if choices != ImportChoices():
        raise ConfigError(
            f"{repository}: a shared model brings its own labels and settings. Leave out --labels, "
            "--data and the other options."
        )
    folder = local_model(model)  # which prints the commit
    return Import(load_model(folder), read_info(folder), ())


def read_model(file: Path, choices: ImportChoices) -> Import:
    """The model in a published checkpoint. Raises CheckpointError, ConfigError or DataError."""
    published = read_published(file)
    try:
        if is_released(published.tensors):
            return import_released(published, choices)
        layout = rival_layout(published.tensors)
        if layout is not None:
            return import_rival(published, layout, choices)
    except KeyError as error:
        raise CheckpointError(
            f"{published.file}: has no weights {error}, which its layout needs. "
            "Give the whole checkpoint."
        ) from None
    except (ValueError, IndexError, RuntimeError) as error:  # odd shapes
        raise CheckpointError(
            f"{published.file}: weights of a shape that its layout does not have "
            f"({reason_of(error)}). Give another checkpoint; zero-shot ones cannot be imported."
        ) from None
    names = ", ".join(list(published.tensors)[:3])
    raise CheckpointError(
        f"{published.file}: a layout that lcnet does not know (weights such as {names}; expected "
        "LCNet's, ML-Decoder's, ASL's or Query2Label's). Give a checkpoint of one of them."
    )
