"""The flags of the released `train.py`, and what holds instead of those without effect here."""

import argparse
from typing import Any

from lcnet.evaluating.protocols import PROTOCOLS

WITHOUT_MEANING = {
    "print_freq_val": "progress is always shown",
    "print_freq": "progress is always shown",
    "optim": "the optimizer is Adam",
    "eps": "the loss needs no eps",
    "dtgfl": "the focal weight is always detached",
    "loss_dev": "the loss has one scale",
    "val_interval": "every epoch is validated",
    "start_epoch": "lcnet train --resume RUN continues a run",
    "resume_omit": "unused copies of weights are always dropped",
    "evaluate": "--isTrain False verifies a checkpoint",
    "ema_epoch": "averaging starts at once",
    "world_size": "one device is used",
    "rank": "one device is used",
    "dist_url": "one device is used",
    "local_rank": "one device is used",
    "n_holes": "one hole is cut",
    "length": "the hole's side is --cut_fact",
    "enc_layers": "there is no encoder",
    "pre_norm": "norms come after each part",
    "position_embedding": "the release never adds it",
    "keep_other_self_attn_dec": "labels have no self-attention",
    "keep_first_self_attn_dec": "labels have no self-attention",
    "keep_input_proj": "there is always a projection",
    "remove_aa_jit": "nothing is compiled",
    "kill_stop": "no other process is stopped",
    "data": "--dataset_dir names the folder",
    "model_path": "--resume names the checkpoint",
    "num_classes": "--num_class is the number of labels",
    "image_size": "--img_size is the size of a view",
    "use_ml_decoder": "lcnet train --model.head ml_decoder trains one",
    "num_of_groups": "lcnet train --model.head ml_decoder trains one",
    "decoder_embedding": "lcnet train --model.head ml_decoder trains one",
    "zsl": "there is no zero-shot head",
}
"""Flags without effect here, and what holds instead. Most have none in the release."""


def command_parser() -> argparse.ArgumentParser:
    """A parser for all flags of the release; one without effect is None or False unless given."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="The released LCNet's command line. lcnet train --help has this project's own.",
    )
    add = parser.add_argument
    add("--dataname", choices=["coco14", "voc", "rope"], default="coco14", help="Data set.")
    add("--dataset_dir", required=True, help="Folder of the data set.")
    add("--output", required=True, metavar="DIR", help="Run folder to make.")
    add("--num_class", type=int, help="Number of labels, checked against the checkpoint.")
    add(
        "--isTrain",
        type=_truth,
        nargs="?",
        const=True,
        default=False,
        metavar="True|False",
        help="Train; otherwise verify on the test set.",
    )
    add(
        "--resume",
        default="",
        metavar="PATH",
        help="Checkpoint, or a folder with model_best.pth.tar.",
    )
    add("--backbone", default="TResnetL_V2", help="Backbone, by its published or timm's name.")
    add("--pretrained", action="store_true", help="Start the backbone from pretrained weights.")
    add(
        "--CropLevels",
        type=int,
        help="Crop-Forwarding level; if not given, the checkpoint's, else 0.",
    )
    add(
        "--img_size",
        type=int,
        help="Side of a view in pixels; if not given, the checkpoint's, else 448.",
    )
    add("--imgInpsize", type=int, help="Side of the whole picture; always CropLevels x img_size.")
    add("--hidden_dim", type=int, default=680, help="Width of all tokens.")
    add("--dim_feedforward", type=int, default=680, help="Width of the decoder's MLP.")
    add("--dec_layers", type=int, default=6, help="Decoder (LLCD) layers.")
    add("--nheads", type=int, default=4, help="Attention heads.")
    add("--dropout", type=float, default=0.1, help="Dropout in the decoder.")
    add("--epochs", type=int, default=80, help="Passes over the training split.")
    add("-b", "--batch-size", type=int, default=4, help="Pictures per step.")
    add("-j", "--workers", type=int, default=-1, help="Loader processes; -1 chooses.")
    add("--lr", "--learning-rate", type=float, default=1e-3, help="Peak learning rate.")
    add("--wd", "--weight-decay", type=float, default=1e-4, help="Weight decay.")
    add("--gamma_pos", type=float, default=0.0, help="Asymmetric loss: focus on positives.")
    add("--gamma_neg", type=float, default=4.0, help="Asymmetric loss: focus on negatives.")
    add("--loss_clip", type=float, default=0.05, help="Asymmetric loss: shift of negatives.")
    add("--ema-decay", type=float, default=0.9997, help="Decay of the averaged weights.")
    add("--seed", type=int, default=0, help="Seed.")
    add("--amp", action="store_true", help="Mixed precision: fp16 on an accelerator, else bf16.")
    add("--cutout", action="store_true", help="Cut a hole into training pictures.")
    add("--cut_fact", type=float, default=0.5, help="Its side, as a share of the picture's.")
    add("--early-stop", action="store_true", help="Stop after 8 epochs without a better mAP.")
    add("--orid_norm", action="store_true", help="Pictures without mean and std: from 0 to 1.")
    add(
        "--thr",
        type=float,
        default=PROTOCOLS["lcnet"].threshold,
        help="Verification: probability that counts as yes.",
    )
    _add_without_meaning(parser)
    return parser


def _add_without_meaning(parser: argparse.ArgumentParser) -> None:
    switches = {
        "dtgfl", "evaluate", "pre_norm", "keep_other_self_attn_dec",
        "keep_first_self_attn_dec", "keep_input_proj", "remove_aa_jit", "kill_stop",
    }  # fmt: skip
    spellings = {
        "print_freq": ["-p", "--print-freq"],
        "evaluate": ["-e", "--evaluate"],
        "start_epoch": ["--start-epoch"],
        "ema_epoch": ["--ema-epoch"],
        "world_size": ["--world-size"],
        "dist_url": ["--dist-url"],
        "kill_stop": ["--kill-stop"],
        "model_path": ["--model-path"],
        "num_classes": ["--num-classes", "--num_classes"],
        "image_size": ["--image-size"],
        "use_ml_decoder": ["--use-ml-decoder"],
        "num_of_groups": ["--num-of-groups"],
        "decoder_embedding": ["--decoder-embedding"],
    }
    for name in WITHOUT_MEANING:
        options: dict[str, Any] = {"action": "store_true"} if name in switches else {}
        if name == "resume_omit":
            options = {"nargs": "*"}
        names = spellings.get(name, [f"--{name}"])
        parser.add_argument(*names, dest=name, help=argparse.SUPPRESS, **options)


def without_meaning(arguments: argparse.Namespace) -> list[str]:
    """A line for each given flag that has no effect here."""
    return [
        f"--{name}: has no effect here; {instead}"
        for name, instead in WITHOUT_MEANING.items()
        if getattr(arguments, name)
    ]


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected True or False, got {text!r}")
    return text.lower() == "true"
