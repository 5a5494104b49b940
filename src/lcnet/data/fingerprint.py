"""The state of a split when a run saw it, so that later changes are noticed."""

import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnet.data.dataset import Split, Streamed
from lcnet.files import written_whole

NAMED = 3
"""Most changed pictures or labels named in a warning."""
AT_A_TIME = 16
"""Files asked for their size at once: on a network drive each answer takes a while."""


@dataclass(frozen=True)
class Fingerprint:
    """The labels of a split and, by name, each picture's size in bytes and targets."""

    labels: tuple[str, ...]
    pictures: Mapping[str, tuple[int, str]]
    """By path, the size (-1 if unknown) and a checksum of the targets; one entry per shard if the
    pictures lie in shards."""
    in_shards: int = 0
    """Number of pictures in shards; 0 if they have their own files."""

    @property
    def digest(self) -> str:
        """A checksum of the whole fingerprint, 16 hexadecimal digits."""
        whole = json.dumps(self.to_dict(), ensure_ascii=False)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def summary(self) -> dict[str, Any]:
        """The fingerprint's entry in run.json."""
        return {
            "pictures": self.in_shards or len(self.pictures),
            "labels": len(self.labels),
            "bytes": sum(max(size, 0) for size, _ in self.pictures.values()),
            "sha256": self.digest,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "labels": list(self.labels),
            "pictures": {name: list(known) for name, known in self.pictures.items()},
            **({"in_shards": self.in_shards} if self.in_shards else {}),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Fingerprint":
        """The fingerprint that `to_dict` stored."""
        pictures = {name: (known[0], known[1]) for name, known in fields["pictures"].items()}
        return cls(tuple(fields["labels"]), pictures, int(fields.get("in_shards", 0)))


def fingerprint(split: Split, root: Path) -> Fingerprint:
    """The fingerprint of a split as it is now; pictures are named by their path below `root`.

    It asks for file sizes but reads no picture: about 2 s for 100,000 on a local disk.
    """
    if isinstance(split.samples, Streamed):
        return _of_shards(split, split.samples, root)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        sizes = list(pool.map(_size, [sample.path for sample in split.samples], chunksize=256))
    pictures: dict[str, tuple[int, str]] = {}
    for sample, targets, size in zip(split.samples, split.targets, sizes, strict=True):
        name = os.path.relpath(sample.path, root)
        if name in pictures:  # a picture that is listed twice
            name = f"{name} ({sample.source or len(pictures)})"
        row = hashlib.sha256(repr(tuple(targets.tolist())).encode()).hexdigest()[:8]
        pictures[name] = (size, row)
    return Fingerprint(split.labels, pictures)


def _of_shards(split: Split, samples: Streamed, root: Path) -> Fingerprint:
    shards: dict[str, tuple[int, str]] = {}
    ends = samples.runs.cumsum()
    for start, end in zip(ends - samples.runs, ends, strict=True):
        file = samples.sample(int(start)).file
        targets = hashlib.sha256(split.targets[start:end].tobytes()).hexdigest()[:8]
        shards[os.path.relpath(file, root)] = (_size(file), targets)
    return Fingerprint(split.labels, shards, len(samples))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def changes(before: Fingerprint, now: Fingerprint) -> list[str]:
    """The differences, each a phrase that names a few pictures; empty if there are none."""
    phrases = []
    if before.labels != now.labels:
        gone, new = set(before.labels) - set(now.labels), set(now.labels) - set(before.labels)
        renamed = [f"-{name}" for name in sorted(gone)] + [f"+{name}" for name in sorted(new)]
        phrases.append(f"labels ({', '.join(renamed[:NAMED]) or 'their order'})")
    shared = [name for name in before.pictures if name in now.pictures]
    sizes = [name for name in shared if before.pictures[name][0] != now.pictures[name][0]]
    targets = [name for name in shared if before.pictures[name][1] != now.pictures[name][1]]
    if before.labels != now.labels:
        targets = []
    for chosen, what in (
        ([name for name in before.pictures if name not in now.pictures], "gone"),
        ([name for name in now.pictures if name not in before.pictures], "new"),
        (targets, "with other labels"),
        (sizes, "with another file"),
    ):
        if chosen:
            shown = f"{', '.join(chosen[:NAMED])}{', ...' * (len(chosen) > NAMED)}"
            kind = f"{'shard' if now.in_shards else 'picture'}{'s' * (len(chosen) > 1)}"
            phrases.append(f"{len(chosen):,} {kind} {what} ({shown})")
    if not phrases and list(before.pictures) != list(now.pictures):
        phrases.append("the order of the pictures")
    return phrases


def read_fingerprints(file: Path) -> dict[str, Fingerprint]:
    """The fingerprints in a file, by name; empty if it cannot be read."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as opened:
            stored = json.load(opened)
        return {name: Fingerprint.from_dict(fields) for name, fields in stored.items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_fingerprints(file: Path, prints: Mapping[str, Fingerprint]) -> None:
    """Write fingerprints by name to a compressed JSON file."""
    text = json.dumps({name: entry.to_dict() for name, entry in prints.items()}, ensure_ascii=False)
    with written_whole(file) as unfinished:
        unfinished.write_bytes(gzip.compress(text.encode(), compresslevel=3, mtime=0))


def changed_since(file: Path, key: str, split: Split, root: Path) -> Sequence[str]:
    """How a split differs from its fingerprint in a file. A split not in it yet is added."""
    known, now = read_fingerprints(file), fingerprint(split, root)
    if key in known:
        return changes(known[key], now)
    write_fingerprints(file, {**known, key: now})
    return []
