"""Several processes of one kind on this machine: started, told to end together, and started again when they die.

They are forked before there is any event loop or thread. Each is in a process group of its own, so that Ctrl-C reaches
the parent alone, which passes signals on: a second one that came with it would end their requests at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

import typer

from crawler.errors import CrawlerError
from crawler.output.streams import flush_output

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0  # before one that died is started again
_SOON_S = 60.0  # one that dies within this time of its start may do so each time
_UNEXPECTED = 1  # the exit status of what went wrong by itself
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def run_processes(number: int, work: Callable[[int], int]) -> int:
    """Run `work(1)` to `work(number)`, each in a process that ends with what it returns. Returns the exit status of
    all: the greatest, or that of the signal that ended them.
    """
    return _Processes(work).run(number)


class _Processes:
    def __init__(self, work: Callable[[int], int]) -> None:
        self._work = work
        self._numbers: dict[int, int] = {}  # by process id
        self._started_at: dict[int, float] = {}  # by number
        self._pause_s = _FIRST_PAUSE_S
        self._ended_by: int | None = None  # the first signal that came

    def run(self, number: int) -> int:
        before = {one: signal.signal(one, self._pass_on) for one in _PASSED_ON}
        try:
            for one in range(1, number + 1):
                self._start(one)
            status = 0
            while self._numbers:
                status = max(status, self._await_one())
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
        return status if self._ended_by is None else 128 + self._ended_by

    def _start(self, number: int) -> None:
        flush_output()
        self._started_at[number] = time.monotonic()
        parent, process = os.getpid(), os.fork()
        if process:
            self._numbers[process] = number
            return
        status = _UNEXPECTED
        try:
            _become_a_child(parent)
            status = self._work(number)
        except CrawlerError as error:
            typer.echo(f"crawler: {error}", err=True)
            status = error.exit_status
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        except Exception:  # noqa: BLE001 - told as any process tells it
            sys.excepthook(*sys.exc_info())
        finally:
            flush_output()
            os._exit(status)

    def _await_one(self) -> int:
        """Wait until one ends; where it has died, another takes its place. Returns its exit status."""
        process, waited = os.wait()
        number, status = self._numbers.pop(process), os.waitstatus_to_exitcode(waited)
        if self._ended_by is not None or not (status < 0 or status == _UNEXPECTED):
            return max(0, status)
        how = f"was killed by signal {-status}" if status < 0 else "failed"
        pause_s = self._next_pause_s(number)
        typer.echo(f"crawler: process {number} {how}; another takes its place in {pause_s:.0f} s", err=True)
        self._sleep(pause_s)
        if self._ended_by is None:
            self._start(number)
        return 0

    def _next_pause_s(self, number: int) -> float:
        lived_s = time.monotonic() - self._started_at[number]
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S) if lived_s < _SOON_S else _FIRST_PAUSE_S
        return self._pause_s

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._ended_by is None and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(0.1, left_s))

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._ended_by = self._ended_by or number
        for process in list(self._numbers):
            os.kill(process, number)


def _become_a_child(parent: int) -> None:
    os.setpgid(0, 0)
    for one in _PASSED_ON:
        signal.signal(one, signal.SIG_DFL if one is not signal.SIGINT else signal.default_int_handler)
    if sys.platform == "linux":  # elsewhere it goes on without its parent
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(_UNEXPECTED)
