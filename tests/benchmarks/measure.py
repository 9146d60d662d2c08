"""Runs a program and measures it with all its descendants: time, CPU seconds and peak memory.

Memory is read from /proc ten times a second, since no system call knows the sum over a process tree; pages that
processes share count once for each of them. (`wait4` would also count what *this* process holds, which a child
inherits until its exec.) Without /proc it is the largest single process, from `wait4`.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

from tests.benchmarks.contest import ContenderFailedError

ROOT = Path(__file__).parents[2]
_PROC = Path("/proc")
_SAMPLE_EVERY_S = 0.1
_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a program used. `started_at` is Unix time; `cpu_s` is user and system time of all processes."""

    started_at: float
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    out: str

    def figures(self) -> dict[str, float]:
        """The three figures that every case shows."""
        return {"wall_s": self.wall_s, "cpu_s": self.cpu_s, "peak_mb": self.peak_rss_bytes / 1e6}


def run(
    command: Sequence[str],
    folder: Path,
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    good: Container[int] = (0,),
    killed_when: Callable[[], bool] | None = None,
) -> Usage:
    """Run it to its end in the checkout's root, its output in `folder`.

    `killed_when` is asked ten times a second; once it is true, SIGKILL ends the program and all its descendants, and
    the status is -9. What those used then does not count.

    Raises `ContenderFailedError` where it takes too long or ends with a status that is not `good`.
    """
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        started_at, started = time.time(), time.monotonic()
        process = subprocess.Popen(
            [*bound(), *command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        with _Deadline(process, timeout_s, killed_when) as deadline, _MemoryWatch(process.pid) as memory:
            _pid, status, used = os.wait4(process.pid, 0)
            wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in good:
            late = f" (stopped after {timeout_s:g} s)" if deadline.passed else ""
            raise ContenderFailedError(f"status {process.returncode}{late}: {_last_line(folder)}")
        out.seek(0)
        return Usage(
            started_at=started_at,
            wall_s=wall_s,
            cpu_s=used.ru_utime + used.ru_stime,
            peak_rss_bytes=memory.peak_bytes or _max_rss_bytes(used),
            out=out.read(),
        )


def bound() -> list[str]:
    """The beginning of a command that is to end with this process, also where that is killed (Linux, util-linux)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


class _Deadline(threading.Thread):
    """Kills the program's whole session when its time is up, when asked to, or when the benchmark is interrupted."""

    def __init__(
        self, process: subprocess.Popen[bytes], timeout_s: float, killed_when: Callable[[], bool] | None
    ) -> None:
        super().__init__(daemon=True)
        self.passed = False
        self._process = process
        self._ends_at = time.monotonic() + timeout_s
        self._killed_when = killed_when
        self._is_over = threading.Event()

    def __enter__(self) -> _Deadline:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._is_over.set()
        self.join()
        if kind is not None:
            self._kill()

    def run(self) -> None:
        while not self._is_over.wait(_SAMPLE_EVERY_S):
            self.passed = time.monotonic() > self._ends_at
            if self.passed or (self._killed_when is not None and self._killed_when()):
                self._kill()
                return

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, SIGKILL)


class _MemoryWatch(threading.Thread):
    """Reads a process tree's memory until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._pid = pid
        self._stop_asked = threading.Event()

    def __enter__(self) -> _MemoryWatch:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        while not self._stop_asked.wait(_SAMPLE_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, sum(_rss_bytes(pid) for pid in _tree(self._pid)))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for children in (_PROC / str(pid) / "task").glob("*/children"):
            for child in children.read_text().split():
                yield from _tree(int(child))


def _rss_bytes(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0  # it has ended


def _max_rss_bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024


def _last_line(folder: Path) -> str:
    lines = ((folder / "err").read_text() + (folder / "out").read_text()).strip().splitlines()
    return lines[-1] if lines else "it said nothing"
