"""What a model folder says of each model of an ensemble."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lcnet import config
from lcnet.model.backbone import BackboneSpec
from lcnet.model.stored_settings import stored_model
from lcnet.schema import check_mapping, check_names, check_options

MOST_MEMBERS = 64
"""Most models in an ensemble."""


@dataclass(frozen=True)
class Member:
    """One model of an ensemble, without its weights."""

    model: config.Model
    """The settings that it was built with."""
    backbone: BackboneSpec
    head_options: Mapping[str, Any] = field(default_factory=dict)
    """Sizes of a rival's head, if they are not those of its paper."""
    labels: tuple[str, ...] = ()
    """Its labels, in the order of its logits; empty if they are in the ensemble's order."""
    source: str = ""
    """The run or model folder that it was, as it was given."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        return {
            "model": asdict(self.model),
            "head_options": dict(self.head_options),
            "backbone": self.backbone.to_dict(),
            "labels": list(self.labels),
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, stored: object, where: str) -> "Member":
        """The member that `to_dict` wrote. Raises ValueError or KeyError for anything else."""
        given = check_mapping(stored, where)
        labels = given.get("labels", [])
        options = check_mapping(given["head_options"], f"{where}.head_options")
        return cls(
            model=stored_model(given["model"], f"{where}.model"),
            backbone=BackboneSpec.from_dict(given["backbone"]),
            head_options=check_options(options, f"{where}.head_options", most=65_536, length=256),
            labels=check_names(labels, f"{where}.labels") if labels else (),
            source=str(check_options(given.get("source", ""), f"{where}.source")),
        )

    def order(self, labels: Sequence[str]) -> list[int]:
        """Where each of the ensemble's labels is in this member's logits; empty if all are equal.

        Raises ValueError if the labels are not the same.
        """
        if not self.labels:
            return []
        if sorted(self.labels) != sorted(labels):
            raise ValueError("members: expected the labels of the model in each")
        place = {label: index for index, label in enumerate(self.labels)}
        return [place[label] for label in labels]


def members_from(
    stored: object, labels: Sequence[str], settings: config.Model, backbone: BackboneSpec
) -> tuple[Member, ...]:
    """The members in model.json, which all see pictures as `settings` and `backbone` say.

    Raises ValueError or KeyError if the text is not that of an ensemble.
    """
    if not isinstance(stored, list) or not 2 <= len(stored) <= MOST_MEMBERS:
        raise ValueError(f"members: expected a list of 2 to {MOST_MEMBERS} models")
    members = tuple(Member.from_dict(one, f"members.{n}") for n, one in enumerate(stored))
    for number, member in enumerate(members):
        member.order(labels)
        if seen_by(member.model, member.backbone) != seen_by(settings, backbone):
            raise ValueError(f"members.{number}: expected pictures as the model takes them")
    return members


def seen_by(settings: config.Model, backbone: BackboneSpec) -> tuple[Any, ...]:
    """All that decides what a model sees of a picture that has been read."""
    sees = (settings.image_size, backbone.channels, backbone.interpolation)
    return (*sees, *backbone.mean, *backbone.std)
