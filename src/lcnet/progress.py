"""Tells a user how far long work has come."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import rich.progress
from rich.console import Console
from rich.markup import escape

Item = TypeVar("Item")


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, with a bar on standard error meanwhile; one line where it is no terminal."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        console.print(f"{what}: {total:,}", soft_wrap=True)
        yield from items
        return
    yield from rich.progress.track(items, escape(what), total, console=console, transient=True)
