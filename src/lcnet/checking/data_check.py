"""The splits of a data set, read and looked through for faults."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lcnet.checking.check_page import CheckReport, write_check
from lcnet.checking.findings import (
    KINDS,
    CheckedSplit,
    Finding,
    broken_pictures,
    copies,
    finding,
    labels_without_positives,
    plain,
    similar_names,
    unlabelled_rows,
)
from lcnet.checking.label_errors import check_model, suspicious_labels
from lcnet.checking.picture_facts import read_facts
from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.readers import read_split
from lcnet.errors import ConfigError, DataError
from lcnet.files import write_text
from lcnet.model_folder import local_model
from lcnet.progress import track

FIRST = 5
"""So many findings of a kind are printed."""
LABEL_ROWS = 24
"""So many labels are printed at most, the rarest and the commonest."""


def check_data(
    data: Data,
    *,
    model: Path | str | None,
    split: str,
    json_file: Path | None,
    html: Path | None,
    quiet: bool,
) -> CheckReport:
    """What the splits hold and what is wrong with them, as `check` says; printed unless `quiet`."""
    model = None if model is None else local_model(model)
    if data.format == "shards":
        raise ConfigError(
            "data.format: lcnet check does not look into shards. Check the data set before "
            "lcnet pack makes shards of it."
        )
    _check_choices(data, model, split)
    listed, findings, notes = _read(data)
    splits = [_with_facts(data, name, one, quiet=quiet) for name, one in listed.items()]
    for checked in splits:
        findings += [
            *broken_pictures(checked),
            *labels_without_positives(checked),
            *unlabelled_rows(checked),
        ]
    findings += copies(splits, quiet=quiet)
    if model is not None:
        for checked in _judged(splits, split):
            findings += suspicious_labels(model, checked, workers=data.workers, quiet=quiet)
    order = list(KINDS)
    findings.sort(key=lambda one: order.index(one.kind))
    report = CheckReport(data, tuple(splits), tuple(findings), tuple(notes))
    if json_file is not None:
        rows = [one.to_dict() for one in findings]
        write_text(json_file, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    if html is not None:
        write_check(html, report)
    if not quiet:
        _show(report)
        for file in filter(None, (json_file, html)):
            print(f"written: {file}")
    return report


def _check_choices(data: Data, model: Path | None, split: str) -> None:
    if split and model is None:
        raise ConfigError("--split: says what --model judges, and there is none. Add --model RUN.")
    names = [name for name in (data.train, data.val, data.test) if name]
    if split and split not in names:
        raise ConfigError(f"--split: expected one of {', '.join(names)}, got {split!r}.")
    if model is not None:
        check_model(model)


def _judged(splits: Sequence[CheckedSplit], name: str) -> list[CheckedSplit]:
    """The split of that name; without a name those that training does not learn from."""
    return [
        checked
        for checked in splits
        if (checked.split.name == name if name else "train" not in checked.roles)
    ]


# Reading


def _read(data: Data) -> tuple[dict[str, Split], list[Finding], list[str]]:
    """The splits by name, the faults of what lists them, and notes.

    A split that cannot be read is a finding, so that the others are still checked. Raises DataError
    if none can.
    """
    splits: dict[str, Split] = {}
    findings: list[Finding] = []
    notes: list[str] = []
    for name in dict.fromkeys(filter(None, (data.train, data.val, data.test))):
        labels = next(iter(splits.values())).labels if splits else None
        split, faults = _read_split(data, name, labels)
        if split is None and name == data.test == Data().test:
            # Nobody named it, and training does without.
            notes.append(f"test is left out: {faults[0].detail}")
            continue
        findings += faults
        if split is not None:
            splits[name] = split
    if not splits:
        reasons = [*(one.detail for one in findings), *notes]
        raise DataError(*reasons[:1] or ["data.train: expected a split, got none. Set one."])
    findings += similar_names(
        (label, name) for name, split in splits.items() for label in split.labels
    )
    if data.train in (data.val, data.test):
        setting = "data.val" if data.val == data.train else "data.test"
        detail = f"{setting} is data.train too, so what is measured was learned"
        findings.append(finding("split-leak", data.train, detail))
    return splits, findings, notes


def _read_split(
    data: Data, name: str, labels: Sequence[str] | None
) -> tuple[Split | None, list[Finding]]:
    """A split, with its own labels where it does not fit the given ones, and its faults.

    It is None where it cannot be read at all.
    """
    unlabelled: list[tuple[str, str]] = []
    faults = []
    try:
        split = read_split(data, name, labels, unlabelled=unlabelled)
    except DataError as error:
        faults.append(finding("unreadable-split", name, str(error)))
        if labels is None:
            return None, faults
        unlabelled.clear()
        try:
            split = read_split(data, name, unlabelled=unlabelled)
        except DataError:
            return None, faults
        if _only_renamed(split.labels, labels):
            faults.clear()  # similar names say it better
    faults += [
        finding("unlabelled-row", where, f"a box of no label: no {what} exists", unsafe=True)
        for where, what in unlabelled
    ]
    return split, faults


def _with_facts(data: Data, name: str, split: Split, *, quiet: bool) -> CheckedSplit:
    """The split with what its pictures' files say."""
    roles = {"train": data.train, "val": data.val, "test": data.test}
    facts = track(
        read_facts([sample.path for sample in split.samples], data.workers),
        f"Reading {name}, pictures",
        len(split),
        quiet=quiet,
    )
    used_for = tuple(role for role, named in roles.items() if named == name)
    return CheckedSplit(used_for, replace(split, name=name), tuple(facts), Path(data.root))


def _only_renamed(labels: Sequence[str], known: Sequence[str]) -> bool:
    """Whether the labels are the known ones but for case and space."""
    plain_known = {plain(name) for name in known}
    others = [name for name in labels if name not in known]
    return bool(others) and all(plain(name) in plain_known for name in others)


# What is printed


def _show(report: CheckReport) -> None:
    console = Console(highlight=False, markup=False)
    console.print(_splits_table(report))
    console.print(_labels_table(report))
    for line in (*report.together(3), *report.notes, *_told(report)):
        console.print(line, soft_wrap=True)
    console.print(report.verdict, style="bold", soft_wrap=True)


def _splits_table(report: CheckReport) -> Table:
    table = Table("split", "used for")
    for column in ("pictures", "labels each", "unknown", "pixels"):
        table.add_column(column, justify="right")
    for checked in report.splits:
        table.add_row(
            checked.split.name,
            ", ".join(checked.roles),
            f"{len(checked.split):,}",
            f"{checked.statistics.labels_a_picture:.2f}",
            f"{100 * checked.statistics.unknown_share:.1f} %",
            report.sizes(checked),
        )
    return table


def _labels_table(report: CheckReport) -> Table:
    """Pictures that show each label and their share of those where it is known, per split."""
    labels = report.labels
    table = Table("label")
    for checked in report.splits:
        table.add_column(checked.split.name, justify="right")
    rows = [report.counts(name) for name in labels]
    chosen = list(range(len(labels)))
    if len(chosen) > LABEL_ROWS:
        ranked = np.argsort([-row[0].positives for row in rows], kind="stable").tolist()
        chosen = ranked[: LABEL_ROWS // 2] + ranked[-LABEL_ROWS // 2 :]
    for place, label in enumerate(chosen):
        if len(labels) > LABEL_ROWS and place == LABEL_ROWS // 2:
            table.add_row(f"... {len(labels) - LABEL_ROWS} more (all: --html)")
        cells = [f"{count.positives:,} {100 * count.share:5.1f} %" for count in rows[label]]
        table.add_row(labels[label], *cells)
    return table


def _told(report: CheckReport) -> Iterator[str]:
    """The findings, by kind, the first few of each."""
    for kind, group in groupby(report.findings, lambda one: one.kind):
        found = list(group)
        yield f"{kind}: {len(found):,}  ({KINDS[kind]})"
        for one in found[:FIRST]:
            yield f"  {one.where}: {one.detail}"
        if len(found) > FIRST:
            yield f"  ... and {len(found) - FIRST:,} more (all: --json FILE or --html FILE)"
