"""What a process has to be to take part in a run that another one has begun: of its version, and with a name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from crawler.errors import UsageError
from crawler.release import VERSION


def process_name() -> str:
    """What people see of this process where several crawl together: its machine, and its number there."""
    return f"{socket.gethostname()}:{os.getpid()}"


def check_versions(programs: Iterable[str]) -> None:
    """Raise `UsageError` where the run's processes are of another minor version of crawler than this one: it may write
    URLs, and so their ids, in another way.
    """
    own = VERSION
    others = sorted({program for program in programs if _minor(program) != _minor(own)})
    if others:
        raise UsageError(
            f"this is crawler {own}, and the run under way is that of {' and '.join(others)}: all its workers have to"
            " be of one minor version"
        )


def _minor(program: str) -> list[str]:
    return program.split(".")[:2]
