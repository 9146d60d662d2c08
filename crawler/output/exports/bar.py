"""How far an export has come, for a person who waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crawler.output.figures import rate
from crawler.output.streams import lasting_stream

_EACH = 100  # pages between two looks


@contextmanager
def bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, and how it is told the number of pages that are done. None: nobody sees it."""
    if total is None:
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    speed = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=lasting_stream(2)), transient=True) as progress:
        task, began = progress.add_task("", total=total, rate=""), time.monotonic()

        def tell(done: int) -> None:
            if done % _EACH == 0 or done == total:
                progress.update(task, completed=done, rate=rate(done / max(time.monotonic() - began, 0.001)))

        yield tell


@contextmanager
def partition_bar(*, is_watched: bool) -> Iterator[Callable[[int, int], None]]:
    """The same for partitions: how many are done, of how many."""
    if not is_watched:
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("exporting partitions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=lasting_stream(2)), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
