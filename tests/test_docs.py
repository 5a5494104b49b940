"""Every link, anchor and path that a page, the code or a setting names leads somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "tests").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "benchmarks").glob("*.yaml"),
    *(ROOT / "configs").rglob("*.yaml"),
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its blocks of code, where `#` starts no heading and `](` no link."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return frozenset(heading.replace(" ", "-") for heading in plain)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_their_anchors_lead_somewhere(page: Path):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        leads_to = (page.parent / target).resolve() if target else page
        assert leads_to.exists(), f"{name_of(page)}: {target}"
        assert not anchor or anchor in anchors(leads_to), f"{name_of(page)}: {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_exist(page: Path):
    named = re.findall(r"`((?:src|tests|benchmarks|configs|docs)/[\w./-]+)", page.read_text())
    missing = [path for path in named if not (ROOT / path.rstrip(".")).exists()]
    assert missing == []


def test_modules_that_a_page_runs_exist():
    for page in PAGES:
        for module in re.findall(r"python -m (benchmarks[\w.]*|tests[\w.]*)", page.read_text()):
            path = ROOT / module.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").exists(), f"{name_of(page)}: {module}"


def test_files_that_the_architecture_names_exist():
    page = ROOT / "docs" / "architecture.md"
    named = re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py|/))`", page.read_text(encoding="utf-8"))
    homes = (ROOT, ROOT / "src" / "lcnet")
    assert [path for path in named if not any((home / path).exists() for home in homes)] == []


def test_files_that_the_method_names_exist():
    boxes = re.findall(r"`([a-z_]+\.py)`", (ROOT / "docs/reference/method.md").read_text())
    assert len(boxes) > 5
    assert [file for file in boxes if not (ROOT / "src/lcnet/model" / file).exists()] == []


def test_pages_that_the_code_names_exist():
    pattern = re.compile(r"\bdocs/[\w/-]*\w(?:\.\w+)?")
    missing = [
        f"{name_of(source)}: {path}"
        for source in SOURCES
        for path in pattern.findall(source.read_text(encoding="utf-8"))
        if not (ROOT / path).exists()
    ]
    assert missing == []


def test_pages_that_the_changelog_names_exist():
    named = re.findall(r"\bdocs/[\w/-]*\w\.md", (ROOT / "CHANGELOG.md").read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_index_has_every_page():
    index = ROOT / "docs" / "README.md"
    links = re.findall(r"\]\(([^)#]+)", index.read_text(encoding="utf-8"))
    listed = {(index.parent / link).resolve() for link in links}
    assert set((ROOT / "docs").rglob("*.md")) - listed == {index}
