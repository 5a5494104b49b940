import unicodedata

import pytest

from lcnet.data.label_names import no_name, plain, several_names
from lcnet.data.readers.voc import LABELS as VOC


def named(listed: str) -> list[str]:
    return listed.split(",")


COCO = named(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
    "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,"
    "baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,"
    "bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,"
    "oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
GENRES = named(
    "Action,Adventure,Animation,Biography,Comedy,Crime,Documentary,Drama,Family,Fantasy,Film-Noir,"
    "History,Horror,Music,Musical,Mystery,Reality-TV,Romance,Science Fiction,Sport,Thriller,War"
)
CHEXPERT = named(
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
    "Support Devices"
)
CHEST = named(
    "pleural effusion,pleural thickening,apical pleural thickening,pleural plaques,loculated "
    "pleural effusion,pleural mass,fissure thickening,minor fissure thickening,major fissure "
    "thickening,rib fracture,vertebral fracture,humeral fracture,clavicle fracture,callus rib "
    "fracture,vertebral compression,vertebral degenerative changes,vertebral anterior compression,"
    "aortic elongation,ascendent aortic elongation,descendent aortic elongation,"
    "aortic atheromatosis"
)


@pytest.mark.parametrize("names", [COCO, VOC, GENRES, CHEXPERT, CHEST])
def test_true_names_are_let_alone(names):
    assert several_names(names) == {}
    assert [name for name in names if no_name(name)] == []
    assert len({plain(name) for name in names}) == len(names)


@pytest.mark.parametrize("separator", ["|", ";", ",", "\t", "/", " ", ", ", "  "])
def test_a_name_whose_parts_are_names_is_several(separator):
    joined = separator.join(["cat", "dog", "sofa"])
    names = ["cat", "dog", "sofa", joined, "red fox"]
    assert several_names(names) == {joined: separator.strip(" ") or " "}


def test_names_that_never_stand_alone_are_found_by_their_many_combinations():
    colours = ["red", "green", "blue", "pink", "grey"]
    pairs = [f"{one} {other}" for one in colours for other in colours if one < other]
    assert several_names(pairs).keys() == set(pairs)


def test_a_single_joined_name_is_found_among_many_true_ones():
    assert several_names([*COCO, "cat dog"]) == {"cat dog": " "}


def test_a_separator_at_the_end_leaves_a_name_behind():
    assert several_names(["cat", "cat;"]) == {"cat;": ";"}


def test_names_are_split_at_their_own_separator_only():
    names = ["Science Fiction", "Drama", "Science Fiction, Drama"]
    assert several_names(names) == {"Science Fiction, Drama": ","}


@pytest.mark.parametrize(
    "name",
    [
        *("nan", "None", "NULL", "<NA>", "[]", "{}", "['a'", "['a']", "'b']", "'b'", '"a"'),
        *('{"choices": ["cat"', '"dog"]}', "train_000.jpg", "a/b.JPEG", "scan.heic"),
    ],
)
def test_what_is_no_name_is_told(name):
    assert no_name(name)


@pytest.mark.parametrize(
    "name", ["0", "nano", "O'Brien", "car (red)", "kids'", "No Finding", "a.b"]
)
def test_an_odd_name_is_still_a_name(name):
    assert no_name(name) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"),
        ("hot dog", "hotdog"),
        ("hot_dog", "hot dog"),
        ("Film-Noir", "film noir"),
        (unicodedata.normalize("NFC", "Möwe"), unicodedata.normalize("NFD", "Möwe")),
        ("Straße", "STRASSE"),
    ],
)
def test_names_that_look_alike_are_equal_when_plain(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize(("one", "other"), [("-1", "1"), ("1-2", "12"), ("a", "ä"), ("C", "C-")])
def test_names_that_differ_stay_apart(one, other):
    assert plain(one) != plain(other)
