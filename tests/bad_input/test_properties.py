"""What holds of the readers for any bytes, and of descriptions for any values."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.__main__ import changed
from tests.fuzz.targets import TARGETS, seeds

from lcnet.errors import LONGEST, DataError, one_line
from lcnet.model_folder import UNUSABLE, ModelInfo
from lcnet.schema import unfit_name

EXAMPLES = {"config": 10, "published": 20}
"""Of targets that take longer; 40 of the others."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=8,
)
DESCRIBED: dict[str, Any] = json.loads(seeds("model_json")[0])


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused_in_one_line(name: str) -> None:
    starts = seeds(name)

    @settings(max_examples=EXAMPLES.get(name, 40), deadline=None, derandomize=True, database=None)
    @given(st.binary(max_size=200) | st.integers(0, 2**32))
    def holds(content: bytes | int) -> None:
        if isinstance(content, int):
            rng = random.Random(content)
            content = changed(rng.choice(starts), rng)
        TARGETS[name](content)

    holds()


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data())
def test_a_description_with_any_value_in_any_field_is_read_or_refused(data: st.DataObject) -> None:
    content = json.loads(json.dumps(DESCRIBED))
    inside, key = content, data.draw(st.sampled_from(sorted(content)))
    while isinstance(inside[key], dict) and inside[key] and data.draw(st.booleans()):
        inside = inside[key]
        key = data.draw(st.sampled_from(sorted(inside)))
    inside[key] = data.draw(VALUES)
    try:
        made = ModelInfo.from_dict(content)
    except UNUSABLE:
        return
    assert ModelInfo.from_dict(json.loads(made.to_json())) == made
    assert made.model.image_size <= 16_384


@given(st.text())
def test_a_message_is_one_line_of_bounded_length(text: str) -> None:
    shown = str(DataError(text * 50))
    assert len(shown) <= LONGEST + 10
    assert shown.isprintable()
    assert shown == one_line(shown)


@given(st.text(min_size=1, max_size=50))
def test_a_fit_name_can_be_written_and_stands_in_one_line(name: str) -> None:
    if not unfit_name(name):
        assert len(name.splitlines()) == 1
        name.encode("utf-8")
