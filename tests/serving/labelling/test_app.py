"""The page's calls: what answers move, what is asked next, who gets which picture."""

import io
import shutil

import pytest
from PIL import Image
from tests.predicting.test_known import known_table
from tests.serving.labelling.conftest import Page
from tests.serving.labelling.test_answers import cells

from lcnet.errors import ConfigError
from lcnet.predicting.predictor import Predictor
from lcnet.serving.labelling.desk import open_desk
from lcnet.serving.labelling.leases import SECONDS, Leases

LABELS = ["red", "green", "blue"]


def test_an_answer_moves_the_others_without_another_look_at_the_picture(
    opened, run, table, out, monkeypatch
):
    page = opened()
    plain = page.call("open", picture=2)
    assert plain["states"] == [None, None, None]
    assert plain["left"]["cells"] == 7
    monkeypatch.setattr(page.desk.predictor, "model", None)  # no pass of the network
    monkeypatch.setattr(type(page.desk.predictor), "_in_parts", lambda self: parts)
    parts = Predictor(run).model
    found = page.answer(2, "green", True)
    [wanted] = Predictor(run)([table.parent / "images/val4.png"], known={"green": True})
    assert found["chances"] == pytest.approx(
        [wanted.probabilities[label] for label in LABELS], abs=1e-3
    )
    assert found["chances"] != plain["chances"]
    assert (found["states"], found["left"]["cells"]) == ([None, True, None], 6)
    assert sorted(found["questions"]) == [0, 2]
    assert cells(out)["val4"] == "-1-"


def test_the_most_useful_picture_comes_first_and_a_passed_one_last(opened):
    page = opened()
    page.desk.start()
    page.desk.scores._thread.join()
    useful = page.desk._useful
    assert useful[3] < 0  # all its cells are filled, so nobody looks at it
    order = sorted(range(3), key=lambda number: -useful[number])
    assert [page.call("next")["picture"] for _ in range(4)] == [*order, order[0]]


def test_enter_takes_the_rest_as_predicted_and_can_be_undone(opened, out):
    page = opened()
    plain = page.call("open", picture=0)
    [wanted] = page.desk.predictor([page.desk.paths[0]], known={"red": True})
    found = page.call("fill", picture=0)
    assert found["states"] == [True, *(label in wanted.labels for label in LABELS[1:])]
    assert found["before"] == {"green": None, "blue": None}
    assert "-" not in cells(out)["val0"]
    back = {label: [found["states"][LABELS.index(label)], None] for label in found["before"]}
    undone = page.call("answer", picture=0, changes=back)
    assert undone["states"] == plain["states"]
    assert undone["differing"] == []
    assert cells(out)["val0"] == "1--"


def test_a_picture_is_opened_by_its_path_or_by_what_it_ends_in(opened, table):
    page = opened()
    for name in ("images/val4.png", "val4.png", str(page.desk.paths[2])):
        found = page.call("find", path=name)
        assert (found["picture"], found["name"]) == (2, "val4.png")
    assert page.other("two").call("find", path="val4.png")["elsewhere"] is True
    for name in ("val9.png", "al4.png", "images"):
        assert page.call("find", path=name)["picture"] is None


def test_a_name_of_several_pictures_opens_none(run, colour_table, tmp_path):
    (tmp_path / "colours" / "more").mkdir()
    shutil.copy(tmp_path / "colours/images/val0.png", tmp_path / "colours/more/val0.png")
    rows = ["images/val0.png,1,,", "more/val0.png,1,,"]
    page = Page(
        open_desk(
            run, known_table(tmp_path, rows), tmp_path / "out.csv", annotator="", batch_size=2
        )
    )
    assert page.call("find", path="val0.png")["picture"] is None
    assert page.call("find", path="more/val0.png")["picture"] == 1


def test_a_filled_table_is_opened_to_be_corrected(run, table, out):
    table.write_text("image,red,green,blue\nimages/val0.png,1,0,0\nimages/val1.png,0,0,1\n")
    page = Page(open_desk(run, table, out, annotator="", batch_size=2, correct=True))
    found = page.call("find", path="images/val1.png")
    assert found["states"] == [False, False, True]
    assert len(found["chances"]) == 3
    page.answer(1, "red", True, was=False)
    assert cells(out) == {"val0": "100", "val1": "101"}
    assert page.call("next")["picture"] is None


def test_it_goes_on_with_the_answers_that_are_there(opened, out):
    opened().answer(2, "red", False)
    page = opened()
    assert page.call("open", picture=2)["states"] == [False, None, None]
    assert page.call("open", picture=0)["left"]["cells"] == 6


def test_two_processes_see_each_other_s_answers_and_are_told_of_others(opened, out):
    one, other = opened("Anna"), opened("Ben")
    one.answer(2, "red", False)
    assert other.call("open", picture=2)["states"] == [False, None, None]
    other.answer(2, "green", True)
    found = one.answer(2, "green", False)
    assert found["differing"] == [{"label": "green", "was": True, "by": "Ben"}]
    assert cells(out)["val4"] == "00-"
    other.call("fill", picture=2)
    other.call("fill", picture=0)
    found = one.call("next")
    assert found["picture"] == 1
    assert found["left"]["pictures"] == 1


def test_two_windows_get_different_pictures(opened):
    one = opened()
    two, three, four = map(one.other, ("two", "three", "four"))
    pictures = [page.call("next")["picture"] for page in (one, two, three)]
    assert sorted(pictures) == [0, 1, 2]
    assert four.call("next")["picture"] is None
    assert four.call("open", picture=pictures[0])["elsewhere"] is True
    two.call("leave")
    assert four.call("next")["picture"] == pictures[1]


def test_a_silent_window_s_picture_is_free_after_minutes():
    now = [0.0]
    leases = Leases(lambda: now[0])
    leases.hold("one", 7)
    assert leases.held(but="two") == {7}
    now[0] += SECONDS - 1
    leases.keep("one")
    now[0] += SECONDS - 1
    assert leases.held(but="two") == {7}
    now[0] += 2
    assert leases.held(but="two") == set()


def test_all_filled_is_said(opened):
    page = opened()
    for number in range(3):
        page.call("fill", picture=number)
    found = page.call("next")
    assert found["picture"] is None
    assert (found["left"]["cells"], found["left"]["worth"]) == (0, 0)


def test_pictures_are_shown_upright_and_small_and_heat_has_their_shape(opened, table):
    turned = Image.new("RGB", (2400, 1200), (200, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(table.parent / "images" / "val0.png", exif=exif)
    page = opened()
    shown = page.client.get(f"/{page.desk.table}/pictures/0.jpg")
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (800, 1600)
    heat = Image.open(
        io.BytesIO(page.client.get(f"/{page.desk.table}/pictures/0/heat/1.png").content)
    )
    assert (heat.size, heat.mode) == ((400, 800), "RGBA")
    assert heat.getextrema()[3][1] > 200


def test_a_picture_that_cannot_be_read_says_why_and_comes_last(opened, table, out):
    (table.parent / "images" / "val0.png").write_bytes(b"no picture")
    page = opened()
    page.desk.start()
    page.desk.scores._thread.join()
    assert [page.call("next")["picture"] for _ in range(3)][2] == 0
    found = page.call("open", picture=0)
    assert found["error"].startswith("val0.png: not a readable picture")
    assert "chances" not in found
    assert found["left"]["unreadable"] == 1
    assert page.call("fill", picture=0)["states"] == [True, None, None]
    assert page.client.get(f"/{page.desk.table}/pictures/0.jpg").status_code == 422
    page.answer(0, "blue", False)  # a person may know it all the same
    assert cells(out)["val0"] == "1-0"


@pytest.mark.parametrize(
    ("name", "given", "status", "message"),
    [
        ("open", {"picture": 4}, 400, "picture: expected a number from 0 to 3, got 4"),
        ("open", {"picture": True}, 400, "picture: expected"),
        ("open", {"picture": -1}, 400, "picture: expected"),
        ("open", {"picture": "../x"}, 400, "picture: expected"),
        ("find", {"path": ""}, 400, "path: expected"),
        ("find", {"path": 7}, 400, "path: expected"),
        ("next", {"window": ""}, 400, "window: expected"),
        ("next", {"window": 3}, 400, "window: expected"),
        ("next", {"table": "other"}, 409, "another table"),
        ("answer", {"picture": 0}, 400, "changes: expected"),
        ("answer", {"picture": 0, "changes": {"pink": [None, True]}}, 400, "called 'pink'"),
        ("answer", {"picture": 0, "changes": {"red": [None, 1]}}, 400, "true, false or null"),
        ("answer", {"picture": 0, "changes": {"red": [None, "yes"]}}, 400, "true, false or null"),
        ("answer", {"picture": 0, "changes": {"red": True}}, 400, "true, false or null"),
        ("answer", {"picture": 0, "changes": {"red": [[], {}]}}, 400, "true, false or null"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(opened, out, name, given, status, message):
    page = opened()
    before = out.read_bytes()
    found = page.call(name, status, **given)
    assert message in found["error"]
    assert "\n" not in found["error"]
    assert out.read_bytes() == before


def test_only_the_own_page_may_call(opened, out):
    page = opened()
    before = out.read_bytes()
    given = {"table": page.desk.table, "window": "x", "picture": 0}
    given["changes"] = {"green": [None, True]}

    def status(**headers: str) -> int:
        return page.client.post("/answer", json=given, headers=headers).status_code

    assert status(origin="http://evil.example") == 403
    assert status(origin="null") == 403
    assert status(origin="http://127.0.0.1:1234") == 403
    assert status(host="evil.example:7870", origin="http://evil.example:7870") == 403
    assert status(**{"content-type": "text/plain"}) == 415
    assert page.client.post("/answer", content=b"{", headers=_json()).status_code == 400
    assert page.client.post("/answer", content=b"[" * 90_000, headers=_json()).status_code == 400
    assert page.client.post("/answer", content=b"x" * 4_000_001, headers=_json()).status_code == 413
    assert page.client.get("/answer").status_code == 405
    assert page.client.get("/", headers={"host": "evil.example"}).status_code == 403
    assert out.read_bytes() == before
    assert status(origin="http://127.0.0.1:7870") == 200


def _json() -> dict[str, str]:
    return {"content-type": "application/json"}


@pytest.mark.parametrize(
    "address",
    [
        "/{table}/pictures/4.jpg",
        "/{table}/pictures/..%2f..%2fval.csv.jpg",
        "/other/pictures/0.jpg",
        "/{table}/pictures/0/heat/3.png",
        "/{table}/pictures/0/heat/x.png",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_else_is_served(opened, address):
    page = opened()
    assert page.client.get(address.format(table=page.desk.table)).status_code in (400, 404)


def test_the_page_has_the_labels_and_loads_nothing(opened, run):
    answer = opened().client.get("/")
    assert '"labels": ["red", "green", "blue"]' in answer.text
    assert "lcnet calibrate" not in answer.text
    assert "http:" not in answer.text.replace("http://www.w3.org", "")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_model_without_evidence_says_how_to_fit_it(trained, table, out):
    page = Page(open_desk(trained, table, out, annotator="", batch_size=2))
    assert f"lcnet calibrate {trained} --evidence" in page.client.get("/").text
    plain, found = page.call("open", picture=2), page.answer(2, "red", True)
    assert found["chances"][1:] == plain["chances"][1:]


def test_what_cannot_be_labelled_is_refused(run, table, out, exported):
    with pytest.raises(ConfigError, match="expected another file than the table"):
        open_desk(run, table, table, annotator="", batch_size=2)
    with pytest.raises(ConfigError, match=r"expected a run or model folder, got an exported"):
        open_desk(exported, table, out, annotator="", batch_size=2)
    table.write_text("image,red,green,blue\nimages/val0.png,1,0,0\nimages/val1.png,0,0,1\n")
    with pytest.raises(ConfigError, match="got one in which all are filled"):
        open_desk(run, table, out, annotator="", batch_size=2)
    assert not out.exists()
