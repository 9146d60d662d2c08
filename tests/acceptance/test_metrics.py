"""Metrics as Prometheus' own parser reads them, from the file and by HTTP."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import Cli, Gate, Serve, wait_for, wait_for_requests

# Marked `sqlite`: what is refused before any store is looked at, and what happens to a file.
pytestmark = pytest.mark.any_store

Samples = dict[tuple[str, str], float]


def read(text: str, db: Path) -> Samples:
    """Samples by name and the value of the label beside `db`; every family has a help text and a type."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("crawler_")
        assert family.documentation
        assert family.type in ("counter", "gauge")
        for sample in family.samples:
            assert sample.timestamp is None  # node_exporter refuses them
            labels = dict(sample.labels)
            assert labels.pop("db") == str(db)
            key = (sample.name.removeprefix("crawler_"), "".join(labels.values()))
            assert key not in found
            found[key] = sample.value
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def scrape(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def served(serve: Serve, gate: Gate) -> Served:
    web = FakeWeb()
    web.site("a.test", pages=20).answer("/slow", gate)
    web.host("dead.test", dns="nxdomain")
    return serve(web)


def test_the_file_has_the_account_once_the_run_has_ended(cli: Cli, served: Served) -> None:
    cli.db = cli.folder / 'a "quoted" \\name.db'
    file = cli.folder / "crawl.prom"
    arguments = ("--delay", "0", "--retries", "0", "--metrics-file", str(file))
    summary = cli.crawl(served, served.url("a.test"), "http://dead.test/", *arguments).summary
    samples = read(file.read_text(), cli.db)
    assert samples["pages_total", ""] == summary["pages"] == 20
    assert samples["requests_total", ""] == summary["requests"]
    assert samples["received_bytes_total", ""] == summary["bytes"]
    assert samples["connections_opened_total", ""] == summary["connections_opened"]
    assert samples["responses_total", "200"] == summary["by_status"]["200"]
    assert samples["failures_total", "dns"] == 1
    assert samples["urls", "fetched"] == 20
    ended = [samples[name, ""] for name in ("running", "success", "complete")]
    assert ended == [0, 1, 1]
    assert samples["start_time_seconds", ""] <= samples["end_time_seconds", ""] <= time.time()
    assert not list(cli.folder.glob("*.tmp"))


def test_figures_are_there_while_it_runs_in_the_file_and_on_loopback(cli: Cli, served: Served) -> None:
    file, port = cli.folder / "crawl.prom", free_port()
    outputs = ("--metrics-file", str(file), "--metrics-port", str(port))
    crawler = cli.start(served, served.url("a.test", "/slow"), "--delay", "0", "--grace", "0s", *outputs)
    wait_for(lambda: served.hits("a.test", "/slow"))
    for text in (file.read_text(), scrape(port)[1]):
        assert read(text, cli.db)["running", ""] == 1
    samples = read(scrape(port)[1], cli.db)
    assert samples["requests_in_flight", ""] == samples["urls_queued", ""] == samples["hosts", ""] == 1
    assert ("success", "") not in samples
    assert scrape(port, "/")[0] == scrape(port, "/metrics/x")[0] == 404
    assert scrape(port, method="POST")[0] == 405
    crawler.send_signal(signal.SIGINT)
    _out, err = crawler.communicate(timeout=20)
    assert crawler.returncode == 130, err
    ended = read(file.read_text(), cli.db)
    assert (ended["running", ""], ended["success", ""]) == (0, 0)
    with pytest.raises(OSError, match="refused"):
        scrape(port)


@pytest.mark.thorough
def test_clients_that_misbehave_do_not_disturb(cli: Cli, served: Served, gate: Gate) -> None:
    port = free_port()
    crawler = cli.start(served, served.url("a.test", "/slow"), "--delay", "0", "--metrics-port", str(port))
    wait_for(lambda: served.hits("a.test", "/slow"))
    with socket.create_connection(("127.0.0.1", port)) as silent:
        for sent in (b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\xff" * 100_000, b"GET /metrics HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(sent)
        assert scrape(port)[0] == 200
        silent.settimeout(20)
        assert silent.recv(100) == b""  # it is not waited for
    gate.open()
    _out, err = crawler.communicate(timeout=30)
    assert crawler.returncode == 0
    assert "Traceback" not in err
    assert "exception" not in err.lower()


def test_a_start_that_is_refused_leaves_the_running_ones_metrics_alone(cli: Cli, served: Served) -> None:
    file = cli.folder / "crawl.prom"
    first = cli.start(served, served.url("a.test", "/slow"), "--delay", "0", "--metrics-file", str(file))
    wait_for(lambda: served.hits("a.test", "/slow"))
    before = file.read_text()
    cli.crawl(served, served.url("a.test"), "--metrics-file", str(file), status=5)
    assert file.read_text() == before
    first.kill()
    first.communicate()


@pytest.mark.sqlite
@pytest.mark.thorough
def test_a_run_that_fails_says_so(cli: Cli, served: Served) -> None:
    file = cli.folder / "crawl.prom"
    crawler = cli.start(served, served.url("a.test"), "--delay", "0.2", "--metrics-file", str(file))
    wait_for_requests(served, 5)
    cli.db.unlink()
    crawler.communicate(timeout=20)
    assert crawler.returncode == 6
    samples = read(file.read_text(), cli.db)
    assert (samples["running", ""], samples["success", ""]) == (0, 0)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--metrics-file", "."], "--metrics-file"),
        (["--metrics-file", "no/such/folder.prom"], "--metrics-file"),
        (["--metrics-file", "crawl.db", "--db", "crawl.db"], "is the database"),
        (["--metrics-file", "x", "--summary", "x"], "--metrics-file x is also the file of --summary"),
        (["--metrics-port", "99999"], "--metrics-port"),
        (["--metrics-port", "-1"], "--metrics-port"),
        (["--metrics-port", "many"], "--metrics-port"),
    ],
)
def test_where_nothing_can_be_written_or_served_is_a_usage_error(cli: Cli, arguments: list[str], named: str) -> None:
    outcome = cli.crawl(None, "https://example.com/", *arguments, status=2)
    assert named in outcome.err
    assert outcome.err.count("\n") == 1
    assert not cli.db.exists()


def test_a_port_that_is_taken_is_a_usage_error(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        outcome = cli.crawl(None, "https://example.com/", "--metrics-port", port, status=2)
    assert f"--metrics-port {port}: Address already in use" in outcome.err


def foreign(db: Path) -> list[str]:
    db.unlink()
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE recipes (id INTEGER)")
    return []


def damaged(db: Path) -> list[str]:
    db.write_bytes(db.read_bytes()[:100] + b"\xff" * 20_000)
    return []


def replaced_by_a_folder(db: Path) -> list[str]:
    db.unlink()
    db.mkdir()
    return []


def with_a_secret_missing(db: Path) -> list[str]:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE runs SET options = json_set(options, '$.network.headers', json('[\"x-key\"]'))")
    return ["--max-age", "0s"]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (foreign, 6),
        (damaged, 6),
        (replaced_by_a_folder, 6),
        (with_a_secret_missing, 2),
        (lambda _db: ["no-such-seeds.txt"], 2),
    ],
)
def test_a_start_that_fails_leaves_no_success_of_yesterday(
    cli: Cli, served: Served, spoil: Callable[[Path], list[str]], status: int
) -> None:
    file = cli.folder / "crawl.prom"
    arguments = ("--delay", "0", "--metrics-file", str(file))
    cli.crawl(served, served.url("a.test", "/p1"), *arguments, "--max-pages", "1")
    before = read(file.read_text(), cli.db)
    assert before["last_success_time_seconds", ""] == before["end_time_seconds", ""]
    told = cli.crawl(served, *spoil(cli.db), *arguments, status=status)
    after = read(file.read_text(), cli.db)
    ended = [after[name, ""] for name in ("running", "success", "complete", "requests_total")]
    assert ended == [0, 0, 0, 0]
    assert after["last_success_time_seconds", ""] == before["end_time_seconds", ""]
    assert after["end_time_seconds", ""] > before["end_time_seconds", ""]
    assert (told.summary["complete"], told.summary["end_reason"], told.summary["run_id"]) == (False, "failed", 0)
    assert told.err.endswith(f"crawler: {told.summary['error']}\n")


@pytest.mark.thorough
def test_who_stops_waiting_leaves_the_running_ones_metrics_alone(cli: Cli, serve: Serve) -> None:
    web, gate = FakeWeb(), Gate()
    web.host("a.test").answer("/", gate)
    served = serve(web)
    file = cli.folder / "crawl.prom"
    first = cli.start(served, served.url("a.test"), "--delay", "0", "--metrics-file", str(file))
    wait_for(lambda: served.hits("a.test", "/") and file.exists())
    second = cli.start(
        served, served.url("a.test"), "--delay", "0", "--metrics-file", str(file), "--if-running", "wait"
    )
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=50)
    assert second.returncode == 130
    assert read(file.read_text(), cli.db)["running", ""] == 1
    first.kill()
    first.communicate()
