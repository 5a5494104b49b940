"""A half-filled label table, its blank cells filled by a model that is told the filled ones."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lcnet.data.sources import Picture, writable
from lcnet.errors import ConfigError
from lcnet.files import AnyPath, written_whole
from lcnet.predicting.known_table import KnownTable, name_beside
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.progress import tell, track


@dataclass(frozen=True)
class Completed:
    """The outcome of `complete`."""

    pictures: int
    filled: int
    """Cells that were blank and are filled."""
    blank: int
    """Cells that are blank still: the model is not sure, or the picture cannot be read."""
    unread: int
    """Pictures that could not be read."""


def complete_table(
    model: AnyPath,
    table: Path,
    out: Path,
    *,
    sure: float | None,
    known_errors: float,
    batch_size: int,
    workers: int,
    quiet: bool,
) -> Completed:
    """Write the table with its blank cells filled; arguments and errors are those of `complete`."""
    if out.exists() and table.exists() and out.samefile(table):
        raise ConfigError(f"--out {out}: expected another file than the table. Name another.")
    predictor = Predictor(model, batch_size=batch_size, workers=workers, known_errors=known_errors)
    known = KnownTable(table, predictor.info.labels, quiet=quiet)
    blank = sum(len(known.labels) - len(states) for _, states in known.pictures())
    if not blank:
        raise ConfigError(
            f"{table}: expected a table with blank cells, got one in which all are filled. "
            "There is nothing to complete."
        )
    filled = unread = 0
    predictions = predictor.stream(_pictures(known))
    rows = track(predictions, "Completing", len(known), quiet=quiet)
    with (
        written_whole(out) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", *known.labels])
        for (path, states), prediction in zip(known.pictures(), rows, strict=True):
            cells = [_cell(label, states, prediction, sure) for label in known.labels]
            filled += sum(cell != "" for cell in cells) - len(states)
            unread += bool(prediction.error)
            writer.writerow([name_beside(path, out.parent), *cells])
    done = Completed(len(known), filled, blank - filled, unread)
    if not quiet:
        left = f"; {done.blank:,} are blank still" if done.blank else ""
        tell(f"{filled:,} blank cells of {done.pictures:,} pictures filled -> {out}{left}")
        if unread:
            tell(f"warning: {unread:,} pictures cannot be read, so their blank cells stay")
    return done


def _pictures(known: KnownTable) -> Iterator[Picture]:
    for path, states in known.pictures():
        yield Picture(writable(str(path)), path, known=states)


def _cell(label: str, states: dict[str, bool], prediction: Prediction, sure: float | None) -> str:
    if label in states:
        return str(int(states[label]))
    if prediction.probabilities is None:
        return ""
    probability = prediction.probabilities[label]
    if sure is None:
        return f"{probability:.4f}"
    return "1" if probability >= sure else "0" if probability <= 1 - sure else ""
