"""What a user may rely on when giving word vectors for the label names."""

from pathlib import Path

import numpy as np
import pytest

from lcnet.data.vectors import read_vectors
from lcnet.errors import DataError

GLOVE = "cat 1 2\ndog 3 4.5\ntraffic 1 0\nlight 0 -1e1\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "vectors.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_text_gives_a_row_per_label_in_their_order(tmp_path: Path) -> None:
    vectors = read_vectors(write(tmp_path, GLOVE), ["dog", "cat"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[3, 4.5], [1, 2]]


def test_a_label_of_several_words_is_their_mean(tmp_path: Path) -> None:
    assert read_vectors(write(tmp_path, GLOVE), ["traffic light"]).tolist() == [[0.5, -5]]


def test_a_line_of_its_own_goes_before_the_mean_of_words(tmp_path: Path) -> None:
    path = write(tmp_path, GLOVE + "traffic_light 7 7\n")
    assert read_vectors(path, ["traffic light"]).tolist() == [[7, 7]]


def test_words_without_a_line_are_left_out_of_the_mean(tmp_path: Path) -> None:
    assert read_vectors(write(tmp_path, GLOVE), ["cat of nowhere"]).tolist() == [[1, 2]]


@pytest.mark.parametrize("label", ["Traffic-Light", "traffic_light", "TRAFFIC  LIGHT"])
@pytest.mark.parametrize("line", ["traffic light", "Traffic-Light", "traffic_LIGHT"])
def test_case_and_what_separates_words_do_not_matter(tmp_path: Path, line: str, label: str) -> None:
    assert read_vectors(write(tmp_path, f"{line} 5 6\ncat 1 2\n"), [label]).tolist() == [[5, 6]]


def test_of_equal_names_the_first_counts(tmp_path: Path) -> None:
    assert read_vectors(write(tmp_path, "Cat 1 2\ncat 3 4\n"), ["cat"]).tolist() == [[1, 2]]


def test_the_first_line_of_word2vec_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "4 2\n" + GLOVE)
    assert read_vectors(path, ["dog"]).tolist() == [[3, 4.5]]
    with pytest.raises(DataError, match="for '4'"):
        read_vectors(path, ["4"])


def test_digits_can_be_names(tmp_path: Path) -> None:
    path = write(tmp_path, "0 1 2\n7 3 4\n")
    assert read_vectors(path, ["7", "0"]).tolist() == [[3, 4], [1, 2]]


def test_tabs_blank_lines_line_ends_of_windows_and_a_byte_order_mark_are_read(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfcat\t1\t2 \r\n\r\ndog  3 4\r\n")
    assert read_vectors(path, ["cat", "dog"]).tolist() == [[1, 2], [3, 4]]


def test_names_that_are_no_utf8_or_have_other_spaces_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xff\xfe 9 9\na\xc2\xa0b 9 9\n\xc2\x85 9 9\n. . . 9 9\ncat 1 2\n")
    assert read_vectors(path, ["cat"]).tolist() == [[1, 2]]


def test_an_array_is_taken_in_the_order_of_labels(tmp_path: Path) -> None:
    stored = np.arange(6, dtype=np.float64).reshape(2, 3)
    np.save(tmp_path / "vectors.npy", stored)
    vectors = read_vectors(tmp_path / "vectors.npy", ["cat", "dog"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == stored.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected lines `name v1 v2 ...`, got none"),
        ("cat\n", "vectors.txt:1: expected a name and its numbers, got 1 parts"),
        ("cat 1 2\ndog 1\n", "vectors.txt:2: expected a name and 2 numbers, got 2 parts"),
        ("cat 1 2\n\ndog 1 2 3\n", "vectors.txt:3: expected a name and 2 numbers, got 4 parts"),
        ("9 3\ncat 1 2\n", "vectors.txt:2: expected a name and 3 numbers, got 3 parts"),
        ("ox 1 2\ncat 1 x\n", "vectors.txt:2: expected numbers after the name, got: could not"),
        ("ox 1 2\ncat nan 2\n", "vectors.txt:2: expected finite numbers that fit float32"),
        ("ox 1 2\ncat 1 -inf\n", "vectors.txt:2: expected finite numbers that fit float32"),
        ("ox 1 2\ncat 1 1e39\n", "vectors.txt:2: expected finite numbers that fit float32"),
        ("ox 1 2\ncat 1 2\n", "got none for 'big dog'."),
        ("ox 1 2\n", "got none for 'cat', 'big dog'."),
    ],
)
def test_wrong_text_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read_vectors(write(tmp_path, text), ["cat", "big dog"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_many_labels_without_a_vector_are_not_all_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'label9' and 15 more"):
        read_vectors(write(tmp_path, GLOVE), [f"label{number}" for number in range(25)])


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros((3, 2)), "expected an array of shape (2, length), one row per label, got shape"),
        (np.zeros((3, 2)), "(3, 2)"),
        (np.zeros(2), "got shape (2,)"),
        (np.zeros((2, 0)), "got shape (2, 0)"),
        (np.array([["a"], ["b"]]), "expected real numbers, got type <U1"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "row 2: expected finite numbers"),
        (np.array([[1e300, 2.0], [3.0, 4.0]]), "row 1: expected finite numbers"),
        (np.array([[{}], [{}]]), "expected an array of numbers in .npy form, got: "),
    ],
)
def test_a_wrong_array_is_refused_in_one_line(
    tmp_path: Path, stored: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "vectors.npy", stored)
    with pytest.raises(DataError) as error:
        read_vectors(tmp_path / "vectors.npy", ["cat", "dog"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("stored", [b"", b"cat 1 2\n", b"\x93NUMPY\x01\x00v\x00{'descr': "])
def test_a_file_that_is_no_array_is_refused(tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "vectors.npy").write_bytes(stored)
    with pytest.raises(DataError, match=r"expected an array of numbers in .npy form"):
        read_vectors(tmp_path / "vectors.npy", ["cat", "dog"])


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "vectors.npz", np.zeros((1, 2)))
    (tmp_path / "vectors.npz").rename(tmp_path / "vectors.npy")
    with pytest.raises(DataError, match=r"expected an array of shape \(1, length\)"):
        read_vectors(tmp_path / "vectors.npy", ["cat"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.txt: no such file of label vectors"):
        read_vectors(tmp_path / "nowhere.txt", ["cat"])
