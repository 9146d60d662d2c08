"""`[[host]]` tables of a crawl file: read, told, kept for the next run; and their headers, which are secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb, Served
from tests.acceptance.conftest import LOOPBACK, Cli
from tests.stores import stores

# Marked `sqlite`: what is refused before any store is looked at.
pytestmark = pytest.mark.any_store

Serve = Callable[[FakeWeb], Served]
SECRET = "s3cret-of-a-host"
TABLE = f"""
delay = 0
[[host]]
match = "*.inner.test"
max-pages = 2
header = ["X-Key: {SECRET}", "User-Agent: inner/1.0"]
"""


@pytest.fixture
def served(serve: Serve) -> Served:
    web = FakeWeb()
    for name in ("a.inner.test", "inner.test", "b.test"):
        web.site(name, pages=5)
    web.host("c.inner.test").redirect("/", "http://b.test/")
    return serve(web)


def crawl(cli: Cli, served: Served, *arguments: str, status: int = 0) -> str:
    words = [*LOOPBACK, "--dns-server", served.dns, "--db", str(cli.db), "--delay", "0", "--log-format", "text"]
    return cli.command("crawl", *words, *arguments, status=status).err


def keys(served: Served, host: str) -> set[str | None]:
    return {hit.headers.get("x-key") for hit in served.hits(host)}


def seeds(served: Served) -> list[str]:
    return [served.url(host) for host in ("a.inner.test", "inner.test", "b.test", "c.inner.test")]


def test_its_headers_go_to_that_host_only_and_are_stored_nowhere(cli: Cli, served: Served) -> None:
    (cli.folder / "crawl.toml").write_text(TABLE)
    crawl(cli, served, *seeds(served), "--config", "crawl.toml")
    assert keys(served, "a.inner.test") == keys(served, "c.inner.test") == {SECRET}
    assert keys(served, "inner.test") == keys(served, "b.test") == {None}
    assert {hit.headers["user-agent"] for hit in served.hits("a.inner.test")} == {"inner/1.0"}
    assert len([url for url in cli.pages() if "//a.inner." in url]) == 2
    assert not stores(cli.db, SECRET)
    assert cli.options()["hosts"][0]["headers"] == ["user-agent", "x-key"]


@pytest.mark.thorough
def test_a_run_that_goes_on_needs_them_again_and_keeps_the_rest(cli: Cli, served: Served) -> None:
    (cli.folder / "crawl.toml").write_text(TABLE)
    crawl(cli, served, *seeds(served), "--config", "crawl.toml")
    told = crawl(cli, served, status=2)
    assert "the last run sent headers to *.inner.test whose values are not stored: user-agent, x-key; give the" in told
    crawl(cli, served, "--config", "crawl.toml")
    assert len([url for url in cli.pages() if "//a.inner." in url]) == 4
    empty = TABLE.replace(SECRET, "").replace("inner/1.0", "").replace("max-pages = 2", "max-pages = 3")
    (cli.folder / "crawl.toml").write_text(empty)
    assert "other [[host]] settings" in crawl(cli, served, "--config", "crawl.toml")
    assert len([url for url in cli.pages() if "//a.inner." in url]) == 5
    assert None in keys(served, "a.inner.test")
    crawl(cli, served, "--max-age", "0s")  # nothing is missing any more; the number of pages is
    assert cli.options()["hosts"][0]["max_pages"] == 3


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('match = "a.test"\ndelay = -1', "[[host]] 1: delay must be between 0 and 86400, not -1"),
        ('match = "a.test"\ndealy = 1', "[[host]] 1: there is no option 'dealy'; did you mean delay?"),
        ('match = "a.test"\nheader = "X: y"', "[[host]] 1: header takes a list"),
        ('match = "a.test"\nheader = ["Host: x"]', "Host cannot be set"),
        ('match = "https://a.test/"', "[[host]] 1: match takes a host name, in which * stands for anything"),
        ("delay = 1", '[[host]] 1 has no match; name its hosts, such as match = "*.example.com"'),
        ("match = 1\n[[host]]\nmatch = []", "[[host]] 2: match takes a text or a number"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_one_line(cli: Cli, table: str, told: str) -> None:
    (cli.folder / "crawl.toml").write_text(f"[[host]]\n{table}\n")
    (line,) = cli.command("crawl", "a.test", "--config", "crawl.toml", status=2).err.splitlines()
    assert told in line


def test_a_name_in_another_script_is_meant_as_it_is_asked_for(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("xn--bcher-kva.test", pages=3)
    served = serve(web)
    (cli.folder / "crawl.toml").write_text('[[host]]\nmatch = "Bücher.*"\nmax-pages = 1\n')
    crawl(cli, served, served.url("xn--bcher-kva.test"), "--config", "crawl.toml")
    assert len(cli.pages()) == 1


def test_the_file_that_init_writes_has_a_table_to_begin_with(cli: Cli, served: Served) -> None:
    file = Path(cli.folder / "crawl.toml")
    cli.command("init")
    lines = file.read_text().splitlines()
    start = lines.index("# [[host]]")
    end = lines.index("", start)
    table = [line.removeprefix("# ") for line in lines[start:end]]
    file.write_text("\n".join([*lines[:start], *table, *lines[end:]]) + "\n")
    crawl(cli, served, served.url("b.test"), "--config", "crawl.toml")
    [stored] = cli.options()["hosts"]
    named = {"match": "*.example.com", "delay_s": 5.0, "per_host": 1, "max_pages": 1000, "max_requests": 5000}
    assert stored | named == stored
    assert stored["headers"] == ["x-api-key"]
