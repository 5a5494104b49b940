"""What is printed while work goes on: lines, a progress bar, and sizes in bytes."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import rich
import rich.progress
from rich.console import Console
from rich.markup import escape

Item = TypeVar("Item")


def tell(text: str) -> None:
    """Print a line, above the progress bar if one is shown."""
    # The bar and the line must share rich's global console, or the bar is torn.
    rich.get_console().print(text, markup=False, highlight=False, soft_wrap=True)


def track(items: Iterable[Item], what: str, total: int, *, quiet: bool = False) -> Iterator[Item]:
    """The items, with a progress bar on standard error while they are taken.

    If standard error is not a terminal, one line is printed instead. Nothing is shown if `quiet`,
    or if rich's global console is quiet (as in all processes of a training but the first).
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


def next_lines(commands: Iterable[str]) -> str:
    """What one does next: commands that can be given as they stand, below each other."""
    return "next: " + "\n      ".join(commands)


def disk_size(size: float) -> str:
    """Bytes on a disk in words, in powers of 1,000: 1.5 GB or 20.0 MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def memory_size(size: float) -> str:
    """Bytes of memory in words, in powers of 1,024: 1.5 GiB or 20 MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
