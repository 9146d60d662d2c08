"""A crawl that several processes share: `crawler crawl` begins it, `crawler worker` joins, leaves, and dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crawler.fakeweb import Answer, FakeWeb, Request, Served
from tests.acceptance.conftest import COMMAND, Cli, Gate, Serve, wait_for
from tests.postgres.sql import rows

pytestmark = pytest.mark.thorough

Start = Callable[..., subprocess.Popen[str]]

HOSTS = 24  # over 16 partitions


@pytest.fixture
def shared(tmp_path: Path, crawl_database: str) -> Cli:
    return Cli(tmp_path, crawl_database)


def a_web(serve: Serve, gate: Gate, *, pages: int, more: int = 0) -> Served:
    """Each host has so many pages, and so many `more` that only a page links to which is answered when `gate` opens."""
    web = FakeWeb()
    for number in range(HOSTS):
        site = web.host(f"h{number}.test")
        paths = [f"/{page}" for page in range(1, pages)]
        site.page("/", links=paths)
        for path in [*paths, *(f"/more{page}" for page in range(more))]:
            site.page(path, title=path)
    later = [f"http://h{number}.test/more{page}" for number in range(HOSTS) for page in range(more)]

    async def answer(request: Request) -> Answer:
        await gate(request)
        return Answer.page(links=later)

    web.host("gate.test").answer("/", answer)
    return serve(web)


def seeds(served: Served) -> list[str]:
    return [served.url("gate.test"), *(served.url(f"h{number}.test") for number in range(HOSTS))]


def asked(served: Served) -> Counter[str]:
    """How often each page was asked for; the one that waits for the gate may be once more."""
    pages = [hit for hit in served.log if hit.target != "/robots.txt" and hit.host != "gate.test"]
    return Counter(f"{hit.host}{hit.target}" for hit in pages)


@contextmanager
def a_worker(cli: Cli, served: Served, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`crawler worker` in the background; killed at the end, if need be."""
    command = [*COMMAND, "worker", "--db", str(cli.db), "--dns-server", served.dns, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cli.folder)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    """What it printed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, (process.returncode, out, err)
    assert "Traceback" not in err, err
    return out + err


def owned(cli: Cli) -> dict[str, int]:
    """Partitions by worker."""
    sql = "SELECT name, (SELECT count(*) FROM parts WHERE owner = workers.id) FROM workers"
    return dict(map(tuple, rows(str(cli.db), sql)))


def stored(cli: Cli) -> list[str]:
    return [row[0] for row in rows(str(cli.db), "SELECT url FROM pages JOIN urls ON urls.id = url_id ORDER BY 1")]


@pytest.fixture
def started(shared: Cli) -> Iterator[Start]:
    """Starts a crawl of everything, and returns once others may join it."""
    processes: list[subprocess.Popen[str]] = []

    def start(served: Served, *arguments: str) -> subprocess.Popen[str]:
        crawl = shared.start(served, *seeds(served), "--delay", "0.2", "--retries", "50", *arguments)
        processes.append(crawl)
        wait_for(lambda: crawl.poll() is not None or rows(str(shared.db), "SELECT 1 FROM runs WHERE is_open = 1"))
        return crawl

    yield start
    for process in processes:
        process.kill()
        process.communicate()


ALL = 1 + HOSTS * (3 + 10)  # pages


def wait_until_joined(cli: Cli, *processes: subprocess.Popen[str]) -> None:
    """Until the second has its half, but for the partition of the gate, which is kept while its page is waited for; all
    are to be there as long.
    """
    wait_for(lambda: owned(cli).get("second", 0) >= 7 or any(one.poll() is not None for one in processes))
    for one in processes:
        assert one.poll() is None, one.communicate()


def test_a_worker_joins_and_every_page_is_asked_for_and_stored_once(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=3, more=10)
    crawl = started(served)
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        status = json.loads(shared.command("status", "--json", "--db", str(shared.db)).out)
        assert {one["name"]: one["partitions"] for one in status["workers"]}["second"] in (7, 8)
        assert "second" in shared.command("status", "--db", str(shared.db)).out
        gate.open()
        told = ended(worker)
    ended(crawl)
    assert "complete" in told
    assert len(stored(shared)) == ALL
    assert set(asked(served).values()) == {1}
    summary = json.loads(shared.summary_file.read_text())
    assert summary["end_reason"] == "complete"
    assert summary["pages"] == ALL, "of both"
    assert owned(shared) == {}


def test_sigterm_drains_a_worker_and_the_others_go_on(shared: Cli, serve: Serve, started: Start, gate: Gate) -> None:
    served = a_web(serve, gate, pages=3, more=10)
    crawl = started(served)
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        worker.send_signal(signal.SIGTERM)
        assert "the run is left to other workers" in ended(worker, 143)
        assert "second" not in owned(shared)
    gate.open()
    ended(crawl)
    assert len(stored(shared)) == ALL
    assert set(asked(served).values()) == {1}


def test_a_worker_takes_over_from_one_that_was_killed(shared: Cli, serve: Serve, started: Start, gate: Gate) -> None:
    served = a_web(serve, gate, pages=3, more=10)
    crawl = started(served)
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        crawl.kill()
        crawl.communicate()
        gate.open()
        assert "complete" in ended(worker)
    assert len(stored(shared)) == len(set(stored(shared))) == ALL


def test_the_last_worker_that_drains_leaves_the_run_open_for_its_successor(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=3, more=3)
    crawl = started(served)
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        crawl.kill()
        crawl.communicate()
        worker.send_signal(signal.SIGTERM)
        ended(worker, 143)
    gate.open()
    with a_worker(shared, served) as successor:
        assert "complete" in ended(successor)
    assert len(stored(shared)) == len(set(stored(shared))) == 1 + HOSTS * 6
    assert len(rows(str(shared.db), "SELECT 1 FROM runs")) == 1


def test_no_more_pages_are_stored_than_asked_for_and_no_fewer(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=3, more=10)
    crawl = started(served, "--max-pages", "150")
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        gate.open()
        ended(worker)
        ended(crawl)
    assert len(stored(shared)) == 150
    assert rows(str(shared.db), "SELECT end_reason, pages FROM runs") == [("max_pages", 150)]


def test_a_stop_from_anywhere_ends_all(shared: Cli, serve: Serve, started: Start, gate: Gate) -> None:
    served = a_web(serve, gate, pages=3)
    crawl = started(served, "--grace", "0s")
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        refused = shared.crawl(served, status=5)
        assert "crawler worker" in refused.err
        assert "skipped" in shared.crawl(served, "--if-running", "skip").err
        assert "stopped the crawl" in shared.command("stop", "--wait", "--db", str(shared.db)).out
        ended(worker, 143)
        ended(crawl, 143)
    assert rows(str(shared.db), "SELECT end_reason FROM runs") == [("stopped",)]
    assert "no crawl is using" in shared.command("stop", "--db", str(shared.db)).out


def test_processes_wait_for_a_run_and_another_takes_the_place_of_one_that_is_killed(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=3, more=5)
    with a_worker(shared, served, "--processes", "2", "--stay", "--name", "p") as parent:
        crawl = started(served)
        wait_for(lambda: {"p-1", "p-2"} <= owned(shared).keys())
        (process,) = rows(str(shared.db), "SELECT process FROM workers WHERE name = 'p-1'")[0]
        os.kill(int(process.split("/")[2]), signal.SIGKILL)
        gate.open()
        ended(crawl)
        assert len(stored(shared)) == len(set(stored(shared))) == 1 + HOSTS * 8
        parent.send_signal(signal.SIGTERM)
        told = ended(parent, 143)
    assert "process 1 was killed by signal 9; another takes its place" in told


def test_a_secret_of_the_run_is_needed_and_is_stored_nowhere(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=2, more=2)
    crawl = started(served, "--header", "X-Key: geheim")
    with a_worker(shared, served) as without:
        assert "x-key" in ended(without, 2)
    with a_worker(shared, served, "--name", "second", "--header", "X-Key: geheim") as worker:
        wait_until_joined(shared, crawl, worker)
        gate.open()
        assert "complete" in ended(worker)
    ended(crawl)
    assert {hit.headers.get("x-key") for hit in served.log} == {"geheim"}
    assert "geheim" not in json.dumps(rows(str(shared.db), "SELECT options, summary FROM runs"), default=str)


def test_seeds_that_are_added_from_anywhere_are_fetched_and_trusted(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=2)
    crawl = started(served)
    with a_worker(shared, served, "--name", "second") as worker:
        wait_until_joined(shared, crawl, worker)
        urls = [served.url(f"h{number}.test", "/1?a") for number in range(HOSTS)]
        assert "added to the running crawl" in shared.command("add", *urls, "--db", str(shared.db)).out
        wait_for(lambda: not rows(str(shared.db), "SELECT 1 FROM notes"))
        gate.open()
        ended(worker)
    ended(crawl)
    assert [asked(served)[f"h{number}.test/1?a"] for number in range(HOSTS)] == [1] * HOSTS


def test_each_process_writes_the_pages_that_it_has_committed_itself(
    shared: Cli, serve: Serve, started: Start, gate: Gate
) -> None:
    served = a_web(serve, gate, pages=2, more=5)
    files = [shared.folder / "first.jsonl", shared.folder / "second.jsonl"]
    crawl = started(served, "--jsonl", str(files[0]))
    with a_worker(shared, served, "--name", "second", "--jsonl", str(files[1])) as worker:
        wait_until_joined(shared, crawl, worker)
        gate.open()
        ended(worker)
    ended(crawl)
    written = [[json.loads(line)["url"] for line in file.read_text().splitlines()] for file in files]
    assert all(written)
    assert sorted(written[0] + written[1]) == stored(shared)


def test_metrics_of_a_worker_name_it(shared: Cli, serve: Serve, started: Start, gate: Gate) -> None:
    served = a_web(serve, gate, pages=2)
    crawl = started(served)
    file = shared.folder / "worker.prom"
    with a_worker(shared, served, "--name", "second", "--metrics-file", str(file)) as worker:
        wait_for(lambda: file.exists() and "crawler_partitions" in file.read_text())
        assert f'crawler_workers{{db="{shared.db}",worker="second"}}' in file.read_text()
        gate.open()
        ended(worker)
    ended(crawl)


# --- what cannot be done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--delay", "3"], "--delay is the run's"),
        (["--max-pages=3"], "--max-pages is the run's"),
        (["--db", "crawl.db"], "crawl.db is a file, which one process crawls into"),
        (["--jsonl", "-", "--processes", "2"], "--jsonl -: several processes"),
    ],
)
def test_a_worker_refuses_what_is_none_of_its_machine(shared: Cli, arguments: list[str], told: str) -> None:
    db = [] if "--db" in arguments else ["--db", str(shared.db)]
    assert told in shared.command("worker", *db, *arguments, status=2).err


def test_a_worker_without_a_run_says_so(shared: Cli) -> None:
    assert "no run is under way" in shared.command("worker", "--db", str(shared.db)).err


def test_a_server_that_is_not_there_is_told_without_the_password(shared: Cli) -> None:
    for command in (["worker"], ["crawl", "http://a.test/"], ["status"], ["add", "http://a.test/"], ["stop"]):
        outcome = shared.command(*command, "--db", "postgresql://me:geheim@127.0.0.1:1/crawl", status=6)
        (line,) = outcome.err.splitlines()
        assert "postgresql://me@127.0.0.1:1/crawl" in line
        assert "geheim" not in outcome.err
