"""Reads the splits of a data set and collects their faults."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

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
    judged,
    mixed_kinds,
    odd_pictures,
    unlabelled_rows,
)
from lcnet.checking.kept_facts import kept_facts, read_kept
from lcnet.checking.label_errors import check_model, suspicious_labels
from lcnet.checking.passed_over import passed_over
from lcnet.checking.picture_facts import FEW
from lcnet.checking.pixel_faults import flat_pictures, other_depths, unused_range
from lcnet.config import Data
from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN, Split
from lcnet.data.judgement import Judgement
from lcnet.data.label_faults import judge_targets
from lcnet.data.label_names import plain
from lcnet.data.name_faults import judge_names, missing_header, similar_names
from lcnet.data.pixel_form import PixelForm
from lcnet.data.pixel_range import pixel_kinds
from lcnet.data.readers import read_split
from lcnet.data.readers.split_names import split_called
from lcnet.data.recognising import recognised_at
from lcnet.data.rule_faults import judge_rules
from lcnet.data.rules_file import read_rules
from lcnet.data.split_faults import blank_entries, same_split, shared_names, with_shares
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.legend import print_legend
from lcnet.files import AnyPath, write_text
from lcnet.metrics.label_rules import LabelRules
from lcnet.model_folder import local_model
from lcnet.progress import paragraph, tell, track

FIRST = 5
"""Most findings of a kind that are printed."""
OF_LABELS = ("label-without-positives", "label-without-absent")
"""Kinds of findings that are printed in one line for all labels of the same splits."""
NAMED = 10
"""Most labels in such a line."""
WORDS = {
    "split": "a part of the pictures: train is learned from, val chooses the model, test measures",
    "used for": "what lcnet train takes the split for",
    "labels each": "how many labels a picture shows, on average",
    "unknown": "the share of answers, one a label and picture, that are neither present nor absent",
    "pixels": "width x height of the smallest and the largest picture",
    "label": "under each split: pictures that show it, and their share of those where it is known",
}
"""The words in the tables, and what they mean."""
LABEL_ROWS = 24
"""Most labels that are printed: of more, the commonest and the rarest."""


def check_data(
    data: Data | AnyPath,
    *,
    model: AnyPath | None,
    split: str,
    json_file: Path | None,
    html: Path | None,
    summary: Path | None,
    facts: Path | None = None,
    quiet: bool,
) -> CheckReport:
    """The report on all splits, see `check`; printed unless `quiet`."""
    model = None if model is None else local_model(model)
    recognised = recognised_at(data, quiet=quiet)
    data = recognised.data
    if data.format == "shards":
        raise ConfigError(
            "data.format: expected a format other than shards, which lcnet check does not read. "
            "Check the data set that the shards were packed from."
        )
    split = split_called(data, split)
    _check_choices(data, model, split)
    listed, findings, notes = _read(data)
    is_left_out = bool(notes)
    rules = LabelRules()
    if data.rules:
        rules = read_rules(Path(data.rules), next(iter(listed.values())).labels)
    pixel_range = _pixel_range(data, listed, findings, notes, quiet=quiet)
    kept = facts or _facts_file((json_file, html, summary), sum(map(len, listed.values())))
    splits = [
        _with_facts(data, name, read, pixel_range, kept=kept, quiet=quiet)
        for name, read in listed.items()
    ]
    notes += [*_notes_on_bands(splits), *_notes_on_missing(splits)]
    if not data.pixel_range:
        findings += mixed_kinds(splits)
    findings += _broken_rules(splits, rules)
    taken = {str(sample.path) for checked in splits for sample in checked.split.samples}
    for checked in splits:
        findings += [
            *broken_pictures(checked, taken),
            *odd_pictures(checked),
            *judged(
                with_shares(judge_targets(checked.split, checked.roles), checked.split, data),
                (data.train, data.val),
            ),
            *judged(shared_names(checked.split, data), ()),
            *unlabelled_rows(checked),
            *flat_pictures(checked),
            *unused_range(checked),
        ]
    findings += [
        *copies(splits, quiet=quiet),
        *other_depths(splits, has_range=bool(data.pixel_range)),
    ]
    is_whole = not is_left_out and not any(one.kind == "unreadable-split" for one in findings)
    findings += passed_over(splits, data, is_whole=is_whole)
    if model is not None:
        for checked in _judged(splits, split):
            findings += suspicious_labels(model, checked, data, quiet=quiet)
    order = list(KINDS)
    findings.sort(key=lambda fault: order.index(fault.kind))
    notes += dict.fromkeys(note for split in listed.values() for note in split.notes)
    form = PixelForm(0, pixel_range)
    report = CheckReport(data, tuple(splits), tuple(findings), tuple(notes), form, recognised.said)
    if json_file is not None:
        rows = [fault.to_dict() for fault in findings]
        write_text(json_file, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    if html is not None:
        write_check(html, report)
    if summary is not None:
        write_text(summary, json.dumps(summarised(report), indent=1, ensure_ascii=False) + "\n")
    if not quiet:
        _show(report)
        for file in filter(None, (json_file, html, summary)):
            print(f"written: {file}")
    return report


def _facts_file(outputs: Sequence[Path | None], pictures: int) -> Path | None:
    """The file beside the first output that keeps the facts; None for few pictures."""
    first = next(filter(None, outputs), None)
    return None if first is None or pictures <= FEW else first.with_suffix(".facts")


def _broken_rules(splits: Sequence[CheckedSplit], rules: LabelRules) -> Iterator[Finding]:
    """A finding for each rule that pictures of a split break."""
    for checked in splits:
        if rules.names <= set(checked.split.labels):  # other findings say that some are missing
            yield from judged(judge_rules(checked.split, rules), ())


def summarised(report: CheckReport) -> dict[str, Any]:
    """What was understood, for JSON: layout, labels, and the counts of each split by its role."""
    splits: dict[str, Any] = {}
    for checked in report.splits:
        labels, targets = checked.split.labels, checked.split.targets
        counts = {
            what: dict(zip(labels, (targets == mark).sum(axis=0).tolist(), strict=True))
            for what, mark in (("present", POSITIVE), ("absent", NEGATIVE), ("unknown", UNKNOWN))
        }
        splits |= {role: {"pictures": len(checked.split), **counts} for role in checked.roles}
    return {"layout": report.data.format, "labels": list(report.labels), "splits": splits}


def _check_choices(data: Data, model: Path | None, split: str) -> None:
    if split and model is None:
        raise ConfigError(
            "--split: expected --model as well, which judges that split, got none. Add --model RUN."
        )
    names = [name for name in (data.train, data.val, data.test) if name]
    if split and split not in names:
        raise ConfigError(
            f"--split: expected one of {', '.join(names)}, got {split!r}. Choose one."
        )
    if model is not None:
        check_model(model)


def _judged(splits: Sequence[CheckedSplit], name: str) -> list[CheckedSplit]:
    """The split of that name; without a name, all splits but the training split."""
    return [
        checked
        for checked in splits
        if (checked.split.name == name if name else "train" not in checked.roles)
    ]


# Reading


def _read(data: Data) -> tuple[dict[str, Split], list[Finding], list[str]]:
    """The splits by name, the faults of their tables or lists, and notes.

    A split that cannot be read is a finding, so that the others are still checked. Raises DataError
    if no split can be read.
    """
    splits: dict[str, Split] = {}
    findings: list[Finding] = []
    notes: list[str] = []
    for name in dict.fromkeys(filter(None, (data.train, data.val, data.test))):
        labels = next(iter(splits.values())).labels if splits else None
        split, faults = _read_split(data, name, labels)
        if split is None and name == data.test == Data().test:
            # The default name: the user did not ask for it, and training does not need it.
            notes.append(f"test is left out: {faults[0].detail}")
            continue
        findings += faults
        if split is not None:
            splits[name] = split
    if not splits:
        reasons = [*(fault.detail for fault in findings), *notes]
        raise DataError(*reasons[:1] or ["data.train: expected a split, got none. Set one."])
    blank = [one for split in splits.values() for one in blank_entries(split)]
    judgements = [*_judge_names(data, splits), *same_split(data), *dict.fromkeys(blank)]
    findings += judged(judgements, (data.train, data.val))
    return splits, findings, notes


def _judge_names(data: Data, splits: Mapping[str, Split]) -> Iterator[Judgement]:
    """The judgements on the names of all splits; the same name is judged once."""
    yield from similar_names((label, name) for name, one in splits.items() for label in one.labels)
    seen: set[str] = set()
    for name, split in splits.items():
        yield from missing_header(replace(split, name=name), data)
        for one in judge_names(replace(split, name=name), data):
            if one.label not in seen:
                yield one
        seen.update(split.labels)


def _read_split(
    data: Data, name: str, labels: Sequence[str] | None
) -> tuple[Split | None, list[Finding]]:
    """A split and its faults; if it does not fit the given labels, it is read with its own.

    The split is None if it cannot be read at all.
    """
    unlabelled: list[tuple[str, str]] = []
    faults, is_trained_with = [], name in (data.train, data.val)
    try:
        split = read_split(data, name, labels, unlabelled=unlabelled)
    except DataError as error:
        faults.append(finding("unreadable-split", name, str(error), refused=is_trained_with))
        if labels is None:
            return None, faults
        unlabelled.clear()
        try:
            split = read_split(_by_itself(data, name), name, unlabelled=unlabelled)
            if set(split.labels) < set(labels):
                return None, faults  # a label's column cannot be read: it only seems to be missing
        except DataError:
            return None, faults
        if _only_renamed(split.labels, labels):
            faults.clear()  # the finding similar-label-names says it better
    faults += [
        finding(
            "unlabelled-row",
            where,
            f"a box without a label: no {what} exists",
            unsafe=True,
            refused=is_trained_with,
        )
        for where, what in unlabelled
    ]
    return split, faults


def _by_itself(data: Data, name: str) -> Data:
    """The settings that read a split as if there were no other; of a table, its own columns."""
    return replace(data, train=name, table=replace(data.table, picture="", labels=[], names=""))


def _pixel_range(
    data: Data,
    splits: Mapping[str, Split],
    findings: list[Finding],
    notes: list[str],
    *,
    quiet: bool,
) -> tuple[float, float] | None:
    """The values of black and white in deep pictures, found as `lcnet train` finds them.

    If the pictures' values cannot be compared, that is a finding, and the range is that of all.
    """
    if data.given_range:
        return data.given_range
    name = data.train if data.train in splits else next(iter(splits))
    kinds = pixel_kinds(splits[name], channels=0, workers=data.workers, quiet=quiet)
    try:
        found = kinds.checked()
    except DataError as error:
        if len(kinds.kinds) == 1:  # several kinds are found in all splits together, later
            findings.append(finding("pixels", name, str(error)))
        values = [value for of in kinds.deep.values() for value in (of.low, of.high)]
        low, high = min(values), max(values)
        return (low, high) if -math.inf < low < high < math.inf else (0.0, 1.0)
    notes += kinds.lines()
    return found


def _notes_on_bands(splits: Sequence[CheckedSplit]) -> Iterator[str]:
    """A note if all readable pictures of a split have four bands or more."""
    for checked in splits:
        bands = {facts.bands for facts in checked.facts if not facts.fault}
        if len(bands) == 1 and (count := bands.pop()) not in (1, 3):
            yield f"{checked.split.name}: pictures of {count} bands need --model.channels {count}"


def _notes_on_missing(splits: Sequence[CheckedSplit]) -> Iterator[str]:
    """A note if pictures that are counted do not exist."""
    for checked in splits:
        if missing := sum(facts.fault == "missing" for facts in checked.facts):
            pictures = "picture" if missing == 1 else "pictures"
            yield f"{checked.split.name}: the counts include {missing:,} missing {pictures}"


def _with_facts(
    data: Data,
    name: str,
    split: Split,
    pixel_range: tuple[float, float] | None,
    *,
    kept: Path | None,
    quiet: bool,
) -> CheckedSplit:
    """The split with the facts of its pictures, which a file keeps if one is named."""
    roles = {"train": data.train, "val": data.val, "test": data.test}
    pictures = [(sample.path, *sample.channel_files) for sample in split.samples]
    with ExitStack() as stack:
        opened = stack.enter_context(kept_facts(kept, pixel_range)) if kept else None
        read = read_kept(pictures, data.workers, pixel_range, opened)
        facts = tuple(track(read, f"Reading {name}, pictures", len(split), quiet=quiet))
    if opened is not None and opened.served and not quiet:
        tell(f"{name}: {opened.served:,} of {len(split):,} pictures were read before, see {kept}")
    used_for = tuple(role for role, named in roles.items() if named == name)
    return CheckedSplit(used_for, replace(split, name=name), facts, Path(data.root))


def _only_renamed(labels: Sequence[str], known: Sequence[str]) -> bool:
    """Whether the unknown labels differ from known ones only in case or space."""
    plain_known = {plain(name) for name in known}
    others = [name for name in labels if name not in known]
    return bool(others) and all(plain(name) in plain_known for name in others)


# What is printed


def _show(report: CheckReport) -> None:
    console = Console(highlight=False, markup=False)
    console.print(_splits_table(report))
    console.print(_labels_table(report))
    print_legend(console, _explained(report), meanings=WORDS)
    for line in (*report.together(3), *report.notes, *_lines(report)):
        hang = 4 if line.startswith(" ") else 2
        console.print(paragraph(line, hang=hang), soft_wrap=True)
    console.print(report.verdict, style="bold", soft_wrap=True)
    if report.next_step:
        console.print(paragraph(report.next_step, hang=2), soft_wrap=True)


def _explained(report: CheckReport) -> list[str]:
    """The words in the tables that are explained below them."""
    return [word for word in WORDS if word != "used for" or not _by_use(report)]


def _by_use(report: CheckReport) -> bool:
    """Whether the splits are called by what they are used for."""
    return report.names == [", ".join(checked.roles) for checked in report.splits]


def _splits_table(report: CheckReport) -> Table:
    used_for = [] if _by_use(report) else ["used for"]
    table = Table("split", *used_for)
    for column in ("pictures", "labels each", "unknown", "pixels"):
        table.add_column(column, justify="right")
    for checked, name in zip(report.splits, report.names, strict=True):
        table.add_row(
            name,
            *([", ".join(checked.roles)] if used_for else []),
            f"{len(checked.split):,}",
            f"{checked.labels_each:.2f}",
            f"{100 * checked.statistics.unknown_share:.1f} %",
            report.sizes(checked),
        )
    return table


def _labels_table(report: CheckReport) -> Table:
    """The pictures that show each label, per split, and their share of those where it is known."""
    labels = report.labels
    table = Table("label")
    has_several = len(report.splits) > 1
    for name in (*report.names, *["all"] * has_several):
        table.add_column(name, justify="right")
    rows = [report.counts(name) for name in labels]
    chosen = list(range(len(labels)))
    if len(chosen) > LABEL_ROWS:
        ranked = np.argsort([-row[0].positives for row in rows], kind="stable").tolist()
        chosen = ranked[: LABEL_ROWS // 2] + ranked[-LABEL_ROWS // 2 :]
    for number, label in enumerate(chosen):
        if len(labels) > LABEL_ROWS and number == LABEL_ROWS // 2:
            table.add_row(f"... {len(labels) - LABEL_ROWS} more (all: --html)")
        cells = [f"{count.positives:,} {100 * count.share:5.1f} %" for count in rows[label]]
        if has_several:
            cells.append(f"{sum(count.positives for count in rows[label]):,}")
        table.add_row(labels[label], *cells)
    return table


def _lines(report: CheckReport) -> Iterator[str]:
    """Lines with the findings by kind, and the first few of each kind."""
    for kind, group in groupby(report.findings, lambda fault: fault.kind):
        faults = list(group)
        yield f"{kind}: {len(faults):,}  ({KINDS[kind]})"
        lines = [f"  {fault.where}: {fault.detail}" for fault in faults]
        if kind in OF_LABELS:
            lines = list(_labels_by_splits(faults, report))
        yield from lines[:FIRST]
        if len(lines) > FIRST:
            yield f"  ... and {len(lines) - FIRST:,} more (all: --json FILE or --html FILE)"


def _labels_by_splits(faults: Sequence[Finding], report: CheckReport) -> Iterator[str]:
    """A line for all labels with a fault in the same splits."""
    called = {one.split.name: name for one, name in zip(report.splits, report.names, strict=True)}
    splits_of: dict[str, list[str]] = {}
    for fault in faults:
        splits_of.setdefault(fault.label, []).append(called.get(fault.split, fault.split))
    labels_of: dict[tuple[str, ...], list[str]] = {}
    for label, splits in splits_of.items():
        labels_of.setdefault(tuple(splits), []).append(label)
    for some, labels in labels_of.items():
        more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
        yield f"  {', '.join(some)}: {', '.join(labels[:NAMED])}{more}"
