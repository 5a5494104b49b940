"""The labels and probabilities that a model gives one picture."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """The labels and probabilities that a model gives one picture."""

    image: str
    """The picture's name (`sources.Picture`); of a PIL image its position in the input."""
    labels: tuple[str, ...] = ()
    """The labels above their thresholds, as the model's rules between labels leave them; the most
    probable first."""
    probabilities: dict[str, float] | None = None
    """The probability of every label, 0 to 1; None if the picture could not be read."""
    error: str = ""
    """Why the picture could not be read; empty if it could."""
    known: dict[str, bool] = field(default_factory=dict)
    """The labels that were known to be present (True) or absent (False)."""
    told: dict[str, dict[str, float]] = field(default_factory=dict)
    """What known labels added to the calibrated logits of others: by label, the known labels that
    moved it most; only what is large enough to matter."""

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction's JSON line."""
        if self.error:
            return {"image": self.image, "error": self.error}
        known: dict[str, Any] = {"known": self.known} if self.known else {}
        if self.told:
            known["told"] = {
                label: {name: round(change, 3) for name, change in of.items()}
                for label, of in self.told.items()
            }
        return {
            "image": self.image,
            "labels": list(self.labels),
            **known,
            "probabilities": self.rounded(),
        }

    def rounded(self) -> dict[str, float]:
        """The probabilities to six places, as files have them; empty if there are none."""
        known = self.probabilities or {}
        return {label: round(value, 6) for label, value in known.items()}
