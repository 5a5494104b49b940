"""What a split was when a run saw it, so that a change is noticed."""

import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcnet.data.dataset import Split, StoredSamples
from lcnet.files import written_whole

NAMED = 3
"""So many changed pictures are named."""
AT_A_TIME = 16
"""Files asked for their size together: of a network drive each takes a while to answer."""


@dataclass(frozen=True)
class Fingerprint:
    """The labels of a split and, by name, each picture's size in bytes and targets."""

    labels: tuple[str, ...]
    pictures: Mapping[str, tuple[int, str]]
    """Size (-1 if it could not be asked for) and checksum of the targets, by path; those of each
    shard where pictures lie in shards."""
    in_shards: int = 0
    """How many pictures lie in shards."""

    @property
    def digest(self) -> str:
        """A checksum of all of it, 16 hexadecimal digits."""
        whole = json.dumps(self.to_dict(), ensure_ascii=False)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def summary(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {
            "pictures": self.in_shards or len(self.pictures),
            "labels": len(self.labels),
            "bytes": sum(max(size, 0) for size, _ in self.pictures.values()),
            "sha256": self.digest,
        }

    def to_dict(self) -> dict[str, Any]:
        """The content of its file."""
        return {
            "labels": list(self.labels),
            "pictures": {name: list(known) for name, known in self.pictures.items()},
            **({"in_shards": self.in_shards} if self.in_shards else {}),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Fingerprint":
        """The one that `to_dict` wrote."""
        pictures = {name: (known[0], known[1]) for name, known in fields["pictures"].items()}
        return cls(tuple(fields["labels"]), pictures, int(fields.get("in_shards", 0)))


def fingerprint(split: Split, root: Path) -> Fingerprint:
    """That of a split as it is now; pictures are named by their path below `root`.

    Sizes are asked for, but no picture is read: about 2 s for 100,000 on a local disk.
    """
    if isinstance(split.samples, StoredSamples):
        return _of_shards(split.labels, split.samples, root)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        sizes = list(pool.map(_size, [sample.path for sample in split.samples], chunksize=256))
    pictures: dict[str, tuple[int, str]] = {}
    for sample, size in zip(split.samples, sizes, strict=True):
        name = os.path.relpath(sample.path, root)
        if name in pictures:  # a picture that is listed twice
            name = f"{name} ({sample.source or len(pictures)})"
        row = hashlib.sha256(repr(sample.targets).encode()).hexdigest()[:8]
        pictures[name] = (size, row)
    return Fingerprint(split.labels, pictures)


def _of_shards(labels: tuple[str, ...], samples: StoredSamples, root: Path) -> Fingerprint:
    shards: dict[str, tuple[int, str]] = {}
    ends = samples.runs.cumsum()
    for start, end in zip(ends - samples.runs, ends, strict=True):
        file = samples.sample(int(start)).file
        targets = hashlib.sha256(samples.targets[start:end].tobytes()).hexdigest()[:8]
        shards[os.path.relpath(file, root)] = (_size(file), targets)
    return Fingerprint(labels, shards, len(samples))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def changes(before: Fingerprint, now: Fingerprint) -> list[str]:
    """What is unlike, a phrase each, with the names of a few pictures; empty if nothing is."""
    found = []
    if before.labels != now.labels:
        gone, new = set(before.labels) - set(now.labels), set(now.labels) - set(before.labels)
        unlike = [f"-{name}" for name in sorted(gone)] + [f"+{name}" for name in sorted(new)]
        found.append(f"labels ({', '.join(unlike[:NAMED]) or 'their order'})")
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
            found.append(f"{len(chosen):,} {kind} {what} ({shown})")
    if not found and list(before.pictures) != list(now.pictures):
        found.append("the order of the pictures")
    return found


def read_fingerprints(file: Path) -> dict[str, Fingerprint]:
    """The fingerprints in a file, by name; none if they cannot be read."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as opened:
            stored = json.load(opened)
        return {name: Fingerprint.from_dict(fields) for name, fields in stored.items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_fingerprints(file: Path, prints: Mapping[str, Fingerprint]) -> None:
    """Write fingerprints, by name."""
    text = json.dumps({name: one.to_dict() for name, one in prints.items()}, ensure_ascii=False)
    with written_whole(file) as unfinished:
        unfinished.write_bytes(gzip.compress(text.encode(), compresslevel=3, mtime=0))


def changed_since(file: Path, key: str, split: Split, root: Path) -> Sequence[str]:
    """How a split differs from its fingerprint in a file. A split that is not there is added."""
    known, now = read_fingerprints(file), fingerprint(split, root)
    if key in known:
        return changes(known[key], now)
    write_fingerprints(file, {**known, key: now})
    return []
