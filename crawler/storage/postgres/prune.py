"""Removes old page versions, old attempts, and the bodies and heads that nothing refers to any more.

A partition at a time, each in one transaction of a process that owns all of them: so that no commit meets it, a kill at
any instant leaves a consistent database, and the next prune continues. What a dry run would remove is removed, counted,
and taken back.
Invariants: the newest version of a page (`urls.page_id`) stays, and so does the attempt behind every version that is
kept. Whoever reads the log of changes from its beginning learns of every page, and where it stands; whoever has read
a part of it learns that something is missing (`change_log_pruned`). URLs, and so the hosts' counts, are not touched.

The server reuses the space of what is gone once it has vacuumed, which is done at once; `vacuum` gives it back to the
file system: VACUUM FULL writes each table anew, and needs room for a copy of the largest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from crawler.errors import LeaseLostError
from crawler.storage.interface import Pruned
from crawler.storage.postgres.connection import explained
from crawler.storage.postgres.session import Session
from crawler.storage.postgres.transactions import Execute

_FILLED = f"""
SELECT part FROM parts AS p
WHERE {" OR ".join(f"(SELECT true FROM {table} WHERE part = p.part LIMIT 1)" for table in ("fetches", "bodies"))}
ORDER BY part
"""  # noqa: S608 - our own names
# The fence, without what it counts for a run.
_OWN = """
UPDATE parts SET lease_until = greatest(lease_until, now() + $3::float8 * interval '1 second')
WHERE part = $1 AND owner = $2 RETURNING part
"""
# What a crawl's session never does is right for the whole of a partition.
_PLAN = ("SET LOCAL enable_hashjoin = on", "SET LOCAL enable_seqscan = on")

_DOOMED = """
SELECT id FROM (
    SELECT p.id, f.started_at, p.id IS NOT DISTINCT FROM u.page_id AS newest, row_number() OVER (
        PARTITION BY p.url_id ORDER BY p.id IS NOT DISTINCT FROM u.page_id DESC, p.id DESC
    ) AS place
    FROM (SELECT url_id FROM pages WHERE part = $1 GROUP BY url_id HAVING count(*) > $2::bigint) AS v
    JOIN pages AS p ON p.part = $1 AND p.url_id = v.url_id
    JOIN urls AS u ON u.part = $1 AND u.host_id = p.host_id AND u.id = p.url_id
    JOIN fetches AS f ON f.part = $1 AND f.id = p.fetch_id
) AS versions WHERE NOT newest AND place > $2::bigint AND started_at < $3 ORDER BY id
"""

_OF_PAGES = {  # what belongs to versions, $2: how many, and bytes
    "extracts": "DELETE FROM extracts WHERE part = $1 AND page_id = ANY($2::bigint[]) RETURNING 1 AS n, length(data)",
    "misses": """
DELETE FROM extract_misses WHERE part = $1 AND page_id = ANY($2::bigint[]) RETURNING 1 AS n, length(lacking)
""",
    "links": """
DELETE FROM page_links WHERE part = $1 AND page_id = ANY($2::bigint[])
RETURNING json_array_length(links::json) AS n, length(links)
""",
    "pages": "DELETE FROM pages WHERE part = $1 AND id = ANY($2::bigint[]) RETURNING 1 AS n, length(text)",
}
_OLD_FETCHES = """
DELETE FROM fetches AS f WHERE part = $1 AND started_at < $2
    AND NOT EXISTS (SELECT 1 FROM pages WHERE part = $1 AND fetch_id = f.id)
RETURNING 1 AS n, coalesce(length(head_values), 0)
"""
_OLD_HEADS = """
DELETE FROM heads AS h WHERE part = $1 AND NOT EXISTS (SELECT 1 FROM fetches WHERE part = $1 AND head_id = h.id)
RETURNING 1 AS n, length(fields)
"""
# A body that no parser could read belongs to its attempt.
_OLD_BODIES = """
DELETE FROM bodies AS b WHERE part = $1
    AND NOT EXISTS (SELECT 1 FROM pages WHERE part = $1 AND body_hash = b.hash)
    AND NOT EXISTS (SELECT 1 FROM fetches WHERE part = $1 AND body_hash = b.hash)
RETURNING 1 AS n, length(zstd)
"""
# Not the first of a page, and not the last that says where a URL stands (broken or healed say nothing of a page); nor
# the newest row of all.
_OLD_CHANGES = """
DELETE FROM change_log AS c WHERE part = $1 AND at < $2 AND change <> 'new'
    AND id < (SELECT max(id) FROM change_log WHERE part = $1)
    AND (page_id IS NOT NULL OR EXISTS (
        SELECT 1 FROM change_log AS later
        WHERE later.part = $1 AND later.url_id = c.url_id AND later.page_id IS NULL AND later.id > c.id
            AND (later.change NOT IN ('broken', 'healed') OR c.change IN ('broken', 'healed'))
    ))
RETURNING id, coalesce(length(detail), 0)
"""
_REMEMBER = """
INSERT INTO change_log_pruned (part, upto) VALUES ($1, $2)
ON CONFLICT (part) DO UPDATE SET upto = greatest(change_log_pruned.upto, excluded.upto)
"""
_SUM = "WITH gone (n, size) AS ({}) SELECT coalesce(sum(n), 0), coalesce(sum(size), 0) FROM gone"
_LAST = "WITH gone (id, size) AS ({}) SELECT max(id), coalesce(sum(size), 0) FROM gone"

_SHRINKING = ("pages", "page_links", "extracts", "extract_misses", "bodies", "fetches", "heads", "change_log")
_ALL = (*_SHRINKING, "urls", "hosts", "origins", "places", "sitemap_entries", "domains")
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname = ANY($1::text[])
"""


class _TakenBackError(Exception):
    """Takes back what a dry run has done in a partition."""


async def prune(
    session: Session,
    *,
    keep_versions: int = 1,
    before: float | None = None,
    vacuum: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """See `interface.Database.prune`. The session's process owns all partitions.

    Raises `DatabaseFailedError`, also where it does not own one any more.
    """
    size_before = await _size(session)
    pruning = _Pruning(session, keep_versions, before, dry_run=dry_run)
    for (part,) in await session._read(_FILLED):
        await pruning.prune_part(part)
    removed = pruning.removed
    if not dry_run:
        await _vacuum(session, full=vacuum)
    return Pruned(
        pages=removed["pages"],
        links=removed["links"],
        fetches=removed["fetches"],
        bodies=removed["bodies"],
        freed=pruning.bytes,
        size_before=size_before,
        size_after=await _size(session),
    )


class _Pruning:
    """`removed` counts rows by kind, `bytes` those of the texts and bodies in them."""

    def __init__(self, session: Session, keep_versions: int, before: float | None, *, dry_run: bool) -> None:
        self._session = session
        self._keep_versions = keep_versions
        self._before = before
        self._dry_run = dry_run
        self.removed: Counter[str] = Counter()
        self.bytes = 0

    async def prune_part(self, part: int) -> None:
        """One partition."""

        async def work(execute: Execute) -> tuple[Counter[str], int]:
            removing = _Removing(part, execute)
            await removing.own(self._session)
            await removing.versions(self._keep_versions, math.inf if self._before is None else self._before)
            if self._before is not None:
                await removing.attempts(self._before)
            await removing.remove("bodies", _OLD_BODIES)
            return removing.removed, removing.bytes

        removed, size = await (_taken_back(self._session, work) if self._dry_run else self._session._transact(work))
        self.removed += removed
        self.bytes += size


class _Removing:
    """What goes, of one partition, in one transaction."""

    def __init__(self, part: int, execute: Execute) -> None:
        self._part = part
        self._execute = execute
        self.removed: Counter[str] = Counter()
        self.bytes = 0

    async def own(self, session: Session) -> None:
        """Lock the partition, so that no commit writes to it meanwhile."""
        ownership = session.ownership
        if not await self._execute(_OWN, self._part, ownership.worker, ownership.lease_s):
            raise LeaseLostError("another process has taken over the crawl that was to be pruned")
        for statement in _PLAN:
            await self._execute(statement)

    async def versions(self, keep: int, before: float) -> None:
        """All but so many of each page that were fetched before."""
        doomed = [row[0] for row in await self._execute(_DOOMED, self._part, keep, before)]
        if doomed:
            for kind, sql in _OF_PAGES.items():
                await self.remove(kind, sql, doomed)

    async def attempts(self, before: float) -> None:
        """Those that no version needs, their heads, and old changes."""
        await self.remove("fetches", _OLD_FETCHES, before)
        await self.remove("heads", _OLD_HEADS)
        ((last, size),) = await self._execute(_LAST.format(_OLD_CHANGES), self._part, before)
        self.bytes += int(size)
        if last is not None:
            await self._execute(_REMEMBER, self._part, last)

    async def remove(self, kind: str, sql: str, *parameters: Any) -> None:
        """Run a statement that removes rows, and count them."""
        ((number, size),) = await self._execute(_SUM.format(sql), self._part, *parameters)
        self.removed[kind] += int(number)
        self.bytes += int(size)


async def _taken_back(
    session: Session, work: Callable[[Execute], Awaitable[tuple[Counter[str], int]]]
) -> tuple[Counter[str], int]:
    """What `work` would have done, which is not done."""
    found: list[tuple[Counter[str], int]] = []

    async def undone(execute: Execute) -> None:
        found.append(await work(execute))
        raise _TakenBackError

    with suppress(_TakenBackError):
        await session._transact(undone)
    return found[-1]


async def _vacuum(session: Session, *, full: bool) -> None:
    options, tables = ("FULL, ANALYZE", _ALL) if full else ("ANALYZE", _SHRINKING)
    with explained(session.db):
        for table in tables:  # each in no transaction
            await session._pool.execute(f"VACUUM ({options}) {table}")


async def _size(session: Session) -> int:
    ((size,),) = await session._read(_SIZE, list(_ALL))
    return int(size)
