"""Progress of work that takes its time: a bar on stderr, where that is a terminal, after two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

# Work that is done by then needs no bar.
AFTER_S = 2.0
# What an eye sees as moving.
EVERY_S = 0.1


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar; it is told which share of the work is done, as often as the work likes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    # Lines of the command go above the bar where both share a terminal, and stay apart where they do not.
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty())
    task = bar.add_task(what, total=1.0)
    due, shown = time.monotonic() + AFTER_S, False

    def tell(share: float) -> None:
        nonlocal due, shown
        now = time.monotonic()
        if now < due:
            return
        if not shown:
            bar.start()
            shown = True
        due = now + EVERY_S
        bar.update(task, completed=share)

    try:
        yield tell
    finally:
        if shown:
            bar.stop()
