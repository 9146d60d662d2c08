"""`crawler crawl` with extraction rules, and `crawler extract`: a shop whose truth is known, served on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import FakeWeb, Served
from crawler.records import Response
from tests.acceptance.conftest import COMMAND, Cli, Gate, Places, Serve, serving, wait_for
from tests.contract.results import NOW, a_body, a_result, a_store, claims_of

pytestmark = pytest.mark.any_store

PRICES = {number: 100 * number + 0.5 for number in range(1, 13)}
RULES = """
[[extract]]
name = "product"
match = "/products/*"
[extract.fields]
title = "h1"
price = { from = ".price", type = "price", required = true }
offer = { from = "json-ld:Product.offers.price", type = "price" }
image = { from = "img::attr(src)", type = "url" }
"tags[]" = "li"
"""
VIEW = "SELECT title, price, price_currency, offer, image, tags FROM extract_product ORDER BY price"
QUICK = ("--delay", "0", "--per-host", "8")


def shop() -> FakeWeb:
    web = FakeWeb()
    site = web.host("shop.test")
    site.page("/", title="Shop", links=[f"/products/{number}" for number in PRICES] + ["/about"])
    site.page("/about", title="About", text="Nothing to buy here.")
    for number, price in PRICES.items():
        written = f"{price:,.2f}".translate(str.maketrans(",.", ".,"))
        data = {"@type": "Product", "offers": {"price": str(price), "priceCurrency": "EUR"}}
        site.page(
            f"/products/{number}",
            body=f'<script type="application/ld+json">{json.dumps(data)}</script><h1>Product {number}</h1>'
            f"<p class=price>{written} €</p><img src=../{number}.png><ul><li>new<li>{number}</ul>",
        )
    return web


def truth(served: Served) -> list[tuple[Any, ...]]:
    return [
        (
            f"Product {number}",
            price,
            "EUR",
            price,
            served.url("shop.test", f"/{number}.png"),
            f'["new","{number}"]',
        )
        for number, price in PRICES.items()
    ]


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory, places: Places) -> Iterator[tuple[Cli, Served]]:
    """A crawl without rules, which tests copy, and the shop that is still there."""
    cli = places.cli(tmp_path_factory.mktemp("shop"))
    with serving() as serve:
        served = serve(shop())
        cli.crawl(served, served.url("shop.test"), *QUICK)
        yield cli, served


@pytest.fixture
def served(bought: tuple[Cli, Served]) -> Served:
    return bought[1]


@pytest.fixture
def crawled(cli: Cli, bought: tuple[Cli, Served]) -> Served:
    """The database of the test is a copy."""
    cli.take_over(bought[0])
    return bought[1]


@pytest.fixture
def rules(cli: Cli) -> Path:
    file = cli.folder / "rules.toml"
    file.write_text(RULES)
    return file


def test_a_crawl_file_with_rules_gives_views(cli: Cli, served: Served, rules: Path) -> None:
    done = cli.crawl(served, served.url("shop.test"), "--config", str(rules), *QUICK)
    assert cli.rows(VIEW) == truth(served)
    assert done.summary["extracts"]["product"] == {
        "pages": 12,
        "rows": 12,
        "nothing": 0,
        "incomplete": 0,
        "cut": 0,
        "lost": 0,
    }
    assert "product: 12 rows on 12 of 12 pages" in done.err + done.out
    listed = ("--db", str(cli.db), "--sort", "-price", "--limit", "2", "--columns", "title,price", "--format", "csv")
    for name in ("extract_product", "extract-product", "product"):
        assert cli.command("list", name, *listed).out == "title,price\nProduct 12,1200.5\nProduct 11,1100.5\n"
    views = cli.command("list", "--db", str(cli.db)).out.splitlines()
    assert views[-1] == "extract_product\tproduct\tWhat the extraction rule product finds"
    assert "there is no view 'produkt'" in cli.command("list", "produkt", "--db", str(cli.db), status=2).err
    assert cli.command("verify", "--db", str(cli.db)).out.endswith("is sound\n")


def test_fields_of_the_command_line_are_a_rule_for_every_page_and_the_next_run_goes_on_with_it(
    cli: Cli, served: Served
) -> None:
    cli.crawl(served, served.url("shop.test"), "--extract", "title=h1", "--extract", "price:price=.price", *QUICK)
    assert cli.rows("SELECT count(*), sum(price) FROM extract_page") == [(14, sum(PRICES.values()))]
    cli.crawl(served, "--max-age", "0s", *QUICK)
    assert cli.options()["extract"]["fields"] == ["title=h1", "price:price=.price"]
    cli.crawl(served, "--max-age", "0s", "--extract", "none", *QUICK)
    assert cli.options()["extract"]["fields"] == []


def test_rules_are_applied_to_what_is_stored(cli: Cli, crawled: Served, rules: Path) -> None:
    extract = ("extract", "--db", str(cli.db))
    assert cli.command(*extract, status=2).err.startswith("crawler: there are no extraction rules; give a crawl file")
    done = cli.command(*extract, "--config", str(rules))
    assert done.out == "14 stored page versions\nproduct: 12 rows on 12 of 12 pages\n"
    assert cli.rows(VIEW) == truth(crawled)
    before = cli.rows("SELECT * FROM extracts")
    assert cli.command(*extract).out.startswith("nothing to read")
    assert json.loads(cli.command(*extract, "--again", "--json").out) == {
        "pages": 14,
        "without_body": 0,
        "unreadable": 0,
        "rules": {"product": {"pages": 12, "rows": 12, "nothing": 0, "incomplete": 0, "cut": 0}},
    }
    assert cli.rows("SELECT * FROM extracts") == before
    rules.write_text(RULES.replace("/products/*", "/products/1*").replace('"h1"', '"h5"'))
    cli.command(*extract, "--config", str(rules))
    assert cli.rows("SELECT title, price FROM extract_product ORDER BY n, price") == [
        (None, PRICES[number]) for number in (1, 10, 11, 12)
    ]
    assert cli.command("verify", "--db", str(cli.db)).out.endswith("is sound\n")
    assert cli.command(*extract, "--drop", "nothing", status=2).err.endswith("there are: product\n")
    assert cli.command(*extract, "--drop", "product").out == "removed the rule product with 4 rows\n"
    assert cli.rows("SELECT count(*) FROM extracts") == [0]
    assert "there is no view 'product'" in cli.command("list", "product", "--db", str(cli.db), status=2).err


@pytest.mark.sqlite
def test_a_report_names_the_pages_that_lack_what_a_rule_requires(cli: Cli, crawled: Served, rules: Path) -> None:
    rules.write_text(RULES.replace('"/products/*"', '["/products/*", "/about"]'))
    cli.command("extract", "--db", str(cli.db), "--config", str(rules))
    report = ("report", "-", "--format", "json", "--db", str(cli.db), "--fail-on", "extraction-problems")
    sections = json.loads(cli.command(*report, status=7).out)["sections"]
    (found,) = (one for one in sections if one["name"] == "extraction-problems")
    (row,) = found["rows"]
    assert (row["url"], row["rule"], row["problem"]) == (crawled.url("shop.test", "/about"), "product", "incomplete")


def test_pages_without_a_body_are_said_and_keep_what_they_have(cli: Cli, served: Served, rules: Path) -> None:
    cli.crawl(served, served.url("shop.test"), "--no-bodies", "--config", str(rules), *QUICK)
    done = cli.command("extract", "--db", str(cli.db), "--again")
    assert done.out == "14 stored page versions, 12 without a stored body\nproduct: 0 rows on 0 of 0 pages\n"
    assert cli.rows(VIEW) == truth(served)


def test_a_wrong_rule_is_one_line_before_anything_is_made(no_crawl: Cli) -> None:
    cli, rules = no_crawl, no_crawl.folder / "rules.toml"
    rules.write_text(RULES.replace('"h1"', '"h1["'))
    for command in ("crawl", "extract"):
        told = cli.command(command, "--config", str(rules), status=2).err
        assert told == (f"crawler: {rules}: [[extract]] product: title: 'h1[' is no CSS selector that can be read\n")
    rules.write_text('extract = ["title=h1", { name = "x" }]')
    assert "[[extract]]" in cli.command("extract", "--config", str(rules), status=2).err
    told = cli.command("crawl", "--extract", "title", status=2).err
    assert told == "crawler: --extract takes NAME=CSS, such as title=h1 or price:price=.price, not 'title'\n"
    assert [file.name for file in cli.folder.iterdir()] == ["rules.toml"]
    assert "does not exist" in cli.command("extract", "--db", str(cli.db), "--extract", "a=b", status=2).err
    assert not cli.has_anything()


def test_pruned_versions_take_their_rows_along(cli: Cli, served: Served, rules: Path, places: Places) -> None:
    file = Cli(cli.folder / "file")
    file.folder.mkdir()
    file.crawl(served, served.url("shop.test"), *QUICK)
    with closing(sqlite3.connect(file.db)) as connection, connection:  # a newer version of the first product
        columns = ", ".join(row[1] for row in connection.execute("PRAGMA table_info(pages)") if row[1] != "id")
        (url_id, page_id) = connection.execute("SELECT id, page_id FROM urls WHERE url LIKE '%/products/1'").fetchone()
        copy = f"INSERT INTO pages ({columns}) SELECT {columns} FROM pages WHERE id = ?"
        newest = connection.execute(copy, (page_id,)).lastrowid
        connection.execute("UPDATE urls SET page_id = ? WHERE id = ?", (newest, url_id))
    cli.take_over(places.of(file.db))
    cli.command("extract", "--db", str(cli.db), "--config", str(rules))
    versions = (
        "SELECT p.id FROM pages AS p JOIN urls AS u ON u.id = p.url_id WHERE url LIKE '%/products/1' ORDER BY p.id"
    )
    page_id, newest = cli.rows(versions)  # a copy may have given them other ids
    of_both = "SELECT page_id FROM extracts WHERE page_id IN (?, ?) ORDER BY page_id"
    assert cli.rows(of_both, page_id, newest) == [page_id, newest]
    cli.command("prune", "--db", str(cli.db), "--keep-versions", "1")
    assert cli.rows(of_both, page_id, newest) == [newest]
    assert cli.rows(VIEW) == truth(served)


def test_another_writer_is_waited_for_or_left_alone(
    cli: Cli, crawled: Served, rules: Path, serve: Serve, gate: Gate
) -> None:
    web = FakeWeb()
    web.host("other.test").answer("/", gate)
    other = serve(web)
    crawler = cli.start(other, other.url("other.test"), *QUICK)
    wait_for(lambda: other.hits("other.test", "/"))
    extract = ("extract", "--db", str(cli.db), "--config", str(rules))
    assert cli.command(*extract, status=5).err.count("\n") == 1
    assert cli.command(*extract, "--if-running", "skip").err.startswith("skipped: ")
    gate.open()
    crawler.communicate()
    assert cli.rows("SELECT count(*) FROM extracts") == [0]


@pytest.mark.thorough
def test_a_killed_extraction_goes_on_where_it_was(cli: Cli, rules: Path, places: Places) -> None:
    """Many times: no page has rows of two readings, none lacks its own, and little is read twice."""
    file = cli.folder / "products.db"
    asyncio.run(_store_products(file, _MANY))
    cli.take_over(places.of(file))
    extract = ("extract", "--db", str(cli.db), "--config", str(rules))
    seen = [0]
    while seen[-1] < _MANY and len(seen) < 10:
        process = subprocess.Popen([*COMMAND, *extract], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _rows(cli) == seen[-1]:
            time.sleep(0.005)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        seen.append(_rows(cli))
    assert len(seen) > 4
    assert seen == sorted(seen)
    done = json.loads(cli.command(*extract, "--json").out)
    assert done["pages"] == _MANY - seen[-1]
    found = "SELECT count(*), count(DISTINCT price), sum(price) FROM extract_product"
    assert cli.rows(found) == [(_MANY, _MANY, sum(range(_MANY)))]


_MANY = 6_000


async def _store_products(db: Path, number: int) -> None:
    urls = [f"http://shop.test/products/{page}" for page in range(number)]
    async with a_store(db, *urls) as store:
        claims = await claims_of(store)
        results = []
        for page, url in enumerate(urls):
            body = f"<h1>Product {page}</h1><p class=price>{page} €</p>".encode()
            answer = Response(url=url, status_code=200, content_type="text/html; charset=utf-8", started_at=NOW)
            results.append(a_result(claims[url], body=a_body(body), attempt=answer))
        await store.commit(results, NOW)


def _rows(cli: Cli) -> int:
    """How many are committed; before the first start, there is no table."""
    try:
        return int(cli.rows("SELECT count(*) FROM extracts")[0])
    except sqlite3.OperationalError:
        return 0
