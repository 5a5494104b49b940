"""A real server in a process of its own: many clients and a signal (test_browser.py: the page)."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from tests.serving.conftest import Server, picture_bytes

MOST_GROWTH = 250e6
"""Bytes by which 200 requests may grow the process: a few decoded pictures and their batches."""


FLAGS = ("--max_waiting", "40", "--max_megabytes", "1", "--batch_ms", "300")


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def server(model_folder, temporary):
    server = Server(model_folder, temporary, *FLAGS)
    yield server
    server.end()


def test_twenty_clients_lose_none_of_two_hundred_requests(server):
    process = psutil.Process(server.process.pid)
    good = [picture_bytes(n, (800, 600), "JPEG") for n in range(3)]
    broken = [b"", good[0][:5000], b"<html>"]

    def ask(number: int) -> httpx.Response:
        stored = broken[number % 3] if number % 5 == 0 else good[number % 3]
        files = {"picture": (f"{number}.jpg", stored)}
        return httpx.post(f"{server.address}/predict", files=files, timeout=120)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ask, range(20)))  # what is set up at the first use is not growth
        before = process.memory_info().rss
        answers = list(pool.map(ask, range(200)))
    growth = process.memory_info().rss - before
    assert len(answers) == 200
    for number, answer in enumerate(answers):
        found = answer.json()
        assert found["image"] == f"{number}.jpg"
        if number % 5 == 0:
            assert answer.status_code == 422
            assert found["error"].startswith(f"{number}.jpg: not a readable picture: ")
        else:
            assert answer.status_code == 200
            first = answers[1 + [n % 3 for n in range(1, 5)].index(number % 3)].json()
            expected = pytest.approx(first["probabilities"], abs=0.01)
            assert found["probabilities"] == expected
    assert growth < MOST_GROWTH
    metrics = httpx.get(f"{server.address}/metrics").text
    assert 'lcnet_requests_total{outcome="ok"} 176.0' in metrics
    assert 'lcnet_requests_total{outcome="not_a_picture"} 44.0' in metrics
    assert "lcnet_queue_length 0.0" in metrics


@pytest.mark.parametrize("address", ["/file={secret}", "/graph/{secret}", "/graph/../{secret}"])
def test_no_path_of_the_server_is_served(server, temporary, address):
    secret = temporary / "mine.png"
    secret.write_text("secret words")
    answer = httpx.get(server.address + address.format(secret=secret))
    secret.unlink()
    assert answer.status_code == 404
    assert "secret words" not in answer.text


def test_at_a_signal_it_finishes_what_is_in_work_and_leaves_nothing(server, temporary):
    """Runs last: it stops the server of this file."""
    stored = picture_bytes(1, (400, 300))

    def ask(_: int) -> int:
        answer = httpx.post(f"{server.address}/predict", files={"p": stored}, timeout=60)
        return answer.status_code

    def in_work() -> float:
        text = httpx.get(f"{server.address}/metrics").text
        return float(re.search(r"^lcnet_queue_length (\S+)$", text, re.M)[1])

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, n) for n in range(8)]
        until = time.monotonic() + 30
        while in_work() < 8 and time.monotonic() < until and not all(a.done() for a in answers):
            pass
        code, said = server.stop()
        assert {answer.result() for answer in answers} == {200}
    assert (code, said.splitlines()[-1]) == (0, "stopped")
    assert list(temporary.iterdir()) == []
