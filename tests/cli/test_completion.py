"""The script for bash completes in a real bash; those of other shells name the same flags."""

import shlex
import shutil
import subprocess
import sys

import pytest

from lcnet.cli import build_parser
from lcnet.cli.completion import SHELLS, completion_script
from lcnet.cli.verbs import VERBS

LCNET = (sys.executable, "-m", "lcnet")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script for bash, as the command prints it."""
    command = [*LCNET, "--print_completion", "bash"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    file = tmp_path_factory.mktemp("completion") / "lcnet.bash"
    file.write_text(printed)
    return file


@pytest.fixture
def complete(script, tmp_path):
    """What bash offers for the last word of a command."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")

    def complete(command: str) -> set[str]:
        words = command.split(" ")
        asked = (
            f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(words)}); "
            f"COMP_CWORD={len(words) - 1}; COMP_LINE={shlex.quote(command)}; "
            f'COMP_POINT={len(command)}; $(complete -p lcnet | sed "s/.*-F //; s/ .*//") lcnet '
            f"{shlex.quote(words[-1])}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        done = subprocess.run(
            [bash, "--norc", "-c", asked], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert done.stderr == ""
        return {word.rstrip() for word in done.stdout.splitlines() if word}

    return complete


def test_bash_completes_verbs(complete):
    assert complete("lcnet ") >= set(VERBS)
    assert complete("lcnet pre") == {"predict"}
    assert complete("lcnet --pr") == {"--print_completion"}


def test_bash_completes_the_flags_of_the_verb(complete):
    assert complete("lcnet train --model.crop") == {"--model.crop_level"}
    assert complete("lcnet train runs --train.label_sm") == {"--train.label_smoothing"}
    assert complete("lcnet predict --model.crop") == set()
    assert complete("lcnet calibrate runs/x --res") == {"--reset"}


def test_bash_completes_values_and_files(complete, tmp_path):
    assert complete("lcnet train --model.head c") == {"csra"}
    assert complete("lcnet train --model.pretrained ") == {"true", "false"}
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "runs").mkdir()
    assert complete("lcnet train --config m") == {"mine.yaml"}
    assert complete("lcnet evaluate r") == {"runs"}
    assert complete("lcnet --print_completion z") == {"zsh"}


@pytest.fixture(scope="module")
def whole():
    """A parser of all verbs to make scripts of, which spoils it."""
    return build_parser()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_the_flags_of_every_verb(shell, whole, parser):
    script = completion_script(whole, shell)
    verb = parser._subcommands_action.choices["predict"]
    flags = {flag for action in verb._actions for flag in action.option_strings[-1:]}
    assert flags >= {"--help", "--known", "--format"}
    assert {flag for flag in flags if flag.strip("-") not in script} == set()
    assert all(name in script for name in VERBS)
