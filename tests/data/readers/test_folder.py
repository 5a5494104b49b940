"""What a user may rely on when reading folders."""

from pathlib import Path

import pytest

from lcnet.data.readers.folder import read_folder, same_names
from lcnet.errors import DataError


def write(root: Path, *names: str) -> Path:
    """Empty files: readers take pictures by name and do not open them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_folder_is_a_label(tmp_path: Path) -> None:
    split = read_folder(write(tmp_path, "train/dog/b.jpg", "train/cat/a.jpg"), "train")
    assert split.labels == ("cat", "dog")
    assert split.targets.tolist() == [[1, 0], [0, 1]]
    assert [s.path for s in split.samples] == [
        tmp_path / "train/cat/a.jpg",
        tmp_path / "train/dog/b.jpg",
    ]


def test_a_name_in_several_folders_is_one_picture_with_all_their_labels(tmp_path: Path) -> None:
    write(tmp_path, "train/dog/a.jpg", "train/cow/a.jpg", "train/cow/sub/a.jpg", "train/cat/b.jpg")
    split = read_folder(tmp_path, "train")
    assert [sample.path.relative_to(tmp_path / "train").as_posix() for sample in split.samples] == [
        "cow/a.jpg",
        "cat/b.jpg",
        "cow/sub/a.jpg",
    ]
    assert split.targets.tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 0]]


def fill(root: Path, **contents: str) -> Path:
    """Files `train/LABEL/NUMBER.jpg`: of each label, the letter of its file with each number."""
    for label, letters in contents.items():
        for number, letter in enumerate(letters):
            file = root / "train" / label / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(letter)
    return root


def test_files_of_one_name_and_other_bytes_are_different_pictures(tmp_path: Path) -> None:
    split = read_folder(fill(tmp_path, cat="abc", cow="defg", dog="hij"), "train")
    assert split.targets.tolist() == [*[[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 3, [0, 1, 0]]
    assert [sample.path for sample in split.samples[:3]] == [
        tmp_path / "train" / label / "0.jpg" for label in ("cat", "cow", "dog")
    ]
    assert same_names(split, tmp_path).keys() == {"0.jpg", "1.jpg", "2.jpg"}


def test_a_picture_of_two_labels_and_another_of_its_name_are_told_apart(tmp_path: Path) -> None:
    split = read_folder(fill(tmp_path, cat="a", cow="b", dog="a"), "train")
    assert split.targets.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_names_of_which_half_are_one_picture_and_half_are_not_are_unclear(tmp_path: Path) -> None:
    fill(tmp_path, cat="abcd", dog="abxy")
    with pytest.raises(DataError, match=r"2 names with the same bytes \(such as 0\.jpg\)") as error:
        read_folder(tmp_path, "train")
    assert "\n" not in str(error.value)


def test_an_unlabelled_picture_may_share_the_name_of_another_one(tmp_path: Path) -> None:
    fill(tmp_path, cat="a")
    (tmp_path / "train/0.jpg").write_text("other")
    assert read_folder(tmp_path, "train").targets.tolist() == [[0], [1]]


def test_a_picture_directly_in_the_split_has_no_label(tmp_path: Path) -> None:
    split = read_folder(write(tmp_path, "train/a.jpg", "train/cat/b.jpg"), "train")
    assert split.targets.tolist() == [[0], [1]]
    assert split.samples[0].path == tmp_path / "train/a.jpg"


def test_only_pictures_count_by_their_suffix_in_any_case(tmp_path: Path) -> None:
    kept = ["a.JPG", "b.jpeg", "c.Png", "d.webp", "e.bmp", "f.gif", "g.tif", "h.TIFF"]
    passed_over = ["notes.txt", "jpg", ".a.jpg", ".hidden/a.jpg", "i.jpg.zip"]
    write(tmp_path, *(f"train/cat/{name}" for name in kept + passed_over), "train/._j.jpg")
    (tmp_path / "train/cat/folder.jpg").mkdir()
    split = read_folder(tmp_path, "train")
    assert [sample.path.name for sample in split.samples] == kept


def test_an_empty_folder_is_a_label_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/a.jpg", "train/.cache/a.jpg")
    (tmp_path / "train/dog").mkdir()
    assert read_folder(tmp_path, "train").labels == ("cat", "dog")


def test_given_labels_set_the_order_and_may_be_more_than_there_are_folders(tmp_path: Path) -> None:
    write(tmp_path, "val/cat/a.jpg", "val/dog/b.jpg")
    split = read_folder(tmp_path, "val", ["dog", "cow", "cat"])
    assert split.labels == ("dog", "cow", "cat")
    assert split.targets.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (["train/cat/a.txt"], None, "train: no pictures in "),
        (["train/a.jpg"], None, "train: expected at least one label, got none"),
        (["train/cats/a.jpg"], ["dog", "cat"], "train/cats/: unknown label 'cats'"),
        (["train/cats/a.jpg"], ["dog", "cat"], "is 'cat'."),
        (["train/cat/a.jpg"], ["cat", "dog", "cat"], "each label name once, got 'cat' twice"),
        (["train/cat/a.jpg", "train/a.jpg"], None, "train/a.jpg: expected a picture either"),
        (["val/cat/a.jpg", "test/a.jpg"], None, "train: no such split"),
        (["val/cat/a.jpg", "test/a.jpg", "b.jpg"], None, "there are: test, val)"),
    ],
)
def test_wrong_folders_are_refused_in_one_line(
    tmp_path: Path, names: list[str], labels: list[str] | None, message: str
) -> None:
    with pytest.raises(DataError) as error:
        read_folder(write(tmp_path, *names), "train", labels)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_root_says_what_belongs_inside(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere \(expected a folder train/ with"):
        read_folder(tmp_path / "nowhere", "train")


def test_files_that_are_no_pictures_are_counted(tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "cat/notes.txt", "cat/in/clip.mp4", "dog/2.png", "dog/.DS_Store"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    split = read_folder(tmp_path, "train")
    assert (len(split), split.notes) == (2, ("train: passed over: 1 .mp4, 1 .txt",))
