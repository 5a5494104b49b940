"""What a user reads of work: what was done, how far it has come, how many bytes it takes."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import rich
import rich.progress
from rich.console import Console
from rich.markup import escape

Item = TypeVar("Item")


def tell(text: str) -> None:
    """Print a line, above the progress bar where there is one: both use rich's one console."""
    rich.get_console().print(text, markup=False, highlight=False, soft_wrap=True)


def track(items: Iterable[Item], what: str, total: int, *, quiet: bool = False) -> Iterator[Item]:
    """The items, with a bar on standard error meanwhile; one line where it is no terminal.

    Nothing is shown if `quiet`, nor where rich's one console is.
    """
    if quiet or rich.get_console().quiet:
        yield from items
        return
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        console.print(f"{what}: {total:,}", soft_wrap=True)
        yield from items
        return
    yield from rich.progress.track(items, escape(what), total, console=console, transient=True)


def disk_size(size: float) -> str:
    """Bytes on a disk as a user reads them, in powers of 1,000: 1.5 GB or 20.0 MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def memory_size(size: float) -> str:
    """Bytes of memory as a user reads them, in powers of 1,024: 1.5 GiB or 20 MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
