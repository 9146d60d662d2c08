"""PageRank of the current pages, beside an independent computation, whatever has changed since."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawler import open_crawl
from crawler.archive.answers import RankedPage
from crawler.archive.derived import derived_file
from crawler.archive.ranks import Graph
from crawler.records import Page, Response, UrlStatus, Verdict
from crawler.storage.interface import Store
from tests.contract.results import NOW, a_result, a_store, a_target, claims_of
from tests.integration.test_search import SITE, conclude, overwritten

PAGES = ["/", "/a", "/b", "/c", "/lonely"]
LINKS = {"/": ["/a", "/b"], "/a": ["/b", "/moved"], "/b": ["/", "/a"], "/c": ["/a", "/c"], "/lonely": []}
ENDS = LINKS | {"/a": ["/b", "/c"], "/c": ["/a"]}  # where the redirect leads, and no page for itself


def expected(links: dict[str, list[str]]) -> dict[str, float]:
    """As Brin and Page have it, with an average of 1."""
    ranks = dict.fromkeys(links, 1.0)
    for _ in range(200):
        lost = sum(ranks[page] for page in links if not links[page])
        arrived = dict.fromkeys(links, 0.15 + 0.85 * lost / len(links))
        for page, targets in links.items():
            for target in targets:
                arrived[target] += 0.85 * ranks[page] / len(targets)
        ranks = arrived
    return ranks


async def visit(store: Store, links: dict[str, list[str]], at: float = NOW) -> None:
    claims = await claims_of(store, at)
    visits = [
        a_result(
            claims[SITE + path],
            links=[SITE + target for target in targets],
            page=Page(url=SITE + path, title=path, text="x", content_hash=f"{path}{targets}".encode()),
            attempt=Response(url=SITE + path, status_code=200, started_at=at),
            next_fetch_at=at + 1,
        )
        for path, targets in links.items()
    ]
    await store.commit(visits, at)


async def redirect(store: Store, path: str, target: str) -> None:
    await store.add([a_target(SITE + path)], NOW)
    claim = (await claims_of(store))[SITE + path]
    verdict = Verdict(status=UrlStatus.REDIRECTED)
    attempt = Response(url=claim.url, status_code=301, started_at=NOW)
    await store.commit([a_result(claim, page=None, verdict=verdict, attempt=attempt, redirect_url=SITE + target)], NOW)


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.db"
    async with a_store(path, *(SITE + page for page in PAGES)) as store:
        await redirect(store, "/moved", "/moved-again")
        await redirect(store, "/moved-again", "/c")
        await visit(store, LINKS)
    return path


async def ranked(db: Path, limit: int = 100) -> list[RankedPage]:
    async with open_crawl(db) as archive:
        return await archive.best_linked(limit)


def by_path(found: list[RankedPage]) -> dict[str, float]:
    return {one.url.removeprefix(SITE): one.rank for one in found}


async def test_ranks_are_those_of_the_definition(db: Path) -> None:
    found = await ranked(db)
    assert by_path(found) == pytest.approx(expected(ENDS), abs=2e-3)
    assert [one.place for one in found] == [1, 2, 3, 4, 5]
    assert [one.rank for one in found] == sorted((one.rank for one in found), reverse=True)
    assert {one.url.removeprefix(SITE): one.inlinks for one in found} == {
        "/": 1,
        "/a": 3,
        "/b": 2,
        "/c": 1,
        "/lonely": 0,
    }
    assert [one.url for one in await ranked(db, 2)] == [one.url for one in found[:2]]


async def test_links_with_nofollow_do_not_count(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE links SET nofollow = 1 WHERE anchor = ?", (f"to {SITE}/moved",))
    assert by_path(await ranked(db)) == pytest.approx(expected(ENDS | {"/a": ["/b"]}), abs=2e-3)


async def test_they_follow_the_links(db: Path) -> None:
    await ranked(db)
    async with a_store(db) as store:
        await visit(store, {"/c": ["/lonely"]}, NOW + 5)
        assert by_path(await ranked(db)) == pytest.approx(expected(ENDS | {"/c": ["/lonely"]}), abs=2e-3)
        await conclude(store, "/b", UrlStatus.GONE, NOW + 5)
        left = {"/": ["/a"], "/a": ["/c"], "/c": ["/lonely"], "/lonely": []}
        assert by_path(await ranked(db)) == pytest.approx(expected(left), abs=2e-3)


async def test_nothing_is_computed_twice_and_a_damaged_file_is_made_anew(db: Path) -> None:
    found = await ranked(db)
    before = derived_file(db).stat().st_mtime_ns
    assert await ranked(db) == found
    assert derived_file(db).stat().st_mtime_ns == before
    overwritten(derived_file(db))
    assert await ranked(db) == found


async def test_a_crawl_without_pages_has_none(tmp_path: Path) -> None:
    async with a_store(tmp_path / "crawl.db", SITE + "/"):
        pass
    assert await ranked(tmp_path / "crawl.db") == []


async def test_the_view_has_them_best_first(db: Path) -> None:
    async with open_crawl(db) as archive:
        found = [row["url"] async for row in archive.rows("best-linked", limit=3)]
        assert found == [one.url for one in await archive.best_linked(3)]


def test_a_large_graph_beside_the_definition() -> None:
    chance = random.Random(2)
    pages = sorted(chance.sample(range(1, 100_000), 500))
    links = {page: chance.sample(pages, chance.choice([0, 1, 3, 40])) for page in pages}
    graph = Graph(pages, {})
    flat = [(page, target) for page in pages for target in links[page]]
    for begin in range(0, len(flat), 7):
        graph.add(flat[begin : begin + 7])
    ends = {str(page): [str(one) for one in targets if one != page] for page, targets in links.items()}
    assert list(graph.ranks()) == pytest.approx(list(expected(ends).values()), abs=2e-3)
