"""Which URLs are only checked, and when each is due (`--check`).

What current pages link to and load is found out anew by each run that checks, in parts; it says which rows are wanted.
Invariant: what a run has checked is not due again in it, however often it is killed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import orjson

from crawler.config import CheckKind
from crawler.records import Claim, HostRecord, UrlKind
from crawler.storage.columns import host_record
from crawler.storage.cursors import next_cursor, place
from crawler.storage.interface import Batch, Cursor, DueQueue
from crawler.storage.sqlite.check_tally import CHECK_TALLY, tallied
from crawler.storage.sqlite.checks import ADD_HOSTS, CHECK_HOST_COLUMNS, SET_DUE
from crawler.storage.sqlite.columns import IS_OF_OTHERS, JsonStatement, prefixes
from crawler.storage.sqlite.session import Session, at_most
from crawler.storage.values import as_json
from crawler.urls import host_of, origin_of, without_credentials

_URLS_AT_ONCE = 2_000  # rows of `urls`, whose pages' links and resources are looked at in one transaction

_DUE_HOSTS = f"""
SELECT {CHECK_HOST_COLUMNS} FROM hosts
WHERE next_check_at <= ?1 AND (next_check_at, id) > (?5, ?6) AND NOT (run_id IS ?2 AND run_pages >= ?3)
ORDER BY next_check_at, id LIMIT ?4
"""  # noqa: S608 - our own names

_DUE_URLS = f"""
SELECT c.id, c.url, c.host_id, h.name, c.hops, c.attempts
FROM json_each(?1) AS wanted CROSS JOIN hosts AS h ON h.id = wanted.value
CROSS JOIN checks AS c ON c.id IN (
    SELECT id FROM checks WHERE host_id = h.id AND due_at <= ?2 AND {IS_OF_OTHERS.format("?4")}
    ORDER BY due_at, id LIMIT ?3
)
ORDER BY c.due_at, c.id
"""  # noqa: S608 - our own names

# What leaves the scope, by urls_excluded alone: to look up the row of every link's target would take ten times as long.
_FIND_OUTSIDE = (
    "CREATE TEMP TABLE IF NOT EXISTS outside (id INTEGER PRIMARY KEY)",
    "DELETE FROM outside",
    """
INSERT INTO outside
SELECT id FROM urls INDEXED BY urls_excluded WHERE status = 'excluded' AND cause = 'scope' ORDER BY id
""",
)
_FORGET_OUTSIDE = "DELETE FROM outside"

_IS_CURRENT = "status IN ('fetched', 'failed', 'pending')"

# Also where a URL within the scope redirects to.
_NOTE_LINKS = f"""
INSERT INTO checks (url, host_id, link_run)
SELECT t.url, t.host_id, ?3 FROM (
    SELECT DISTINCT o.id FROM urls AS s CROSS JOIN links AS l ON l.page_id = s.page_id
    CROSS JOIN outside AS o ON o.id = l.target_id
    WHERE s.id > ?1 AND s.id <= ?2 AND s.{_IS_CURRENT}
) AS linked CROSS JOIN urls AS t ON t.id = linked.id WHERE t.kind = 'page'
UNION ALL
SELECT t.url, t.host_id, ?3 FROM outside AS o CROSS JOIN urls AS t ON t.id = o.id
WHERE o.id > ?1 AND o.id <= ?2 AND t.kind = 'page' AND t.found_by IN ('redirect', 'refresh')
ON CONFLICT (url) DO UPDATE SET link_run = excluded.link_run WHERE link_run IS NOT excluded.link_run
"""  # noqa: S608 - our own names

# What is crawled is no check.
_RESOURCES = f"""
SELECT DISTINCT json_extract(e.value, '$[1]') AS url
FROM urls AS u CROSS JOIN pages AS p ON p.id = u.page_id CROSS JOIN json_each(p.resources) AS e
WHERE u.id > ?1 AND u.id <= ?2 AND u.{_IS_CURRENT} AND NOT EXISTS (
    SELECT 1 FROM urls AS t WHERE t.url = json_extract(e.value, '$[1]')
        AND t.status IN ('fetched', 'gone', 'failed')
)
"""  # noqa: S608 - our own names
_NOTE_RESOURCES = JsonStatement(
    """
INSERT INTO checks (url, host_id, resource_run)
SELECT {url}, h.id, ?2 FROM json_each(?1) AS v CROSS JOIN hosts AS h ON h.name = {host} WHERE true
ON CONFLICT (url) DO UPDATE SET resource_run = excluded.resource_run WHERE resource_run IS NOT excluded.resource_run
""",
    "url",
    "host",
)

_RUN_OF = {CheckKind.EXTERNAL: "link_run", CheckKind.RESOURCES: "resource_run"}

_FORGET = """
DELETE FROM checks WHERE link_run IS NULL AND resource_run IS NULL
    AND url NOT IN (SELECT redirect_url FROM checks WHERE redirect_url IS NOT NULL)
"""

# ?5: links are wanted, ?6: resources are.
_IS_WANTED = "((?5 AND link_run IS NOT NULL) OR (?6 AND resource_run IS NOT NULL))"

# What could not be asked for is decided again by each run; of the rest, what is old.
_PLAN = f"""
UPDATE checks SET due_at = ?2, attempts = 0, hops = 0
WHERE due_at IS NULL AND run_id IS NOT ?1 AND {_IS_WANTED} AND (
    verdict IS NULL OR verdict = 'not_asked' OR checked_at < iif(verdict = 'good', ?3, ?4)
)
"""  # noqa: S608 - our own names
_UNPLAN = f"""
UPDATE checks SET due_at = NULL
WHERE due_at IS NOT NULL AND (link_run IS NOT NULL OR resource_run IS NOT NULL) AND NOT {_IS_WANTED}
"""  # noqa: S608 - our own names

_SET_ALL_DUE = SET_DUE.format(
    "SELECT host_id FROM checks WHERE due_at IS NOT NULL UNION SELECT id FROM hosts WHERE next_check_at IS NOT NULL"
)

_FIRST_HOST = (-1e18, 0)  # before the first row


class Checks(Session):
    """See `interface.Checks` for what each operation is for."""

    async def note_checks(self, kind: CheckKind, after: Cursor | None) -> Cursor | None:
        """Note what a part of the current pages links to outside of the scope, or loads; returns where the next part
        begins.
        """
        (start,) = place(after, (0,))
        ((top,),) = await self._read("SELECT coalesce(max(id), 0) FROM urls")
        end = start + _URLS_AT_ONCE
        if kind is CheckKind.EXTERNAL:
            await self._note_links(start, end, is_last=end >= top)
        else:
            await self._note_resources([row[0] for row in await self._read(_RESOURCES, (start, end))])
        return None if end >= top else Cursor(as_json([end]))

    async def _note_links(self, start: int, end: int, *, is_last: bool) -> None:
        statements: list[tuple[str, tuple[Any, ...]]] = [(_NOTE_LINKS, (start, end, self.run_id))]
        if not start:
            statements = [*((statement, ()) for statement in _FIND_OUTSIDE), *statements]
        if is_last:
            statements.append((_FORGET_OUTSIDE, ()))
        async with self._transaction() as transaction:
            await transaction.apply(statements)

    async def _note_resources(self, urls: Sequence[str]) -> None:
        # With a user and password in it, browsers load none.
        rows = [(url, host_of(url)) for url in urls if url == without_credentials(url)]
        hosts = as_json(sorted({host for _url, host in rows}))
        async with self._transaction() as transaction:
            await transaction.apply(
                [(ADD_HOSTS, (hosts,)), (_NOTE_RESOURCES.sql, (as_json(rows), self.run_id))] if rows else []
            )

    async def plan_checks(
        self, kinds: Collection[CheckKind], now: float, *, good_before: float, others_before: float, noted: bool
    ) -> None:
        """Make due what is wanted and was not checked since. `noted`: all that is has been noted just now, so that the
        rest is forgotten.
        """
        wanted = (CheckKind.EXTERNAL in kinds, CheckKind.RESOURCES in kinds)
        parameters = (self.run_id, now, good_before, others_before, *wanted)
        unwanted = [
            (f"UPDATE checks SET {_RUN_OF[kind]} = NULL WHERE {_RUN_OF[kind]} <> ?", (self.run_id,))  # noqa: S608
            for kind in kinds
        ]
        async with self._transaction() as transaction:
            await transaction.apply(
                [
                    *([*unwanted, (_FORGET, ())] if noted else []),
                    (_PLAN, parameters),
                    (_UNPLAN, parameters),
                    (_SET_ALL_DUE, (None, self.run_id)),
                ]
            )

    def due_checks(self) -> DueQueue:
        """The checks that are due, in the place of pages."""
        return _DueChecks(self)

    def due_pages_and_checks(self) -> DueQueue:
        """What is due of both, pages first."""
        return _Both(cast(DueQueue, self), _DueChecks(self))

    async def check_tally(self) -> dict[str, int]:
        """URLs that are checked, by verdict; those that are to be asked for are 'pending'."""
        return tallied(await self._read(CHECK_TALLY))


class _DueChecks:
    """See `interface.DueQueue`. A claim's id is negative: the others are of rows of `urls`."""

    def __init__(self, session: Session) -> None:
        self._read = session._read
        self._run_id = session.run_id

    async def due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None = None
    ) -> Batch[HostRecord]:
        """Hosts that have a check due and have not reached their number of pages, longest due first."""
        parameters = (now, self._run_id, at_most(max_pages_per_host), limit, *place(after, _FIRST_HOST))
        hosts = [host_record(row) for row in await self._read(_DUE_HOSTS, parameters)]
        return Batch(rows=hosts, next=next_cursor(hosts, limit, lambda host: (host.next_due_at, host.host_id)))

    async def due_urls(
        self, host_ids: Iterable[int], limit: int, now: float, without: Sequence[str] = ()
    ) -> list[Claim]:
        """At most `limit` due checks of each of these hosts, longest due first, none of the origins `without`."""
        rows = await self._read(_DUE_URLS, (as_json(list(host_ids)), now, limit, prefixes(without)))
        return [
            Claim(
                url_id=-check_id,
                url=url,
                host_id=host_id,
                host=host,
                origin=origin_of(url),
                kind=UrlKind.CHECK,
                hops=hops,
                attempts=attempts,
            )
            for check_id, url, host_id, host, hops, attempts in rows
        ]

    async def next_due_at(self, after: float) -> float | None:
        """When the next host has a check due, of those that have none at `after` (Unix seconds)."""
        rows = await self._read("SELECT min(next_check_at) FROM hosts WHERE next_check_at > ?", (after,))
        return rows[0][0] if rows else None


class _Both:
    """Two queues as one: all of the first comes before the other's. A host may be in both."""

    def __init__(self, *queues: DueQueue) -> None:
        self._queues = queues

    async def due_hosts(
        self, now: float, max_pages_per_host: int | None, limit: int, after: Cursor | None = None
    ) -> Batch[HostRecord]:
        """Hosts that have something due."""
        number, inner = (0, None) if after is None else orjson.loads(after)
        hosts: list[HostRecord] = []
        while True:
            batch = await self._queues[number].due_hosts(now, max_pages_per_host, limit - len(hosts), inner)
            hosts += batch.rows
            inner = batch.next
            if inner is not None:
                return Batch(rows=hosts, next=Cursor(as_json([number, inner])))
            number += 1
            if number == len(self._queues):
                return Batch(rows=hosts)
            if len(hosts) == limit:
                return Batch(rows=hosts, next=Cursor(as_json([number, None])))

    async def due_urls(
        self, host_ids: Iterable[int], limit: int, now: float, without: Sequence[str] = ()
    ) -> list[Claim]:
        """At most `limit` of each queue and host."""
        ids = list(host_ids)
        return [claim for queue in self._queues for claim in await queue.due_urls(ids, limit, now, without)]

    async def next_due_at(self, after: float) -> float | None:
        """When the next host falls due (Unix seconds)."""
        moments = [await queue.next_due_at(after) for queue in self._queues]
        return min((moment for moment in moments if moment is not None), default=None)
