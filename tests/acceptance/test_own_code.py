"""`--hooks` and `--reader`: code that the user names, imported, recorded, and asked for again."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator

import pytest
import trustme

from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import Cli, Serve

pytestmark = pytest.mark.any_store

HOOKS = """
from crawler import Hooks

class Mine(Hooks):
    def on_link(self, link):
        return not link.url.endswith("/p2") or "no second page"
    def on_page(self, page, extras):
        extras.fields["length"] = len(page.title)

class Broken(Hooks):
    def __init__(self):
        raise ValueError("no key")

def function(): ...
"""

ASKING = """
import aiohttp
from crawler import Hooks

class Asking(Hooks):
    async def on_page(self, page, extras):
        async with aiohttp.ClientSession() as session, session.get({url!r}) as answer:
            extras.fields["told"] = await answer.text()
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    web = FakeWeb()
    web.site("a.test", pages=4)
    with web.running() as running:
        yield running


@pytest.fixture
def coder(cli: Cli) -> Cli:
    (cli.folder / "mine.py").write_text(HOOKS)
    return cli


def test_hooks_are_imported_from_the_current_folder_and_asked_for_again(coder: Cli, served: Served) -> None:
    url = served.url("a.test", "/p2")
    first = coder.crawl(served, served.url("a.test"), "--delay", "0", "--hooks", "mine:Mine")
    assert first.summary["excluded"] == {"hook": 1}
    assert all(json.loads(fields)["length"] > 0 for fields in coder.rows("SELECT fields FROM pages"))
    shown = json.loads(coder.command("show", url, "--db", str(coder.db), "--json").out)
    assert (shown["status"], shown["reason"]) == ("excluded", "hook on_link: no second page")
    why = coder.command("why", url, "--db", str(coder.db)).out
    assert "a hook left it out: on_link: no second page" in why
    page = json.loads(coder.command("show", served.url("a.test"), "--db", str(coder.db), "--json").out)["page"]
    assert page["fields"] == {"length": len(page["title"])}
    refused = coder.crawl(served, status=2)
    assert refused.err.count("\n") == 1
    assert "give them again (--hooks mine:Mine), or --hooks none" in refused.err
    assert coder.crawl(served, served.url("a.test"), status=2).err == refused.err
    assert coder.crawl(served, "--hooks", "mine:Mine").summary["excluded"] == {"hook": 1}
    without = coder.crawl(served, "--hooks", "none")
    assert "1 excluded URL can be fetched now" in without.err
    assert len(coder.pages()) == 4
    coder.crawl(served)  # nothing is missing any more


def test_hooks_may_use_aiohttp_with_whom_the_system_trusts(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(cli.folder / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(cli.folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    web = FakeWeb()
    site = web.host("said.test", tls=True)
    site.answer("/", Answer(body=b"said"))
    ca.issue_cert(site.address).configure_cert(context)
    with web.running(ssl_context=context) as other:
        (cli.folder / "asking.py").write_text(ASKING.format(url=f"https://{site.address}:{other.tls_port}/"))
        cli.crawl(served, served.url("a.test"), "--delay", "0", "--max-pages", "1", "--hooks", "asking:Asking")
    assert cli.rows("SELECT fields FROM pages") == ['{"told":"said"}']


def test_hooks_may_stand_in_a_crawl_file_beside_their_module(coder: Cli, served: Served) -> None:
    site = coder.folder / "site"
    site.mkdir()
    (coder.folder / "mine.py").rename(site / "beside.py")
    (site / "crawl.toml").write_text('hooks = "beside:Mine"')
    done = coder.crawl(served, served.url("a.test"), "--delay", "0", "--config", "site/crawl.toml")
    assert done.summary["excluded"] == {"hook": 1}


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mine", "--hooks takes MODULE:NAME, such as myhooks:MyHooks, not 'mine'"),
        ("nowhere:Mine", "--hooks nowhere:Mine: there is no module nowhere in "),
        ("mine:Other", "--hooks mine:Other: mine has no Other; it has Hooks, Mine, Broken, function"),
        ("mine:function", "--hooks mine:function is no subclass of crawler.Hooks"),
        ("mine:Broken", "--hooks mine:Broken cannot be created: ValueError: no key (mine.py, line 12)"),
        ("bad:Mine", "--hooks bad:Mine: cannot be imported: SyntaxError: "),
        (
            "lacking:Mine",
            "--hooks lacking:Mine: cannot be imported: ModuleNotFoundError: No module named 'nothing_such'",
        ),
    ],
)
def test_what_cannot_be_imported_is_told_in_a_line(no_crawl: Cli, name: str, told: str) -> None:
    (no_crawl.folder / "mine.py").write_text(HOOKS)
    (no_crawl.folder / "bad.py").write_text("class Mine(:")
    (no_crawl.folder / "lacking.py").write_text("import nothing_such")
    outcome = no_crawl.crawl(None, "https://example.com/", "--hooks", name, status=2)
    assert outcome.err.count("\n") == 1
    assert told in outcome.err
    assert not no_crawl.has_anything()


def test_no_file_of_the_folder_stands_in_for_a_module_of_ours(coder: Cli, served: Served) -> None:
    (coder.folder / "sqlite3.py").write_text("raise SystemExit('taken over')")
    coder.crawl(served, served.url("a.test"), "--delay", "0", "--max-pages", "1", "--hooks", "mine:Mine")


READERS = """
import csv, io, os, sys, time

def read_csv(body, url, content_type):
    print("to nowhere", flush=True)
    os.write(1, b"nonsense")
    print("x" * 200_000, file=sys.stderr)
    assert sys.stdin.read() == ""
    text = body.decode()
    if "bad" in text:
        raise ValueError("no such column")
    if "slow" in text:
        time.sleep(600)
    rows = list(csv.reader(io.StringIO(text)))
    return {"title": rows[0][0], "text": text, "links": [row[1] for row in rows], "fields": {"rows": len(rows)}}

number = 3
"""


def test_documents_of_other_types_are_read_by_functions_of_the_user_s(cli: Cli, serve: Serve) -> None:
    (cli.folder / "tables.py").write_text(READERS)
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/good.csv", "/bad.csv", "/slow.csv"])
    for name, text in {"good": "Good,/x\nand,/y", "bad": "bad,/z", "slow": "slow,/z"}.items():
        site.answer(f"/{name}.csv", Answer(body=text, content_type="Text/CSV; charset=utf-8"))
    site.page("/x", links=[])
    site.page("/y", links=[])
    served = serve(web)
    url = served.url("a.test", "/good.csv")
    cli.crawl(served, served.url("a.test"), "--delay", "0")
    shown = json.loads(cli.command("show", url, "--db", str(cli.db), "--json").out)
    assert (shown["page"], shown["unread_type"]) == (None, "Text/CSV; charset=utf-8")
    again = ("--delay", "0", "--max-age", "0s", "--parse-timeout", "2", "--reader", "text/csv=tables:read_csv")
    done = cli.crawl(served, *again)
    page = json.loads(cli.command("show", url, "--db", str(cli.db), "--json").out)["page"]
    assert (page["title"], page["fields"], page["content_type"]) == ("Good", {"rows": 2}, "text/csv")
    assert served.url("a.test", "/x") in cli.pages()
    assert done.summary["by_failure"] == {"hook": 1, "parse_timeout": 1}
    [message] = cli.rows("SELECT message FROM fetches WHERE failure = 'hook'")
    assert message == "tables:read_csv: ValueError: no such column (tables.py, line 11)"
    refused = cli.crawl(served, status=2)
    assert "--reader text/csv=tables:read_csv" in refused.err
    cli.crawl(served, "--reader", "none")


@pytest.mark.first_case
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("csv=tables:read_csv", "--reader takes TYPE=MODULE:FUNCTION"),
        ("text/csv=tables", "--reader takes MODULE:NAME"),
        ("text/csv=tables:nothing", "--reader text/csv=tables:nothing: tables has no nothing; it has read_csv"),
        ("text/csv=tables:number", "--reader text/csv=tables:number is no function"),
    ],
)
def test_a_reader_that_there_is_not_is_told_in_a_line(cli: Cli, given: str, told: str) -> None:
    (cli.folder / "tables.py").write_text(READERS)
    outcome = cli.crawl(None, "https://example.com/", "--reader", given, status=2)
    assert outcome.err.count("\n") == 1
    assert told in outcome.err
