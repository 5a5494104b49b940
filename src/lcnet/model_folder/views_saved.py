"""What a model folder says of the views that its model takes, if it does not take all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lcnet.schema import check_fields, check_mapping


@dataclass(frozen=True)
class ViewsSaved:
    """What looking at needed tiles alone saves and costs, as `lcnet calibrate` found it."""

    mean: float
    """Views that a picture takes on average, the whole image among them."""
    all: int
    """Views of a picture, if all are taken."""
    lost: float
    """Points of mAP below all views that are to be feared of new pictures."""
    source: str = ""
    """Where it was measured."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: object) -> "ViewsSaved":
        """What `to_dict` wrote. Raises ValueError for anything else."""
        given: Mapping[str, Any] = check_fields(cls, check_mapping(stored, "views"), "views")
        saved = cls(**given)
        if not 1 <= saved.mean <= saved.all:
            raise ValueError(f"views.mean: expected 1 to {saved.all}, got {saved.mean}")
        return saved

    def __str__(self) -> str:
        return (
            f"{self.mean:.2f} of {self.all} views a picture, mAP against all {-self.lost:+.2f} or "
            f"better ({self.source})"
        )
