"""The backbones that a plan can choose from: named, in LCNET_WEIGHTS, on timm's hub, or random."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_data_config

from lcnet.config import Model
from lcnet.errors import ConfigError
from lcnet.model.backbone import PUBLISHED_NAMES, describe_backbone, short_name
from lcnet.progress import tell

VARIABLE = "LCNET_WEIGHTS"
"""The environment variable that names folders with backbones, in timm's own format."""
ON_HUB = {
    "cpu": ("tf_efficientnet_lite2.in1k", "mobilenetv2_100.ra_in1k"),
    "cuda": ("resnet50.a1_in1k",),
}
"""timm models that are taken from the hub, by the type of the device; the largest first."""
FROM_RANDOM = ("resnet18", "test_resnet")
"""Networks that are small enough to learn from random weights."""
HUB_S = 5.0
"""Seconds to wait for the hub's answer."""


@dataclass(frozen=True)
class AtHand:
    """A backbone that a model can be built with now."""

    backbone: str
    """The value of `model.backbone`."""
    source: str
    """Where it comes from, in words."""
    is_pretrained: bool = True
    bytes: int = 0
    """Size of its file of weights, by which the larger one is tried first; 0 on the hub."""

    @property
    def name(self) -> str:
        """Its short name."""
        return short_name(self.backbone)


def backbones_at_hand(settings: Model, device: str, *, is_given: bool) -> list[AtHand]:
    """What there is to start from, the largest first; never empty.

    `is_given` says that `settings` name the backbone. Raises ConfigError if its weights cannot be
    had now, or if LCNET_WEIGHTS names a folder that is not there, or without any backbone.
    """
    if is_given:
        _check_given(settings)
        source = "as given" if settings.pretrained else "as given, with random weights"
        return [AtHand(settings.backbone, source, settings.pretrained)]
    if settings.pretrained:
        own = sorted(_in_variable(os.environ.get(VARIABLE, "")), key=lambda one: -one.bytes)
        if found := own or [*_on_hub(device)]:
            return found
    return [AtHand(name, "random weights", is_pretrained=False) for name in FROM_RANDOM]


def _check_given(settings: Model) -> None:
    """Raises ConfigError if a backbone cannot be built, without the minute that retries take."""
    name = PUBLISHED_NAMES.get(settings.backbone, settings.backbone)
    kind, _, place = name.partition(":")
    is_local, is_on_hub = kind == "local-dir", kind in ("hf-hub", "hf_hub")
    if not is_on_hub:  # its description is on the hub too
        describe_backbone(name, settings.view_size, settings.channels)
    if settings.backbone_weights:
        if not Path(settings.backbone_weights).is_file():
            raise ConfigError(
                f"model.backbone_weights: no file {settings.backbone_weights}. Correct it; or "
                f"leave it out, and name a folder of backbones in {VARIABLE}."
            )
    elif settings.pretrained and is_local:
        if not _size(Path(place)):
            raise ConfigError(
                f"model.backbone: no weights in {place} (expected model.safetensors beside "
                f"config.json). Name another folder, or folders of backbones in {VARIABLE}."
            )
    elif settings.pretrained:
        known = None if is_on_hub else timm.get_pretrained_cfg(name)
        place = place if is_on_hub else (known and known.hf_hub_id) or ""
        if place and not _is_at_hand(place):
            raise ConfigError(
                f"model.backbone: no pretrained weights for {settings.backbone!r}, as they are not "
                f"on this disk and the hub does not give {place} now. Leave --model.backbone out "
                f"and name a folder of backbones in {VARIABLE}; or use --model.backbone "
                "local-dir:FOLDER, or --model.pretrained false."
            )


def made_for(backbone: str) -> tuple[int, bool]:
    """The side in pixels of a backbone's pictures in pretraining, and whether it takes no other.

    Raises ConfigError if there is no such backbone.
    """
    describe_backbone(backbone, Model().view_size)
    kind, _, place = backbone.partition(":")
    settings: dict[str, Any] = {}
    if kind == "local-dir":
        content = json.loads((Path(place) / "config.json").read_text(encoding="utf-8"))
        settings = content.get("pretrained_cfg", {})
    elif kind in ("hf-hub", "hf_hub"):
        settings = timm.models.load_model_config_from_hf(place)[0]
    elif known := timm.get_pretrained_cfg(PUBLISHED_NAMES.get(backbone, backbone)):
        settings = known.to_dict()
    expects = resolve_data_config(pretrained_cfg=settings)
    return min(expects["input_size"][1:]), bool(settings.get("fixed_input_size"))


def _in_variable(value: str) -> Iterator[AtHand]:
    """The backbones in the folders of the variable, which are those themselves or hold some."""
    for place in filter(None, value.split(os.pathsep)):
        folder, found = Path(place).expanduser(), 0
        if not folder.is_dir():
            raise ConfigError(
                f"{VARIABLE}: expected folders, got {place!r}, which is none. Correct it, or unset "
                "it."
            )
        for one in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
            if not (one / "config.json").is_file():
                continue
            backbone = f"local-dir:{one}"
            try:
                describe_backbone(backbone, Model().view_size)
            except ConfigError as error:
                tell(f"note: {one} is left out: {error}")
                continue
            if not _size(one):
                tell(f"note: {one} is left out: expected model.safetensors in it, got none")
                continue
            found += 1
            yield AtHand(backbone, f"in {VARIABLE}", bytes=_size(one))
        if not found:
            raise ConfigError(
                f"{VARIABLE}: expected backbones in timm's own format (folders with config.json and"
                f" model.safetensors), got none in {place}. Correct it, or unset it."
            )


def _size(folder: Path) -> int:
    files = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return max((file.stat().st_size for file in files), default=0)


def _on_hub(device: str) -> Iterator[AtHand]:
    """Those of `ON_HUB` that were downloaded before, or can be now."""
    for name in ON_HUB[device]:
        known = timm.get_pretrained_cfg(name)
        place = known.hf_hub_id if known else None
        if place and _is_at_hand(place):
            yield AtHand(name, "from timm's hub")


def _is_at_hand(place: str) -> bool:
    """Whether the hub's weights are in its cache, or the hub answers."""
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    for file in ("model.safetensors", "pytorch_model.bin"):
        if isinstance(try_to_load_from_cache(place, file), str):
            return True
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        HfApi().model_info(place, timeout=HUB_S)
    except Exception:  # the hub and the network raise a dozen types, and all mean: not now
        return False
    return True
