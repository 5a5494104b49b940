"""What the page asks the server, without a browser (test_browser.py has one)."""

import base64
import io
import json
import shutil

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.serving.conftest import LABELS, TELLING, picture_bytes
from tests.tiny import save_tiny_model

from lcnet.cli import main
from lcnet.evaluating.ensemble import ensemble
from lcnet.exporting.export import export
from lcnet.predicting.predictor import Predictor
from lcnet.serving.known_advice import advice_on_known
from lcnet.serving.server import whole_app
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits

HERE = "http://127.0.0.1:7860"


def client_of(model, host="127.0.0.1", address=HERE, **more):
    service = Service(Predictor(model, batch_size=4), Limits(0.1, 10_000, 4))
    client = TestClient(whole_app(service, host, **more), base_url=address)
    client.service = service
    return client


@pytest.fixture(scope="module")
def client(telling_folder):
    client = client_of(telling_folder)
    yield client
    client.service.batcher.close()


@pytest.fixture(scope="module")
def plain(model_folder):
    client = client_of(model_folder, advice="Fit it <once>.")
    yield client
    client.service.batcher.close()


@pytest.fixture(scope="module")
def telling_file(telling_folder, tmp_path_factory):
    return export(telling_folder, out=tmp_path_factory.mktemp("exported") / "model.onnx")


def look(client, stored, name="it.png", **more):
    return client.post("/look", files={"picture": (name, stored)}, **more)


def given(client, logits, known, **more):
    return client.post("/given", json={"logits": logits, "known": known}, **more)


def test_the_page_loads_nothing_and_its_labels_are_words(client, plain):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'nonce-" in policy
    assert "http:" not in answer.text.replace("http://www.w3.org", "")
    assert "https:" not in answer.text
    assert "<script>alert" not in answer.text and "<img src=x" not in answer.text
    assert answer.text.count("<script") == 1
    page = json.loads(answer.text.partition("const PAGE = ")[2].partition(";\n")[0])
    assert page["labels"] == list(TELLING)
    assert page["moves"] and page["explains"]
    assert "up to 0.1 MB and 0.01 million pixels" in answer.text
    assert "Fit it &lt;once&gt;." in plain.get("/").text
    assert answer.headers["cache-control"] == "no-store"


def test_the_heading_names_the_model_its_backbone_and_how_many_labels(client, model_folder):
    heading = client.get("/").text.partition("<header>")[2].partition("</header>")[0]
    assert "<h1>model: what is in the picture?</h1>" in heading
    assert "test_resnet, 400 labels. Pictures up to" in heading
    with client_of(model_folder, name="my <run>") as other:
        text = other.get("/").text
        other.service.batcher.close()
    assert "<h1>my &lt;run&gt;: what is in the picture?</h1>" in text
    assert "<title>my &lt;run&gt; - lcnet</title>" in text


def test_a_picture_is_answered_with_its_logits_and_a_small_copy(client):
    stored = picture_bytes(3, (80, 60))
    [expected] = client.service.predictor([stored])
    found = look(client, stored, "a <i>.png").json()
    assert found["image"] == "a <i>.png"
    assert found["labels"] == list(expected.labels)
    assert found["probabilities"] == pytest.approx(expected.rounded(), abs=1e-5)
    assert len(found["logits"]) == len(TELLING)
    kind, _, content = found["picture"].partition("base64,")
    assert kind == "data:image/jpeg;"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (80, 60)


def test_known_labels_move_others_as_predictor_says_without_another_look(client, monkeypatch):
    stored, known = picture_bytes(3), {TELLING[0]: True, TELLING[5]: False}
    logits = look(client, stored).json()["logits"]
    [expected] = client.service.predictor([stored], known=known)
    monkeypatch.setattr(client.service, "_read", None)  # no picture is decoded
    found = given(client, logits, known).json()
    told = expected.to_dict()["told"]
    assert set(told) == set(TELLING[1:4])
    assert found["known"] == known
    assert found["told"] == {
        label: {name: pytest.approx(by, abs=1e-3) for name, by in of.items()}
        for label, of in told.items()
    }
    assert found["probabilities"] == pytest.approx(expected.rounded(), abs=1e-5)
    alone = given(client, logits, {}).json()
    assert "told" not in alone
    assert alone["probabilities"] != found["probabilities"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"logits": [0.0], "known": {}}, "logits: expected the 400 numbers"),
        ({"logits": [True] * 400, "known": {}}, "logits: expected"),
        ({"logits": ["1"] * 400, "known": {}}, "logits: expected"),
        ({"logits": [10**400] + [0.0] * 399, "known": {}}, "logits: expected"),
        ({"logits": {"0": 1}, "known": {}}, "logits: expected"),
        ({"logits": [0.0] * 400}, "known: expected labels with true or false"),
        ({"logits": [0.0] * 400, "known": {"pink": True}}, "no label is called 'pink'"),
        ({"logits": [0.0] * 400, "known": {"7": 1}}, "expected True or False for 7, got 1"),
        ([], "expected a JSON object"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(client, call, says):
    answer = client.post("/given", json=call)
    assert answer.status_code == 400
    assert says in answer.json()["error"] and "\n" not in answer.json()["error"]


def test_nan_and_too_much_are_refused(client):
    headers = {"content-type": "application/json"}
    nan = json.dumps({"logits": [float("nan")] * 400, "known": {}})
    assert client.post("/given", content=nan, headers=headers).status_code == 400
    assert client.post("/given", content=b"x" * 200_000, headers=headers).status_code == 413


@pytest.mark.parametrize(
    ("stored", "status", "says"),
    [
        (b"none", 422, "it.png: not a readable picture"),
        (picture_bytes(size=(101, 100)), 413, "at most 10,000 pixels"),
        (b"x" * 200_000, 413, "expected at most 0.1 MB"),
    ],
)
@pytest.mark.parametrize("address", ["/look", "/explain"])
def test_what_cannot_be_taken_is_said(client, address, stored, status, says):
    answer = client.post(address, files={"picture": ("it.png", stored)})
    assert answer.status_code == status
    assert says in answer.json()["error"]


def test_heat_maps_have_the_picture_s_shape_and_say_what_moved_the_score(client):
    answer = client.post("/explain", files={"picture": ("it.png", picture_bytes(1, (80, 40)))})
    found = answer.json()
    assert sorted(heat["label"] for heat in found["heats"]) == sorted(TELLING[:2])
    assert found["left_out"] == 0
    for heat in found["heats"]:
        image = Image.open(io.BytesIO(base64.b64decode(heat["heat"].partition("base64,")[2])))
        assert (image.mode, image.size) == ("RGBA", (80, 40))
        left, top, width, height = heat["box"]
        assert 0 <= left <= left + width <= 100 and 0 <= top <= top + height <= 100
        assert left - 2 <= heat["peak"][0] <= left + width + 2


def test_the_graph_and_what_known_labels_say_are_drawn(client):
    for name in ("matrix", "network", "evidence"):
        answer = client.get(f"/graph/{name}.png")
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).width > 300
    assert client.get("/graph/other.png").status_code == 404


def test_only_the_own_page_may_call(client):
    stored, bad = picture_bytes(3), {"origin": "http://evil.example"}
    logits = [0.0] * len(TELLING)
    for headers in (
        bad,
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "origin": HERE},
        {"sec-fetch-site": "same-site", "origin": HERE},
        {"host": "evil.example:7860", "origin": "http://evil.example:7860"},
    ):
        assert look(client, stored, headers=headers).status_code == 403
        assert given(client, logits, {}, headers=headers).status_code == 403
        files = {"picture": ("it.png", stored)}
        assert client.post("/explain", files=files, headers=headers).status_code == 403
    for headers in (
        {"origin": HERE},
        {"sec-fetch-site": "same-origin", "origin": "https://front.example"},
        {"host": "localhost:7860"},
        {"host": "[::1]:7860"},
        {"host": "host.docker.internal:7860"},
    ):
        assert given(client, logits, {}, headers=headers).status_code == 200


def test_the_name_of_the_server_counts_where_only_this_machine_can_reach_it(client, model_folder):
    for address in ("/", "/ready", "/metrics", "/predict"):
        answer = client.get(address, headers={"host": "evil.example"})
        assert answer.status_code == 403
        assert "expected the address that was printed" in answer.json()["error"]
    open_to_all = client_of(model_folder, host="0.0.0.0", address="http://models.example")
    assert open_to_all.get("/ready").status_code == 200
    open_to_all.service.batcher.close()


def test_an_exported_file_takes_known_labels_with_the_picture_and_says_what_it_lacks(
    telling_file, telling_folder
):
    client = client_of(telling_file)
    stored = picture_bytes(3)
    found = look(client, stored).json()
    assert found["logits"] is None
    query = {"present": TELLING[0], "absent": TELLING[5]}
    moved = client.post("/predict", files={"picture": ("it.png", stored)}, params=query).json()
    known = {TELLING[0]: True, TELLING[5]: False}
    [expected] = Predictor(telling_folder)([stored], known=known)
    assert moved["probabilities"] == pytest.approx(expected.rounded(), abs=1e-4)
    assert moved["probabilities"] != found["probabilities"]
    page = client.get("/").text
    assert "An exported file does not show its label graph" in page
    assert '"moves": true' in page and '"explains": false' in page
    assert client.post("/explain", files={"picture": ("it.png", stored)}).status_code == 400
    answer = given(client, [0.0] * len(TELLING), {TELLING[0]: True})
    assert answer.status_code == 400 and "got an exported file" in answer.json()["error"]
    client.service.batcher.close()


def test_where_known_labels_move_nothing_the_advice_is_right_for_the_model(
    model_folder, telling_folder, telling_file, trained, tmp_path
):
    def advice(model, named=None):
        return advice_on_known(named or model, Predictor(model), "serve")

    assert advice(telling_folder) == advice(telling_file) == ""
    run = advice(trained)
    assert run == (
        f"Optional: `lcnet calibrate {trained} --evidence` lets a label that you mark change the "
        "others, where that helps. Then start `lcnet serve` again."
    )
    folder = advice(model_folder)
    assert f"lcnet calibrate {model_folder} --evidence --data.format FORMAT" in folder
    shared = advice(model_folder, "hf://user/name")
    assert "`lcnet import hf://user/name --out FOLDER` and `lcnet calibrate FOLDER" in shared
    file = export(model_folder, out=tmp_path / "plain.onnx")
    assert "`lcnet calibrate RUN --evidence` and `lcnet export RUN`" in advice(file)
    other = save_tiny_model(tmp_path / "other", LABELS, (0.5,) * 4)
    joined = ensemble([model_folder, other], out=tmp_path / "joined")
    assert f"lcnet calibrate {joined} --evidence --data.format FORMAT" in advice(joined)
    assert advice(save_tiny_model(tmp_path / "one", ["it"], [0.5])) == ""


def test_the_page_without_known_labels_has_no_clicks(plain):
    page = plain.get("/").text
    assert '"moves": false' in page
    assert (
        '<p class="legend quiet advice">\nFit it &lt;once&gt;.' in page
    )  # a quiet line, no warning
    assert "A click on a label" not in page
    logits = look(plain, picture_bytes(3)).json()["logits"]
    before = plain.service.predictor([picture_bytes(3)])[0].rounded()
    after = given(plain, logits, {LABELS[3]: True}).json()["probabilities"]
    assert after == pytest.approx({**before, LABELS[3]: 1.0}, abs=1e-5)


def test_what_is_advised_for_a_model_folder_runs(trained, colour_table, tmp_path):
    folder = shutil.copytree(trained / "model", tmp_path / "alone")
    data = ["--data.format", "table", "--data.root", str(colour_table), "--data.val", "val.csv"]
    with pytest.raises(SystemExit) as stopped:
        main(["calibrate", str(folder), "--evidence", *data])
    assert not stopped.value.code
