"""Which process this is, so that others on the same machine see at once that it is dead.

Without that, what a killed worker owned would wait for the end of its lease, on one machine, too. Invariant: a process
that may live is never taken for dead; where there is doubt (another machine, another container), it lives.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """By the machine's boot, the container, the process id and its start; '' where the system does not tell."""
    try:
        return "/".join((*_here(), str(os.getpid()), _started(os.getpid()) or ""))
    except OSError:
        return ""


def is_dead(process: str) -> bool:
    """Whether the process ran here, and runs no more."""
    *place, pid, started = process.rsplit("/", 2) if process.count("/") == 3 else ("", "", "")
    try:
        if tuple(place[0].split("/")) != _here():
            return False
        return _started(int(pid)) != started
    except (OSError, ValueError):
        return False


def _here() -> tuple[str, str]:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, str((_PROC / "self/ns/pid").stat().st_ino)


def _started(pid: int) -> str | None:
    """When, in ticks since boot; None where there is no such process, or only what its parent has not asked for."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
