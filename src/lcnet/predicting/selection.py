"""The labels of a prediction that are shown: the most probable ones, or those of a list."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lcnet.errors import ConfigError, reason_of
from lcnet.predicting.prediction import Prediction
from lcnet.schema import unknown_label


@dataclass(frozen=True)
class Selection:
    """Which labels of a prediction are shown; make it with `selection`."""

    labels: tuple[str, ...]
    """The labels to choose from, in the order in which they are shown."""
    top: int = 0
    """How many of them, the most probable first; 0 shows all."""
    is_whole: bool = True
    """Whether the labels are all of the model's, in its order."""

    def __call__(self, prediction: Prediction) -> Prediction:
        """The prediction with the chosen labels alone; how they were decided stays as it is."""
        known = prediction.probabilities
        if known is None or (self.is_whole and not self.top):
            return prediction
        names: Iterable[str] = self.labels
        if self.top:
            names = sorted(names, key=lambda label: -known[label])[: self.top]
        shown = {label: known[label] for label in names}
        chosen = tuple(label for label in prediction.labels if label in shown)
        return replace(prediction, labels=chosen, probabilities=shown)


def selection(labels: Sequence[str], *, top: int = 0, only: str | Sequence[str] = ()) -> Selection:
    """The selection from a model's labels.

    `only` are label names; as text, names with commas between them or a file with a name a line.
    Raises ConfigError for a number below 0, a name twice, or a name that is no label, with the
    nearest one.
    """
    if top < 0:
        raise ConfigError(f"--top: expected 0 or more, got {top}.")
    if not only:
        return Selection(tuple(labels), min(top, len(labels)))
    names = _names(only, labels) if isinstance(only, str) else tuple(only)
    known, seen = set(labels), set[str]()
    for name in names:
        if name not in known:
            raise ConfigError(f"--only: {unknown_label(name, labels)}. Correct the name.")
        if name in seen:
            raise ConfigError(f"--only: expected each label once, got {name!r} twice. Drop one.")
        seen.add(name)
    return Selection(names, min(top, len(names)), is_whole=False)


def _names(text: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The names in a text: a label as it is, or names joined by commas; or the lines of a file."""
    if text in labels:
        return (text,)
    file = Path(text)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--only {file}: expected a text file in UTF-8 with a label a line, got: "
            f"{reason_of(error)}. Save it anew."
        ) from None
    parts = text.split(",") if lines is None else lines
    names = tuple(name for part in parts if (name := part.strip()))
    if not names:
        raise ConfigError(f"--only {text}: expected label names, got none. Name some.")
    return names
