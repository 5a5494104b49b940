"""The site of `make docs` has every page once, and the API reference every public name once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import lcnet

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Pages of the project that the site shows too (docs/site/pages.py)."""


class Settings(yaml.SafeLoader):
    """Reads mkdocs.yml, where one value names a function of a package that builds the site."""


Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, tag, node: tag)


def pages_of(nav: Any) -> Iterator[str]:
    """The pages that a part of the navigation names, in order."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from pages_of(part)


def test_the_navigation_has_every_page_once():
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Settings)
    named = list(pages_of(settings["nav"]))
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    notebooks = [f"notebooks/{notebook.stem}.md" for notebook in NOTEBOOKS]
    assert sorted(named) == sorted([*pages, *BESIDE, *notebooks])
    assert all((ROOT / page).is_file() for page in BESIDE)


def test_the_api_reference_has_every_public_name_once():
    pages = sorted((DOCS / "api").glob("*.md"))
    shown = [
        name
        for page in pages
        for name in re.findall(r"^::: lcnet\.(\w+)$", page.read_text(encoding="utf-8"), re.M)
    ]
    assert sorted(shown) == sorted(lcnet.__all__)


def test_links_of_the_notebooks_lead_somewhere():
    for notebook in NOTEBOOKS:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
        assert links, f"{notebook.name}: no link to the documentation"
        assert [link for link in links if not (notebook.parent / link).exists()] == []


def test_the_index_names_every_notebook():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) >= 3
    assert [book.name for book in NOTEBOOKS if f"(../notebooks/{book.name})" not in index] == []
