"""The house of docs/architecture.md: a room knows only rooms of rows below, and has no cycle."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "lcnet"
PAGE = ROOT / "docs" / "architecture.md"


@cache
def rows() -> tuple[tuple[str, ...], ...]:
    """The rows of rooms that the page shows, from the top down."""
    drawn = re.search(r"^```rooms\n(.+?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert drawn, "docs/architecture.md: no block of rooms"
    return tuple(tuple(row.split()) for row in drawn[1].splitlines())


@cache
def files() -> dict[str, Path]:
    """Every module of the package by its dotted name, a package's own file by the package's."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def room_of(module: str) -> str:
    return module.partition(".")[0]


def row_of(room: str) -> int:
    return next(number for number, row in enumerate(rows()) if room in row)


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of lcnet that a module imports, also inside functions."""
    modules = set()
    for node in ast.walk(ast.parse(files()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lcnet":
            inner = (node.module or "").removeprefix("lcnet").removeprefix(".")
            for alias in node.names:
                submodule = f"{inner}.{alias.name}".removeprefix(".")
                modules.add(submodule if submodule in files() else inner or "__init__")
        if isinstance(node, ast.Import):
            modules |= {
                alias.name.removeprefix("lcnet.")
                for alias in node.names
                if alias.name.split(".")[0] == "lcnet"
            }
    return frozenset(modules)


def arrows() -> set[tuple[str, str]]:
    """From which room to which other one there are imports."""
    return {
        (room_of(module), room_of(target))
        for module in files()
        for target in imports(module)
        if room_of(module) != room_of(target)
    }


def cycle_from(module: str) -> list[str]:
    """The modules on a way of imports from a module back to itself; empty if there is none."""
    ways, seen = [[module]], {module}
    while ways:
        way = ways.pop()
        for target in imports(way[-1]):
            if target == module:
                return [*way, module]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def test_the_page_shows_every_room_and_no_other():
    shown = [room for row in rows() for room in row]
    assert sorted(shown) == sorted({room_of(module) for module in files()})
    assert len(rows()) <= 15


def test_arrows_between_rooms_run_down_only():
    back = {(room, other) for room, other in arrows() if row_of(room) >= row_of(other)}
    assert back == set()


@pytest.mark.parametrize("module", sorted(files()))
def test_a_file_is_in_no_cycle(module):
    assert cycle_from(module) == []


def test_the_house_can_be_held_in_the_head():
    above: dict[str, set[str]] = {}
    for room, other in arrows():
        above.setdefault(room, set()).add(other)

    @cache
    def floors(room: str) -> int:
        return 1 + max((floors(other) for other in above.get(room, ())), default=0)

    rooms = {room_of(module) for module in files()}
    assert len(rooms) <= 26
    assert max(floors(room) for room in rooms) <= 11
    assert len([path for path in SOURCE.glob("*.py") if path.stem[0] != "_"]) <= 11


def loaded_by(modules: str, packages: set[str]) -> set[str]:
    """Those of the packages that importing the modules loads."""
    code = f"import sys, {modules}; print(*({packages} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["lcnet", "lcnet.cli", "lcnet.metrics"])
def test_importing_the_command_line_does_not_import_torch(module):
    assert loaded_by(module, {"torch", "lightning_fabric"}) == set()


def test_who_evaluates_reports_checks_or_predicts_loads_no_training_engine():
    modules = (
        "lcnet.evaluating.evaluate, lcnet.evaluating.calibrate, lcnet.reporting.report, "
        "lcnet.reporting.push, lcnet.checking.check, lcnet.predicting.predict"
    )
    engine = {"lightning_fabric", "tensorboard", "ray", "transformers", "onnxruntime"}
    seldom = {"scipy", "sklearn", "pandas", "matplotlib"}  # imported where they are used
    assert loaded_by(modules, engine | seldom) == set()
