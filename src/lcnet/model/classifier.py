"""What every model of this project is: pictures -> views -> feature maps -> a head -> logits.

`model/head.py` lists the letters for shapes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lcnet.model.backbone import Backbone
from lcnet.model.class_means import ClassMeans
from lcnet.model.crops import Crops
from lcnet.model.evidence import Evidence, as_given
from lcnet.model.explanation import Explanation, evaluating, over_image
from lcnet.model.filled_views import with_filled
from lcnet.model.graph_matrices import GraphMatrices, matrix_of
from lcnet.model.head import Head
from lcnet.model.needed_views import NeededViews, ViewsTaken, needed_maps, only_needed
from lcnet.model.test_time import TestTime


class Classifier(Head):
    """A head with Crop-Forwarding and a backbone in front of it, which make its feature maps."""

    def __init__(self, crops: Crops, backbone: Backbone) -> None:
        super().__init__()
        self.crops = crops
        self.backbone = backbone
        self.test_time: TestTime | None = None
        """Further ways in which `forward` sees the images; `see` sets them."""
        self.needed: NeededViews | None = None
        """Which tiles `forward` looks at; None for all of them."""
        self.taken = ViewsTaken()
        """How many views `forward` has taken so far."""
        self.evidence: Evidence | None = None
        """What known labels say of the others; None if that was not fitted."""
        self.class_means: ClassMeans | None = None
        """Scores beside the head's, fitted after training; None if that was not done."""

    def forward(self, images: Tensor, known: Tensor | None = None) -> Tensor:
        """The logits (B L, float32) of images (B 3 H W, RGB, normalised for the backbone).

        With test-time augmentation they are the mean over all ways of seeing the images. `known`
        (B L) is 1 for labels that are known to be present, -1 for absent, 0 for unknown: known ones
        come back as sure, and move the others if the model has `evidence`. Where nothing is known,
        the logits are the same, bit for bit. With `needed`, the backbone sees the whole image and
        the tiles that it needs.
        """
        logits = self.logits(images)
        return logits if known is None else self.given(logits, known)

    def logits(self, images: Tensor) -> Tensor:
        """The logits (B L, float32) of what the images alone show."""
        return self.logits_and_maps(images)[0]

    def given(self, logits: Tensor, known: Tensor) -> Tensor:
        """The logits (B L) of the images alone, given what is known (B L), as `forward` says."""
        if self.evidence is None:
            return as_given(logits, known)
        given: Tensor = self.evidence(logits, known)
        return given

    def logits_and_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The logits as `forward` gives them, and the feature maps of the plain images."""
        if self.test_time is None:
            maps = self.maps(images) if self.needed is None else self._needed_maps(images)
            return self.scored(maps), maps
        plain, *others = self.test_time(images, self.crops)
        maps = self._maps_of(plain)
        logits = [self.scored(maps), *(self.scored(self._maps_of(views)) for views in others)]
        return torch.stack(logits).mean(dim=0), maps

    def see(self, ways: Sequence[str]) -> None:
        """See images in these ways of `test_time.WAYS` too, or with none as they are.

        It changes `forward` alone: training and explanations take the plain images.
        """
        for single in self.singles():
            single.test_time = TestTime(ways) if ways else None

    def maps(self, images: Tensor) -> Tensor:
        """The feature maps of all views of each image (B 3 H W): B V C h w."""
        return self._maps_of(self.crops(images))

    def _needed_maps(self, images: Tensor) -> Tensor:
        """The same, in which the tiles that are not needed are filled."""
        assert self.needed is not None
        maps, need = needed_maps(self.needed, self.backbone, self.crops, images)
        self.taken.note(need)
        return maps

    def as_needed(self, maps: Tensor) -> Tensor:
        """Maps of all views (B V C h w) as `forward` would have them of the same images."""
        if self.needed is None:
            return maps
        maps, need = only_needed(self.needed, maps, self.crops.level)
        self.taken.note(need)
        return maps

    def maps_without(self, images: Tensor, out: Tensor) -> Tensor:
        """The same, but the tiles that are `out` (B V-1) are filled and cost no pass."""
        views = self.crops(images)
        is_seen = torch.cat([~out, out.new_ones(len(out), 1)], dim=1)  # B V
        seen = self.backbone(views[is_seen])  # whole images and tiles in one pass, as batch norm
        maps = seen.new_zeros(*is_seen.shape, *seen.shape[1:])
        maps[is_seen] = seen
        return with_filled(maps, out, self.crops.level)

    def _maps_of(self, views: Tensor) -> Tensor:
        """The feature maps of views (B V 3 S S): B V C h w."""
        maps: Tensor = self.backbone(views.flatten(0, 1))  # B*V C h w
        return maps.unflatten(0, views.shape[:2])  # B V C h w

    def scored(self, maps: Tensor) -> Tensor:
        """The logits (B L, float32) of feature maps (B V C h w): the head's and the class means'.

        Training takes `score` or `ways`, since class means are fitted after it.
        """
        logits = self.score(maps).float()
        return logits if self.class_means is None else logits + self.class_means(maps)

    def ways(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The logits (B L each) that each have a loss in training; `score` is their mean."""
        return (self.score(maps),)

    def singles(self) -> "list[Classifier]":
        """The models whose mean it is: itself alone, but for an ensemble."""
        return [self]

    @torch.inference_mode()
    def explain(self, images: Tensor) -> Explanation:
        """Logits, where each label looked in the image, and the label graph, as in evaluation.

        Images are as in `forward`. Each token's share is put back where the token's cell lies in
        the image. The maps are as coarse as the backbone's last one; `heat_maps` gives finer ones.
        """
        with evaluating(self):
            maps = self.maps(images)  # B V C h w
            looked = over_image(self.looked(maps), maps, level=self.crops.level, images=images)
            return Explanation(self.scored(maps), looked, self.label_graph())

    @torch.inference_mode()
    def graph_matrices(self) -> GraphMatrices | None:
        """The label graph before and after learning; None without a graph."""
        graph = self.label_graph()
        return None if graph is None else GraphMatrices(matrix_of(graph), learned=None)

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Weights that may be trained at another learning rate than the rest of the head."""
        return []
