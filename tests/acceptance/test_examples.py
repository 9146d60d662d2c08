"""The examples of the README and the manual, run and checked as they stand but for their paths and hosts."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import LOOPBACK, Cli, Gate, Serve, wait_for

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "crawler/manual").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def placed(text: str, folder: Path) -> str:
    """The text with our paths; the program is a script that calls the one under test."""
    program = folder / "crawler"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m crawler "$@"\n')
    program.chmod(0o755)
    return text.replace("/opt/crawler/bin/crawler", str(program)).replace("/srv/crawl", str(folder))


def by_cron(command: str) -> subprocess.Popen[str]:
    environment = ["HOME=/", "LOGNAME=nobody", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"]
    return subprocess.Popen(
        ["env", "-i", *environment, "/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip


@pytest.mark.thorough
def test_the_lines_of_the_crontab_work_with_cron_s_environment(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    web.site("a.test", pages=5).answer("/p4", gate)
    served = serve(web)
    (cli.folder / "crawl.toml").write_text(
        f'seeds = ["{served.url("a.test")}"]\ndelay = 0\nallow-private = ["{LOOPBACK[1]}"]\ndns-server = "{served.dns}"'
    )
    lines = [line.split(maxsplit=5) for block in blocks("crontab") for line in placed(block, cli.folder).splitlines()]
    assert all(re.fullmatch(r"[\d*]+", field) for line in lines for field in line[:5])
    assert not any("%" in line[5] for line in lines)  # cron would take it for the end of the line
    crawl, prune, diff, verify = (line[5] for line in lines)
    first = by_cron(crawl)
    wait_for(lambda: served.hits("a.test", "/p4"))
    second = by_cron(crawl)
    out, err = second.communicate(timeout=40)
    assert (second.returncode, out, err.count("skipped")) == (0, "", 1)
    gate.open()
    out, err = first.communicate(timeout=40)
    assert (first.returncode, out.count("\n"), err) == (0, 1, "")
    cli.db = cli.folder / "data" / "crawl.db"
    assert len(cli.pages()) == 5
    pruned = by_cron(prune)
    out, err = pruned.communicate(timeout=40)
    assert (pruned.returncode, out.count("\n"), err) == (0, 1, "")
    compared = by_cron(diff)
    out, err = compared.communicate(timeout=40)
    assert (compared.returncode, "new" in out, err) == (0, True, "")
    verified = by_cron(verify)
    assert (*verified.communicate(timeout=40), verified.returncode) == ("", "", 0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    files = []
    for block in blocks("ini"):
        (path,) = re.findall(r"^# /etc/systemd/system/(\S+)$", block, re.MULTILINE)
        files.append(tmp_path / path)
        files[-1].write_text(placed(block, tmp_path))
    assert [file.name for file in files] == ["crawl.service", "crawl.timer", "crawler@.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, files)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or line.startswith("crawl.")]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_timer_s_calendar_is_one(tmp_path: Path) -> None:
    (calendar,) = re.findall(r"^OnCalendar=(.*)$", TEXT, re.MULTILINE)
    subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, check=True)


def test_the_example_of_a_crawl_file_runs(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=5)
    served = serve(web)
    example, tables, rules = blocks("toml")
    rules = rules[rules.index("[[extract]]") :]
    (cli.folder / "more-seeds.txt").write_text(served.url("a.test", "/p2"))
    (cli.folder / "crawl.toml").write_text(
        example.replace("https://example.com/", served.url("a.test")).replace("delay = 2", "delay = 0")
        + f'allow-private = ["{LOOPBACK[1]}"]\ndns-server = "{served.dns}"\n{tables}{rules}'
    )
    cli.command("crawl", "--config", str(cli.folder / "crawl.toml"))
    cli.db = cli.folder / "example.db"
    assert len(cli.pages()) == 5


def test_the_manual_names_each_field_of_the_summary_and_each_metric(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    web.site("a.test", pages=5).answer("/p4", gate)
    served = serve(web)
    page = (ROOT / "crawler/manual/output.md").read_text(encoding="utf-8")
    metrics = cli.folder / "crawl.prom"
    running = cli.start(served, served.url("a.test"), "--delay", "0", "--metrics-file", str(metrics))
    wait_for(metrics.exists)
    names = set(re.findall(r"^# TYPE (\w+)", metrics.read_text(), re.MULTILINE))  # some only while it runs
    gate.open()
    assert running.wait(timeout=40) == 0
    running.communicate()
    names |= set(re.findall(r"^# TYPE (\w+)", metrics.read_text(), re.MULTILINE))
    assert "crawler_urls_queued" in names
    assert {name for name in names if not re.search(rf"`{name}[`{{]", page)} == set()
    assert {name for name in json.loads(cli.summary_file.read_text()) if f"`{name}`" not in page} == set()


@pytest.mark.thorough
def test_the_examples_in_python_run(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Window functions", text="What a window function is", links=["/p1", "/gone"])
    site.page("/p1", text="Another page, for 9.90 EUR")  # a second each
    served = serve(web)
    folder = cli.folder
    told = {  # beside the URL of the site
        "broken_links": f"{served.url('a.test')} links to {served.url('a.test', '/gone')}: http 404\n",
        "prices.db": f"{served.url('a.test', '/p1')} None -> 9.9 EUR\n",
        "fts5": f"('{served.url('a.test')}', 'Window functions')",
    }
    for example in dict.fromkeys(blocks("python")):  # the first one stands in the README, too
        if "web.run_app" in example or not re.search(r"^from crawler|content_type", example, re.MULTILINE):
            continue  # a server, or another tool: they have tests of their own
        cli.folder = folder
        if (
            re.search(r"\bcrawl\(\[", example) and (folder / "example.db").exists()
        ):  # the first one's is for those that read
            cli.folder = Path(tempfile.mkdtemp(dir=folder))
        (cli.folder / "example.py").write_text(on_loopback(example, served))
        done = cli.run(["env", f"PYTHONPATH={ROOT}", sys.executable, "example.py"])
        assert served.url("a.test") in done.out, example
        for part in [text for mark, text in told.items() if mark in example]:
            assert part in done.out
            del told[next(mark for mark, text in told.items() if text == part)]
    assert not told


def on_loopback(example: str, served: Served) -> str:
    """The example, for our web."""
    network = f"NetworkConfig(dns_server={served.dns!r}, allow_private=['127.0.0.0/8'])"
    code = example.replace("https://example.com/", served.url("a.test"))
    code = code.replace("CrawlConfig(", f"CrawlConfig(network={network}, ")
    return f"from crawler import NetworkConfig\n{code}"


@pytest.mark.thorough
def test_the_example_beside_aiohttp_serves_what_it_crawls(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=2)
    served = serve(web)
    (example,) = [block for block in blocks("python") if "web.run_app" in block]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (cli.folder / "example.py").write_text(on_loopback(example, served).replace("port=8080", f"port={port}"))
    site, here = served.url("a.test"), f"http://127.0.0.1:{port}"

    def answer(path: str, name: str, value: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{here}{path}?{urllib.parse.urlencode({name: value})}") as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except urllib.error.URLError:
            return 0, b""

    command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "example.py"]
    with subprocess.Popen(
        command, cwd=cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for(lambda: answer("/crawl", "seed", site)[0] == 202)
        assert answer("/crawl", "seed", site)[0] == 409
        wait_for(lambda: answer("/page", "url", site.removeprefix("http://"))[0] == 200)
        status, body = answer("/page", "url", site)
        assert (status, json.loads(body)["url"]) == (200, site)
        assert answer("/page", "url", f"{site}none")[0] == 404
        running.send_signal(signal.SIGINT)
        _out, err = running.communicate(timeout=60)
    assert "Traceback" not in err
    cli.db = cli.folder / "served.db"
    assert cli.rows("SELECT count(*) FROM runs WHERE ended_at IS NULL") == [0]
