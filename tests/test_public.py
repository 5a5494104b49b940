"""What `import lcnet` gives: functions and classes, and nothing heavy before they are used."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import lcnet
from lcnet.cli.verbs import VERBS

SOURCE = Path(lcnet.__file__)


@pytest.mark.parametrize("name", lcnet.__all__)
def test_every_public_name_is_found_and_explained(name):
    found = getattr(lcnet, name)
    assert callable(found)
    assert inspect.getdoc(found)


def test_the_names_for_type_checkers_are_the_public_ones():
    block = next(
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    )
    homes = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == lcnet._HOMES
    assert sorted(lcnet.__all__) == sorted(homes)


def test_every_verb_is_a_public_function():
    for verb in VERBS.values():
        assert getattr(lcnet, verb.function.__name__) is verb.function


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, lcnet; lcnet.train, lcnet.predict, lcnet.Config; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
