"""`crawler try`: one page, from the web, from the database, from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import LOOPBACK, Cli, serving

PAGE = (
    "<html lang=en><title>Widget \x1b[31m</title><meta name=description content=D><meta property=og:title content=O>"
    "<h1>Widget</h1><p class=price>1.299,00 €</p><a href=/next>next</a><img src=i.png alt=I>"
)
RULES = """
[[extract]]
name = "product"
match = "/products/*"
[extract.fields]
title = "h1"
price = { from = ".price", type = "price" }
[[extract]]
name = "article"
match = "/news/*"
[extract.fields]
title = "h1"
[[extract]]
name = "strict"
[extract.fields]
sku = { from = ".sku", required = true }
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    web = FakeWeb()
    site = web.host("shop.test")
    site.robots("User-agent: *\nDisallow: /private/\n")
    site.page("/products/1", body=PAGE)
    site.page("/private/1", body=PAGE)
    site.redirect("/old", "/products/1")
    site.status("/gone", 404)
    site.answer("/picture", Answer(body=b"\x89PNG", content_type="image/png"))
    with serving() as serve:
        yield serve(web)


@pytest.fixture
def rules(cli: Cli) -> Path:
    file = cli.folder / "rules.toml"
    file.write_text(RULES)
    return file


def tried(cli: Cli, served: Served, path: str, *arguments: str, status: int = 0) -> str:
    network = (*LOOPBACK, "--dns-server", served.dns, "--delay", "0")
    done = cli.command("try", served.url("shop.test", path), "--db", str(cli.db), *network, *arguments, status=status)
    return done.out if status == 0 else done.err


def test_rules_are_shown_for_a_page_from_the_web(cli: Cli, served: Served, rules: Path) -> None:
    lines = tried(cli, served, "/products/1", "--config", str(rules)).splitlines()
    told = [" ".join(line.split()) for line in lines]
    assert told == [
        f"url {served.url('shop.test', '/products/1')}",
        told[1],
        "rule product: 1 row",
        "title Widget",
        'price {"amount":1299.0,"currency":"EUR"}',
        "rule article: not for this URL (match: /news/*)",
        "rule strict: nothing found; missing: sku",
    ]
    assert told[1].startswith("from the web, HTTP 200, ")
    assert not cli.db.exists()


def test_without_rules_all_that_is_read_is_shown_and_harms_no_terminal(cli: Cli, served: Served) -> None:
    text = tried(cli, served, "/products/1")
    assert "\x1b" not in text
    for words in ("Widget", "description  D", "headings", "h1  Widget", "/next  next", "image", "og:title  O", "en"):
        assert words in text, words


def test_programs_get_json(cli: Cli, served: Served, rules: Path) -> None:
    data = json.loads(tried(cli, served, "/old", "--config", str(rules), "--json"))
    assert data["url"] == served.url("shop.test", "/products/1")
    price = {"amount": 1299.0, "currency": "EUR"}
    assert data["extracts"] == {
        "product": {"rows": [{"title": "Widget", "price": price}], "lacking": [], "cut": False},
        "article": None,
        "strict": {"rows": [], "lacking": ["sku"], "cut": False},
    }
    page = json.loads(tried(cli, served, "/products/1", "--json"))["page"]
    assert page["headings"] == [{"level": 1, "text": "Widget"}]


def test_a_stored_body_is_read_and_that_is_said(cli: Cli, served: Served) -> None:
    cli.crawl(served, served.url("shop.test", "/products/1"), "--max-depth", "0")
    before = len(served.log)
    text = tried(cli, served, "/products/1", "--extract", "t=h1")
    assert f"{cli.db}, fetched at " in text
    assert len(served.log) == before
    assert "the web, HTTP 200" in tried(cli, served, "/products/1", "--fetch")
    assert len(served.log) > before


def test_a_file_is_read_as_if_it_came_from_its_url(cli: Cli) -> None:
    (cli.folder / "page.html").write_text(PAGE)
    file = ("try", str(cli.folder / "page.html"), "--extract", "x:url=a", "--json")
    data = json.loads(cli.command(*file, "--url", "https://shop.example/a/b").out)
    assert data["extracts"]["page"]["rows"] == [{"x": "https://shop.example/next"}]
    assert json.loads(cli.command(*file).out)["url"] == "http://localhost/page.html"


def test_what_a_crawl_would_not_fetch_is_not_fetched(cli: Cli, served: Served) -> None:
    assert "robots: line 2: Disallow: /private/" in tried(cli, served, "/private/1", status=4)
    assert "could not be fetched: http 404" in tried(cli, served, "/gone", status=4)
    assert "is no page that is read" in tried(cli, served, "/picture", status=4)
    refused = cli.command("try", "http://shop.test/", "--db", str(cli.db), "--dns-server", served.dns, status=4)
    assert "blocked_address" in refused.err
    assert "page.html" in cli.command("try", "no/page.html", "--url", "https://a.test/", status=2).err
