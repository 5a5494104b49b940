import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.predicting.test_known import known_table, with_evidence

from lcnet.serving.labelling.app import build_app
from lcnet.serving.labelling.desk import Desk, open_desk

ROWS = ["images/val0.png,1,,", "images/val3.png,,1,", "images/val4.png,,,", "images/val5.png,1,0,1"]


@pytest.fixture(scope="session")
def run(trained_once, tmp_path_factory) -> Path:
    """A run whose labels tell of each other: only to be read."""
    return with_evidence(
        shutil.copytree(trained_once / "run", tmp_path_factory.mktemp("telling") / "run")
    )


@pytest.fixture
def table(colour_table, tmp_path) -> Path:
    """Four pictures with seven blank cells in three of them."""
    return known_table(tmp_path, ROWS)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "labelled.csv"


@pytest.fixture
def opened(run, table, out):
    """Opens the table once more, as a process of its own would."""

    def opened(annotator: str = "") -> "Page":
        return Page(open_desk(run, table, out, annotator=annotator, batch_size=2))

    return opened


class Page:
    """A window on a desk's page."""

    def __init__(self, desk: Desk, window: str = "one") -> None:
        self.desk, self.window = desk, window
        self.client = TestClient(build_app(desk), base_url="http://127.0.0.1:7870")

    def other(self, window: str) -> "Page":
        """Another window on the same desk."""
        return Page(self.desk, window)

    def call(self, name: str, status: int = 200, **values: Any) -> dict[str, Any]:
        given = {"table": self.desk.table, "window": self.window, **values}
        answer = self.client.post(f"/{name}", json=given)
        assert answer.status_code == status, answer.text
        return answer.json()

    def answer(self, picture: int, label: str, now: bool | None, was: bool | None = None) -> dict:
        return self.call("answer", picture=picture, changes={label: [was, now]})
