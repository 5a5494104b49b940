"""Tests of tables as people write them by hand: what is asked, and what the line says."""

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.data.readers.drawing import draw

from lcnet.checking.check import check
from lcnet.cli.signature import arguments_of, parser_of
from lcnet.data.readers import load_split
from lcnet.data.recognising import recognise
from lcnet.errors import DataError

LABELS = ("cat", "dog", "owl")
SETS = [[name for place, name in enumerate(LABELS) if row >> place & 1] for row in range(16)]
MARKS = [tuple(int(name in names) for name in LABELS) for names in SETS]


def table(root: Path, header: str, row: Callable[[int], str], *, above: str = "") -> Path:
    """A table of 16 pictures, each with its cells."""
    draw(root, *(f"images/{number}.jpg" for number in range(16)))
    rows = [f"{number}.jpg,{row(number)}\n" for number in range(16)]
    (root / "labels.csv").write_text(above + header + "\n" + "".join(rows), "utf-8")
    return root


def named(root: Path, join: Callable[[Sequence[str]], str]) -> Path:
    return table(root, "file,tags", lambda number: f'"{join(SETS[number])}"')


def marked(root: Path, *, above: str = "", header: str = "file,cat,dog,owl") -> Path:
    return table(root, header, lambda number: ",".join(map(str, MARKS[number])), above=above)


def read(root: Path, flags: str = "") -> tuple[str, tuple[str, ...], list[tuple[int, ...]]]:
    """The line, the labels and the targets by picture, with flags as they are typed."""
    parser = parser_of(check)
    parsed = parser.instantiate(parser.parse_args([str(root), *shlex.split(flags)]))
    given = arguments_of(check, parsed)["data"]
    recognised = recognise(given.path, given.data, divide=False)
    split = load_split(recognised.data, recognised.data.train)
    order = sorted(range(len(split)), key=lambda row: int(split.samples[row].path.stem))
    return recognised.said, split.labels, [tuple(split.targets[row].tolist()) for row in order]


def advised(root: Path, number: int, flags: str = "") -> str:
    """The flags that the refusal of a table names, one of its `or`s."""
    with pytest.raises(DataError) as error:
        read(root, flags)
    found = re.findall(r"--data\.\S+ (?:'[^']*'|\S+)(?: --data\.\S+ '[^']*')*", str(error.value))
    return str(found[number]).rstrip(".,")


# Names


@pytest.mark.parametrize("between", ["", " ", ", ", " | ", ";"])
def test_hashtags_are_names_without_their_sign(tmp_path: Path, between: str) -> None:
    named(tmp_path, lambda names: between.join(f"#{name}" for name in names))
    said, *got = read(tmp_path)
    assert got == [LABELS, MARKS]
    assert "each after a '#', which is left out (cat, dog, owl)" in said


@pytest.mark.parametrize(("flag", "labels"), [(0, LABELS), (1, None)])
def test_names_of_which_some_have_a_hash_are_asked_about(
    tmp_path: Path, flag: int, labels: tuple[str, ...] | None
) -> None:
    named(tmp_path, lambda names: "".join(f"#{name}" for name in names).removeprefix("#"))
    assert read(tmp_path)[1] != LABELS  # `cat#dog` may be a name
    named(tmp_path, lambda names: "|".join(f"#{n}" if len(names) > 1 else n for n in names))
    found = read(tmp_path, advised(tmp_path, flag))
    assert found[1] == (labels or tuple(sorted({*LABELS, *(f"#{name}" for name in LABELS)})))


def test_a_name_with_a_hash_stays_as_it_is(tmp_path: Path) -> None:
    languages = {"cat": "C#", "dog": "F#", "owl": "Java"}
    named(tmp_path, lambda names: "|".join(languages[name] for name in names))
    assert read(tmp_path)[1:] == (("C#", "F#", "Java"), MARKS)


@pytest.mark.parametrize(("first", "second"), [("; ", ", "), ("|", ";"), (", ", " & "), (";", "/")])
def test_names_joined_by_two_signs_are_refused_and_both_can_be_set(
    tmp_path: Path, first: str, second: str
) -> None:
    turn = iter([first, second] * 8)
    named(tmp_path, lambda names: next(turn).join(names))
    with pytest.raises(DataError, match=r"names seem to be joined by .* in some cells"):
        read(tmp_path)
    assert read(tmp_path, advised(tmp_path, 2))[1:] == (LABELS, MARKS)


def test_a_comma_inside_names_that_semicolons_join_is_no_second_sign(tmp_path: Path) -> None:
    long = {"cat": "cat, black", "dog": "dog, old", "owl": "owl"}
    named(tmp_path, lambda names: "; ".join(long[name] for name in names))
    assert read(tmp_path)[1] == tuple(long.values())


def test_the_line_names_no_sign_that_joins_nothing(tmp_path: Path) -> None:
    named(tmp_path, lambda names: names[0] if names else "")
    said = read(tmp_path)[0]
    assert "one name a cell (cat, dog, owl)" in said
    assert "joined by" not in said


def test_the_line_names_labels_that_differ_in_case(tmp_path: Path) -> None:
    named(tmp_path, lambda names: "|".join(names).title() if len(names) == 2 else "|".join(names))
    assert "'Cat' and 'cat' are different labels" in read(tmp_path)[0]


# Numbers and words


@pytest.mark.parametrize(("flag", "labels"), [(0, ("0", "1", "2", "3", "4")), (1, ("level",))])
def test_grades_are_classes_or_one_label(tmp_path: Path, flag: int, labels: tuple[str]) -> None:
    table(tmp_path, "file,level", lambda number: str(number % 5))
    flags = advised(tmp_path, flag)
    said, names, targets = read(tmp_path, flags)
    assert names == labels
    assert sum(targets[3]) == 1
    assert sum(targets[5]) == (0 if flag else 1)
    assert ("one of 5 classes a picture (0, 1, 2, 3, 4)" in said) == (not flag)


def test_numbers_of_classes_in_a_column_of_names_are_said_to_be_classes(tmp_path: Path) -> None:
    table(tmp_path, "file,label", lambda number: str(number % 5))
    assert "one of 5 classes a picture (0, 1, 2, 3, 4)" in read(tmp_path)[0]


def test_a_column_of_fractions_is_no_label(tmp_path: Path) -> None:
    table(tmp_path, "file,score", lambda number: f"{number}.25")
    with pytest.raises(DataError, match=r"'score'.* are no labels"):
        read(tmp_path)


@pytest.mark.parametrize("cell", ["#N/A", "#NV", "-nan"])
def test_what_a_spreadsheet_writes_for_a_missing_value_is_unknown(
    tmp_path: Path, cell: str
) -> None:
    table(tmp_path, "file,cat,dog", lambda number: f"{['TRUE', 'FALSE', cell][number % 3]},FALSE")
    assert [targets[0] for targets in read(tmp_path)[2][:3]] == [1, 0, -1]


def test_words_beside_yes_and_no_are_one_question_whatever_their_share(tmp_path: Path) -> None:
    cells = (["ja", "nein", "k.A."], ["ja", "nein", "-", "nein"])
    table(tmp_path, "f,cat,dog", lambda n: f"{cells[0][n % 3]},{cells[1][n % 4]}")
    targets = read(tmp_path, advised(tmp_path, 2))[2]
    assert targets[:4] == [(1, 1), (0, 0), (-1, -1), (1, 0)]


# Rows


def test_the_line_counts_pictures_whose_rows_contradict_each_other(tmp_path: Path) -> None:
    marked(tmp_path)
    with (tmp_path / "labels.csv").open("a", encoding="utf-8") as file:
        file.write("3.jpg,0,1,1\n5.jpg,1,0,1\n")
    flags = "--data.table.rows label"
    said, _, targets = read(tmp_path, flags)
    assert targets[3] == (1, 1, 1)
    assert targets[5] == MARKS[5]
    assert "2 pictures in several rows, 1 of them with other marks" in said
    assert "a label is present if any row says so" in said


# Lines above the header

REMARKS = "# by Jane, 2024, v2, final\n# cols: image, cat, dog, owl\n"


@pytest.mark.parametrize(
    "above", ["# exported\n#\n\n# 1 = yes, 0 = no\n", REMARKS, f"\n{REMARKS}\n", '"# a, b",,,\n']
)
def test_remarks_and_blank_lines_above_the_header_are_left_out(tmp_path: Path, above: str) -> None:
    said, *got = read(marked(tmp_path, above=above))
    assert got == [LABELS, MARKS]
    count = above.count("\n")
    assert f"{count} line{'s' * (count > 1)} above the header left out" in said


@pytest.mark.parametrize("header", ["#file,cat,dog,owl", "# file,cat,dog,owl"])
def test_a_header_may_start_with_a_hash(tmp_path: Path, header: str) -> None:
    assert read(marked(tmp_path, header=header, above="# made by hand, 2024\n"))[1:] == (
        LABELS,
        MARKS,
    )


@pytest.mark.parametrize(
    "above",
    ["Exported by PhotoTool 3\n", "by Jane, 2024, v2, final\n", "Report\n\n\nof Monday, late\n\n"],
)
def test_other_lines_above_the_header_are_refused_with_their_number(
    tmp_path: Path, above: str
) -> None:
    marked(tmp_path, above=above)
    with pytest.raises(DataError, match=f"found them in line {above.count(chr(10)) + 1}"):
        read(tmp_path)
    assert read(tmp_path, advised(tmp_path, 0))[1:] == (LABELS, MARKS)
