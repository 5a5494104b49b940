"""What `make docs` adds to the pages: the project's own files, and the notebooks.

They stand outside of docs/, where GitHub and Jupyter look for them.
"""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
NOTEBOOKS = "notebooks"
WORKER = "https://unpkg.com/iframe-worker/shim"
"""What the theme's offline plugin would fetch."""


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside of docs/."""
    for name in BESIDE:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    for notebook in sorted((ROOT / NOTEBOOKS).glob("*.ipynb")):
        name = f"{NOTEBOOKS}/{notebook.name}"
        files.append(File.generated(config, name, abs_src_path=str(notebook)))
        page = notebook_as_markdown(notebook)
        files.append(File.generated(config, f"{NOTEBOOKS}/{notebook.stem}.md", content=page))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that leave docs/ into links to the pages that were added."""
    up = "../" * page.file.src_uri.count("/")
    names = "|".join(re.escape(name) for name in BESIDE)
    markdown = re.sub(rf"\]\({up}\.\./({names})", rf"]({up}\1", markdown)
    notebooks = rf"\]\({up}\.\./{NOTEBOOKS}/(\w+)\.ipynb"
    return re.sub(notebooks, rf"]({up}{NOTEBOOKS}/\1.md", markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Take the script for the search on pages from the disk from here, not from the network."""
    return _own_worker(output, "../" * page.file.dest_uri.count("/"))


def on_post_template(output: str, *, template_name: str, config: MkDocsConfig) -> str:
    """The same for the page of addresses that do not exist."""
    return _own_worker(output, "/")


def _own_worker(html: str, root: str) -> str:
    return html.replace(WORKER, f"{root}site/worker.js")


def notebook_as_markdown(notebook: Path) -> str:
    """The cells of a notebook with their outputs, as a page."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    title, *rest = (_cell(cell) for cell in cells)
    offer = f"[Download the notebook]({notebook.name}){{ .md-button download }}"
    return "\n\n".join([title, offer, *rest])


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source.replace("](../docs/", "](../")
    shown = [f"```python\n{source}\n```", *map(_output, cell["outputs"])]
    return "\n\n".join(shown)


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        png = "".join(data["image/png"]).replace("\n", "")
        return f"![{''.join(data['text/plain'])}](data:image/png;base64,{png})"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"``` {{ .text .output }}\n{text}\n```"
