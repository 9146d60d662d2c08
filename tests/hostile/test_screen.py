"""Text from the web is shown, stored and exported; nothing in it acts on the terminal that shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, on_a_terminal

ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
EVIL = "\x1b]0;pwned\x07\x1b[2J\x1b[31mred\x9b5m\x90q\x07\r\x08\u202egnp\u2066\u200b"


@pytest.fixture
def hostile() -> FakeWeb:
    """Escape sequences wherever the web can put text: titles, links, Location, reasons, types, robots.txt, names."""
    web = FakeWeb()
    site = web.host("a.test")
    latin = EVIL.encode("latin-1", "ignore").decode("latin-1").replace("\r", "").replace("\n", "").replace("\0", "")
    site.robots(
        f"User-agent: *\nDisallow: /{EVIL.replace(chr(13), '')}x\nDisallow: /forbidden{EVIL.replace(chr(13), '')}\n"
    )
    site.page("/", title=EVIL, text=EVIL, links=[
        f"/{EVIL}", f"/{EVIL}x", f"/gone{EVIL}", "/redirect", "/type", "/reason", f"http://{EVIL}.test/", "http://xn--a.test/",
        f"http://dead{'x' * 40}.test/%1b%5d0;pwned%07", "/forbidden", "/cut",
    ])  # fmt: skip
    site.redirect("/redirect", f"/{latin}to")
    site.page("/type", body="x", content_type="text/html; \x1b]0;pwned\x07\x9b5m")

    async def reason(_reader: object, writer: object) -> None:
        writer.write(b"HTTP/1.1 500 \x1b]0;pwned\x07\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]

    async def nonsense(_reader: object, writer: object) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\x1b]0;pwned\x07\x1b[2J\r\n\r\n")  # type: ignore[attr-defined]

    site.raw("/reason", reason)
    site.raw("/cut", nonsense)
    return web


def test_no_line_of_any_command_holds_a_control_character(hostile: FakeWeb, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with hostile.running() as served:
        outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--retries", "0", "--max-wait", "1s",
                            "--scope", "any")  # fmt: skip
    status = cli.command("status", "--db", str(cli.db))
    as_json = cli.command("status", "--db", str(cli.db), "--json")
    for text in (outcome.out, outcome.err, status.out, status.err, as_json.out, cli.summary_file.read_text()):
        assert not ACTS.findall(text)
    assert outcome.summary["pages"] >= 2
    assert outcome.summary["urls"]["failed"] >= 2
    json.loads(as_json.out)
    assert cli.rows("SELECT count(*) FROM urls WHERE reason LIKE 'robots: line 2: Disallow: /_]0;pwned%'") == [1]
    stored = cli.rows("SELECT url FROM urls") + cli.rows("SELECT coalesce(reason, '') FROM urls")
    assert not ACTS.findall("".join(stored))
    heads = cli.rows("SELECT coalesce(message, '') || coalesce(content_type, '') FROM fetches")
    assert not CONTROLS.findall("".join(heads))
    assert any("pwned" in text for text in heads)


def test_neither_the_json_log_nor_the_metrics_hold_a_control_character(hostile: FakeWeb, tmp_path: Path) -> None:
    cli, metrics = Cli(tmp_path), tmp_path / "crawl.prom"
    with hostile.running() as served:
        outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--retries", "0", "--max-wait", "1s",
                            "--scope", "any", "--log-format", "json", "--metrics-file", str(metrics))  # fmt: skip
    assert not ACTS.findall(outcome.err + metrics.read_text())
    assert [json.loads(line)["event"] for line in outcome.err.splitlines()][-1] == "end"
    assert "crawler_failures_total" in metrics.read_text()


@pytest.mark.thorough
def test_the_live_view_shows_no_sequence_of_the_webs(hostile: FakeWeb, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    with hostile.running() as served:
        arguments = cli.arguments(served, served.url("a.test"), "--delay", "0.2", "--retries", "0", "--max-wait", "1s")
        at = arguments.index("--log-format")
        screen = on_a_terminal(arguments[:at] + arguments[at + 2 :], cwd=cli.folder)
    for sequence in ("\x1b]", "\x1b[2J", "\x9b5m", "\x90q", "\x07", "\u202e"):
        assert sequence not in screen
    assert "a.test" in screen
