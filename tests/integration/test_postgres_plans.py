"""What a page costs must not grow with the crawl: each statement of the hot path looks its rows up by an index, whether
the planner knows nothing of the tables, saw them when they were empty, or knows them as they are.

The statements are those that were really executed, as the server's log tells them, with their parameters.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from crawler.records import FailureKind, Horizon, RobotsCopy
from crawler.storage.interface import Store
from crawler.storage.postgres.connection import CRAWL_SETTINGS
from crawler.storage.postgres.ids import id_of, part_of
from crawler.storage.postgres.store import PostgresStore, open_worker
from tests.contract.results import NOW, a_body, a_failure, a_result, a_target, robots_claim
from tests.integration.test_query_plans import HOSTS, crawl_a_little
from tests.postgres.crawls import create_crawl
from tests.postgres.instance import Instance, an_instance
from tests.postgres.sql import execute
from tests.postgres.statements import LOGGING, Statement, executed, explained

PARTS = 16
APPLICATION = "crawler plans"
OF_ALL_OWNED = {"hosts", "arrivals"}  # what is due, and what has come, of all that is owned
SMALL = {"meta", "runs", "workers", "parts", "tallies", "notes", "notices", "extraction_rules"}  # of control
FILL = (
    """
    INSERT INTO urls
        (part, host_id, id, url, kind, status, reason, cause, detail, depth, discovered_at, next_fetch_at, fetched_at,
        revisit_at, changes, watched_s, page_id)
    SELECT h.part, h.id, i, 'http://' || h.name || '/' || i, 'page',
        CASE i % 4 WHEN 0 THEN 'fetched' WHEN 1 THEN 'excluded' ELSE 'pending' END,
        CASE i % 8 WHEN 1 THEN 'scope' WHEN 5 THEN 'robots: line 1: Disallow: /' END,
        CASE i % 8 WHEN 1 THEN 'scope' WHEN 5 THEN 'robots' END, CASE i % 8 WHEN 5 THEN 'line 1: Disallow: /' END,
        1, {now}, CASE WHEN i % 4 > 1 THEN {now} + i % 97 END, CASE WHEN i % 4 = 0 THEN {now} - i % 97 END,
        CASE WHEN i % 4 = 0 THEN {now} - i % 89 END, 1, 1000 + i % 79, CASE WHEN i % 4 = 0 THEN i END
    FROM generate_series(1, {urls}) AS i
        JOIN hosts AS h ON h.name = 'h' || 1 + CASE WHEN i % 2 = 1 THEN 0 ELSE i / 2 % {hosts} END || '.test'
    """,
    "CREATE TEMP VIEW f AS SELECT part, host_id, id, sha256(url::bytea) AS hash FROM urls WHERE status = 'fetched'",
    """
    INSERT INTO fetches (part, id, host_id, url_id, run_id, started_at, elapsed_s, status_code, head_id, body_hash)
    SELECT part, id, host_id, id, 1, {now}, 1, 200, id, hash FROM f
    """,
    """
    INSERT INTO pages (part, id, host_id, url_id, fetch_id, text, encoding, headings, open_graph, json_ld, content_hash,
        body_hash)
    SELECT part, id, host_id, id, id, repeat('word ', 100), 'utf-8', '[]', '{}', '[]', hash, hash FROM f
    """,
    'INSERT INTO page_links (part, page_id, links) SELECT part, id, \'[[1, 1, "", "", 0]]\' FROM f',
    "INSERT INTO bodies (part, hash, size, zstd) SELECT part, hash, 9, hash FROM f",
    "INSERT INTO heads (part, id, hash, fields) SELECT part, id, hash, '[]' FROM f",
    "INSERT INTO sitemap_entries (part, sitemap_id, url_host_id, url_id) SELECT part, id % 9, host_id, id FROM f",
    """
    INSERT INTO change_log (part, id, host_id, url_id, run_id, at, change)
    SELECT part, id, host_id, id, 1, {now}, 'gone' FROM f
    """,
    "INSERT INTO origins (part, host_id, origin) SELECT part, id, 'http://' || name FROM hosts",
    "INSERT INTO places (part, host_id, place, run_id, looks, scores) SELECT part, id, '/', 1, 1, '' FROM hosts",
    "UPDATE hosts SET next_due_at = {now} - CASE name WHEN 'h1.test' THEN 1 ELSE 0 END, domain = name",
    "INSERT INTO domains (part, domain, hosts) SELECT part, name, 1 FROM hosts",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Instance]:
    """A server that writes down what it executes."""
    with an_instance() as server:
        server.create()
        server.start(**LOGGING)
        yield server


def database(server: Instance, name: str, *, is_partitioned: bool = False) -> str:
    """The URL of a new, empty crawl."""
    execute(server.dsn(), f"CREATE DATABASE {name}")
    create_crawl(server.dsn(name), PARTS, is_partitioned=is_partitioned)
    return server.dsn(name)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    """A store that owns all, and in which a run has begun."""
    async with open_worker(url, alone=True, name="plans") as store:
        await store.begin_run({"scope": {"max_pages": None}}, NOW)
        yield store


async def fill(url: str, urls: int) -> None:
    """So many URLs, half of them of one host, and what belongs to them."""
    async with opened(url) as store:
        await store.add([a_target(f"http://h{number + 1}.test/") for number in range(HOSTS)], NOW)
    words = {"now": str(NOW), "urls": str(urls), "hosts": str(HOSTS)}
    execute(url, ";".join(re.sub(r"{(\w+)}", lambda word: words[word[1]], statement) for statement in FILL))


def copied(server: Instance, url: str, name: str) -> str:
    """The URL of a new copy."""
    execute(server.dsn(), f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}")
    return server.dsn(name)


async def statements_of(
    server: Instance, url: str, work: Callable[[PostgresStore], Awaitable[None]]
) -> list[Statement]:
    """What is executed in a copy while a crawl does this, each statement with the parameters of its first time."""
    url = copied(server, url, f"{url.rpartition('/')[2]}_worked_in")
    async with opened(url) as store:
        await store.limit_hosts(4)
        log = server.folder / "statements.json"
        before = len(log.read_text())
        await work(store)
    execute(url, f"SELECT {url!r} AS the_end")
    while "the_end" not in log.read_text()[before:]:  # another process writes it
        await asyncio.sleep(0.05)
    first: dict[str, Statement] = {}
    for statement in executed(log, APPLICATION, before):
        first.setdefault(statement.text, statement)
    return list(first.values())


@pytest.mark.slow
async def test_each_statement_of_the_hot_path_looks_its_rows_up(server: Instance) -> None:
    unknown, seen_empty = database(server, "unknown"), database(server, "seen_empty")
    execute(seen_empty, "VACUUM ANALYZE")
    for url in (unknown, seen_empty):
        await fill(url, 20_000)
    known = copied(server, unknown, "known")
    execute(known, "ANALYZE")
    statements = await statements_of(server, unknown, lambda store: crawl_a_little(cast(Store, store), rules=bytes))
    assert len(statements) > 15
    faults = {
        (url.rpartition("/")[2], statement.text.strip()[:200], node.kind, node.table)
        for url in (unknown, seen_empty, known)
        for statement in statements
        for node in explained(url, statement, CRAWL_SETTINGS)
        if node.table not in SMALL and not node.is_looked_up
    }
    assert not faults, "\n".join(map(repr, sorted(faults)))


@pytest.mark.thorough
async def test_what_is_asked_of_one_host_touches_its_partition_alone(server: Instance) -> None:
    """On a copy with a table a partition, as Citus has one a shard; but for the tables of what is due."""
    url = database(server, "partitioned", is_partitioned=True)
    await fill(url, 5_000)
    execute(url, "ANALYZE")
    statements = await statements_of(server, url, crawl_one_host)
    assert len(statements) > 15
    allowed = part_of(id_of("h1.test"), PARTS)
    faults = {
        (statement.text.strip()[:200], node.table)
        for statement in statements
        for node in explained(url, statement, CRAWL_SETTINGS)
        if (found := re.fullmatch(r"(\w+)_p(\d+)", node.table)) and node.runs
        if int(found[2]) != allowed and found[1] not in OF_ALL_OWNED
    }
    assert not faults, "\n".join(map(repr, sorted(faults)))


async def crawl_one_host(store: PostgresStore) -> None:
    """It links to itself alone."""
    hosts = {host.name: host.host_id for host in (await store.due_hosts(NOW, None, HOSTS)).rows}
    host_id = hosts["h1.test"]
    claims = await store.due_urls([host_id], 16, NOW)
    await store.robots_of([host_id])
    links = [f"http://h1.test/new/{number}" for number in range(20)]
    for _ in range(2):
        results = [a_result(claim, links=links, body=a_body(claim.url.encode())) for claim in claims[:8]]
        robots = RobotsCopy(origin="http://h1.test", status_code=200, body=b"")
        dead = a_failure(claims[8])
        await store.commit([*results, dead, a_result(robots_claim(claims[0]), page=False, robots=robots)], NOW)
    horizon = Horizon(started_at=NOW + 9, fetched_before=NOW + 9, revisit_before=NOW + 9)
    for claim in (await store.stale_urls([host_id], 4, horizon))[:1]:
        await store.stored_body(claim)
        await store.named_feeds(claim)
    await store.answered_since(host_id, NOW)
    await store.places_of([host_id])
    await store.make_due(host_id, NOW, 16)
    await store.keep_pauses([(host_id, NOW + 60)])
    await store.commit([a_failure(robots_claim(claims[0]), origin_failed=FailureKind.DNS)], NOW)


@pytest.mark.thorough
def test_the_check_sees_what_it_is_there_for(server: Instance) -> None:
    url = database(server, "seen", is_partitioned=True)
    for sql in ("SELECT url FROM urls WHERE status = 'pending'", "SELECT name FROM hosts WHERE id = 1"):
        nodes = explained(url, Statement(sql, sql), CRAWL_SETTINGS)
        assert any(not node.is_looked_up for node in nodes)
        assert len([node for node in nodes if node.runs]) == PARTS
    one = "SELECT name FROM hosts WHERE part = 3 AND id = 1"
    [node] = explained(url, Statement(one, one), CRAWL_SETTINGS)
    assert (node.table, node.is_looked_up, node.runs) == ("hosts_p3", True, 1)
