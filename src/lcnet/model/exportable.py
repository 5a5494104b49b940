"""A model for images of one size, made of operations that every runtime computes alike."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.lcnet import LCNet
from lcnet.model.test_time import ConstantTestTime


class Exportable(nn.Module):
    """A model that takes images of one size only. It changes the model that it is given.

    The views go through the backbone together, and `ConstantCrops` shrinks the whole image.
    """

    # Wrapped also since torch.export fails on a model that has a part called `graph` at the top.

    def __init__(self, model: Classifier, image_size: int) -> None:
        super().__init__()
        for single in model.singles():
            single.crops = ConstantCrops(single.crops, image_size)
            single.backbone.chunk = 0
            if isinstance(single, LCNet):
                single.fix_graph()
            if single.test_time is not None:
                single.test_time = ConstantTestTime(single.test_time.ways, image_size)
        # torch.export keeps weights by their storage, which must not be that of channels_last.
        self.model = model.to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        """The logits (B L) of images (B 3 H W, of the one size), given what is known (B L)."""
        return self.model(images, known)


class ConstantCrops(Crops):
    """Crop-Forwarding of square images of one size, which resizes by matrix products.

    Resizing is linear, and the same for rows and columns: M image M^T, where M is the identity
    matrix resized by torch's own interpolation. Runtimes treat antialiasing differently (OpenVINO
    2026.4 leaves it out), but they all multiply matrices alike.
    """

    matrix: Tensor

    def __init__(self, crops: Crops, image_size: int) -> None:
        super().__init__(crops.level, crops.view_size, antialias=crops.antialias)
        identity = torch.eye(image_size)[None, None]
        matrix = F.interpolate(
            identity,
            (crops.view_size, image_size),
            mode="bilinear",
            align_corners=False,
            antialias=crops.antialias,
        )
        self.register_buffer("matrix", matrix[0, 0])  # S size

    def _resize(self, view: Tensor) -> Tensor:
        # Tiles of this size are views already; only the whole image is larger.
        if view.shape[-1] == self.view_size:
            return view
        return self.matrix @ view @ self.matrix.T
