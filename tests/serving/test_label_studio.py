"""Label Studio's ML backend protocol, against a small server that gives pictures as it does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.testclient import TestClient
from tests.serving.conftest import LABELS, picture_bytes

from lcnet.cli import main
from lcnet.data.readers import load_split
from lcnet.data.recognising import data_at
from lcnet.errors import ConfigError
from lcnet.predicting.label_studio import control_of, labelling_config
from lcnet.predicting.predictor import Predictor
from lcnet.serving.app import build_app
from lcnet.serving.label_studio import TOKEN, LabelStudio
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits

CONFIG = labelling_config(LABELS)


class Pictures(BaseHTTPRequestHandler):
    """Gives pictures to those who have the token, as Label Studio does."""

    exchanged = 0
    """How often a personal token was exchanged; the last one is good."""
    asked = 0
    over_at = 0
    """The number of the request for a picture at which the last token is over; 0 for never."""
    over = ""

    def do_GET(self) -> None:
        kind, token = type(self), self.headers.get("Authorization")
        kind.asked += 1
        if kind.asked == kind.over_at:
            kind.over = token
        allowed = token in ("Token secret", f"Bearer {kind.exchanged}") and token != kind.over
        content = picture_bytes(3) if allowed and self.path == "/data/upload/1/it.png" else b""
        self._answer(200 if content else 404 if allowed else 401, content)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        granted = self.path == "/api/token/refresh" and asked == {"refresh": "a.b.c"}
        type(self).exchanged += granted
        content = json.dumps({"access": str(type(self).exchanged)}).encode() if granted else b"{}"
        self._answer(200 if granted else 401, content)

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def service(model_folder):
    service = Service(
        Predictor(model_folder, batch_size=4), Limits(megabytes=0.1, pixels=10_000, waiting=4)
    )
    yield service
    service.batcher.close()


@pytest.fixture
def client(service, address, tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "secret")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "local.png").write_bytes(picture_bytes(3))
    (tmp_path / "outside.png").write_bytes(picture_bytes(3))
    return TestClient(build_app(service, LabelStudio(address, tmp_path / "files")))


def ask(client, *pictures: object, config: str = CONFIG):
    tasks = [{"id": n, "data": {"image": picture}} for n, picture in enumerate(pictures)]
    return client.post("/predict", json={"tasks": tasks, "label_config": config, "params": {}})


def test_it_is_healthy_and_says_its_version(client):
    assert client.get("/health").json()["status"] == "UP"
    version = client.post("/setup", json={"project": "1.2", "schema": CONFIG}).json()
    assert version["model_version"].startswith("model ")


@pytest.mark.parametrize("token", ["secret", "a.b.c"])
def test_a_task_is_answered_as_predictor_answers(client, service, address, monkeypatch, token):
    monkeypatch.setenv(TOKEN, token)
    [expected] = service.predictor([picture_bytes(3)])
    for picture in (
        "/data/upload/1/it.png",
        f"{address}/data/upload/1/it.png",
        "/data/local-files/?d=local.png",
    ):
        answer = ask(client, picture)
        assert answer.status_code == 200
        [result] = answer.json()["results"]
        assert result["result"] == [
            {
                "from_name": "labels",
                "to_name": "image",
                "type": "choices",
                "value": {"choices": list(expected.labels)},
            }
        ]
        lowest = min(expected.probabilities[label] for label in expected.labels)
        assert result["score"] == pytest.approx(lowest, abs=1e-5)


@pytest.mark.parametrize(("over_at", "exchanges"), [(0, 1), (6, 2)])
def test_a_personal_token_is_exchanged_once_for_all_tasks_until_it_is_over(
    client, monkeypatch, over_at, exchanges
):
    monkeypatch.setenv(TOKEN, "a.b.c")
    monkeypatch.setattr("lcnet.serving.label_studio.FRESH", 0 if over_at else 60)
    for name, value in {"exchanged": 0, "asked": 0, "over_at": over_at, "over": ""}.items():
        monkeypatch.setattr(Pictures, name, value)
    tasks = ["/data/upload/1/it.png"] * 9
    tasks[4] = "/data/upload/1/other.png"
    found = ask(client, *tasks).json()["results"]
    assert [bool(each["result"]) for each in found] == [n != 4 for n in range(9)]
    assert Pictures.exchanged == exchanges


def test_a_token_that_is_refused_spoils_no_local_file(client, monkeypatch):
    monkeypatch.setenv(TOKEN, "not.my.token")
    first, second = ask(client, "/data/upload/1/it.png", "/data/local-files/?d=local.png").json()[
        "results"
    ]
    assert not first["result"] and second["result"]


@pytest.mark.parametrize(
    "picture",
    [
        "/data/local-files/?d=../outside.png",
        "/data/local-files/?d=missing.png",
        "/data/upload/1/other.png",
        "http://127.0.0.1:9/data/upload/1/it.png",
        "file:///etc/passwd",
        None,
        7,
    ],
)
def test_a_picture_from_elsewhere_has_no_labels_and_spoils_no_other(client, picture):
    first, second = ask(client, picture, "/data/local-files/?d=local.png").json()["results"]
    assert (first["result"], first["score"]) == ([], 0.0)
    assert second["result"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("<View/>", "expected <Choices> of an <Image> with labels of the model"),
        ("<View", "expected Label Studio's XML"),
        (labelling_config(["cat", "dog"]), "with labels of the model"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View/>', "expected Label Studio's XML"),
    ],
)
def test_a_project_without_the_model_s_labels_is_refused(client, config, message):
    answer = ask(client, "/data/local-files/?d=local.png", config=config)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"tasks": 1}'])
def test_what_is_no_request_of_label_studio_is_refused(client, content):
    answer = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_pictures_in_a_form_are_answered_as_before(client):
    answer = client.post("/predict", files={"picture": ("it.png", picture_bytes(3))})
    assert set(answer.json()["labels"]) == {"red", "green"}


def test_without_a_label_studio_json_is_no_picture(service):
    answer = ask(TestClient(build_app(service)), "/data/upload/1/it.png")
    assert answer.status_code == 400
    assert "no picture in the request" in answer.json()["error"]


def test_the_control_with_most_of_the_labels_is_taken():
    config = """<View><Image name="pic" value="$photo"/><Image name="p2" value="$other"/>
      <Choices name="few" toName="pic"><Choice value="red"/></Choices>
      <Choices name="most" toName="pic"><Choice value="R" alias="red"/><Choice value="green"/>
      </Choices></View>"""
    control = control_of(config, LABELS)
    assert (control.name, control.picture, control.key) == ("most", "pic", "photo")
    assert control.choices == ("red", "green")


@pytest.mark.parametrize("address", ["localhost:8080", "ftp://it", ""])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ConfigError, match="expected the address of Label Studio"):
        LabelStudio(address, None)


def test_tasks_with_predictions_can_be_imported_and_read_back(model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it 1.png").write_bytes(picture_bytes(3))
    (tmp_path / "broken.png").write_bytes(b"")
    words = ["predict", str(model_folder), "it 1.png", "broken.png", "--out", "tasks.json"]
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--label_studio", "/data/local-files/?d="])
    assert stopped.value.code == 1  # one picture is broken
    first, second = json.loads((tmp_path / "tasks.json").read_text())
    assert first["data"] == {"image": "/data/local-files/?d=it%201.png"}
    assert first["predictions"][0]["result"][0]["value"]["choices"]
    assert second["predictions"] == []
    assert (tmp_path / "tasks.xml").read_text() == CONFIG
    # As Label Studio exports it once somebody has accepted the prediction.
    annotated = {
        "id": 1,
        "data": {"image": "it 1.png"},
        "annotations": [{"id": 1, "result": first["predictions"][0]["result"]}],
    }
    (tmp_path / "export.json").write_text(json.dumps([annotated]))
    data = data_at(tmp_path / "export.json", quiet=True, divide=False)
    assert (load_split(data, data.train).targets == 1).any()
