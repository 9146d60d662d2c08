"""Spawns a process that reads documents, also before there is an event loop: so it can import while the crawl does.

Invariant: a process inherits no file of ours, and so keeps no lock of ours when we are killed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crawler.parsing.settings import ReaderSettings

PARSER = "crawler.parsing.child"
PIPE_BYTES = 1 << 16
_START = (
    "import gc, sys; gc.disable();"  # a document's objects hold no cycles: collecting costs 5 %, and 5 ms of a start
    " sys.path[:] = sys.argv[2:]; from {module} import main; main()"
)


class Spawned:
    """A process, our end of its input and output, and what it says on standard error: never more than a pipe holds.

    Raises `OSError` where there is no room for one.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        with ExitStack() as ours, ExitStack() as its:
            self.socket, its_end = socket.socketpair()
            ours.enter_context(self.socket).setblocking(False)
            its.enter_context(its_end)
            read_fd, write_fd = os.pipe()
            self.stderr = ours.enter_context(os.fdopen(read_fd, "rb", buffering=0))
            its.callback(os.close, write_fd)
            for fd in (read_fd, write_fd):
                os.set_blocking(fd, False)  # nobody empties the pipe: what does not fit is lost
            both = its_end.fileno()
            self.process = subprocess.Popen(arguments, stdin=both, stdout=both, stderr=write_fd)  # noqa: S603 - all our own
            ours.pop_all()

    def end(self) -> None:
        """Kill it, and close what it leaves; of one that has ended, nothing is left to do."""
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.stderr.close()


@contextmanager
def coming_up(settings: ReaderSettings) -> Iterator[Spawned | None]:
    """A parser process for whoever will open a parser with these settings; None where there is no room for one, as that
    will tell. It is gone when the context is left.
    """
    try:
        spawned = Spawned(command(settings.as_argument(), PARSER))
    except OSError:
        spawned = None
    try:
        yield spawned
    finally:
        if spawned is not None:
            spawned.end()


def command(argument: str, module: str) -> list[str]:
    """The command line of a process that runs the `main` of this module, which finds the argument in `sys.argv[1]`.

    It imports from where its parent does, except from the current folder.

    `python -c` looks there first: a file `orjson.py` in the folder where somebody crawls would be run (`-P`: it does
    not). The folder of this package stays, wherever it is, so that `python -m crawler` works in a checkout.
    """
    home = str(Path(__file__).parents[2])
    path = [entry for entry in sys.path if entry == home or (Path(entry).is_absolute() and not _is_here(entry))]
    start = _START.format(module=module)
    return [sys.executable, "-P", "-c", start, argument, *([] if home in path else [home]), *path]


def _is_here(folder: str) -> bool:
    try:
        return Path(folder).samefile(Path())
    except OSError:  # one of them does not exist
        return False
