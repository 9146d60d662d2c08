"""The frontier's case on PostgreSQL: databases with as many pending URLs, filled through SQL as crawls leave them.

The hosts, paths and pages are those of `frontier.py`. Ids are made from texts by BLAKE2b, which the server does not
have: the URLs that pages link to get their own, all others a number.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg

from crawler.storage.location import database_at
from crawler.storage.postgres.ids import PARTS, id_of, part_of
from crawler.urls import host_of
from tests.benchmarks.contest import say
from tests.postgres.instance import Instance, an_instance
from tests.postgres.sql import execute, rows

_FILL_RUNS = """
INSERT INTO runs (id, started_at, ended_at, end_reason, options) VALUES (1, $1, $1, 'interrupted', $2)
"""
_FILL_HOSTS = """
INSERT INTO hosts (part, id, name, next_due_at, pending)
SELECT part, id, name, $4, $5 FROM unnest($1::int[], $2::bigint[], $3::text[]) AS v (part, id, name)
"""
_FILL_ORIGINS = """
INSERT INTO origins (part, host_id, origin, robots_status, robots_body, robots_fetched_at, robots_expires_at)
SELECT part, id, format('http://%s:%s', name, $1::int), 404, '', $2::float8, $2 + 86400 FROM hosts
"""
# As SQLite's: hosts in turn, paths that sort like hashes.
_FILL_URLS = """
INSERT INTO urls (part, host_id, id, url, kind, status, depth, discovered_at, next_fetch_at)
SELECT h.part, h.id, hashint8extended(n, 1), format(
    'http://%s:%s/articles/%s-%s.html', h.name, $2::int, lpad(to_hex(n * 2654435761 & 4294967295), 8, '0'), n
), 'page', 'pending', 1, $3::float8, $3 + n * 1e-6
FROM generate_series(0, $1::bigint - 1) AS n
JOIN (SELECT part, id, name, row_number() OVER (ORDER BY name) - 1 AS number FROM hosts) AS h
    ON h.number = n % (SELECT count(*) FROM hosts)
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'urls' AND indexname <> 'urls_pkey'"
_SET_ID = "UPDATE urls SET id = $4 WHERE part = $1 AND host_id = $2 AND url = $3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server with crawls of these hosts at this port, of any number of pending URLs: a multiple of the hosts'.

    `known` are the URLs that pages link to, `options` those of the run that was interrupted.
    """

    instance: Instance
    hosts: Sequence[str]
    options: str
    port: int
    known: Sequence[str]
    filled: set[int]

    @contextmanager
    def copy_of(self, pending: int) -> Iterator[tuple[str, float]]:
        """A copy of the crawl with so many, by its URL, and its size in MB; each is filled once."""
        original = f"pending_{pending}"
        if pending not in self.filled:
            started = time.monotonic()
            execute(self.instance.dsn(), f"CREATE DATABASE {original}")
            asyncio.run(self._fill(self.instance.dsn(original), pending))
            self.filled.add(pending)
            say(f"frontier: {pending:,} pending URLs stored in PostgreSQL, {time.monotonic() - started:.0f} s")
        execute(self.instance.dsn(), f"CREATE DATABASE copied TEMPLATE {original} STRATEGY file_copy")
        try:
            [(size,)] = rows(self.instance.dsn(), "SELECT pg_database_size('copied')::float8")
            yield self.instance.dsn("copied"), size / 1e6
        finally:
            execute(self.instance.dsn(), "DROP DATABASE copied WITH (FORCE)")

    async def _fill(self, dsn: str, pending: int) -> None:
        async with database_at(dsn).open_store():
            pass  # makes the tables
        now = time.time() - 60
        ids = list(map(id_of, self.hosts))
        parts = [part_of(one, PARTS) for one in ids]
        keys = [(id_of(host_of(url)), url, id_of(url)) for url in self.known]
        connection = await asyncpg.connect(dsn, command_timeout=3600)
        try:
            await connection.execute(_FILL_RUNS, now, self.options)
            await connection.execute(_FILL_HOSTS, parts, ids, self.hosts, now, pending // len(self.hosts))
            await connection.execute(_FILL_ORIGINS, self.port, now)
            await _fill_urls(connection, pending, self.port, now)
            await connection.executemany(_SET_ID, [(part_of(host, PARTS), host, url, own) for host, url, own in keys])
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()


@contextmanager
def server_with(hosts: Sequence[str], options: str, port: int, known: Sequence[str]) -> Iterator[Server]:
    """A server without crawls so far."""
    with an_instance() as instance:
        instance.create()
        instance.start(max_wal_size="4GB", shared_buffers="1GB")
        yield Server(instance=instance, hosts=hosts, options=options, port=port, known=known, filled=set())


async def _fill_urls(connection: asyncpg.Connection[asyncpg.Record], pending: int, port: int, now: float) -> None:
    """Their indexes are made afterwards, which takes a third of the time."""
    indexes = await connection.fetch(_INDEXES)
    await connection.execute("ALTER TABLE urls DROP CONSTRAINT urls_pkey")
    for name, _definition in indexes:
        await connection.execute(f"DROP INDEX {name}")
    await connection.execute(_FILL_URLS, pending, port, now)
    await connection.execute("SET maintenance_work_mem = '1GB'")
    await connection.execute("ALTER TABLE urls ADD PRIMARY KEY (part, host_id, id)")
    for _name, definition in indexes:
        await connection.execute(definition)
