"""An estimate of the memory that training needs, and the largest batch that fits."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import psutil
import torch
from torch import Tensor

from lcnet import config
from lcnet.compute import autocast
from lcnet.errors import ConfigError
from lcnet.model.classifier import Classifier
from lcnet.model.explanation import evaluating
from lcnet.model.lcnet import LCNet
from lcnet.progress import memory_size

USABLE = 0.8
"""Share of the free memory that training may fill; the rest is for what the estimate leaves out."""
IN_FLIGHT = 3.2
"""Memory that the decoder of many labels takes while it is computed again, as a multiple of what
autograd keeps of it: gradients on their way, and gaps between blocks. Measured on a CPU."""
LATER = 128 * 2**20
"""Bytes of what a run on a CPU loads after its first batch, for the calibration and the report."""
USUAL_BATCH = config.Train().batch
"""Pictures per step of the optimizer that `batch_size: auto` aims at."""


@dataclass(frozen=True)
class Memory:
    """An estimate of the memory that training needs, and the free memory; in bytes."""

    weights: int
    """Weights, their gradients, the optimizer's two moments and the averaged copy."""
    picture: int
    """Kept for the gradients, per picture of a batch, with its part of those that are added."""
    chunk: int
    """Kept while a chunk of views is computed again (`model.view_chunk`), whatever the batch."""
    free: int
    """Free memory of the device."""
    labels: int = 0
    """Kept of the graph of many labels, and while the decoder of a few pictures is computed again,
    whatever the batch."""
    held: int = 0
    """What the process holds besides: Python and its packages, also those that it loads later."""

    def needs(self, batch: int) -> int:
        """The estimate for a batch of this many pictures, of the whole process."""
        return self.held + self.adds(batch)

    def adds(self, batch: int) -> int:
        """The same without what the process holds besides."""
        return self.weights + batch * self.picture + self.chunk + self.labels

    def largest_batch(self) -> int:
        """The largest number of pictures that fits; 0 if not even one does."""
        left = USABLE * self.free - self.adds(0)
        return max(0, int(left // self.picture))

    def describe(self, batch: int) -> str:
        """The estimate in one line, which is a warning if more is needed than is free."""
        line = (
            f"memory: about {memory_size(self.needs(batch))} for batches of {batch} "
            f"({memory_size(self.weights)} of it for weights and optimizer), "
            f"{memory_size(self.free)} free"
        )
        if self.adds(batch) <= self.free:
            return line
        return (
            f"warning: {line}. Set --train.batch_size auto, or --model.view_chunk 1 "
            "to compute the views one by one."
        )


def training_memory(
    model: Classifier, recipe: config.Train, image_size: int, channels: int = 3
) -> Memory:
    """The memory for training a model on square images (`image_size` px), measured on two.

    `model` must be on the device where it will be trained. Measured is what autograd keeps of a
    forward pass; temporary buffers inside the layers are not counted. The model does not change.
    On a CPU it is the memory of the process, as the system shows it.
    """
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    learned = sum(weight.nbytes for weight in trainable)
    all_weights = sum(weight.nbytes for weight in model.parameters())
    backbone = model.backbone
    device = next(model.parameters()).device
    held = psutil.Process().memory_info().rss
    images = torch.zeros(2, channels, image_size, image_size, device=device)
    with autocast(device, recipe.precision):
        kept = _kept(lambda: model(images), model)
        chunk = 0
        if backbone.chunk and recipe.backbone_lr_factor:
            views = model.crops(images).flatten(0, 1)[: backbone.chunk]
            views_per_chunk, backbone.chunk = backbone.chunk, 0  # 0: measured without recomputing
            chunk = _kept(lambda: backbone(views), model) * views_per_chunk // len(views)
            backbone.chunk = views_per_chunk
        graph, again = _kept_of_labels(model, images[:1])
    return Memory(
        weights=all_weights * (2 if recipe.ema_decay else 1) + 3 * learned,
        picture=max(1, int((kept - graph) * (1 + recipe.splicemix) // 2)),
        chunk=chunk,
        free=free_memory(device),
        labels=graph + again,
        held=max(0, held - all_weights) + LATER if device.type == "cpu" else 0,
    )


def _kept_of_labels(model: Classifier, image: Tensor) -> tuple[int, int]:
    """Bytes kept of the graph of many labels, and of the pictures whose decoder runs at a time.

    Both are 0 for a model whose batches go through the decoder together.
    """
    if not isinstance(model, LCNet) or not model.at_once:
        return 0, 0
    with torch.no_grad(), evaluating(model):
        maps, graph = model.maps(image), model.graph_tokens()
    some = maps.expand(model.at_once, *maps.shape[1:])
    again = max(_kept(part, model) for part in model.again(some, graph))
    return _kept(lambda: model.graph_tokens(), model), int(again * IN_FLIGHT)


def fitting_batch(recipe: config.Train, memory: Memory) -> config.Train:
    """The recipe with `batch_size: auto` replaced by the largest batch that fits.

    Each update still uses `USUAL_BATCH` x accumulate pictures, counted over all devices: if the
    batch is smaller, gradients are accumulated over more batches. Raises ConfigError if not even
    one picture fits.
    """
    wanted = max(1, USUAL_BATCH * recipe.accumulate // recipe.processes)
    fits = memory.largest_batch()
    if not fits:
        raise ConfigError(
            "train.batch_size: not even one picture fits "
            f"({memory_size(memory.needs(1))} needed, {memory_size(memory.free)} free). "
            "Set --model.view_chunk 1, or a smaller --model.view_size or --model.crop_level."
        )
    batch = max(size for size in range(1, wanted + 1) if wanted % size == 0 and size <= fits)
    return replace(recipe, batch_size=batch, accumulate=wanted // batch)


def free_memory(device: torch.device) -> int:
    """Free memory of a device in bytes."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return int(psutil.virtual_memory().available)


def _kept(forward: Callable[[], object], model: Classifier) -> int:
    """Bytes that autograd keeps of a forward pass, not counting the weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    was_training = model.training
    # The measurement must not change the result of the training: random state and buffers go back.
    state = torch.get_rng_state()
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), torch.enable_grad():
        result = forward()
    total = sum(kept.values())
    del result
    model.train(was_training)
    for name, value in model.named_buffers():
        value.copy_(before[name])  # batch norms have averaged in the pass
    torch.set_rng_state(state)
    return total
