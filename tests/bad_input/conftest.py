from pathlib import Path

import pytest
from tests.bad_input.judge import fresh
from tests.bad_input.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command works."""
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture
def place(world: Path, tmp_path: Path) -> Path:
    """A copy of the world to spoil, as the working directory of a command."""
    return fresh(world, tmp_path / "place")
