"""The API, without a network (test_page.py has the page, test_server.py a real server)."""

import pytest
from starlette.testclient import TestClient
from tests.serving.conftest import picture_bytes

from lcnet.predicting.predictor import Predictor
from lcnet.serving.app import build_app
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits


@pytest.fixture(scope="module")
def service(model_folder):
    service = Service(
        Predictor(model_folder, batch_size=4),
        Limits(megabytes=0.1, pixels=10_000, waiting=4),
    )
    yield service
    service.batcher.close()


@pytest.fixture(scope="module")
def client(service):
    return TestClient(build_app(service))


def post(client, stored, name="it.png", **more):
    return client.post("/predict", files={"picture": (name, stored)}, **more)


def counted(client, outcome):
    lines = client.get("/metrics").text.splitlines()
    start = f'lcnet_requests_total{{outcome="{outcome}"}} '
    return float(next(line for line in lines if line.startswith(start)).removeprefix(start))


def test_a_picture_is_answered_as_predictor_answers(client, service, tmp_path):
    before = counted(client, "ok")
    (tmp_path / "it.png").write_bytes(picture_bytes(3))
    expected = service.predictor([tmp_path / "it.png"])[0].to_dict()
    answer = post(client, picture_bytes(3))
    assert answer.status_code == 200
    found = answer.json()
    assert found["image"] == "it.png"
    assert set(found["labels"]) == {"red", "green"} == set(expected["labels"])
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    assert counted(client, "ok") == before + 1


def post_all(client, *stored, query=""):
    files = [("pictures", (f"{place}.png", one)) for place, one in enumerate(stored)]
    return client.post(f"/predict{query}", files=files)


def test_several_pictures_are_answered_as_a_list_in_order(client, service):
    before = counted(client, "ok")
    given = [picture_bytes(seed) for seed in range(6)]
    answer = post_all(client, *given, query="?top=2")
    assert answer.status_code == 200
    expected = [one.to_dict() for one in service.predictor(given, top=2)]
    assert [row["image"] for row in answer.json()] == [f"{place}.png" for place in range(6)]
    for row, one in zip(answer.json(), expected, strict=True):
        assert list(row["probabilities"]) == list(one["probabilities"])
        assert row["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
    assert len({str(row["probabilities"]) for row in answer.json()}) == 6
    assert counted(client, "ok") == before + 1
    named = client.post("/predict", files={"a": ("x.png", given[0]), "b": ("y.png", given[1])})
    assert [row["image"] for row in named.json()] == ["x.png", "y.png"]


def test_each_of_several_pictures_has_its_own_error(client):
    answer = post_all(client, picture_bytes(1), b"none", picture_bytes(size=(101, 100)), b"")
    good, *bad = answer.json()
    assert answer.status_code == 200 and good["labels"]
    assert "not a readable picture: unknown format" in bad[0]["error"]
    assert "at most 10,000 pixels in all pictures of a request, got 11,300" in bad[1]["error"]
    assert "not a readable picture" in bad[2]["error"]
    assert all(set(row) == {"image", "error"} for row in bad)


def test_limits_hold_for_all_pictures_of_a_request(client):
    answer = post_all(client, *[picture_bytes(size=(60, 60))] * 4)
    assert ["error" in row for row in answer.json()] == [False, False, True, True]
    assert "Send it in another request" in answer.json()[2]["error"]
    answer = post_all(client, *[b"x" * 40_000] * 3)  # 0.12 MB
    assert answer.status_code == 413
    assert "expected at most 0.1 MB in a request" in answer.json()["error"]
    answer = post_all(client, *[picture_bytes(size=(2, 2))] * 65)
    assert answer.status_code == 400 and "number of files is 64" in answer.json()["error"]


def test_a_picture_on_which_the_model_fails_spoils_no_other(client, service, monkeypatch):
    whole = service.predictor.score_pixels

    def fail(names, pixels, known):
        if "1.png" in names:
            raise RuntimeError("/secret/path")
        return whole(names, pixels, known)

    monkeypatch.setattr(service.predictor, "score_pixels", fail)
    first, second, third = post_all(client, *map(picture_bytes, range(3))).json()
    assert first["labels"] and third["labels"]
    assert "the model failed (RuntimeError)" in second["error"] and "secret" not in str(second)


def test_a_query_chooses_the_labels(client, service):
    whole = post(client, picture_bytes(3)).json()["probabilities"]
    best = max(whole, key=whole.get)
    for query, labels in (
        ("top=1", [best]),
        ("only=none&only=blue <b>", ["none", "blue <b>"]),
        ("top=0", list(whole)),
        ("top=99", sorted(whole, key=lambda label: -whole[label])),
    ):
        answer = client.post(f"/predict?{query}", files={"picture": ("it.png", picture_bytes(3))})
        found = answer.json()
        assert list(found["probabilities"]) == labels
        assert found["probabilities"] == pytest.approx({name: whole[name] for name in labels})
        assert set(found["labels"]) == {"red", "green"} & set(labels)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("top=some", "top: expected a whole number such as 5, got 'some'"),
        ("top=-1", "top: expected a whole number"),
        ("top=" + "9" * 5000, "top: expected a whole number"),
        ("only=rad", "only: no label is called 'rad', the nearest of the 4 is 'red'"),
        ("only=red&only=red", "only: expected each label once"),
    ],
)
def test_a_query_that_cannot_be_met_is_answered_with_a_message(client, query, says):
    before = counted(client, "bad_request")
    answer = client.post(f"/predict?{query}", files={"picture": ("it.png", picture_bytes())})
    assert answer.status_code == 400 and answer.json()["error"].startswith(says)
    assert counted(client, "bad_request") == before + 1


@pytest.mark.parametrize(
    ("stored", "status", "outcome", "message"),
    [
        (b"none", 422, "not_a_picture", "it.png: not a readable picture: unknown format"),
        (picture_bytes(size=(101, 100)), 413, "too_large", "at most 10,000 pixels, got 101 x 100"),
        (b"x" * 110_000, 413, "too_large", "expected at most 0.1 MB"),
        (b"x" * 200_000, 413, "too_large", "expected at most 0.1 MB"),
    ],
)
def test_what_cannot_be_taken_is_answered_with_a_message(client, stored, status, outcome, message):
    before = counted(client, outcome)
    answer = post(client, stored)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert counted(client, outcome) == before + 1


def test_a_request_without_a_picture_is_told_what_to_send(client):
    for answer in (
        client.post("/predict"),
        client.post("/predict", data={"picture": "/etc/hostname"}),
        client.post("/predict", content=b"x", headers={"content-type": "multipart/form-data"}),
    ):
        assert answer.status_code == 400
        assert "end one" in answer.json()["error"]


def test_a_full_server_says_so(client, service):
    places = [service.batcher.place() for _ in range(4)]
    for place in places:
        place.__enter__()
    try:
        answer = post(client, picture_bytes())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"].startswith("4 requests are in work already")
        assert "lcnet_queue_length 4.0" in client.get("/metrics").text
    finally:
        for place in places:
            place.__exit__(None, None, None)
    assert post(client, picture_bytes()).status_code == 200


def test_a_model_that_fails_is_said_and_the_server_goes_on(client, service, monkeypatch):
    def fail(*_):
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(service.predictor, "score_pixels", fail)
    answer = post(client, picture_bytes())
    assert answer.status_code == 500
    assert "RuntimeError" in answer.json()["error"] and "secret" not in answer.text
    monkeypatch.undo()
    assert post(client, picture_bytes()).status_code == 200


def test_ready_and_metrics_and_their_description(client):
    assert client.get("/ready").json() == {"ready": True}
    text = client.get("/metrics").text
    for name in ("lcnet_pictures_total", "lcnet_request_seconds_bucket", "lcnet_queue_length"):
        assert name in text
    described = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    assert set(described["responses"]) >= {"200", "400", "413", "422", "503"}
    assert "multipart/form-data" in described["requestBody"]["content"]


def test_what_is_not_there_is_said(client):
    answer = client.get("/etc/hostname")
    assert answer.status_code == 404
    assert answer.json() == {"error": "no such address. See /openapi.json."}
    answer = client.get("/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "not asked in this way" in answer.json()["error"]
