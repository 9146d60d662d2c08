"""What a page costs must not grow with the crawl: every statement of the hot path finds its rows by an index.

The statements are those that really run, as SQLite reports them, so that none can be forgotten here. No ANALYZE is run
on the database, as none is run in a crawl.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import aiosqlite
import pytest

from crawler.domains import owner_of
from crawler.records import (
    Checked,
    CheckVerdict,
    ExclusionReason,
    FailureKind,
    Horizon,
    Page,
    Reason,
    Result,
    RobotsCopy,
    SeedMark,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import Store
from crawler.storage.sqlite.database import open_reader, open_writer
from crawler.storage.sqlite.store import SqliteStore
from tests.contract.results import (
    NOW,
    a_body,
    a_failure,
    a_listed,
    a_result,
    a_store,
    a_target,
    claims_of,
    closed,
    robots_claim,
)

HOSTS = 500
FILL = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
INSERT INTO urls
    (url, host_id, kind, status, reason, cause, detail, depth, discovered_at, next_fetch_at, fetched_at, revisit_at,
    changes, watched_s)
SELECT 'http://h' || h.id || '.test/' || i, h.id, 'page',
    CASE i % 4 WHEN 0 THEN 'fetched' WHEN 1 THEN 'excluded' ELSE 'pending' END,
    CASE i % 8 WHEN 1 THEN 'scope' WHEN 5 THEN 'robots: line 1: Disallow: /' END,
    CASE i % 8 WHEN 1 THEN 'scope' WHEN 5 THEN 'robots' END, CASE i % 8 WHEN 5 THEN 'line 1: Disallow: /' END,
    1, ?2, CASE WHEN i % 4 > 1 THEN ?2 + i % 97 END, CASE WHEN i % 4 = 0 THEN ?2 - i % 97 END,
    CASE WHEN i % 4 = 0 THEN ?2 - i % 89 END, 1, 1000 + i % 79
FROM n JOIN hosts h ON h.id = 1 + CASE WHEN i % 2 THEN 0 ELSE i / 2 % (SELECT count(*) FROM hosts) END
"""


async def fill(path: Path, urls: int) -> None:
    """So many URLs, half of them of one host."""
    async with a_store(path) as store:
        await store.add([a_target(f"http://h{number + 1}.test/") for number in range(HOSTS)], NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(FILL, (urls, NOW))
        connection.execute("UPDATE hosts SET next_due_at = ?", (NOW,))


@asynccontextmanager
async def opened(path: Path, watch: Callable[[aiosqlite.Connection], Awaitable[None]]) -> AsyncIterator[SqliteStore]:
    """The store, each of its connections shown to `watch`."""
    async with open_writer(path) as writer, open_reader(path) as reader:
        store = SqliteStore(path, writer, reader)
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        await store.limit_hosts(4)
        for connection in (writer, reader):
            await watch(connection)
        yield store


async def crawl_a_little(store: Store, rules: Callable[[int], bytes] = lambda _round: b"") -> None:
    """All that the store is asked to do while a crawl runs; `rules` gives the body of each round's robots.txt."""
    batch = await store.due_hosts(NOW, 100, 8)
    hosts = batch.rows
    await store.due_hosts(NOW, None, 8, batch.next)
    await store.next_due_at(NOW + 5)
    ids = [host.host_id for host in hosts]
    await store.robots_of(ids)
    claims = await store.due_urls(ids, 16, NOW)
    again = Verdict(status=UrlStatus.PENDING, reason=Reason("timeout"), attempts=1)
    excluded = Verdict(status=UrlStatus.EXCLUDED, reason=Reason("robots", "line 1: Disallow: /"))
    for round_number in range(3):
        robots = RobotsCopy(origin=f"http://{claims[0].host}", status_code=200, body=rules(round_number))
        links = [f"http://new{number % 8}.test/{round_number}/{number}" for number in range(64)]
        visits = [
            *(a_result(claim, links=[*links, claims[-1].url], body=a_body(claim.url.encode())) for claim in claims[:8]),
            a_failure(claims[8], verdict=again, next_fetch_at=NOW + 9, closure=closed(NOW + 5), host_failures=3),
            Result(claim=claims[9], verdict=excluded),
            a_result(robots_claim(claims[0]), page=False, robots=robots),
        ]
        await store.commit(visits, NOW)
    await store.add([a_target(claims[11].url, seed=SeedMark.YES)], NOW)
    horizon = Horizon(started_at=NOW, fetched_before=NOW - 10, revisit_before=NOW)
    stale = await store.stale_urls(ids, 4, horizon)
    await store.answered_since(ids[0], NOW)
    await store.places_of(ids)
    await store.make_due(ids[0], NOW, 16)
    await store.note_requests(100, [(host_id, 8) for host_id in ids])
    await store.stale_hosts(horizon, 100, 8, NOW)
    seen = [a_result(claim, links=["http://new.test/found"], page=claim.url.endswith("0")) for claim in stale]
    listed = tuple(a_listed(f"http://h1.test/{number}", lastmod=NOW - 5) for number in range(64))
    await store.commit([replace(one, listed=listed, forgets_listed=True, body=a_body(b"x")) for one in seen], NOW)
    same = Page(url=claims[0].url, metas={"name": "content"})
    await store.commit([a_result(claim, page=False, reread=same) for claim in claims[:8]], NOW)
    await store.add([a_target("http://new.test/", reason="scope"), a_target("http://new.test/", depth=1)], NOW)
    await store.excluded((await store.excluded(None, 64)).next, 64)


async def test_no_statement_of_the_hot_path_reads_a_whole_table_or_sorts_one(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await fill(path, 50_000)
    statements: set[str] = set()

    async with opened(path, lambda connection: connection.set_trace_callback(statements.add)) as store:
        await crawl_a_little(store, rules=bytes)  # other rules each time
    assert len(statements) > 15
    assert not faults_of_all(path, statements)


async def check_a_little(store: SqliteStore) -> None:
    """What is asked for each check: the passes in which they are planned come once a run."""
    queue = store.due_checks()
    batch = await queue.due_hosts(NOW, None, 8)
    await queue.due_hosts(NOW, None, 8, batch.next)
    await queue.next_due_at(NOW)
    claims = await queue.due_urls([host.host_id for host in batch.rows], 16, NOW)
    ends = [
        Checked(verdict=CheckVerdict.GOOD),
        Checked(verdict=CheckVerdict.REDIRECTED, redirect_url="http://new.test/end"),
        None,
    ]
    verdict = Verdict(status=UrlStatus.PENDING, attempts=1)
    results = [
        Result(claim=claim, verdict=verdict, next_fetch_at=NOW + 9, checked=ends[number % 3])
        for number, claim in enumerate(claims)
    ]
    failed = Checked(verdict=CheckVerdict.UNREACHABLE, cause=Reason("dns"))
    dead = a_result(robots_claim(claims[0]), page=False, origin_failed=FailureKind.DNS, checked=failed)
    await store.commit([*results, dead], NOW)


async def test_no_statement_of_a_check_reads_a_whole_table_or_sorts_one(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await fill(path, 50_000)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO checks (url, host_id, due_at) SELECT url || '?', host_id, 1 FROM urls")
        connection.execute("UPDATE hosts SET next_check_at = 1")
    statements: set[str] = set()
    async with opened(path, lambda connection: connection.set_trace_callback(statements.add)) as store:
        statements.clear()
        await check_a_little(store)
    assert len([one for one in statements if "checks" in one]) > 5
    assert not faults_of_all(path, statements)


def faults_of_all(path: Path, statements: set[str]) -> set[tuple[str, ...]]:
    """Each statement that has faults, and these."""
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("owner_of", 1, owner_of)
        return {
            (statement.strip()[:200], *found)
            for statement in statements
            if not statement.startswith(("--", "BEGIN", "COMMIT"))
            and (found := faults_of(plan_of(connection, statement), statement))
        }


def plan_of(connection: sqlite3.Connection, statement: str) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


def faults_of(plan: list[str], statement: str) -> list[str]:
    """A batch (json_each, VALUES, or what hangs on its rows) may be read and sorted; a table may not.

    How a subquery comes by its rows has steps of its own.
    """
    bounded = ("VIRTUAL TABLE", "CONSTANT", "(subquery-")
    batch = "SCAN v" if "WITH v" in statement else None  # of VALUES
    steps = [step for step in plan if step != batch]
    scans = [step for step in steps if step.startswith("SCAN") and not any(word in step for word in bounded)]
    sorts = [step for step in plan if "TEMP B-TREE" in step and "json_each" not in statement]
    automatic = [step for step in plan if "AUTOMATIC" in step]
    return scans + sorts + automatic


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT url FROM urls WHERE status = 'pending'",
        "SELECT id FROM urls WHERE host_id = 1 AND next_fetch_at IS NOT NULL ORDER BY url",
        "SELECT count(*) FROM hosts",
    ],
)
async def test_the_check_sees_what_it_is_there_for(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "crawl.db"
    await fill(path, 100)
    with closing(sqlite3.connect(path)) as connection:
        assert faults_of(plan_of(connection, statement), statement)


async def test_a_page_costs_as_much_in_a_large_crawl_as_in_a_small_one(tmp_path: Path) -> None:
    """A plan does not show how many rows the search of an index visits."""
    small, large = tmp_path / "small.db", tmp_path / "large.db"
    await fill(small, 4_000)
    await fill(large, 40_000)
    assert await steps_of_a_little_crawl(large) < 1.2 * await steps_of_a_little_crawl(small)


async def steps_of_a_little_crawl(path: Path) -> int:
    """Counted in hundreds, by SQLite's virtual machine."""
    steps = 0

    def tick() -> int:
        nonlocal steps
        steps += 1
        return 0  # go on

    async with opened(path, lambda connection: connection.set_progress_handler(tick, 100)) as store:
        await crawl_a_little(store)
    return steps


async def test_looking_for_reasons_and_traps_reads_no_urls_but_by_the_index_of_exclusions(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await fill(path, 100)
    statements: set[str] = set()
    async with opened(path, lambda connection: connection.set_trace_callback(statements.add)) as store:
        await store.details(ExclusionReason.PAGES_ALIKE, 1)
    with closing(sqlite3.connect(path)) as connection:
        [reasons] = [one for one in statements if "RECURSIVE" in one]
        plan = plan_of(connection, reasons)
    steps = [step for step in plan if "urls" in step]
    assert steps == [
        "SEARCH urls USING INDEX urls_excluded (host_id=? AND cause=? AND reason>?)",
        "SEARCH urls USING INDEX urls_excluded (host_id=? AND cause=? AND reason=?)",
    ]


async def test_that_nothing_is_due_is_told_without_reading_the_urls(tmp_path: Path) -> None:
    """What a run with nothing to do says of a million pages; a few rows of each host's indexes are enough."""
    path = tmp_path / "crawl.db"
    await fill(path, 100)
    statements: set[str] = set()
    async with opened(path, lambda connection: connection.set_trace_callback(statements.add)) as store:
        _pages, newest, next_at = await store.freshness()
        assert newest is None  # none of these has a page
        assert next_at is not None
    with closing(sqlite3.connect(path)) as connection:
        assert next_at == connection.execute("SELECT min(revisit_at) FROM urls").fetchone()[0]
        steps = {step for one in statements if "SELECT" in one for step in plan_of(connection, one) if "urls" in step}
    assert steps == {
        "SEARCH urls USING INDEX urls_answered (host_id=?)",
        "SEARCH urls USING COVERING INDEX urls_revisit (host_id=? AND revisit_at>?)",
    }


async def test_failing_an_origin_costs_as_much_as_its_host_has_urls(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await fill(path, 50_000)
    statements: set[str] = set()
    async with opened(path, lambda connection: connection.set_trace_callback(statements.add)) as store:
        claim = next(iter((await claims_of(store)).values()))
        await store.commit([a_failure(robots_claim(claim), origin_failed=FailureKind.DNS)], NOW)
    with closing(sqlite3.connect(path)) as connection:
        [failing] = [one for one in statements if "'failed'" in one and one.strip().startswith("UPDATE urls")]
        assert any("urls_due (host_id=?" in step for step in plan_of(connection, failing))


@pytest.mark.thorough
@pytest.mark.parametrize("hubs", [0, 1])
async def test_choosing_what_to_fetch_again_costs_the_same_however_much_there_is(tmp_path: Path, hubs: int) -> None:
    """Steps of SQLite's virtual machine for one choice, in a host with many pages and with ten times as many."""
    steps = []
    for pages in (20_000, 200_000):
        path = tmp_path / f"{pages}.db"
        async with a_store(path, "http://h1.test/") as store:
            await store.add([a_target("http://h1.test/")], NOW)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
                " INSERT INTO urls"
                " (url, host_id, kind, status, depth, discovered_at, fetched_at, revisit_at, new_links, hinted)"
                " SELECT 'http://h1.test/' || i, 1, 'page', 'fetched', 1, 0, i % 97, i % 89, ?2, i % 2 FROM n",
                (pages, hubs),
            )
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        async with opened(path, lambda connection: connection.set_progress_handler(tick, 100)) as store:
            horizon = Horizon(started_at=NOW, fetched_before=NOW, revisit_before=NOW)
            assert len(await store.stale_urls([1], 512, horizon)) == 512
            assert len((await store.stale_hosts(horizon, None, 8, NOW)).rows) == 1
        steps.append(count)
    assert steps[1] < 1.2 * steps[0]


@pytest.mark.thorough
@pytest.mark.parametrize("max_age", ["age", "auto"])
async def test_an_outage_of_a_whole_host_makes_no_choice_dearer(tmp_path: Path, max_age: str) -> None:
    """Steps of SQLite's virtual machine where half of so many pages fail for now, half have failed."""
    steps = []
    for pages in (2_000, 200_000):
        path = tmp_path / f"{pages}.db"
        async with a_store(path, "http://h1.test/") as store:
            await store.add([a_target("http://h1.test/")], NOW)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
                " INSERT INTO urls (url, host_id, kind, status, depth, discovered_at, fetched_at, next_fetch_at,"
                " revisit_at, failing_since, failing_reason)"
                " SELECT 'http://h1.test/' || i, 1, 'page', iif(i % 2, 'fetched', 'failed'), 1, 0,"
                " iif(i % 2, i % 97, NULL), iif(i % 2, ?2, NULL), iif(i % 2, NULL, ?2), 9, 'timeout' FROM n",
                (pages, NOW + 999),
            )
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8)"
                " INSERT INTO urls (url, host_id, kind, status, depth, discovered_at, fetched_at, revisit_at)"
                " SELECT 'http://h1.test/new' || i, 1, 'page', 'fetched', 1, 0, 99, 99 FROM n"
            )
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        async with opened(path, lambda connection: connection.set_progress_handler(tick, 100)) as store:
            revisit_before = NOW if max_age == "auto" else None
            horizon = Horizon(started_at=NOW, fetched_before=NOW, revisit_before=revisit_before)
            assert len(await store.stale_urls([1], 512, horizon)) == 8
            assert len((await store.stale_hosts(horizon, None, 8, NOW)).rows) == 1
            assert not await store.answered_since(1, NOW)
        steps.append(count)
    assert steps[1] < 1.2 * steps[0]


@pytest.mark.parametrize(
    ("query", "step"),
    [
        ("host_id = 1 AND status = 'excluded' AND reason = 'scope'", "urls_excluded (host_id=?"),
        ("host_id = 1 AND status = 'excluded' AND cause = 'robots'", "urls_excluded (host_id=? AND cause=?"),
        ("status = 'failed' AND kind <> 'robots' AND reason = 'timeout'", "urls_failed (reason=?"),
    ],
)
async def test_other_programs_find_urls_by_their_reason_by_an_index(tmp_path: Path, query: str, step: str) -> None:
    path = tmp_path / "crawl.db"
    await fill(path, 100)
    with closing(sqlite3.connect(path)) as connection:
        [plan] = plan_of(connection, f"SELECT url FROM urls WHERE {query}")
    assert plan.startswith("SEARCH")
    assert step in plan
