"""Writes a data set of any format as tar shards, which training reads as a stream."""

import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcnet.config import Data
from lcnet.data.dataset import POSITIVE, UNKNOWN, Sample, Split
from lcnet.data.readers import load_split
from lcnet.data.readers.shards import NAMES, read_shards
from lcnet.errors import ConfigError, DataError, quoted
from lcnet.files import is_free, write_text
from lcnet.progress import tell, track


@dataclass(frozen=True)
class Packed:
    """What was packed of one split: pictures, shards and bytes."""

    name: str
    pictures: int
    shards: int
    size: int
    """Bytes of all shards."""


def pack_splits(
    data: Data, out: Path, *, shard_megabytes: float, seed: int, quiet: bool
) -> list[Packed]:
    """Write the splits as `out/{train,val,test}/000000.tar` and so on; see `pack`.

    Splits without a name are left out, and so is the default test split if it does not exist.
    """
    if not is_free(out):
        raise ConfigError(f"--out {out}: already there. Choose another folder.")
    splits = _splits(data)
    labels = splits["train"].labels
    try:
        write_text(out / NAMES, "".join(f"{name}\n" for name in labels))
        done = []
        for name, split in splits.items():
            order = np.arange(len(split))
            if name == "train":
                order = np.random.default_rng(seed).permutation(len(split))
            ordered = ((split.samples[index], split.targets[index]) for index in order.tolist())
            tracked = track(ordered, f"Packing {name}, pictures", len(split), quiet=quiet)
            shards = _write(tracked, labels, out / name, int(shard_megabytes * 1e6))
            read_shards(out, name)  # writes the index, and proves that they can be read
            size = sum(shard.stat().st_size for shard in shards)
            done.append(Packed(name, len(split), len(shards), size))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    if not quiet:
        for packed in done:
            tell(
                f"{packed.name}: {packed.pictures:,} pictures in {packed.shards:,} shards, "
                f"{packed.size / 1e6:,.1f} MB"
            )
        tell(f"next: lcnet train {quoted(out)} --out RUN")
    return done


def _splits(data: Data) -> dict[str, Split]:
    training = load_split(data, data.train)
    splits = {"train": training}
    for name, given in (("val", data.val), ("test", data.test)):
        if given:
            try:
                splits[name] = load_split(data, given, training.labels)
            except DataError:
                if given != Data().test:  # the default name: nobody asked for it
                    raise
    return splits


def _write(
    pictures: Iterable[tuple[Sample, NDArray[np.int8]]],
    labels: Sequence[str],
    folder: Path,
    most: int,
) -> list[Path]:
    """Write the shards; a new one starts before one would be larger than `most` bytes."""
    folder.mkdir(parents=True)
    shards: list[Path] = []
    tar: tarfile.TarFile | None = None
    written = 0
    try:
        for number, (sample, targets) in enumerate(pictures):
            content = _bytes(sample)
            if tar is None or (written and written + len(content) > most):
                if tar is not None:
                    tar.close()
                shards.append(folder / f"{len(shards):06}.tar")
                tar, written = tarfile.open(shards[-1], "w"), 0  # noqa: SIM115
            key = f"{number:09}"
            for suffix, part in (
                (sample.path.suffix.lower(), content),
                (".json", _described(sample, targets, labels)),
            ):
                member = tarfile.TarInfo(f"{key}{suffix}")
                member.size = len(part)
                tar.addfile(member, io.BytesIO(part))
                written += 1024 + len(part)  # with header and padding, at most
    finally:
        if tar is not None:
            tar.close()
    return shards


def _bytes(sample: Sample) -> bytes:
    if sample.channel_files:
        raise DataError(
            f"{sample.path}: expected a picture in one file, got {1 + len(sample.channel_files)}, "
            "one per channel, and a shard holds one a picture. Train without packing."
        )
    return sample.path.read_bytes() if sample.inside is None else sample.inside.read()


def _described(sample: Sample, targets: NDArray[np.int8], labels: Sequence[str]) -> bytes:
    """The labels as JSON: the present ones, and the unknown ones if there are any."""
    marked = {
        name: [labels[label] for label in np.flatnonzero(targets == mark).tolist()]
        for name, mark in (("labels", POSITIVE), ("unknown", UNKNOWN))
    }
    if not marked["unknown"]:
        del marked["unknown"]
    return json.dumps({**marked, "source": sample.path.name}, ensure_ascii=False).encode()
