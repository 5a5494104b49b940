from concurrent.futures import ThreadPoolExecutor
from threading import Event, get_ident

import pytest

from lcnet.serving.batching import Batcher, Busy


@pytest.fixture
def made():
    """Makes batchers, and closes them."""
    batchers = []

    def make(work, **settings):
        usual = {"batch_size": 4, "seconds": 0.05, "max_waiting": 8}
        batchers.append(Batcher(work, **(usual | settings)))
        return batchers[-1]

    yield make
    for batcher in batchers:
        batcher.close()


def test_items_are_answered_together_by_one_thread_and_in_order(made):
    sizes, threads, go = [], set(), Event()

    def double(items):
        go.wait(10)
        sizes.append(len(items))
        threads.add(get_ident())
        return [2 * item for item in items]

    batcher = made(double)
    answers = [batcher.submit(item) for item in range(9)]
    go.set()
    assert [answer.result(10) for answer in answers] == [2 * item for item in range(9)]
    assert sizes == [4, 4, 1]
    assert threads == {batcher._thread.ident}


def test_a_batch_does_not_wait_for_more_than_its_time(made):
    batcher = made(lambda items: items, seconds=0.0, batch_size=100)
    assert batcher.submit("alone").result(10) == "alone"


def test_an_item_that_fails_does_not_spoil_the_others(made):
    batcher = made(lambda items: [10 // item for item in items])
    answers = [batcher.submit(item) for item in (1, 0, 5, 2)]
    assert [answers[n].result(10) for n in (0, 2, 3)] == [10, 2, 5]
    with pytest.raises(ZeroDivisionError):
        answers[1].result(10)
    assert batcher.submit(10).result(10) == 1


def test_places_are_bounded_and_given_back(made):
    batcher = made(lambda items: items, max_waiting=2)
    with batcher.place():
        with batcher.place():
            assert batcher.taken == 2
            with pytest.raises(Busy, match="2 requests are in work already"), batcher.place():
                pass
        with batcher.place():
            pass
    assert batcher.taken == 0


def test_places_are_counted_right_by_many_threads(made):
    batcher = made(lambda items: items, max_waiting=3)
    most = []

    def ask(item):
        try:
            with batcher.place():
                most.append(batcher.taken)
                return batcher.submit(item).result(10)
        except Busy:
            return None

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(1, 300)))
    assert max(most) <= 3 and batcher.taken == 0
    assert all(answer in (None, n) for n, answer in enumerate(answers, start=1))
    assert any(answers)


def test_closing_answers_what_was_submitted_and_takes_no_more():
    batcher = Batcher(lambda items: items, batch_size=2, seconds=0.5, max_waiting=9)
    answers = [batcher.submit(item) for item in range(5)]
    batcher.close()
    assert [answer.result(0) for answer in answers] == list(range(5))
    with pytest.raises(Busy, match="stopping"), batcher.place():
        pass
