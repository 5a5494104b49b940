"""The released `train.py`: its flags, turned into a call of `lcnet train` or `lcnet evaluate`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lcnet.config import Config, Data
from lcnet.errors import CheckpointError, ConfigError, LCNetError, Stopped
from lcnet.published.released_flags import command_parser, without_meaning
from lcnet.published.settings import VIEW_SIZE, released_model, released_recipe
from lcnet.run_folder import RunFolder

if TYPE_CHECKING:
    from lcnet.published.imported import Import


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 wrong data, 2 wrong command, 130 or 143 stopped."""
    arguments = command_parser().parse_args(argv)
    try:
        for line in without_meaning(arguments):
            _say(line)
        _explain_size(arguments)
        if arguments.isTrain:
            _train(arguments)
        else:
            _verify(arguments)
    except LCNetError as error:
        print(f"train.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Stopped as stopped:
        print(f"train.py: {stopped}", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("train.py: stopped", file=sys.stderr)
        sys.exit(130)


def _train(arguments: argparse.Namespace) -> None:
    """`--isTrain True`: train; with --resume, from the weights of that checkpoint."""
    from lcnet.runs.run import begin

    config = released_config(arguments)
    init = None
    if arguments.resume:
        _say("--resume gives architecture and weights; optimizer and epochs start anew")
        init = _start(arguments)
    config = replace(config, train=replace(config.train, freeze=_frozen(config, init)))
    try:
        begin(config, RunFolder(Path(arguments.output)), overwrite=False, init=init)
    except ConfigError as error:
        if "no pretrained weights" in str(error):
            raise ConfigError(
                f"--pretrained: no weights for {arguments.backbone} could be fetched. Without a "
                "network, give them as --backbone local-dir:FOLDER (timm's folder format), give "
                "a whole checkpoint with --resume, or leave --pretrained out."
            ) from error
        raise


def _verify(arguments: argparse.Namespace) -> None:
    """`--isTrain False`: evaluate the test set by the release's protocol; writes metrics.json."""
    from lcnet.data.readers import load_split_for
    from lcnet.evaluating.evaluate import evaluate
    from lcnet.published.importing import write_import

    if not arguments.resume:
        raise ConfigError(
            "--resume: expected a checkpoint to verify, got none. Add --resume PATH, or train "
            "with --isTrain True."
        )
    data = released_config(arguments).data
    model, run = _start(arguments), RunFolder(Path(arguments.output))
    if not isinstance(model, Path):
        load_split_for(data, data.test, model.info.labels)  # fails before anything is written
        write_import(model, run.model)
        model = run.model
    evaluate(
        model,
        data=data,
        protocol="lcnet",
        threshold=arguments.thr,
        batch_size=arguments.batch_size,
        out=run.metrics_file,
    )


def _start(arguments: argparse.Namespace) -> "Path | Import":
    """The model of --resume: the path of an lcnet model or run, or an imported checkpoint."""
    from lcnet.model_folder import ModelFolder, read_info
    from lcnet.published.choices import ImportChoices
    from lcnet.published.importing import read_model

    path = Path(arguments.resume)
    if ModelFolder.find(path):
        _require_labels(arguments, len(read_info(path).labels))
        return path
    choices = ImportChoices(
        crop_level=arguments.CropLevels,
        view_size=arguments.img_size,
        unnormalised=arguments.orid_norm,
    )
    imported = read_model(path, choices)
    _require_labels(arguments, len(imported.info.labels))
    return imported


def _frozen(config: Config, init: "Path | Import | None") -> str:
    """The parts of the backbone that the release does not train, as `config.Train.freeze`."""
    from lcnet.model.backbone import build_backbone, describe_backbone
    from lcnet.model_folder import read_info
    from lcnet.published.frozen_layers import layers_before_layer2

    if init is None:
        spec = describe_backbone(config.model.backbone, config.model.view_size)
    else:
        spec = (read_info(init) if isinstance(init, Path) else init.info).backbone
    layers = layers_before_layer2(build_backbone(spec).features)
    if not layers:
        _say(
            f"{spec.architecture} has no layer2, so its whole backbone is trained (the release "
            "freezes the layers before layer2)"
        )
    return ",".join(layers)


def released_config(arguments: argparse.Namespace) -> Config:
    """The run that the released flags describe. Raises ConfigError if a value cannot work."""
    from lcnet.published.datasets import RELEASED_SETS

    level, view_size = arguments.CropLevels or 0, arguments.img_size or VIEW_SIZE
    return Config(
        model=released_model(
            backbone=arguments.backbone,
            pretrained=arguments.pretrained,
            crop_level=level,
            view_size=view_size,
            width=arguments.hidden_dim,
            heads=arguments.nheads,
            depth=arguments.dec_layers,
            mlp_width=arguments.dim_feedforward,
            share_layers=True,
            dropout=arguments.dropout,
            graph_low=RELEASED_SETS[arguments.dataname].graph_low,
            pixel_statistics="unit" if arguments.orid_norm else "imagenet",
        ),
        data=_data(arguments.dataname, arguments.dataset_dir, arguments.workers),
        train=released_recipe(
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            lr=arguments.lr,
            weight_decay=arguments.wd,
            ema_decay=arguments.ema_decay,
            gamma_neg=arguments.gamma_neg,
            gamma_pos=arguments.gamma_pos,
            loss_clip=arguments.loss_clip,
            cutout=arguments.cut_fact if arguments.cutout else 0.0,
            precision=_precision(amp=arguments.amp),
            early_stop=8 if arguments.early_stop else 0,
            seed=arguments.seed,
        ),
    )


def _data(name: str, root: str, workers: int) -> Data:
    """The data set in the release's layout; VOC's difficult objects count as present."""
    match name:
        case "coco14":
            return Data("coco", root, "train2014", "val2014", "val2014", workers=workers)
        case "voc":
            return Data("voc", root, "train", "val", "test", difficult="positive", workers=workers)
        case _:
            return Data("rope", root, "train", "val", "test", workers=workers)


def _explain_size(arguments: argparse.Namespace) -> None:
    """Print the size at which pictures are loaded if --imgInpsize asks for another."""
    whole = max(1, arguments.CropLevels or 0) * (arguments.img_size or VIEW_SIZE)
    if arguments.imgInpsize not in (None, whole):
        _say(
            f"--imgInpsize {arguments.imgInpsize}: pictures are loaded at {whole} px "
            "(CropLevels x img_size)"
        )


def _precision(*, amp: bool) -> Literal["fp32", "bf16", "fp16"]:
    import torch

    if not amp:
        return "fp32"
    return "fp16" if torch.cuda.is_available() else "bf16"


def _require_labels(arguments: argparse.Namespace, labels: int) -> None:
    if arguments.num_class not in (None, labels):
        raise CheckpointError(
            f"{arguments.resume}: expected {arguments.num_class} labels (--num_class), got "
            f"{labels}. Correct the number, or give another checkpoint."
        )


def _say(text: str) -> None:
    print(f"train.py: {text}")
