"""What is printed while work goes on: lines, a progress bar, and sizes in bytes."""

import re
import shutil
import textwrap
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # rich is imported where something is printed: help must not wait for it
    from rich.console import Console

Item = TypeVar("Item")
SECONDS_A_LINE = 60.0
"""Between two lines on what is done, where no bar can be shown."""


COMMAND = re.compile(r"(: |^ +)lcnet ")
"""How a command begins that is to be copied."""


def tell(text: str) -> None:
    """Print lines, above the progress bar if one is shown; long ones as `paragraph` does."""
    import rich

    text = "\n".join(map(paragraph, text.split("\n")))
    # The bar and the line must share rich's global console, or the bar is torn.
    rich.get_console().print(text, markup=False, highlight=False, soft_wrap=True)


def paragraph(text: str, *, hang: int = 2) -> str:
    """A line as several that fit the terminal, all but the first one indented by `hang`.

    It stays one line where no terminal shows it, so that logs and pipes have whole lines; and where
    it names a command, which must not be torn.
    """
    import rich

    if COMMAND.search(text) or not rich.get_console().is_terminal:
        return text
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


COMMAND_WITHIN = re.compile(r"(?<=: )lcnet .*?(?=\.? \(|\. (?=[A-Z])|, or |\.?$)")
"""A command within a sentence, which ends with the sentence."""


def on_lines(text: str, *, columns: int, hang: int = 2) -> str:
    """A message as lines of at most so many columns that break between words alone.

    A command in it has a line of its own, whole however long, so that it can be copied.
    """
    lines, at = list[str](), 0
    for found in COMMAND_WITHIN.finditer(text):
        lines += [text[at : found.start()], found[0]]
        at = found.end()
    lines.append(text[at:].lstrip(". ") if lines else text)
    shown = []
    for number, line in enumerate(lines):
        indent = " " * hang if number else ""
        if number % 2:
            shown.append(f"{indent}{line}")
        elif line.strip():
            shown.append(
                textwrap.fill(
                    line.strip(),
                    columns,
                    initial_indent=indent,
                    subsequent_indent=" " * hang,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
    return "\n".join(shown)


def track(items: Iterable[Item], what: str, total: int, *, quiet: bool = False) -> Iterator[Item]:
    """The items, with a progress bar on standard error while they are taken.

    If standard error is not a terminal, a line is printed instead, and one a minute after that.
    Both say how many are done in a second. Nothing is shown if `quiet`,
    or if rich's global console is quiet (as in all processes of a training but the first).
    """
    import rich
    from rich.console import Console

    if quiet or rich.get_console().quiet:
        yield from items
        return
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield from _with_lines(items, what, total, console)
        return
    yield from _with_bar(items, what, total, console)


def _with_bar(items: Iterable[Item], what: str, total: int, console: "Console") -> Iterator[Item]:
    from rich.markup import escape
    from rich.progress import Progress, ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        """How many items a second are done."""

        def render(self, task: Task) -> Text:
            rate = task.finished_speed or task.speed
            return Text("" if rate is None else f"{rate:,.1f}/s")

    columns = (*Progress.get_default_columns(), Rate())
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total, description=escape(what))


def _with_lines(items: Iterable[Item], what: str, total: int, console: "Console") -> Iterator[Item]:
    """The items; a line at the beginning, and one whenever `SECONDS_A_LINE` have passed."""
    console.print(f"{what}: {total:,}", soft_wrap=True)
    started = said = time.monotonic()
    for number, item in enumerate(items):
        if (now := time.monotonic()) - said >= SECONDS_A_LINE:
            said = now
            rate = number / (now - started)
            console.print(f"{what}: {number:,} of {total:,}, {rate:,.1f}/s", soft_wrap=True)
        yield item


def next_lines(commands: Iterable[str]) -> str:
    """What one does next: commands that can be given as they stand, below each other."""
    return "next: " + "\n      ".join(commands)


def disk_size(size: float) -> str:
    """Bytes on a disk in words, in powers of 1,000: 1.5 GB or 20.0 MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def memory_size(size: float) -> str:
    """Bytes of memory in words, in powers of 1,024: 1.5 GiB or 20 MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
