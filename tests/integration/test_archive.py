"""The archive's questions: what they answer, and that none costs more than it has to."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from pathlib import Path

import pytest

from crawler import DatabaseFailedError, open_crawl
from crawler.archive.answers import FailedUrl, OutLink
from crawler.archive.archive import Archive
from crawler.archive.derived import derived_file
from crawler.archive.reading import open_archive
from crawler.records import (
    ExclusionReason,
    FailureKind,
    Link,
    Page,
    Reason,
    Response,
    Result,
    SeedMark,
    UrlStatus,
    Verdict,
)
from tests.benchmarks.archive import make
from tests.contract.results import NOW, a_body, a_failure, a_result, a_store, a_target, claims_of
from tests.integration.test_query_plans import faults_of, plan_of

HOME, PAGE, BAD, HIDDEN = (f"http://a.test/{path}" for path in ("", "page", "bad", "hidden"))
FORBIDDEN = Reason(ExclusionReason.ROBOTS, "line 1: Disallow: /")


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    """The home page in two versions, a page, one that failed and one that a rule forbids."""
    path = tmp_path / "crawl.db"
    async with a_store(path, PAGE, BAD, HIDDEN) as store:
        await store.add([a_target(HOME, seed=SeedMark.YES)], NOW)
        claims = await claims_of(store)
        first = Page(url=HOME, title="First", text="first", content_hash=b"1")
        await store.commit([a_result(claims[HOME], page=first, links=[PAGE], next_fetch_at=NOW + 1)], NOW)
        again = (await claims_of(store, NOW + 1))[HOME]
        second = Page(
            url=HOME,
            title="Second",
            text="second",
            headings=((1, "Second"),),
            open_graph={"og:title": "S"},
            content_hash=b"2",
        )
        answer = Response(url=HOME, status_code=200, size=7, content_type="text/html", started_at=NOW + 1)
        forbidden = Verdict(status=UrlStatus.EXCLUDED, reason=FORBIDDEN)
        visits = [
            a_result(again, page=second, links=[PAGE, BAD], attempt=answer, body=a_body(b"<p>second")),
            a_result(claims[PAGE], links=[HOME, PAGE, HIDDEN]),
            a_failure(claims[BAD], FailureKind.DNS),
            Result(claim=claims[HIDDEN], verdict=forbidden),
        ]
        await store.commit(visits, NOW + 1)
    return path


async def test_pages_are_the_newest_versions_with_their_links(db: Path) -> None:
    async with open_crawl(db) as archive:
        pages = [page async for page in archive.pages()]
        assert [page.url for page in pages] == [PAGE, HOME]
        home = await archive.page(HOME)
        assert home == pages[1]
        assert home is not None
        assert (home.title, home.headings, home.open_graph) == ("Second", ((1, "Second"),), {"og:title": "S"})
        assert set(home.links) == {Link(PAGE, f"to {PAGE}"), Link(BAD, f"to {BAD}")}
        assert await archive.page(BAD) is None
        assert await archive.body(HOME) == b"<p>second"


async def test_history_and_attempts_are_told_from_the_first_on(db: Path) -> None:
    async with open_crawl(db) as archive:
        versions = await archive.history(HOME)
        assert [(one.title, one.seen_at, one.newest) for one in versions] == [
            ("First", NOW, False),
            ("Second", NOW + 1, True),
        ]
        assert (versions[1].size_bytes, versions[1].content_type, versions[1].content_hash) == (7, "text/html", b"2")
        assert await archive.history(BAD) == []
        assert [one.started_at for one in await archive.attempts(HOME)] == [NOW, NOW + 1]
        [failed] = await archive.attempts(BAD)
        assert (failed.status_code, failed.failure, failed.message) == (None, "dns", "no answer")


async def test_the_state_of_a_url_says_why(db: Path) -> None:
    async with open_crawl(db) as archive:
        home, hidden = await archive.state(HOME), await archive.state(HIDDEN)
        assert home is not None
        assert hidden is not None
        assert (home.status, home.is_seed, home.has_page, home.fetched_at) == ("fetched", True, True, NOW + 1)
        assert (hidden.status, hidden.reason) == ("excluded", FORBIDDEN)
        assert (hidden.is_seed, hidden.has_page, hidden.fetched_at) == (False, False, None)
        assert await archive.state("http://a.test/never-seen") is None


async def test_links_are_those_of_the_newest_version(db: Path) -> None:
    async with open_crawl(db) as archive:
        assert {link.target_url: link for link in await archive.links_from(HOME)} == {
            PAGE: OutLink(target_url=PAGE, anchor=f"to {PAGE}", rel="", nofollow=False, status="fetched", reason=None),
            BAD: OutLink(target_url=BAD, anchor=f"to {BAD}", rel="", nofollow=False, status="failed", reason="dns"),
        }
        assert [link.page_url async for link in archive.links_to(PAGE)] == [PAGE, HOME]
        assert [link.page_url async for link in archive.links_to(BAD)] == [HOME]
        assert await archive.links_from(BAD) == []


async def test_failures_come_with_their_reason(db: Path) -> None:
    async with open_crawl(db) as archive:
        assert [failed async for failed in archive.failures()] == [
            FailedUrl(url=BAD, reason="dns", attempts=1, fetched_at=None, next_fetch_at=None)
        ]


async def test_answers_are_plain_data(db: Path) -> None:
    async with open_crawl(db) as archive:
        [version, _] = await archive.history(HOME)
        assert asdict(version)["title"] == "First"
        with pytest.raises(AttributeError):
            version.title = "changed"  # type: ignore[misc]


async def test_a_reader_may_stop_early_and_ask_something_else(db: Path) -> None:
    async with open_crawl(db) as archive:
        async for page in archive.pages():
            assert [link.page_url async for link in archive.links_to(page.url)]
            break
        assert len([page async for page in archive.pages()]) == 2


async def test_a_database_that_is_damaged_is_named(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection:
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'pages'").fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    with db.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    async with open_crawl(db) as archive:
        with pytest.raises(DatabaseFailedError, match="damaged"):
            await anext(archive.pages())


# --- what they cost -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def watched(db: Path, statements: list[str]) -> AsyncIterator[Archive]:
    async with open_archive(db) as connection:
        await connection.set_trace_callback(statements.append)
        yield Archive(db, connection)


async def test_pages_cost_a_statement_for_many_of_them(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    await make(db, 20_000)
    statements: list[str] = []
    async with watched(db, statements) as archive:
        assert len([page async for page in archive.pages()]) == 200
    assert len(statements) == 1 + 4


async def test_every_look_up_finds_its_rows_by_an_index(tmp_path: Path) -> None:
    """The statements are those that really run. A question about one URL reads no table from end to end."""
    db = tmp_path / "crawl.db"
    await make(db, 20_000)
    url = "https://h48.test/section/48/an-article-of-some-length-48"
    statements: list[str] = []
    async with watched(db, statements) as archive:
        assert await archive.page(url)
        assert await archive.state(url)
        assert await archive.history(url)
        assert await archive.links_from(url)
        for _ in range(2):  # the first makes the indexes
            assert await archive.attempts(url)
            assert [link async for link in archive.links_to(url)]
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("ATTACH ? AS derived", (str(derived_file(db)),))
        questions = [one for one in statements if one.lstrip().startswith("SELECT")]
        faults = {(one, *found) for one in questions if (found := faults_of(plan_of(connection, one), one))}
    assert len(questions) >= 10
    assert not faults


OF_ONE_URL = (
    "stored_pages", "current_pages", "page_versions", "missing_titles", "slow_pages", "large_pages", "noindex",
    "canonical_problems", "failed_urls", "failing_urls", "gone_urls", "excluded_urls", "robots_blocked",
)  # fmt: skip
LOOK_UPS = dict.fromkeys(OF_ONE_URL, "url = 'x'") | {"outlinks": "page_url = 'x'", "run_overview": "run_id = 1"}
LOOK_UPS["host_overview"] = "host = 'x'"


@pytest.mark.parametrize(("view", "condition"), LOOK_UPS.items())
async def test_a_view_that_is_asked_for_one_row_reads_no_table(tmp_path: Path, view: str, condition: str) -> None:
    db = tmp_path / "crawl.db"
    await make(db, 200)
    with closing(sqlite3.connect(db)) as connection:
        assert faults_of(plan_of(connection, f"SELECT * FROM {view} WHERE {condition}"), "") == []


PASSES = {  # the tables that a view reads from end to end: u, s are urls, p pages, f fetches, log change_log
    "page_versions": ["p"],
    "stored_pages": ["u"],
    "current_pages": ["u"],
    "outlinks": ["s"],
    "inlinks": ["s"],
    "redirect_chains": ["f"],
    "broken_links": ["f", "s", "u"],  # the last one for resources, where some were checked
    "orphan_pages": ["f", "s", "u"],
    "duplicate_pages": ["u"],
    "canonical_problems": ["s"],
    "changes": ["log"],
    "failed_urls": ["u USING INDEX urls_failed"],
    "failing_urls": ["u USING INDEX urls_failing"],
    "excluded_urls": ["u USING INDEX urls_excluded"],
    "robots_blocked": ["u USING INDEX urls_excluded"],
    "attempts": ["f"],
}


@pytest.mark.parametrize(("view", "passes"), PASSES.items())
async def test_a_view_that_is_read_whole_reads_each_table_once(tmp_path: Path, view: str, passes: list[str]) -> None:
    """And makes no index of a table for it (of what it has put together itself it may)."""
    db = tmp_path / "crawl.db"
    await make(db, 200)
    with closing(sqlite3.connect(db)) as connection:
        plan = plan_of(connection, f"SELECT * FROM {view}")
    scans = [
        step.removeprefix("SCAN ") for step in plan if re.match(r"SCAN (?:[fpsu]|log|fetches|urls|pages|links)\b", step)
    ]
    assert sorted(scans) == passes
    assert not [step for step in plan if re.match(r"SEARCH [lpstu] USING AUTOMATIC", step)]


async def test_inlinks_costs_a_look_up_a_page(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    await make(db, 200)
    with closing(sqlite3.connect(db)) as connection:
        for view in ("broken_links", "gone_urls"):
            assert any("fetches_gone (url_id=?" in step for step in plan_of(connection, f"SELECT * FROM {view}")), view
        plan = plan_of(connection, "SELECT * FROM inlinks WHERE target_url = 'x'")
    assert "SEARCH l USING PRIMARY KEY (page_id=? AND target_id=?)" in plan
