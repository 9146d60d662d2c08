"""What extraction rules find is stored with its page, night after night, while a shop changes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from crawler import open_crawl
from crawler.archive.revisions import revisions
from crawler.fakeweb import FakeWeb
from crawler.output.differences import unified_lines
from crawler.records import Extract, Page
from crawler.rule_tables import read_rules
from crawler.storage.sqlite.database import open_reader
from crawler.web.comparing import compared
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, crawled, rows

PRODUCT = {
    "name": "product",
    "match": "/products/*",
    "fields": {"title": "h1", "price": {"from": ".price", "type": "price", "required": True}, "tags": ["i"]},
}
SHOP = "http://shop.test/"
VIEW = "SELECT url, title, price, price_currency, tags FROM extract_product ORDER BY url"


def shop(prices: dict[int, str], *, price_class: str = "price", etag: bool = False) -> FakeWeb:
    web = FakeWeb()
    site = web.host("shop.test")
    site.page("/", links=[f"/products/{number}" for number in prices])
    for number, price in prices.items():
        body = f"<h1>Product {number}</h1><b class={price_class}>{price}</b><i>a</i><i>b</i>"
        site.page(f"/products/{number}", body=body, headers={"ETag": f'"{hash(body)}"'} if etag else {})
    return web


def night(web: FakeWeb, db: Path, number: int, *tables: dict[str, Any], **options: Any) -> Crawled:
    rules = read_rules(tables or [PRODUCT])
    return crawled(web, db, SHOP, at=NIGHT + number * DAY_S, max_age_s=0.0, rules=rules, **options)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "crawl.db"


def test_a_view_has_a_row_for_each_product(db: Path) -> None:
    done = night(shop({1: "1.299,00 €", 2: "$5", 3: "sold out"}), db, 0)
    assert rows(db, VIEW) == [
        (f"{SHOP}products/1", "Product 1", 1299.0, "EUR", '["a","b"]'),
        (f"{SHOP}products/2", "Product 2", 5, None, '["a","b"]'),
    ]
    assert done.summary.extracts == {
        "product": {"pages": 3, "rows": 2, "nothing": 1, "incomplete": 1, "cut": 0, "lost": 0}
    }
    assert rows(db, "SELECT url, problem, lacking FROM extraction_problems") == [
        (f"{SHOP}products/3", "incomplete", '["price"]')
    ]


def test_a_changed_page_has_new_rows_and_its_earlier_version_keeps_its_own(db: Path) -> None:
    night(shop({1: "5 €"}), db, 0)
    night(shop({1: "4 €"}), db, 1)
    assert [price for _url, _title, price, *_rest in rows(db, VIEW)] == [4]
    history = "SELECT json_extract(data, '$.price.amount') FROM extracts JOIN page_versions USING (page_id)"
    assert rows(db, f"{history} ORDER BY page_id") == [(5,), (4,)]


def test_what_is_not_fetched_anew_keeps_its_rows(db: Path) -> None:
    night(shop({1: "5 €"}, etag=True), db, 0)
    before = rows(db, "SELECT * FROM extracts")
    done = night(shop({1: "5 €"}, etag=True), db, 1)
    assert done.summary.by_status["304"] >= 1
    assert rows(db, "SELECT * FROM extracts") == before
    assert done.summary.extracts == {}


def test_a_rule_that_finds_nothing_any_more_is_told_each_night_until_it_does(db: Path) -> None:
    """The text and the links are what they were: there is no new version, and still it is noticed."""
    night(shop({1: "5 €", 2: "6 €"}), db, 0)
    for number in (1, 2):
        done = night(shop({1: "5 €", 2: "6 €"}, price_class="cost"), db, number)
        assert done.summary.extracts["product"]["lost"] == 2
        assert {problem for (problem,) in rows(db, "SELECT problem FROM extraction_problems")} == {"lost"}
        assert rows(db, VIEW) == []
    done = night(shop({1: "5 €", 2: "6 €"}), db, 3)
    assert done.summary.extracts["product"]["lost"] == 0
    assert len(rows(db, VIEW)) == 2
    assert rows(db, "SELECT * FROM extraction_problems") == []


def test_it_is_told_of_a_new_version_too(db: Path) -> None:
    night(shop({1: "5 €"}), db, 0)
    for number, text in ((1, "gone"), (2, "still gone")):
        done = night(shop({1: text}, price_class="cost"), db, number)
        assert done.summary.extracts["product"]["lost"] == 1


def test_a_changed_rule_has_a_view_of_its_own_at_once_and_what_it_has_not_read_is_said(db: Path) -> None:
    night(shop({1: "5 €"}, etag=True), db, 0)
    changed = PRODUCT | {"fields": {"name": "h1"}}
    done = night(shop({1: "5 €"}, etag=True), db, 1, changed)
    assert "[[extract]] product: 2 stored pages not read by it yet; `crawler extract` does that" in done.notices
    assert rows(db, "SELECT url, name FROM extract_product") == [(f"{SHOP}products/1", None)]
    assert [json.loads(text) for (text,) in rows(db, "SELECT definition FROM extraction_rules")] == [changed]


def test_names_of_fields_are_quoted(db: Path) -> None:
    night(shop({1: "5 €"}), db, 0, {"name": "select", "fields": {"order by": "h1", "größe-1": "i", "group": "b"}})
    found = rows(db, 'SELECT "order by", "größe-1", "group" FROM extract_select')
    assert found == [("Product 1", "a", "5 €")]


def test_a_run_without_rules_stores_nothing_of_that(db: Path) -> None:
    web = shop({1: "5 €"})
    done = crawled(web, db, SHOP)
    assert done.summary.extracts == {}
    for table in ("extracts", "extract_misses", "extraction_rules"):
        assert rows(db, f"SELECT * FROM {table}") == []


def test_a_page_from_the_database_has_what_the_page_of_the_crawl_had(db: Path) -> None:
    rules = read_rules([PRODUCT, {"name": "all", "each": "i", "fields": {"x": "::text"}}])
    night(shop({1: "5 €", 2: "none"}), db, 0, *(dict(rule.data) for rule in rules))

    async def stored() -> dict[str, Page]:
        async with open_crawl(db) as archive:
            return {page.url: page async for page in archive.pages()}

    pages = asyncio.run(stored())
    letters = Extract("all", ({"x": "a"}, {"x": "b"}))
    five = {"title": "Product 1", "price": {"amount": 5, "currency": "EUR"}, "tags": ["a", "b"]}
    assert pages[f"{SHOP}products/1"].extracts == (letters, Extract("product", (five,)))
    assert pages[f"{SHOP}products/2"].extracts == (letters, Extract("product", (), ("price",)))
    assert pages[SHOP].extracts == (Extract("all"),)
    assert pages[f"{SHOP}products/1"].asdict()["extracts"] == {"all": list(letters.rows), "product": [five]}


@pytest.mark.parametrize("as_served", [False, True])
async def test_what_rules_found_on_two_versions_is_compared_beside_the_rest(db: Path, as_served: bool) -> None:
    """By `crawler diff --text`, and by `crawler serve`."""
    for number, price in enumerate(("10 €", "12 €")):
        await asyncio.to_thread(night, shop({1: price}), db, number)
    url = f"{SHOP}products/1"
    if as_served:
        async with open_crawl(db) as archive:
            old, new = [await archive.page(url, version=version) for version in (1, 2)]
        assert old is not None
        assert new is not None
        lines = [{"added": "+", "removed": "-"}.get(kind, " ") + text for kind, text in compared(old, new)[0]]
    else:
        async with open_reader(db) as connection:
            lines = list(unified_lines(url, *await revisions(db, connection, url, None)))
    assert [line for line in lines if line.startswith(("+product", "-product", " product"))] == [
        ' product[1].title: "Product 1"',
        '-product[1].price: {"amount":10,"currency":"EUR"}',
        '+product[1].price: {"amount":12,"currency":"EUR"}',
        ' product[1].tags: ["a","b"]',
    ]
