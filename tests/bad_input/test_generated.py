"""A few of the generated bad inputs; `make stress` has hundreds."""

from pathlib import Path

import pytest
from tests.bad_input.generate import generate


@pytest.mark.parametrize("number", range(1000, 1010))
def test_a_generated_bad_input_ends_as_it_must(world: Path, tmp_path: Path, number: int) -> None:
    case = generate(number, 0, world, tmp_path / "place")
    assert case.outcome.faults() == [], str(case)
