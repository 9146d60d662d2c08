"""What a store keeps of a page and of a visit beyond text and links: header fields, resources, who named a URL."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from crawler import open_crawl
from crawler.records import (
    Alternate,
    Claim,
    FoundBy,
    Horizon,
    Link,
    LinkDetail,
    Page,
    PreviousVisit,
    Resource,
    Response,
    Target,
    UrlKind,
)
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from tests.contract.results import NOW, a_body, a_result, a_store, a_target, claims_of, robots_claim
from tests.stores import Location, rows, rows_changed

A, B, C, D = "http://a.test/", "http://a.test/b", "http://c.test/", "http://d.test/"
ODD = "a\0b\ud800c\x1b"
CLEAN = "a\ufffdb\ufffdc\x1b"
CLEAN_JSON = CLEAN.replace("\x1b", r"\u001b")

FULL = Page(
    url=A,
    title="T",
    text="text",
    links=(Link(B, "first"), Link(C)),
    links_total=2,
    content_hash=b"h" * 16,
    reader_version=7,
    metadata_hash=b"m" * 16,
    content_type="application/xhtml+xml",
    encoding_source="meta",
    metas={"keywords": "a, b", "citation_author": ["One", "Two"]},
    author="One",
    published_at=1_600_000_000.0,
    modified_at=1_600_000_001.5,
    alternates=(
        Alternate("http://a.test/de", "hreflang", "de"),
        Alternate("http://a.test/f", "feed", None, "a/b", "F"),
    ),
    next_url="http://a.test/2",
    prev_url="http://a.test/0",
    site_name="Site",
    icon_url="http://a.test/icon.png",
    resources=(Resource("image", "http://a.test/i.png", "alt", "10", "50%"), Resource("script", "http://a.test/s.js")),
    link_details=(LinkDetail(1, 2, "again", None), LinkDetail(0, 5, "", "top")),
)


async def test_a_page_comes_back_with_all_that_was_read_of_it(location: Location) -> None:
    async with a_store(location, A) as store:
        targets = (a_target(B), a_target(C))
        await store.commit([a_result((await claims_of(store))[A], page=FULL, link_targets=targets)], NOW)
    async with open_crawl(location) as archive:
        assert await archive.page(A) == FULL


async def test_details_of_links_name_their_targets(location: Location) -> None:
    async with a_store(location, A) as store:
        targets = (a_target(B), a_target(C))
        await store.commit([a_result((await claims_of(store))[A], page=FULL, link_targets=targets)], NOW)
        previous = await previous_of(store)
        assert previous is not None
        assert (previous.metadata_hash, previous.reader_version) == (b"m" * 16, 7)
    [(details,)] = rows(location, "SELECT link_details FROM pages")
    ids = dict(rows(location, "SELECT url, id FROM urls"))
    assert json.loads(details) == [[ids[C], 2, "again", None], [ids[B], 5, "", "top"]]


async def test_what_an_older_version_did_not_keep_is_unknown_and_not_empty(location: Location) -> None:
    async with a_store(location, A) as store:
        await store.commit([a_result((await claims_of(store))[A], page=FULL, link_targets=(a_target(B),) * 2)], NOW)
        unknown = ", ".join(f"{name} = NULL" for name in LATER_COLUMNS)
        assert rows_changed(location, f"UPDATE pages SET {unknown}") == 1
    async with open_crawl(location) as archive:
        page = await archive.page(A)
    assert page is not None
    defaults = Page(url=A)
    assert {name: getattr(page, name) for name in LATER_COLUMNS} == {
        name: getattr(defaults, name) for name in LATER_COLUMNS
    }
    async with database_at(location).open_store() as store:
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        previous = await previous_of(store)
        assert previous is not None
        assert (previous.content_hash, previous.metadata_hash, previous.reader_version) == (b"h" * 16, None, 1)


async def test_odd_texts_are_replaced_wherever_they_stand(location: Location) -> None:
    page = replace(
        FULL,
        metas={ODD: [ODD]},
        author="b\ud800",
        alternates=(Alternate(A, "feed", ODD, ODD, ODD),),
        resources=(Resource("image", A, ODD, ODD, ODD),),
        link_details=(LinkDetail(0, 0, ODD, ODD),),
    )
    async with a_store(location, A) as store:
        targets = (a_target(B), a_target(C))
        await store.commit([a_result((await claims_of(store))[A], page=page, link_targets=targets)], NOW)
    async with open_crawl(location) as archive:
        kept = await archive.page(A)
    assert kept is not None
    assert kept.metas == {CLEAN: [CLEAN]}
    assert kept.author == "b\ufffd"
    assert kept.alternates == (Alternate(A, "feed", CLEAN, CLEAN, CLEAN),)
    assert kept.resources == (Resource("image", A, CLEAN, CLEAN, CLEAN),)
    assert kept.link_details == (LinkDetail(0, 0, CLEAN, CLEAN),)


async def test_a_visit_that_makes_no_version_brings_its_details_up_to_date(location: Location) -> None:
    """And its links' only where they were looked at; nothing is written where all is as it was."""
    async with a_store(location, A) as store:
        claim, targets = (await claims_of(store))[A], (a_target(B), a_target(C))
        await store.commit([a_result(claim, page=FULL, link_targets=targets, body=a_body(b"1"))], NOW)
        before = rows(location, "SELECT id, fetch_id, text, body_hash, content_hash, link_details FROM pages")
        newer = replace(FULL, metas={"csrf": ODD}, resources=(), alternates=FULL.alternates[:1], link_details=())
        again: dict[str, Any] = {"page": False, "reread": newer}
        await store.commit([a_result(claim, **again)], NOW)
        assert rows(location, "SELECT id, fetch_id, text, body_hash, content_hash, link_details FROM pages") == before
        assert rows(location, "SELECT metas, resources, title FROM pages") == [
            (f'{{"csrf":"{CLEAN_JSON}"}}', "[]", "T")
        ]
        note_updates_of_pages(location)
        await store.commit([a_result(claim, **again), a_result(claim, **again)], NOW)
        assert rows(location, "SELECT * FROM written") == []
        await store.commit([a_result(claim, **again, link_targets=targets)], NOW)
        assert rows(location, "SELECT link_details FROM pages") == [("[]",)]
        assert rows(location, "SELECT count(*) FROM written") == [(1,)]


# --- who named a URL --------------------------------------------------------------------------------------------------


async def test_a_url_knows_what_named_it_first(location: Location) -> None:
    """A seed is named by nobody, and what is found again keeps who came first."""
    async with a_store(location) as store:
        await store.add([a_target(A, found_by=FoundBy.SEED)], NOW)
        claim = (await claims_of(store))[A]
        links = [a_target(B, depth=3, found_by=FoundBy.LINK)]
        moved = a_target(C, found_by=FoundBy.REDIRECT)
        await store.commit([a_result(claim, links=links, targets=(moved,))], NOW)
        nearer = [a_target(url, depth=1, found_by=FoundBy.LINK) for url in (A, B, C, D)]
        await store.commit([a_result((await claims_of(store))[B], links=nearer)], NOW)
    assert named(location) == {A: ("seed", None), B: ("link", A), C: ("redirect", A), D: ("link", B)}


async def test_a_sitemap_is_named_by_a_robots_txt_that_had_no_row_before(location: Location) -> None:
    sitemap = "http://a.test/sitemap.xml"
    async with a_store(location, A) as store:
        robots = robots_claim((await claims_of(store))[A])
        target = Target(url=sitemap, host="a.test", kind=UrlKind.SITEMAP, found_by=FoundBy.ROBOTS)
        await store.commit([a_result(robots, page=False, targets=(target,))], NOW)
    assert named(location)[sitemap] == ("robots", robots.url)


async def test_what_is_excluded_knows_what_named_it(location: Location) -> None:
    async with a_store(location, A) as store:
        away = a_target(C, reason="scope", found_by=FoundBy.LINK)
        await store.commit([a_result((await claims_of(store))[A], links=[away])], NOW)
    assert named(location)[C] == ("link", A)


# --- heads ------------------------------------------------------------------------------------------------------------

HEAD = ((b"Server", b"nginx"), (b"Date", b"Sat, 28 Nov 2026 07:00:00 GMT"), (b"X-Id", b"1"), (b"Server", b"again"))


async def test_the_header_fields_of_each_visit_come_back_in_their_order(location: Location) -> None:
    heads: list[tuple[tuple[bytes, bytes], ...]] = [
        (*HEAD[:2], (b"X-Id", str(number).encode()), HEAD[3]) for number in range(5)
    ]
    heads.append(
        ((b"Set-Cookie", b"id=secret; Path=/"), (b"Location", b"http://u:p@a.test/"), (b"X", b"\xc3\xa4 \xe4"))
    )
    async with a_store(location, A) as store:
        for head in heads:
            await visit_with(location, store, head)
        await visit_with(location, store, ())
    *found, last = list(heads_of(location).values())
    assert found[:5] == [[[name.decode(), value.decode()] for name, value in head] for head in heads[:5]]
    assert found[5:] == []
    assert last == [["Set-Cookie", "id; Path=/"], ["Location", "http://a.test/"], ["X", "\xc3\xa4 \xe4"]]
    assert rows(location, "SELECT count(*) FROM heads")[0][0] <= 4
    assert rows(location, "SELECT head_id, head_values FROM fetches ORDER BY id DESC LIMIT 1") == [(None, None)]


async def test_heads_of_a_transaction_that_failed_are_stored_by_the_next_one(location: Location) -> None:
    async with a_store(location, A) as store:
        claim = (await claims_of(store))[A]
        answer = Response(url=A, status_code=200, head=HEAD, started_at=NOW)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a store says of it
            await store.commit([a_result(claim, attempt=replace(answer, elapsed_s=None))], NOW)  # type: ignore[arg-type]
        await store.commit([a_result(claim, attempt=answer)], NOW)
    assert list(heads_of(location).values()) == [[[name.decode(), value.decode()] for name, value in HEAD]]


async def test_pruned_attempts_take_their_heads_along(location: Location) -> None:
    async with a_store(location, A) as store:
        for number in range(3):
            await visit_with(
                location, store, ((b"X-Number", str(number).encode()),), started_at=NOW + number, page=not number
            )
    database = database_at(location)
    before = rows(location, "SELECT count(*) FROM heads")
    await database.prune(keep_versions=1, before=NOW + 1.5, dry_run=True)
    assert rows(location, "SELECT count(*) FROM heads") == before
    await database.prune(keep_versions=1, before=NOW + 1.5)
    assert list(heads_of(location).values()) == [[["X-Number", "0"]], [["X-Number", "2"]]]
    assert not rows(location, "SELECT id FROM heads WHERE id NOT IN (SELECT head_id FROM fetches)")


# --- looking ----------------------------------------------------------------------------------------------------------

PAGE_FIELDS = [field.name for field in fields(Page)]
LATER_COLUMNS = PAGE_FIELDS[PAGE_FIELDS.index("content_hash") + 1 :]


def note_updates_of_pages(location: Location) -> None:
    """A row in the table `written` for each row of a page that is written again."""
    rows_changed(location, "CREATE TABLE written (id int)")
    trigger = "CREATE TRIGGER t AFTER UPDATE ON pages"
    if isinstance(location, Path):
        rows_changed(location, f"{trigger} BEGIN INSERT INTO written VALUES (1); END")
        return
    body = "BEGIN INSERT INTO written VALUES (1); RETURN NULL; END"
    rows_changed(location, f"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
    rows_changed(location, f"{trigger} FOR EACH ROW EXECUTE FUNCTION note()")


async def visit_with(
    location: Location,
    store: Store,
    head: tuple[tuple[bytes, bytes], ...],
    *,
    started_at: float = NOW,
    page: bool = False,
) -> None:
    """One more visit of `A`, by the claim of its first."""
    [(url_id, host_id)] = rows(location, "SELECT id, host_id FROM urls WHERE url = ?", A)
    claim = Claim(url_id=url_id, url=A, host_id=host_id, host="a.test", origin="http://a.test")
    answer = Response(url=A, status_code=200, head=head, started_at=started_at)
    await store.commit([a_result(claim, attempt=answer, page=page)], NOW)


async def previous_of(store: Store) -> PreviousVisit | None:
    """What the next claim of `A` knows."""
    horizon = Horizon(started_at=NOW + 9, fetched_before=NOW + 9)
    hosts = await store.stale_hosts(horizon, None, 9, NOW + 9)
    [claim] = await store.stale_urls([host.host_id for host in hosts.rows], 9, horizon)
    return claim.previous


def named(location: Location) -> dict[str, tuple[str | None, str | None]]:
    """By URL: how it was found first, and on what."""
    found = rows(location, "SELECT u.url, u.found_by, f.url FROM urls AS u LEFT JOIN urls AS f ON f.id = u.found_on")
    return {url: (found_by, on) for url, found_by, on in found}


def heads_of(location: Location) -> dict[int, list[list[str]]]:
    """The header fields of each attempt, in the order of the attempts."""
    heads: dict[int, list[list[str]]] = {}
    for fetch_id, name, value in rows(location, "SELECT fetch_id, name, value FROM response_headers ORDER BY 1, place"):
        heads.setdefault(fetch_id, []).append([name, value])
    return heads
