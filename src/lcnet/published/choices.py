"""What the user says of a checkpoint, and what an import assumes where nobody says it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lcnet.config import Data


@dataclass(frozen=True)
class ImportChoices:
    """What the user says of a checkpoint; None and "" leave it to the file or the layout."""

    labels: str = ""
    """A text file with a label name per line, or the names separated by commas."""
    correlation: Path | None = None
    """A .npy file with the label correlations, L x L, that the released graph starts from."""
    crop_level: int | None = None
    """Crop-Forwarding level."""
    view_size: int | None = None
    """Side of a view in pixels."""
    heads: int | None = None
    """Attention heads of the decoder."""
    unnormalised: bool = False
    """Pictures go in as values from 0 to 1, with no mean and std."""
    data: Data | None = None
    """The data set it was trained on. It gives label names; and LCNet's label correlations (how
    often a label is present when another is) unless a file or the release gives them."""


class Assumed:
    """Chooses values: the user's, else the file's, else a default, which is noted as assumed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.notes: list[str] = []

    def add(self, note: str) -> None:
        """Note one more assumption."""
        self.notes.append(note)

    def choose(self, name: str, chosen: int | None, in_file: str, default: int) -> int:
        """What the user chose, else what the file says, else the default, which is noted."""
        if chosen is not None:
            return chosen
        if isinstance(self.settings.get(in_file), int):
            return int(self.settings[in_file])
        self.add(f"{name} {default}")
        return default

    def pixel_statistics(
        self, choices: ImportChoices, *, default: Literal["imagenet", "unit"]
    ) -> Literal["imagenet", "unit"]:
        """How pictures are normalised, as in `config.Model`; chosen as above."""
        if choices.unnormalised:
            return "unit"
        if "orid_norm" in self.settings:
            return "unit" if self.settings["orid_norm"] else "imagenet"
        unit = default == "unit"
        self.add("pictures from 0 to 1" if unit else "pictures normalised as ImageNet's")
        return default

    def line(self) -> str:
        """All assumptions in one line."""
        return f"assumed: {'; '.join(self.notes) or 'nothing'}"
