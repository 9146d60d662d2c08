"""The benchmarks leave nothing running, whatever ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.contest import ContenderFailedError
from tests.benchmarks.measure import ROOT, run

PROGRAM = """
import sys
from pathlib import Path
from tests.benchmarks.__main__ import leave_at_signals
from tests.benchmarks.measure import run
from tests.benchmarks.servers import late_server

leave_at_signals()
folder = Path(sys.argv[1])
contender = ["sh", "-c", f"echo $$ > {folder}/contender; exec sleep 100"]
with late_server(folder, delay_s=0):
    run(contender, folder, timeout_s=100)
"""


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_servers_and_contenders_end_with_the_benchmark(ended_by: signal.Signals, tmp_path: Path) -> None:
    benchmark = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        _wait(lambda: (tmp_path / "contender").exists() and (tmp_path / "contender").read_text().strip())
        started = _descendants(benchmark.pid)
        assert len(started) == 2
    finally:
        benchmark.send_signal(ended_by)
        benchmark.wait()
    _wait(lambda: not any(_runs(process) for process in started))


def test_a_program_is_killed_with_its_descendants_once_it_is_to_be(tmp_path: Path) -> None:
    started = tmp_path / "started"
    script = f"sleep 100 & echo $! > {started}; wait"
    run(["sh", "-c", script], tmp_path, timeout_s=100, killed_when=started.exists, good=(-signal.SIGKILL,))
    _wait(lambda: not _runs(int(started.read_text())))


def test_a_program_that_takes_too_long_is_killed_and_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContenderFailedError, match=r"status -9 \(stopped after 0.2 s\): it said nothing"):
        run(["sleep", "100"], tmp_path, timeout_s=0.2)


def _descendants(pid: int) -> list[int]:
    found = [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return [*found, *(below for child in found for below in _descendants(child))]


def _runs(pid: int) -> bool:
    """A process that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(is_so: Callable[[], object]) -> None:
    while not is_so():  # pytest's time limit ends this
        time.sleep(0.02)
