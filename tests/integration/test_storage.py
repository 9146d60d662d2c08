"""What is SQLite's own: its limits, its messages, and the cache in front of its index."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.errors import DatabaseFailedError
from crawler.records import FoundBy, Page, SeedMark
from crawler.storage.known import KnownUrls
from crawler.storage.sqlite.database import open_reader, open_writer
from crawler.storage.sqlite.store import SqliteStore
from tests.contract.batches import Batches, some_batches, store_batches
from tests.contract.results import NOW, a_body, a_listed, a_result, a_store, a_target, claims_of, robots_claim, row_of
from tests.stores import rows

A, B, C = "http://a.test/", "http://a.test/b", "http://c.test/"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "crawl.db"


@asynccontextmanager
async def a_store_that_knows(path: Path, known: KnownUrls) -> AsyncIterator[SqliteStore]:
    """A store with this cache, in which a run has begun."""
    async with open_writer(path) as writer, open_reader(path) as reader:
        store = SqliteStore(path, writer, reader, known)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        yield store


async def test_nothing_is_seen_of_a_commit_that_fails(path: Path) -> None:
    """The disk is full, as far as SQLite can tell; afterwards the same visits are stored as if nothing had happened."""
    async with open_writer(path) as writer, open_reader(path) as reader:
        store = SqliteStore(path, writer, reader)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.add([a_target(A)], NOW)
        claim = (await claims_of(store))[A]
        before = rows(path, "SELECT * FROM urls") + rows(path, "SELECT * FROM hosts") + rows(path, "SELECT * FROM runs")
        huge = a_result(claim, links=[B, C], page=Page(url=A, text="x" * 1_000_000, content_hash=b"h"))
        [(pages,)] = await writer.execute_fetchall("PRAGMA page_count")
        await writer.execute(f"PRAGMA max_page_count = {pages + 20}")
        with pytest.raises(DatabaseFailedError, match="disk is full"):
            await store.commit([huge], NOW)
        assert not writer.in_transaction
        after = rows(path, "SELECT * FROM urls") + rows(path, "SELECT * FROM hosts") + rows(path, "SELECT * FROM runs")
        assert after == before
        assert rows(path, "SELECT count(*) FROM pages") == [(0,)]
        await writer.execute("PRAGMA max_page_count = 100000")
        await store.commit([a_result(claim, links=[C, B])], NOW)
        found = rows(path, "SELECT u.url, l.anchor FROM links l JOIN urls u ON u.id = l.target_id ORDER BY u.id")
        assert found == [(C, f"to {C}"), (B, f"to {B}")]


async def test_a_page_that_cannot_be_stored_is_an_error_and_not_passed_over(path: Path) -> None:
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        with pytest.raises(DatabaseFailedError, match="NOT NULL"):
            await store.commit([a_result(claim, attempt=None)], NOW)  # a page without a fetch
        assert row_of(path, A, "status") == ("pending",)


@pytest.mark.thorough
async def test_a_batch_may_need_more_parameters_than_a_statement_takes(path: Path) -> None:
    urls = [f"http://a.test/{number}" for number in range(6000)]
    statements: list[str] = []
    async with open_writer(path) as writer, open_reader(path) as reader:
        store = SqliteStore(path, writer, reader)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.add([a_target(url) for url in urls], NOW)
        claims = await claims_of(store)
        await writer.set_trace_callback(statements.append)
        await store.commit([a_result(claims[url], body=a_body(url.encode()), links=[A]) for url in urls], NOW)
    assert sum(statement.startswith("INSERT INTO pages") for statement in statements) > 1
    assert sum(statement.startswith("INSERT INTO fetches") for statement in statements) > 1
    assert rows(path, "SELECT count(*) FROM fetches") == [(6000,)]
    assert rows(path, "SELECT count(*) FROM pages JOIN bodies ON hash = body_hash") == [(6000,)]
    agreeing = "SELECT count(*) FROM urls JOIN pages ON pages.id = page_id AND url_id = urls.id"
    assert rows(path, agreeing) == [(6000,)]


@pytest.mark.parametrize("max_known", [0, 1, 3, 10, 50, 100_000])
async def test_a_batch_may_hold_more_urls_than_the_cache(path: Path, max_known: int) -> None:
    old = [f"http://a.test/old{number}" for number in range(20)]
    new = [f"http://c.test/new{number}" for number in range(20)]
    async with a_store_that_knows(path, KnownUrls(max_known)) as store:
        await store.add([a_target(A), a_target(B)], NOW)
        claims = await claims_of(store)
        await store.commit([a_result(claims[A], links=old)], NOW)
        results = [a_result(claims[B], links=[*new, *old]), a_result(robots_claim(claims[A]), page=False)]
        await store.commit(results, NOW)
    found = rows(path, "SELECT u.url, l.anchor FROM links l JOIN urls u ON u.id = target_id WHERE l.page_id = 2")
    assert sorted(found) == sorted((url, f"to {url}") for url in [*new, *old])


async def test_what_was_turned_away_is_not_asked_for_with_each_link(path: Path) -> None:
    """Such links stand on each page of a site; what is known of them costs no statement."""
    known = KnownUrls()
    async with a_store_that_knows(path, known) as store:
        await store.add([a_target(A)], NOW)
        await store.limit_hosts(1)
        links = [*(f"http://h{number}.trap.test/" for number in range(5)), "http://b.test/"]
        await store.commit([a_result((await claims_of(store))[A], links=links)], NOW)
        found = [a_target(url, depth=1) for url in links]
        assert known.unsettled(found) == []
        named = a_target(links[4], seed=SeedMark.YES)
        assert known.unsettled([*found, named]) == [named]


async def test_a_target_that_is_settled_is_looked_at_again_once_its_row_may_have_changed(path: Path) -> None:
    known = KnownUrls(max_rows=8)
    found = a_target(B, depth=1)
    async with a_store_that_knows(path, known) as store:
        await store.add([a_target(A), found], NOW)
        assert known.unsettled([found, found]) == []
        known.forget([B])
        assert known.unsettled([found]) == [found]
        await store.add([found], NOW)
        assert known.unsettled([found]) == []
        known.clear()
        assert known.unsettled([found]) == [found]
        await store.add([found], NOW)
        assert known.unsettled([found]) == []
        await store.add([a_target(f"http://c.test/{number}") for number in range(8)], NOW)
        assert known.unsettled([found]) == [found], "forgotten, since there were too many"


async def test_others_than_the_settled_targets_are_looked_at(path: Path) -> None:
    known = KnownUrls()
    async with a_store_that_knows(path, known) as store:
        await store.add([a_target(A, depth=2)], NOW)
        assert known.unsettled([a_target(A, depth=2) for _ in range(1000)]) == []
        nearer = [a_target(A, depth=1) for _ in range(1000)]
        assert known.unsettled(nearer) == nearer, "none of them has the place in memory of one that is settled"


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=some_batches(), max_known=st.sampled_from([0, 2, 5]))
async def test_the_cache_changes_nothing(batches: Batches, max_known: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.db"), Path(folder, "large.db")
        for path, size in ((small, max_known), (large, 1000)):
            async with a_store_that_knows(path, KnownUrls(size)) as store:
                await store_batches(store, path, batches)
            assert not rows(path, "PRAGMA foreign_key_check")
        for table in ("urls", "hosts", "links", "pages"):
            everything = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert rows(small, everything) == rows(large, everything)


@pytest.mark.parametrize("number", [3, 1_500])
async def test_many_new_links_are_stored_in_the_order_of_their_urls(path: Path, number: int) -> None:
    """So that neighbours share pages of the index. Few links, and what sitemaps name, stay in the order found."""
    links = [f"{A}{place * 7919 % 10_007}" for place in range(number)]
    listed = [f"{A}listed/{place}" for place in (3, 1, 2)]
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        targets = [a_target(url, depth=1, found_by=FoundBy.LINK) for url in links]
        await store.commit([a_result(claim, links=targets, listed=[a_listed(url) for url in listed])], NOW)
    stored = [row[0] for row in rows(path, "SELECT url FROM urls WHERE url <> ? ORDER BY id", A)]
    assert stored == ([*links, *listed] if number == 3 else [*listed, *sorted(links)])
    assert (
        rows(path, "SELECT target_id FROM links l JOIN urls u ON u.id = target_id WHERE anchor <> 'to ' || url") == []
    )


@pytest.mark.thorough
async def test_the_write_ahead_log_has_a_bound(path: Path) -> None:
    """Every page of it is written into the database at the latest when it holds 128 MiB, and its file is used again."""
    limit, body = 128 * 1024 * 1024, 8 * 1024 * 1024
    noise = Random(1)
    sizes: list[int] = []
    async with a_store(path, A) as store:
        claim = (await claims_of(store))[A]
        for _ in range(limit // body + 4):
            await store.commit([a_result(claim, body=a_body(noise.randbytes(body)))], NOW)
            sizes.append(path.with_name("crawl.db-wal").stat().st_size)
    assert limit // 2 < max(sizes) < limit + 2 * body
    assert not path.with_name("crawl.db-wal").exists()
