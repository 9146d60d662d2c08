"""The small parts of the control plane that ask no server: processes, figures, the database's clock."""

from __future__ import annotations

import os
import subprocess
import sys

from crawler.storage.postgres.clock import DatabaseClock
from crawler.storage.postgres.processes import is_dead, this_process
from crawler.storage.postgres.totals import added


def test_a_process_is_dead_once_it_has_ended_even_if_nobody_has_asked_for_its_status() -> None:
    code = "from crawler.storage.postgres.processes import this_process; print(this_process(), flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_dead(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert is_dead(name)
    assert is_dead(name)


def test_where_there_is_doubt_a_process_lives() -> None:
    boot, container, process, started = this_process().split("/")
    assert not is_dead(this_process())
    assert is_dead(f"{boot}/{container}/{process}/1"), "another has its number by now"
    assert is_dead(f"{boot}/{container}/{2**22 + 1}/{started}")
    for other in ("", "x", f"another-boot/{container}/1/1", f"{boot}/1/1/1", f"{boot}/{container}/x/y"):
        assert not is_dead(other)


def test_figures_are_added_and_of_time_and_memory_the_greatest_counts() -> None:
    one = {"requests": 1, "by_status": {"200": 1}, "elapsed_s": 5.0, "peak_rss_bytes": 7, "only": 1, "complete": True}
    other = {"requests": 2, "by_status": {"200": 2, "404": 1}, "elapsed_s": 3.0, "peak_rss_bytes": 9, "complete": False}
    assert added(one, other) == {
        "requests": 3,
        "by_status": {"200": 3, "404": 1},
        "elapsed_s": 5.0,
        "peak_rss_bytes": 9,
        "only": 1,
        "complete": False,
    }


def test_the_database_s_clock_goes_on_between_answers_and_back_only_if_it_was_set_back() -> None:
    boot = [100.0]
    clock = DatabaseClock(lambda: boot[0])
    clock.set(5000.0, asked_at=100.0)
    boot[0] = 110.0
    assert clock.now() == 5010.0
    clock.set(5009.5, asked_at=110.0)  # the answer took long
    assert clock.now() == 5010.0
    boot[0] = 111.0
    assert clock.now() == 5010.5
    clock.set(1411.0, asked_at=111.0)  # set back by an hour
    assert clock.now() == 1411.0
