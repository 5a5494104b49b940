"""The settings of the training recipe."""

from dataclasses import dataclass
from typing import Annotated, Literal

from lcnet.bounds import Above, AtLeast, Share, Within, check_bounds, require
from lcnet.errors import ConfigError

REJECT_GROWTH = 0.2
"""Percent of the unknown labels, the usual growth of those that are left out with each epoch."""
MOST_WAITING = 604_800
"""Most seconds that a device waits for the others: a week."""

UNCHANGED = {
    "randaugment": 0,
    "cutout": 0.0,
    "min_scale": 1.0,
    "vertical_flip": False,
    "rotation": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "splicemix": 0.0,
}
"""The augmentation with which a picture's features are the same in every epoch."""

LOGGERS = ("tensorboard", "csv", "wandb", "mlflow")
"""What `loggers` may name."""

Count = Annotated[int, AtLeast(1)]
NotNegative = Annotated[float, AtLeast(0)]
BelowOne = Annotated[float, Share(one=False)]

BestBy = Literal["mAP", "CF1", "OF1", "loss"]
Unknown = Literal["ignore", "negative", "weighted", "reject_large_losses"]


@dataclass(frozen=True)
class Train:
    """The training recipe."""

    epochs: Count = 20
    """Passes over the training split."""
    batch_size: Count | Literal["auto"] = 32
    """Images per batch on each device. auto: the largest batch that fits in memory. If it is
    small, gradients of several batches are averaged, so that each update uses 32 images over all
    devices."""
    lr: Annotated[float, Above(0)] = 3e-4
    """Peak learning rate."""
    backbone_lr_factor: NotNegative = 1.0
    """The backbone's learning rate as a multiple of `lr`; 0 freezes the backbone."""
    backbone_stages: Annotated[int, AtLeast(0)] = 0
    """How many of the backbone's last stages learn; the earlier ones stay as they are, with the
    statistics of their batch norms. 1 is the last stage, such as a ResNet's layer4 or a ViT's last
    block. 0: all stages learn."""
    keep_norms: bool = False
    """Keep the statistics of the backbone's batch norms as they are, also where its weights learn.
    Better for a short fine-tuning of a pretrained backbone; wrong for random weights."""
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """Arithmetic: float32, or mixed precision with bfloat16 or float16. auto: bfloat16 on devices
    with hardware for it, float32 on others."""
    devices: Annotated[int, Within(1, 1_024)] = 1
    """Devices on each machine. Each has one process and its own batches."""
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    """Seed of initial weights, order of pictures, augmentation and dropout."""
    cache_features: str = ""
    """Folder for the features of a frozen backbone, so that they are computed only once; empty
    keeps none. Needs backbone_lr_factor 0, and of all augmentation no more than `flip`."""

    decoder_lr_factor: NotNegative = 0.3
    """Learning rate of LCNet's graph, tokens and decoder, as a multiple of `lr`. Used only with
    pooling; without it the factor is 1."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """adamw: Adam with decoupled weight decay. adam, sgd (momentum 0.9): the weight decay is added
    to the gradient, which is L2."""
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    """one_cycle: the learning rate rises during `warmup` and then falls to 0 as a cosine. cosine:
    it only falls. constant: it stays."""
    warmup: Annotated[float, Share(zero=False, one=False)] = 0.2
    """Share of all updates during which the learning rate rises. Used only with one_cycle."""
    weight_decay: NotNegative = 1e-2
    """Weight decay of the weights that `decay` names."""
    decay: Literal["matrices", "all_matrices"] = "matrices"
    """What the weight decay is for. matrices: weights of two or more dimensions, without label
    tokens, graph nodes and what a ViT leaves out. all_matrices: these too."""
    freeze: str = ""
    """Parts whose weights do not learn, by name and separated by commas, such as
    `backbone.features.layer1` for all that is in it, or `backbone`. The running statistics of their
    batch norms still change, unless the whole backbone is frozen: then it gives the same feature
    maps until it learns."""
    freeze_epochs: Annotated[int, AtLeast(0)] = 0
    """Epochs after which the parts in `freeze` learn too; 0 freezes them for the whole run."""
    accumulate: Count = 1
    """Batches per update of the weights; their gradients are averaged, as in one larger batch."""
    clip_norm: NotNegative = 1.0
    """Clip the gradient to this norm; 0 never clips."""
    ema_decay: BelowOne = 0.9997
    """Decay of the moving average of the weights, which is validated and saved; 0 keeps none."""
    ema_warmup: bool = True
    """Start the average with a small decay that grows, so that it forgets the first weights."""
    best_by: BestBy = "mAP"
    """What picks the best epoch in validation: mAP, CF1 or OF1 at probability 0.5 before any
    calibration, or the loss of the known labels."""
    early_stop: Annotated[int, AtLeast(0)] = 0
    """Stop after this many epochs that were no better by `best_by`; 0 trains all epochs."""
    class_means: bool = False
    """After the last epoch, add to the logits how near a picture's pooled features are to the mean
    of each label's training pictures (linear discriminant analysis). Costs one more pass over the
    training split, or none with kept features. How much it counts is chosen in validation."""
    calibrate: bool = True
    """Fit probabilities and thresholds to the validation split after the last epoch, as `lcnet
    calibrate` does. Otherwise every threshold is 0.5."""
    nan_limit: Count = 10
    """Skip steps whose loss or gradient is not finite; stop after this many in a row."""
    save_minutes: NotNegative = 10.0
    """Minutes between checkpoints during an epoch; 0 saves only at the end of each epoch."""
    loggers: str = "tensorboard"
    """Where to log, separated by commas: tensorboard, csv, wandb, mlflow; empty for nowhere. wandb
    and mlflow need their packages: pip install 'lcnet[wandb]' or 'lcnet[mlflow]'."""

    loss_factor: Annotated[float, Above(0)] = 1.0
    """Multiply the loss by this. Adam alone does not notice; clipping and L2 do."""
    gamma_neg: NotNegative = 4.0
    """Asymmetric loss: focusing exponent for absent labels."""
    gamma_pos: NotNegative = 0.0
    """Asymmetric loss: focusing exponent for present labels."""
    loss_clip: BelowOne = 0.05
    """Asymmetric loss: an absent label with a probability below this adds no loss."""
    label_smoothing: BelowOne = 0.0
    """Train for 1 - half of this where a label is present, and for half of it where it is absent,
    such as 0.1; 0 for 1 and 0."""
    unknown: Unknown = "ignore"
    """How to treat unknown labels in training: leave them out, take them as absent, take them as
    absent with the weight `unknown_weight`, or take them as absent but leave out those of the
    largest loss, more of them with each epoch (`reject_growth`)."""
    unknown_weight: Annotated[float, Share()] = 0.0
    """Only with `--train.unknown weighted`: weight of an unknown label relative to a known one. 0
    means automatic: 1 / (number of labels - 1)."""
    reject_growth: Annotated[float, Within(0, 100)] = REJECT_GROWTH
    """Only with `--train.unknown reject_large_losses`: percent of the unknown labels by which the
    part that is left out grows with each epoch. The first epoch leaves out none."""
    positive_weight: NotNegative = 0.0
    """Exponent p: pictures in which a label is present get the weight (absent count / present
    count) ** p in that label's loss. 0: no weighting. 1: present and absent are balanced."""
    repeat_rare: BelowOne = 0.0
    """Show a picture more often if one of its labels is present in less than this share of the
    training pictures, such as 0.01; 0 shows all equally often."""

    flip: bool = True
    """Mirror half of the training images."""
    vertical_flip: bool = False
    """Turn half of the training images upside down, for pictures without an up and down."""
    rotation: Annotated[float, Within(0, 180)] = 0.0
    """Turn training images by up to this many degrees to either side; the corners get the mean
    colour. 0 turns none."""
    min_scale: Annotated[float, Share(zero=False)] = 1.0
    """Random crops keep at least this share of a picture's area; 1 does not crop."""
    randaugment: Annotated[int, Within(0, 30)] = 9
    """Magnitude of RandAugment; 0 turns it off."""
    cutout: BelowOne = 0.5
    """Cut a square out of half of the training images. This is its side as a share of the image's
    side; 0 cuts none."""
    drop_views: BelowOne = 0.0
    """Leave out this share of the tiles of Crop-Forwarding in training, on average and at random,
    such as 0.5; the whole image's features stand in for them. Steps get faster, and the model
    learns to do with few tiles (docs/guide/needed_views.md). 0 leaves out none."""
    mixup: NotNegative = 0.0
    """Blend each training image with another one of its batch, and their labels too. This is alpha:
    the shares are drawn from Beta(alpha, alpha), such as 0.2; 0 blends none."""
    cutmix: NotNegative = 0.0
    """Paste a rectangle of another image of the batch into each training image, and mix their
    labels by area. This is alpha, as in `mixup`, such as 1. With both, chance picks one for each
    batch."""
    splicemix: Annotated[float, Share()] = 0.0
    """Add to each batch this share of images that each show four of its images in a 2 x 2 grid,
    with the labels of all four, such as 0.25. 0 adds none."""

    nodes: Annotated[int, Within(1, 65_536)] = 1
    """Machines that train together, each started with the same command (docs/guide/scaling.md)."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """ddp: each device holds the whole model. fsdp: each holds a share of it."""
    sync_batchnorm: bool = False
    """Compute the statistics of batch norms over the images of all devices."""
    restarts: Annotated[int, AtLeast(0)] = 0
    """How often a run on several devices goes on from its last checkpoint by itself after one of
    its processes has died."""
    timeout_s: Annotated[float, Above(0, MOST_WAITING)] = 1800.0
    """Seconds that a device waits for the others before training fails."""
    compile: bool = False
    """Compile the model with torch.compile: some minutes at the start, then faster steps."""

    def __post_init__(self) -> None:
        check_bounds(self, "train")
        require(
            self.unknown == "weighted" or self.unknown_weight == 0,
            "train.unknown_weight",
            expected="0 unless train.unknown is weighted",
            got=self.unknown_weight,
        )
        require(
            self.unknown == "reject_large_losses" or self.reject_growth == REJECT_GROWTH,
            "train.reject_growth",
            expected=f"{REJECT_GROWTH} unless train.unknown is reject_large_losses",
            got=self.reject_growth,
        )
        if self.cache_features:
            self._check_features_can_be_cached()
        if self.mixes:
            self._check_images_can_be_mixed()
        require(
            self.backbone_lr_factor > 0 or self.backbone_stages == 0,
            "train.backbone_stages",
            expected="0 with train.backbone_lr_factor 0, which freezes them all",
            got=self.backbone_stages,
        )
        unknown = [name for name in self.logger_names if name not in LOGGERS]
        require(not unknown, "train.loggers", expected=f"of {', '.join(LOGGERS)}", got=unknown)
        require(
            bool(self.freeze) or self.freeze_epochs == 0,
            "train.freeze_epochs",
            expected="0 unless train.freeze names parts",
            got=self.freeze_epochs,
        )

    def _check_features_can_be_cached(self) -> None:
        """Raises ConfigError unless a picture's features are the same in every epoch."""
        needed = {"backbone_lr_factor": 0.0, **UNCHANGED}
        wrong = [name for name, value in needed.items() if getattr(self, name) != value]
        if wrong:
            got = ", ".join(f"train.{name} {_in_yaml(getattr(self, name))}" for name in wrong)
            flags = " ".join(f"--train.{name} {_in_yaml(needed[name])}" for name in wrong)
            raise ConfigError(
                "train.cache_features: expected settings under which a picture's features stay the "
                f"same, got {got}. Set {flags}; or leave --train.cache_features out."
            )

    def _check_images_can_be_mixed(self) -> None:
        """Raises ConfigError if mixing would do nothing, or would teach what nobody knows."""
        require(
            self.batch_size != 1,
            "train.batch_size",
            expected="2 or more, since mixup, cutmix and splicemix mix the images of a batch",
            got=self.batch_size,
        )
        blends = bool(self.mixup or self.cutmix)
        require(
            not blends or self.unknown in ("ignore", "negative"),
            "train.unknown",
            # A present label mixed with an unknown one would be taught as absent.
            expected="ignore or negative with train.mixup or train.cutmix",
            got=self.unknown,
        )

    @property
    def learning_stages(self) -> int | None:
        """How many of the backbone's last stages learn; None for the whole backbone."""
        return 0 if self.backbone_lr_factor == 0 else self.backbone_stages or None

    @property
    def mixes(self) -> bool:
        """Whether the images of a batch are mixed with each other."""
        return bool(self.mixup or self.cutmix or self.splicemix)

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names in `freeze`."""
        return tuple(name.strip() for name in self.freeze.split(",") if name.strip())

    @property
    def logger_names(self) -> tuple[str, ...]:
        """The names in `loggers`."""
        return tuple(name.strip() for name in self.loggers.split(",") if name.strip())

    @property
    def processes(self) -> int:
        """Devices of all machines; each has one process."""
        return self.devices * self.nodes

    @property
    def batch(self) -> int:
        """Images per step and device, once `auto` has become a number."""
        assert self.batch_size != "auto"
        return self.batch_size

    def weight_of_unknown(self, labels: int) -> float:
        """How much an unknown entry counts as an absent one, 0 to 1, for this number of labels.

        `weighted` without a weight takes 1 / (labels - 1), so that one known present label weighs
        as much as all others together, assumed absent ("weak assume negative", Cole et al. 2021,
        arXiv 2106.09708, equation 5).
        """
        match self.unknown:
            case "ignore":
                return 0.0
            case "negative" | "reject_large_losses":
                return 1.0
            case _:
                return self.unknown_weight or 1 / max(1, labels - 1)

    def rejected_share(self, epochs: int) -> float:
        """The share of the unknown entries that is left out after so many epochs, 0 to 1.

        Those of the largest loss are left out, since they are the likeliest to be present ("LL-R",
        Kim et al. 2022, arXiv 2206.03740, section 4.2, where `reject_growth` is delta_rel).
        """
        if self.unknown != "reject_large_losses":
            return 0.0
        return min(1.0, epochs * self.reject_growth / 100)


def _in_yaml(value: float) -> str:
    """A number, or true or false, as a flag takes it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
