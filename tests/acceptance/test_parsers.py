"""The parser processes of a whole crawl: what starts them, what they import, and that none is left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from crawler import Summary, crawl
from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, library_config

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
READ_ONE = """
import asyncio, os, sys
import uvloop
from crawler.parsing.pool import open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.records import Failure, Response, UrlKind

async def read(body):
    async with open_parser(ReaderSettings(product_token="crawler"), 60) as parser:
        response = Response(url="http://a.test/", status_code=200, body=body, size=len(body), content_type="text/html")
        reading = await parser.read(UrlKind.PAGE, response, keep_body=False)
        assert not isinstance(reading, Failure), reading
        assert reading[0].title == "T"

def run(body=b"<title>T</title>", loops=(asyncio.new_event_loop, uvloop.new_event_loop)):
    for loop in loops:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(read(body))
"""


@pytest.mark.thorough
@LOOPS
def test_a_crawl_whose_parsers_are_killed_again_and_again_ends_with_every_page_read_or_failed(
    loop: Any, tmp_path: Path
) -> None:
    web = FakeWeb()
    site = web.site("a.test", pages=150)

    async def main() -> Summary:
        async with web.serve() as served:  # each page is a seed: one whose parsers die twice names no others
            return await crawl(
                [served.url("a.test", path) for path in site.routes], library_config(served, tmp_path / "crawl.db")
            )

    with _shots(20, every_s=0.09), asyncio.Runner(loop_factory=loop) as runner:
        summary = runner.run(main())
    assert summary.complete
    assert summary.pages + summary.urls["failed"] == 150


@LOOPS
def test_who_leaves_the_iteration_and_the_program_leaves_no_process(loop: Any, tmp_path: Path) -> None:
    before = _children()
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/deep", "/b"])
    site.page("/deep", body=b"<div>" * 100_000)
    site.page("/b")

    async def main() -> None:
        async with web.serve() as served:
            async for _page in crawl([served.url("a.test")], library_config(served, tmp_path / "crawl.db")):
                break

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert _children() <= before


@pytest.mark.parametrize(
    "preparation",
    ["", "os.chdir(sys.argv[1])", "os.chdir(sys.argv[1]); sys.path.insert(0, '')", "sys.path.insert(0, sys.argv[1])"],
)
def test_nothing_in_the_current_folder_is_run(preparation: str, tmp_path: Path) -> None:
    for name in ("orjson", "crawler", "selectolax", "struct", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nraise SystemExit('hostile')\n")
    script = f"{READ_ONE}\n{preparation}\nrun()"
    _run(script, str(tmp_path), cwd=tmp_path if "chdir" not in preparation else None)
    assert not (tmp_path / "run").exists()


def test_a_parser_process_runs_the_package_of_its_parent_wherever_that_is(tmp_path: Path) -> None:
    package = Path(sys.modules["crawler"].__path__[0])
    shutil.copytree(package, tmp_path / "elsewhere" / "crawler", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "elsewhere" / "crawler" / "parsing" / "child.py").open("a") as module:
        module.write(f"open({str(tmp_path / 'run')!r}, 'a').write(f'{{sys.argv[1:2]}}')\n")
    _run(f"import sys\nsys.path.insert(0, {str(tmp_path / 'elsewhere')!r})\n{READ_ONE}\nrun()", cwd=tmp_path)
    assert '"product_token":"crawler"' in (tmp_path / "run").read_text()


def test_a_lower_limit_of_memory_is_kept(tmp_path: Path) -> None:
    _run(
        f"{READ_ONE}\nimport resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\nrun()", cwd=tmp_path
    )


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_files_do_not_matter(closed: tuple[int, ...], tmp_path: Path) -> None:
    closing = "".join(f"os.close({fd})\n" for fd in closed)
    run = "run(loops=[asyncio.new_event_loop])"  # uvloop itself cannot live on these: libuv aborts
    script = f"import os, sys\n{closing}sys.stdin = sys.stdout = sys.stderr = None\n{READ_ONE}\n{run}"
    done = subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, timeout=50, check=False)
    assert done.returncode == 0


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal")
def test_a_parser_dies_with_a_crawl_that_is_killed(tmp_path: Path) -> None:
    script = f"{READ_ONE}\nprint('go', flush=True)\nrun(b'<div>' * 200_000)"
    with subprocess.Popen([sys.executable, "-P", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE) as crawl_process:
        assert crawl_process.stdout is not None
        crawl_process.stdout.readline()
        _wait_until(lambda: any(_processor_seconds(pid) > 0.5 for pid in _children(crawl_process.pid)))
        parsers = _children(crawl_process.pid)
        crawl_process.send_signal(signal.SIGKILL)
        crawl_process.wait()
        _wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in parsers), at_most_s=5)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("pause_s", [0, 0.1, 0.3])
def test_a_signal_during_the_start_leaves_no_parser(
    number: signal.Signals, status: int, pause_s: float, tmp_path: Path
) -> None:
    """The parser is started before most of the imports. The server is silent, so that the crawl is not over before.

    A shell says the same of a process that a signal ends: SIGTERM before there is a handler, and SIGINT where it comes
    during an exec() of a text, as dataclasses make them. CPython notes that, and ends by the signal after all.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        command = [*COMMAND, "crawl", url, "--allow-private", "127.0.0.0/8", "--grace", "0"]
        start = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
        _wait_until(lambda: bool(_children(start.pid)))
        (parser,) = _children(start.pid)
        time.sleep(pause_s)
        start.send_signal(number)
        _out, told = start.communicate(timeout=60)
    assert start.returncode in {status, -number}
    assert b"Traceback" not in told
    _wait_until(lambda: not _lives(parser))


def test_what_is_refused_after_the_parser_was_started_leaves_none(tmp_path: Path) -> None:
    arguments = ["--cookies", str(tmp_path / "missing.txt"), "--user-agent", "leaving-none/1.0 (+http://a.test)"]
    done = subprocess.run(
        [*COMMAND, "crawl", "http://127.0.0.1:1/", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "missing.txt" in done.stderr
    everyone = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    assert not [pid for pid in everyone if b"leaving-none" in _command_line(pid)]


def _lives(pid: int) -> bool:
    return b"crawler.parsing.child" in _command_line(pid)  # none of a process that is dead, and one of init's now


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _run(script: str, *arguments: str, cwd: Path | None) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _children(parent: int | None = None) -> set[int]:
    """The living children of a process, by default of this one."""
    children: set[int] = set()
    for threads_children in Path(f"/proc/{parent or os.getpid()}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            children.update(map(int, threads_children.read_text().split()))
    return children


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def _wait_until(condition: Callable[[], bool], at_most_s: float = 30) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def _shots(number: int, every_s: float) -> Iterator[None]:
    """Kill all children of this process again and again."""
    over = threading.Event()
    before = _children()

    def shoot() -> None:
        for _shot in range(number):
            if over.wait(every_s):
                return
            for pid in _children() - before:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    shooter = threading.Thread(target=shoot)
    shooter.start()
    try:
        yield
    finally:
        over.set()
        shooter.join()
