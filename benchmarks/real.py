"""Heads on real photographs, on equal terms: one `lcnet compare` a set and backbone, one table.

    python -m benchmarks.real ../data --sets coco18 corel90 --backbones mobilenetv2_100_in1k

DATA holds coco18/, corel5k/, posters/, vectors/ (word vectors) and weights/ (a folder for each
backbone in timm's own format); it is no part of the project. Backbones are frozen and their
features kept, in one view. Each contestant (benchmarks/real.yaml) tries the learning rates with the
first seed and is trained on with the best in validation. A finished run is not repeated, so the
command goes on where it stopped. OUT/results.md has a table for each set and backbone. One OUT
holds runs of one --set; kept features (--features) can be shared.

Posters have no validation table: every sixth row of the training table selects. Digits are drawn
into OUT/digits, and never mirrored.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnet.config import Config, Data, Model, Train
from lcnet.files import write_text
from lcnet.freed_memory import keep_freed_memory
from lcnet.runs.comparison import compare_all, read_variants

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PhotoSet:
    """Where a set lies in DATA, and the side in pixels at which its pictures are seen."""

    folder: str
    train: str
    val: str
    test: str
    view_size: int
    is_drawn: bool = False
    """Whether it is the digits, which lcnet draws itself."""


SETS = {
    "coco18": PhotoSet("coco18", "train.csv", "val.csv", "test.csv", 224),
    "corel90": PhotoSet("corel5k", "train90.csv", "val90.csv", "test90.csv", 192),
    "corel260": PhotoSet("corel5k", "train.csv", "val.csv", "test.csv", 192),
    "posters": PhotoSet("posters", "train.csv", "", "val.csv", 224),
    "digits": PhotoSet("digits", "train", "val", "test", 192, is_drawn=True),
}


def tables(data: Path, photos: PhotoSet, out: Path) -> tuple[str, str]:
    """The tables to train on and to select on; both are made in `out` if there is only one."""
    if photos.val:
        return photos.train, photos.val
    with (data / photos.folder / photos.train).open(newline="") as opened:
        header, *rows = csv.reader(opened)
    names = {}
    for name, kept in (
        ("fit", [row for number, row in enumerate(rows) if number % 6]),
        ("select", rows[::6]),
    ):
        file = (out / f"{name}.csv").resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([header, *kept])
        names[name] = str(file)
    return names["fit"], names["select"]


def config_of(
    data: Path, photos: PhotoSet, backbone: str, out: Path, features: Path, changes: dict[str, Any]
) -> Config:
    """One recipe for all sets and heads, but for what `changes` says."""
    train, val = tables(data, photos, out)
    config = Config(
        data=Data(
            format="digits" if photos.is_drawn else "table",
            root=str((out.parent if photos.is_drawn else data) / photos.folder),
            train=train,
            val=val,
            test=photos.test,
        ),
        model=Model(
            backbone=f"local-dir:{data / 'weights' / backbone}",
            crop_level=0,
            view_size=photos.view_size,
            depth=1,
            width=128,
            mlp_width=256,
            dropout=0.3,
        ),
        train=Train(
            epochs=8,
            lr=3e-3,
            weight_decay=3.0,
            gamma_neg=2.0,
            ema_decay=0.99,
            backbone_lr_factor=0.0,
            cache_features=str(features),
            flip=not photos.is_drawn,
            randaugment=0,
            cutout=0.0,
        ),
    )
    return config.changed(changes, "--set")


def contestants(file: Path, data: Path) -> dict[str, dict[str, Any]]:
    """The variants of a file; a text that begins with DATA/ is a path in `data`."""

    def placed(value: Any) -> Any:
        is_in_data = isinstance(value, str) and value.startswith("DATA/")
        return str(data / value.removeprefix("DATA/")) if is_in_data else value

    return {
        name: {flag: placed(value) for flag, value in settings.items()}
        for name, settings in read_variants(file).items()
    }


def main() -> None:
    """Compare on each set with each backbone, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--features", type=Path, help="folder for kept features (OUT/features)")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--backbones", nargs="+", default=["mobilenetv2_100_in1k"])
    parser.add_argument("--variants", type=Path, default=HERE / "real.yaml")
    parser.add_argument("--only", nargs="+", help="names in the variants; the first is compared")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--lr_factors", type=float, nargs="+", default=[1 / 3, 1.0, 3.0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="flags for all, as model.width=256")
    given = parser.parse_args()
    keep_freed_memory()
    data = given.data.resolve()
    variants = contestants(given.variants, data)
    variants = {name: variants[name] for name in given.only or variants}
    changes = {
        flag: json.loads(value) for flag, _, value in (one.partition("=") for one in given.set)
    }
    done = [f"Settings beside the recipe: {', '.join(given.set) or 'none'}.\n"]
    for name in given.sets:
        for backbone in given.backbones:
            out, started = given.out / f"{name}-{backbone}", time.monotonic()
            config = config_of(
                data, SETS[name], backbone, out,
                (given.features or given.out / "features").resolve(), changes,
            )  # fmt: skip
            compare_all(
                config, variants, given.seeds, out, lr_factors=given.lr_factors, jobs=given.jobs
            )
            minutes = (time.monotonic() - started) / 60
            table = (out / "comparison.md").read_text()
            done.append(f"## {name}, {backbone}\n\n{table}\n{minutes:.0f} minutes here.\n")
            write_text(given.out / "results.md", "\n".join(done))
    print(f"results: {given.out}/results.md")


if __name__ == "__main__":
    main()
