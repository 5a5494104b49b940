"""A trained model in its fastest form, for inference alone."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.compute import Precision, autocast
from lcnet.model.classifier import Classifier
from lcnet.model.ensemble import Ensemble
from lcnet.model.folding import fold_norms
from lcnet.model.image_tokens import tokens_of
from lcnet.model.lcnet import LCNet


@dataclass(frozen=True)
class Engine:
    """A network that another runtime computes, on the CPU."""

    runtime: str
    """The package that runs it."""
    version: str
    run: Callable[[Tensor], Tensor]
    """Images (B C H W, normalised, contiguous) to the logits (B L) of what they alone show."""


class FastClassifier:
    """A copy of a model that gives the same logits faster.

    Norms are folded into convolutions and tensors are channels_last. On request the arithmetic is
    bfloat16 and the model is compiled. In float32 logits are equal up to rounding (about 1e-5); in
    bfloat16 the probabilities of all measured models are within 0.01. docs/log/speed.md has the
    figures of each step.
    """

    def __init__(
        self,
        model: Classifier,
        *,
        precision: Precision = "fp32",
        compiled: bool = False,
        engine: Engine | None = None,
    ) -> None:
        """Copy the model, which stays as it is; compilation happens at the first call.

        An `engine` runs the network in place of torch, in `precision`; what known labels say and
        embeddings are torch's work all the same.
        """
        fast = copy.deepcopy(model).eval().requires_grad_(False)
        self.classifier = fast
        self.explains = not isinstance(model, Ensemble)
        """Whether the model that it copies can explain its logits."""
        self.models = len(fast.singles())
        """How many models it is the mean of."""
        test_time = fast.singles()[0].test_time
        self.ways = test_time.ways if test_time else ()
        """The further ways in which it sees each picture."""
        for single in fast.singles():
            fold_norms(single.backbone.features)
            if isinstance(single, LCNet):
                single.fix_graph()
        self.model: nn.Module = fast.to(memory_format=torch.channels_last)
        self.precision = precision
        self.device = next(fast.parameters()).device
        self.needs = any(single.needed is not None for single in fast.singles())
        """Whether it looks at needed views alone; then it is not compiled, since their number is
        another one for each batch."""
        compiled = compiled and not self.needs
        self._run = _compiled_for_inference(self.model) if compiled else self.model
        self.engine = engine
        self._batch = 0
        self.failure = ""
        """Why compilation failed; empty if it did not. The plain form runs then."""

    def __call__(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        """The logits (B L, float32) of images (B 3 H W, normalised), on the model's device.

        `known` (B L) is as in `Classifier.forward`.
        """
        logits = self._logits(images)
        return logits if known is None else self.given(logits, known)

    def given(self, logits: Tensor, known: Tensor) -> Tensor:
        """The logits (B L) of the images alone, given what is known (B L)."""
        with torch.inference_mode():
            return self.classifier.given(logits, known)

    def told(self, logits: Tensor, known: Tensor) -> tuple[Tensor, Tensor] | None:
        """What each known label adds to each other's calibrated logit (B L E), and which (L E).

        The logits are those of the images alone. None if the model does not know.
        """
        evidence = self.classifier.evidence
        if evidence is None:
            return None
        with torch.inference_mode():
            return evidence.moves(logits, known), evidence.sources

    def _logits(self, images: Tensor) -> Tensor:
        if self.engine is not None:
            return self.engine.run(images.contiguous())
        with torch.inference_mode(), autocast(self.device, self.precision):
            if self._run is self.model:
                return self.model(images)
            try:
                return self._compiled(images)
            except Exception as error:  # a missing compiler and the like raise a dozen types
                self.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                self._run = self.model
                return self.model(images)

    def with_embeddings(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same logits (B L) and the embeddings (B C, float32), from one pass, not compiled.

        An embedding is the mean of the backbone's last feature map over all places of all views.
        """
        with torch.inference_mode(), autocast(self.device, self.precision):
            logits, maps = self.classifier.logits_and_maps(images)
            return logits, tokens_of(maps).float().mean(dim=1)

    @property
    def views_taken(self) -> str:
        """How many views a picture took so far; empty if it looks at all, or was not run here."""
        taken = self.classifier.taken if self.needs else None
        if taken is None or not taken.pictures:
            return ""
        return f"{taken.mean:.2f} of {self.classifier.crops.views} views a picture"

    @property
    def embedding_length(self) -> int:
        """How many numbers an embedding has: the channels of the backbone's last feature map."""
        return self.classifier.backbone.channels

    def _compiled(self, images: Tensor) -> Tensor:
        """The logits; smaller batches are padded, since compiled code is for one batch size."""
        self._batch = max(self._batch, len(images))
        missing = self._batch - len(images)
        if missing:
            images = F.pad(images, (0, 0) * (images.ndim - 1) + (0, missing))
        logits: Tensor = self._run(images)
        return logits[: len(logits) - missing]

    def __str__(self) -> str:
        arithmetic = {"fp32": "float32", "bf16": "bfloat16"}[self.precision]
        parts = [arithmetic]
        if self.engine is not None:
            parts = [f"{self.engine.runtime} {self.engine.version}", arithmetic]
        if self.models > 1:
            parts.insert(0, f"mean of {self.models} models")
        if self.ways:
            parts.append(f"mean with {', '.join(self.ways)}")
        if self.needs:
            parts.append("needed views alone")
        if self._run is not self.model:
            parts.append("compiled")
        return ", ".join(parts)


def _compiled_for_inference(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The model compiled with its weights as constants.

    The compiler can then lay them out for its kernels, and joins a convolution, its activation and
    a residual's addition into one kernel.
    """
    return torch.compile(model, dynamic=False, options={"freezing": True})
