"""What a release is made of says the same everywhere: version, Pythons, make targets, licence."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = {file.stem: file for file in (ROOT / ".github" / "workflows").glob("*.yml")}


def workflow(name: str) -> dict:
    """A workflow; YAML 1.1 reads the key `on` as true."""
    return yaml.safe_load(WORKFLOWS[name].read_text())


def steps(name: str) -> list[dict]:
    jobs = workflow(name)["jobs"].values()
    return [step for job in jobs for step in job.get("steps", ())]


def test_the_versions_are_one():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(cited["version"]) == PROJECT["version"]
    assert str(Version(PROJECT["version"])) == PROJECT["version"]


def test_the_changelog_goes_from_what_comes_to_what_was():
    heads = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert heads[0] == "Unreleased" or heads[0].split()[0] == PROJECT["version"]
    released = [Version(head.split()[0]) for head in heads if head != "Unreleased"]
    assert released == sorted(released, reverse=True)
    assert all(version <= Version(PROJECT["version"]) for version in released)


def test_the_pythons_are_one():
    classified = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.M)
    matrix = workflow("ci")["jobs"]["wheel"]["strategy"]["matrix"]["python"]
    assert matrix == classified
    assert PROJECT["requires-python"] == f">={classified[0]}"


def test_the_licence_is_there_and_named_alike():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["license"] == PROJECT["license"] == "Apache-2.0"
    [file] = PROJECT["license-files"]
    assert "Apache License" in (ROOT / file).read_text()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_runs_make_targets_that_there_are(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    runs = [step["run"] for step in steps(name) if "run" in step]
    named = {re.fullmatch(r"make ([a-z-]+)( \w+=\S+)*", run)[1] for run in runs}
    assert named <= targets


def test_a_change_is_checked_tested_documented_and_built():
    runs = {step["run"] for step in steps("ci") if "run" in step}
    assert runs == {"make check", "make test", "make docs", "make wheel-fresh"}


def test_only_the_upload_may_ask_for_an_identity_and_only_after_all_else():
    release = workflow("release")
    assert release[True] == {"push": {"tags": ["v*"]}}
    assert release["permissions"] == workflow("ci")["permissions"] == {"contents": "read"}
    jobs = release["jobs"]
    assert jobs["checked"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in workflow("ci")[True]
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("checked", "build")
    allowed = {name: job["permissions"] for name, job in jobs.items() if "permissions" in job}
    assert allowed == {"publish": {"id-token": "write"}}
    assert not re.search(r"secrets\.|password", WORKFLOWS["release"].read_text().lower().replace(
        "(no stored password)", ""
    ))  # fmt: skip
