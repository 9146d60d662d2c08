"""Extraction rules: what they find is stored with its page, and stored pages are read again by them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from crawler.extraction_rules import Rule
from crawler.records import Difference, Extract, Page
from crawler.rule_tables import read_rules
from crawler.storage.interface import Store, StoredPage
from crawler.storage.location import database_at
from tests.contract.results import NOW, a_body, a_result, a_store, claims_of
from tests.stores import Location, rows

A, B, C = "http://a.test/", "http://b.test/", "http://c.test/"
DETAIL = "SELECT rule, n, data FROM extracts ORDER BY rule, data, n"
MISSES = "SELECT rule, found, lacking, cut, lost FROM extract_misses ORDER BY rule, lost"


def a_rule(name: str = "product", **fields: Any) -> Rule:
    wanted = fields or {
        "title": "h1",
        "price": {"from": ".price", "type": "price"},
        "count": {"from": ".n", "type": "number"},
        "tags": {"from": ".tag", "list": True},
    }
    [rule] = read_rules([{"name": name, "match": "/*", "fields": wanted}])
    return rule


def found(title: str, rule: str = "product") -> Extract:
    price = {"amount": 9.5, "currency": "EUR"}
    return Extract(rule, ({"title": title, "price": price, "count": 3, "tags": ["x", "y"]},))


async def store_pages(store: Store, *extracts: Extract, number: int = 1, body: bool = True) -> None:
    """A version of each page, with what was found on it."""
    for url, claim in (await claims_of(store)).items():
        page = Page(url=url, text=str(number), content_hash=bytes([number]), extracts=extracts)
        kept: dict[str, Any] = {"body": a_body(f"{url} {number}".encode())} if body else {}
        await store.commit([a_result(claim, page=page, next_fetch_at=NOW, **kept)], NOW)


async def test_each_rule_has_a_view_of_what_it_finds_on_the_current_pages(location: Location) -> None:
    async with a_store(location, A, B) as store:
        assert await store.use_rules([a_rule()]) == {}
        await store_pages(store, found("old"))
        await store_pages(store, found("new"), number=2)
    columns = "url, title, price, price_currency, count, tags, n, seen_at"
    view = rows(location, f"SELECT {columns} FROM extract_product ORDER BY url")
    assert [(*row[:5], json.loads(row[5]), *row[6:]) for row in view] == [
        (url, "new", 9.5, "EUR", 3, ["x", "y"], 1, NOW) for url in (A, B)
    ]
    assert len(rows(location, DETAIL)) == 4


async def test_a_rule_that_has_changed_has_another_view_and_has_read_nothing(location: Location) -> None:
    async with a_store(location, A, B) as store:
        await store.use_rules([a_rule()])
        await store_pages(store, found("x"))
        assert await store.use_rules([a_rule(), a_rule("other", word="h2")]) == {"other": 2}
        assert await store.use_rules([a_rule(heading="h1")]) == {"product": 2}
        await store_pages(store, Extract("product", ({"heading": "y"},)), number=2)
        assert await store.use_rules([a_rule(heading="h1")]) == {"product": 2}, "what is stored since was read by it"
    assert rows(location, "SELECT url, heading FROM extract_product ORDER BY url") == [(A, "y"), (B, "y")]


async def test_what_a_page_has_lost_is_told_once(location: Location) -> None:
    nothing = Extract("product", (), ("price",))
    async with a_store(location, A, B) as store:
        await store.use_rules([a_rule()])
        await store_pages(store, found("x"))
        assert await store.lost_extracts() == {}
        await store_pages(store, nothing, number=2)
        assert await store.lost_extracts() == {"product": 2}
        await store_pages(store, replace_cut(found("y")), number=3)
    assert rows(location, MISSES) == [
        *[("product", 1, "[]", 1, 0)] * 2,
        *[("product", 0, '["price"]', 0, 1)] * 2,
    ]


def replace_cut(extract: Extract) -> Extract:
    return extract._replace(cut=True)


async def test_a_version_that_is_read_again_has_the_rows_of_the_last_reading(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.use_rules([a_rule()])
        await store_pages(store, found("x"))
        [claim] = (await claims_of(store)).values()
        for extract in (Extract("product", (), ("title",)), found("z")):
            page = Page(url=A, text="1", content_hash=bytes([1]), extracts=(extract,))
            again = a_result(claim, page=False, next_fetch_at=NOW)
            await store.commit([replace(again, reread=page, difference=Difference.READER)], NOW)
            [claim] = (await claims_of(store)).values()
    assert [json.loads(row[2])["title"] for row in rows(location, DETAIL)] == ["z"]
    assert rows(location, MISSES) == []


async def test_stored_pages_are_read_once_by_each_rule_and_a_start_goes_on_behind_the_last(location: Location) -> None:
    rule = a_rule()
    async with a_store(location, A, B, C) as store:
        for number in (1, 2):
            await store_pages(store, number=number, body=number == 2)
    names, seen = [rule.name], list[StoredPage]()
    for _start in range(3):
        async with database_at(location).open_extraction() as extraction:
            if not seen:
                assert await extraction.use_rules([rule], again=False) == {rule.name: 6}
            pages = await extraction.unread(names, 2)
            bodies = await extraction.bodies(pages)
            assert {page.page_id for page in pages if page.size is not None} == set(bodies)
            assert {body.content_type for body in bodies.values()} <= {"text/html"}
            await extraction.store(names, pages, {page.page_id: [found(page.url)] for page in pages})
            seen += pages
    async with database_at(location).open_extraction() as extraction:
        assert await extraction.unread(names, 9) == []
        assert await extraction.use_rules([rule], again=False) == {}
        assert await extraction.rules() == (rule,)
        assert sorted(page.url for page in seen) == [A, A, B, B, C, C]
        assert len({page.page_id for page in seen}) == 6
        assert await extraction.use_rules([rule], again=True) == {rule.name: 6}
        [first, *_rest] = await extraction.unread(names, 2)
        await extraction.store(names, [first], {first.page_id: [found("again")]})
        await extraction.store(names, [first], {})
        assert [row[0] for row in rows(location, "SELECT count(*) FROM extracts")] == [6]
        assert await extraction.drop_rule(rule.name) == 6
        assert await extraction.drop_rule(rule.name) is None
        assert await extraction.rules() == ()
    with pytest.raises(Exception, match="extract_product"):
        rows(location, "SELECT * FROM extract_product")


async def test_versions_that_were_pruned_meanwhile_are_passed_over(location: Location) -> None:
    rule = a_rule()
    async with a_store(location, A, B) as store:
        for number in (1, 2):
            await store_pages(store, number=number)
        await store.use_rules([rule])
        claim = (await claims_of(store))[A]
        page = Page(url=A, text="3", content_hash=bytes([3]), extracts=(found("in the crawl"),))
        await store.commit([a_result(claim, page=page, body=a_body(b"3"))], NOW)
    await database_at(location).prune(keep_versions=1)
    async with database_at(location).open_extraction() as extraction:
        [left] = await extraction.unread([rule.name], 9)
        assert left.url == B
        await extraction.store([rule.name], [left], {left.page_id: [found("read again")]})
        assert await extraction.unread([rule.name], 9) == []
    assert rows(location, "SELECT title FROM extract_product ORDER BY url") == [("in the crawl",), ("read again",)]
