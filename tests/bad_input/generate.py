"""Generated bad inputs over all commands: `python -m tests.bad_input.generate --cases 500`.

Each case spoils one file of a world in which everything works, or gives a flag a value that nobody
would, runs a command that reads it, and asks whether it ended as it must.
"""

import argparse
import random
import shlex
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from tests.bad_input.judge import Outcome, fresh, run
from tests.bad_input.spoil import NASTY, spoil
from tests.bad_input.world import make_world

TABLE = "--data.format table --data.root table --data.train train.csv --data.val val.csv"
OTHERS = {
    name: f"--data.format {name} --data.root {name} --data.train train --data.val val"
    for name in ("coco", "voc", "folder", "rope")
}
COCO = "coco/annotations/instances_*.json"
VOC = "voc/VOC2007/*/*.xml voc/VOC2007/ImageSets/Main/*.txt"


@dataclass(frozen=True)
class Command:
    """A command that works, the files it reads, and how often it is taken."""

    words: str
    reads: str
    """Globs."""
    weight: int = 2


RUN = "run/model/model.json run/model/model.safetensors run/config.yaml"
MODEL = "run/model/model.json run/model/model.json run/model/model.safetensors"
CHECK = "--data.test '' --json out/findings.json --html out/check.html"
TRAIN = "train --config config.yaml --train.epochs 1 --out out"
COMMANDS = (
    Command(f"check {TABLE} {CHECK}", "table/*.csv table/images/*.png", 5),
    Command(f"check {OTHERS['coco']} {CHECK}", f"{COCO} coco/*/*.png", 4),
    Command(f"check {OTHERS['voc']} {CHECK}", VOC, 3),
    Command(f"check {OTHERS['folder']} {CHECK}", "folder/*/*.png folder/*/*/*.png"),
    Command(f"check {OTHERS['rope']} {CHECK}", "rope/*.csv"),
    Command(f"check {TABLE} {CHECK} --model run --split val.csv", f"{MODEL} table/val.csv"),
    Command("split table/train.csv --out out --shares '{a: 0.5, b: 0.5}'", "table/train.csv", 4),
    Command(TRAIN, "table/*.csv table/images/*.png config.yaml", 4),
    Command(TRAIN, "config.yaml", 6),
    *(
        Command(f"{TRAIN} {OTHERS[name]} --data.test val", files, 1)
        for name, files in (
            ("coco", "coco/annotations/*.json coco/*/*.png"),
            ("voc", f"{VOC} voc/VOC2007/JPEGImages/*"),
            ("folder", "folder/*/*/*.png"),
            ("rope", "rope/*.csv rope/*/*.png"),
        )
    ),
    Command(f"{TRAIN} --model.label_vectors vectors.npy", "vectors.npy"),
    Command(f"{TRAIN} --model.label_vectors vectors.txt", "vectors.txt"),
    Command(f"{TRAIN} --model.backbone_weights backbone.pth", "backbone.pth", 3),
    Command(
        f"{TRAIN} --model.backbone local-dir:backbone --model.pretrained true",
        "backbone/config.json backbone/pytorch_model.bin",
        3,
    ),
    Command(f"{TRAIN} --data.cache_images kept --train.cutout 0", "table/images/*.png", 1),
    Command(f"train {TABLE} --out out --init run --train.epochs 1", MODEL, 2),
    Command(
        "train --resume cut",
        "cut/checkpoints/last.ckpt cut/checkpoints/last.ckpt "
        "cut/config.yaml cut/history.csv cut/model/*",
        6,
    ),
    Command("evaluate run --out out/metrics.json", f"{RUN} table/val.csv table/images/val*", 5),
    Command(f"evaluate run/model {TABLE} --data.test val.csv --out out/m.json", MODEL, 5),
    Command("report run --out out/report.html", f"{RUN} run/history.csv run/metrics.json", 4),
    Command("calibrate run", f"{RUN} table/val.csv", 3),
    Command("calibrate run --reset", MODEL, 1),
    Command("predict run pictures --out out/rows.jsonl", f"{MODEL} pictures/*.png", 4),
    Command("predict run list.txt --out out/rows.jsonl", "list.txt pictures/*"),
    Command("predict run pictures.tar --out out --format csv", "pictures.tar", 3),
    Command("predict run pictures.parquet --out out --format jsonl", "pictures.parquet", 3),
    Command("predict model.onnx pictures --out out/rows.jsonl", "model.onnx", 4),
    Command("predict run pictures --out out/rows.jsonl --explain out/why", "pictures/*", 1),
    Command("export run --format torch --out out/model.pt2 --limit 2", MODEL, 1),
    Command("graph run --out out/graph", MODEL, 2),
    Command(
        "compare --config config.yaml --train.epochs 1 --variants variants.yaml --seeds [0] "
        "--lr_factors [1.0] --out out",
        "variants.yaml",
        2,
    ),
    Command("import released.pth --out out/model", "released.pth", 8),
    Command("import ml_decoder.pth --out out/model", "ml_decoder.pth", 5),
    Command(
        "import released.pth --out out/model --labels labels.txt --correlation correlation.npy",
        "labels.txt correlation.npy correlation.npy",
        3,
    ),
)
FLAGS = (
    f"check {TABLE}", "split table/train.csv",
    "train --config config.yaml --out out", "evaluate run",
    "report run", "calibrate run", "predict run pictures --out out/rows.jsonl",
    "serve nowhere", "export run --format torch", "graph run",
    "compare --config config.yaml --out out", "import released.pth --out out/model",
)  # fmt: skip
"""Commands whose flags are given nasty values."""
TOO_LONG = ("--train.epochs", "--train.compile", "--compile")
"""Flags that other values of are no fault, but take minutes."""
SHARE_OF_FLAGS = 0.2


@dataclass(frozen=True)
class Case:
    """A bad input and how the command that was given it ended."""

    number: int
    words: tuple[str, ...]
    what: str
    outcome: Outcome

    @property
    def verb(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.number}: lcnet {shlex.join(self.words)[:150]} | {self.what}"


def generate(number: int, seed: int, world: Path, folder: Path) -> Case:
    """Make and run the bad input of that number."""
    rng = random.Random(f"{seed} {number}")
    fresh(world, folder)
    if rng.random() < SHARE_OF_FLAGS:
        words, what = _flags(rng)
    else:
        command = rng.choices(COMMANDS, [one.weight for one in COMMANDS])[0]
        words = shlex.split(command.words)
        glob = rng.choice(command.reads.split())
        file = rng.choice(sorted(one for one in folder.glob(glob) if one.is_file()))
        what = f"{file.relative_to(folder)}: {spoil(file, rng)}"
    torch.manual_seed(0)
    return Case(number, tuple(words), what, run(words, folder))


def _flags(rng: random.Random) -> tuple[list[str], str]:
    """A command with one flag that has a value that nobody would give."""
    from lcnet.cli import build_parser

    words = shlex.split(rng.choice(FLAGS))
    verb = build_parser(words[0])._subcommands_action.choices[words[0]]
    flags = [flag for flag in verb.flags() if flag.startswith("--") and "help" not in flag
             and "print_" not in flag]  # fmt: skip
    flag = rng.choice([one for one in flags if one not in TOO_LONG])
    if words[0] == "train" and rng.random() < 0.5:
        settings = [one for one in flags if one.startswith(("--model", "--train"))]
        flag = rng.choice([one for one in settings if one not in TOO_LONG])
    value = str(rng.choice([*NASTY, "nowhere", "0", "-5", "1e99", "99999999999", "[", "{a: 1}"]))
    value = value.replace("\x00", "").encode("utf-8", "ignore").decode()
    way = rng.random()
    given = flag if way < 0.7 else flag[:-1] + rng.choice("aesx")
    return [*words, f"{given}={value}"], f"{given} {value[:40]!r}"


def main() -> int:
    """Run so many cases within so many seconds; the exit code is 1 if one ended as none may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="Stop after so long.")
    parser.add_argument("--verbose", action="store_true", help="Show each case's message.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    started, cases, bad = time.monotonic(), [], []
    with tempfile.TemporaryDirectory() as place:
        world, folder = Path(place) / "world", Path(place) / "case"
        world.mkdir()
        make_world(world)
        for number in range(given.first, given.first + given.cases):
            if time.monotonic() - started > given.seconds:
                break
            before = time.monotonic()
            case = generate(number, given.seed, world, folder)
            cases.append(case)
            if given.verbose:
                seconds = time.monotonic() - before
                print(
                    f"{case}\n    {case.outcome.code} {seconds:.1f} s {case.outcome.message[:250]}"
                )
            if faults := case.outcome.faults():
                bad.append(case)
                print(
                    f"FAULT {case}\n    {'; '.join(faults)}\n{case.outcome.crash[-1500:]}",
                    flush=True,
                )
    codes = Counter(case.outcome.code for case in cases)
    print(
        f"{len(cases)} bad inputs over {len({case.verb for case in cases})} commands in "
        f"{time.monotonic() - started:.0f} s: {len(bad)} faults; exit codes "
        + ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    )
    print(
        "by command: "
        + ", ".join(f"{v} {n}" for v, n in sorted(Counter(c.verb for c in cases).items()))
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
