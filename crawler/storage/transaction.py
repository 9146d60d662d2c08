"""One transaction: many visits, each with its page, links, new URLs and state, committed together or not at all.

Rows go in by set-based statements, one a kind and batch (`INSERT ... SELECT ... FROM json_each(?)`, or one VALUES with
many rows where there are blobs): a statement a row would take and give up the GIL a row, which costs more than the row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiosqlite
import orjson

from crawler.records import (
    Failure,
    HostRecord,
    Page,
    Response,
    RobotsCopy,
    SeedMark,
    Target,
    UrlKind,
    UrlStatus,
    Visit,
)
from crawler.urls import origin_of

_MAX_KNOWN = 131_072  # URLs; about 30 MB
_MAX_PARAMETERS = 30_000  # SQLite takes 32,766 a statement
_MAX_INTEGER = 2**63 - 1  # SQLite's; a Content-Length may claim more

_ADD_HOSTS = "INSERT OR IGNORE INTO hosts (name) SELECT DISTINCT value FROM json_each(?)"

# What is known may only get nearer (depth), dearer (seed), or admitted where it was excluded for another reason than
# robots.txt, which only a new copy of robots.txt may lift.
_ADD_URLS = """
INSERT INTO urls (url, host_id, kind, status, reason, depth, hops, seed, discovered_at, next_fetch_at)
SELECT
    json_extract(t.value, '$[0]'), h.id, json_extract(t.value, '$[2]'), json_extract(t.value, '$[3]'),
    json_extract(t.value, '$[4]'), json_extract(t.value, '$[5]'), json_extract(t.value, '$[6]'),
    json_extract(t.value, '$[7]'), ?2, CASE WHEN json_extract(t.value, '$[3]') = 'pending' THEN ?2 END
FROM json_each(?1) AS t CROSS JOIN hosts AS h ON h.name = json_extract(t.value, '$[1]')
WHERE true
ON CONFLICT (url) DO UPDATE SET
    depth = min(depth, excluded.depth),
    hops = min(hops, excluded.hops),
    seed = max(seed, excluded.seed),
    status = CASE WHEN status = 'excluded' AND substr(reason, 1, 6) <> 'robots' THEN excluded.status ELSE status END,
    next_fetch_at = CASE WHEN status = 'excluded' AND substr(reason, 1, 6) <> 'robots' THEN excluded.next_fetch_at
        ELSE next_fetch_at END,
    reason = CASE WHEN status = 'excluded' AND substr(reason, 1, 6) <> 'robots' THEN excluded.reason ELSE reason END
WHERE excluded.depth < depth OR excluded.seed > seed
    OR (status = 'excluded' AND substr(reason, 1, 6) <> 'robots' AND excluded.status = 'pending')
"""

_URL_IDS = """
SELECT u.url, u.id, u.depth, u.seed, u.status = 'excluded' AND substr(u.reason, 1, 6) <> 'robots'
FROM json_each(?) AS t CROSS JOIN urls AS u ON u.url = t.value
"""

_ADD_LINKS = """
INSERT INTO links (page_id, target_id, anchor, rel, nofollow)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]')
FROM json_each(?) WHERE true
ON CONFLICT DO NOTHING
"""

_SET_URLS = """
UPDATE urls SET
    status = json_extract(v.value, '$[1]'),
    reason = json_extract(v.value, '$[2]'),
    attempts = json_extract(v.value, '$[3]'),
    next_fetch_at = json_extract(v.value, '$[4]'),
    fetched_at = coalesce(json_extract(v.value, '$[5]'), fetched_at),
    page_id = coalesce(json_extract(v.value, '$[6]'), page_id),
    etag = coalesce(json_extract(v.value, '$[7]'), etag),
    last_modified = coalesce(json_extract(v.value, '$[8]'), last_modified)
FROM json_each(?) AS v WHERE urls.id = json_extract(v.value, '$[0]')
"""

_SET_HOSTS = """
UPDATE hosts SET
    run_pages = json_extract(v.value, '$[1]') + CASE WHEN run_id IS ?2 THEN run_pages ELSE 0 END,
    run_id = ?2,
    back_off_until = max(json_extract(v.value, '$[2]'), back_off_until),
    failures = coalesce(json_extract(v.value, '$[3]'), failures)
FROM json_each(?1) AS v WHERE hosts.id = json_extract(v.value, '$[0]')
"""

_SET_DUE = """
UPDATE hosts SET next_due_at = (
    SELECT max(min(next_fetch_at), hosts.back_off_until) FROM urls
    WHERE host_id = hosts.id AND next_fetch_at IS NOT NULL
) WHERE id IN (SELECT value FROM json_each(?))
RETURNING id, name, next_due_at, back_off_until, failures, CASE WHEN run_id IS ? THEN run_pages ELSE 0 END
"""

# An attempt that failed says nothing about the rules: what was known of them stays, though it has expired.
_SET_ROBOTS = """
INSERT INTO origins (host_id, origin, robots_status, robots_body, robots_fetched_at, robots_expires_at, robots_failures)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (origin) DO UPDATE SET robots_status = excluded.robots_status,
    robots_body = CASE WHEN excluded.robots_failures > 0 THEN robots_body ELSE excluded.robots_body END,
    robots_fetched_at = excluded.robots_fetched_at, robots_expires_at = excluded.robots_expires_at,
    robots_failures = excluded.robots_failures
"""

_READMIT = """
UPDATE urls SET status = 'pending', reason = NULL, next_fetch_at = ?2
WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'excluded'
RETURNING host_id
"""

_READMIT_FORBIDDEN = """
UPDATE urls SET status = 'pending', reason = NULL, next_fetch_at = ?2
WHERE host_id = ?1 AND status = 'excluded' AND reason >= 'robots' AND reason < 'robott'
"""

_FAIL_ORIGIN = """
UPDATE urls SET status = 'failed', reason = ?3, next_fetch_at = NULL
WHERE host_id = ?1 AND next_fetch_at IS NOT NULL AND status = 'pending' AND substr(url, 1, length(?2) + 1) = ?2 || '/'
"""


class KnownUrls:
    """A bounded cache of stored URLs in front of the unique index: most links on a page are known already.

    Only the writer fills it, so it never disagrees with what the next transaction will find. 'Liftable' rows are
    excluded for another reason than robots.txt.
    """

    def __init__(self, max_rows: int = _MAX_KNOWN) -> None:
        self._max_rows = max_rows
        self._rows: dict[str, tuple[int, int, int, bool]] = {}  # url -> id, depth, seed, liftable

    def ids(self, urls: Iterable[str]) -> dict[str, int]:
        """The row ids of those URLs that are known."""
        rows = self._rows
        return {url: rows[url][0] for url in urls if url in rows}

    def unsettled(self, targets: Iterable[Target]) -> list[Target]:
        """Those of the targets that would change something if they were stored. One tight loop: they are many."""
        row_of = self._rows.get
        unsettled = []
        for target in targets:
            row = row_of(target.url)
            if row is None or target.depth < row[1] or target.seed > row[2] or (row[3] and target.reason is None):
                unsettled.append(target)
        return unsettled

    def learn(self, rows: Iterable[Sequence[Any]]) -> None:
        """Remember rows of url, id, depth, seed, liftable; the oldest are forgotten when there are too many."""
        for url, row_id, depth, seed, liftable in rows:
            self._rows[url] = (row_id, depth, seed, bool(liftable))
        excess = len(self._rows) - self._max_rows
        if excess > 0:
            for url in list(islice(self._rows, excess + self._max_rows // 4)):
                del self._rows[url]

    def forget(self, urls: Iterable[str]) -> None:
        """Ask the database about these again."""
        for url in urls:
            self._rows.pop(url, None)

    def clear(self) -> None:
        """Forget everything: a transaction was rolled back, or rows were changed past this cache."""
        self._rows.clear()


class Transaction:
    """One BEGIN ... COMMIT on the writing connection."""

    def __init__(self, connection: aiosqlite.Connection, known: KnownUrls, run_id: int) -> None:
        self._connection = connection
        self._known = known
        self._run_id = run_id

    async def run(self, visits: Sequence[Visit], now: float, targets: Sequence[Target] = ()) -> list[HostRecord]:
        """Store it all; returns the hosts touched that have something planned."""
        async with self._begun():
            return await self._store(visits, targets, now)

    async def readmit(self, ids: Sequence[int], now: float) -> None:
        """Excluded URLs become pending; their hosts' next due time follows."""
        async with self._begun():
            rows = await self._execute(_READMIT, _json(list(ids)), now)
            await self._set_due({row[0] for row in rows})
        self._known.clear()

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[None]:
        await self._execute("BEGIN IMMEDIATE")
        try:
            yield
            await self._execute("COMMIT")
        except BaseException:
            self._known.clear()
            if self._connection.in_transaction:
                await self._execute("ROLLBACK")
            raise

    async def _store(self, visits: Sequence[Visit], targets: Sequence[Target], now: float) -> list[HostRecord]:
        found = [target for visit in visits for target in (*visit.link_targets, *visit.targets, *_robots_target(visit))]
        touched = await self._add_urls([*targets, *found], now)
        rows = await self._ids_of(visit.claim.url for visit in visits if not visit.claim.url_id)
        ids = [visit.claim.url_id or rows[visit.claim.url] for visit in visits]
        fetch_ids = await self._add_fetches(visits, ids)
        await self._add_bodies(visits)
        page_ids = await self._add_pages(visits, ids, fetch_ids)
        await self._add_links(visits, page_ids)
        await self._set_urls(visits, ids, page_ids)
        await self._set_origins(visits, now)
        await self._set_hosts(visits)
        await self._count_run(visits)
        return await self._set_due(touched | {visit.claim.host_id for visit in visits})

    async def _add_urls(self, targets: Iterable[Target], now: float) -> set[int]:
        """Insert what is new, improve what is known; returns the hosts that may have gained a URL."""
        news = _nearest(self._known.unsettled(targets))
        if not news:
            return set()
        await self._execute(_ADD_HOSTS, _json(sorted({target.host for target in news})))
        rows = [(t.url, t.host, t.kind, t.status, t.reason, t.depth, t.hops, int(t.seed)) for t in news]
        await self._execute(_ADD_URLS, _json(rows), now)
        self._known.learn(await self._execute(_URL_IDS, _json([target.url for target in news])))
        gained = _json(sorted({target.host for target in news if target.reason is None}))
        found = await self._execute("SELECT id FROM hosts WHERE name IN (SELECT value FROM json_each(?))", gained)
        return {row[0] for row in found}

    async def _ids_of(self, urls: Iterable[str]) -> dict[str, int]:
        """The row ids of URLs that are stored. A batch may hold more of them than the cache, which then forgot some."""
        wanted = set(urls)
        ids = self._known.ids(wanted)
        if len(ids) < len(wanted):
            missing = _json(list(wanted - ids.keys()))
            ids |= {row[0]: row[1] for row in await self._execute(_URL_IDS, missing)}
        return ids

    async def _add_fetches(self, visits: Sequence[Visit], ids: Sequence[int]) -> list[int | None]:
        rows: list[tuple[Any, ...]] = []
        fetch_ids: list[int | None] = []
        next_id = await self._next_id("fetches")
        for visit, url_id in zip(visits, ids, strict=True):
            if visit.attempt is None:
                fetch_ids.append(None)
                continue
            fetch_ids.append(next_id)
            rows.append((next_id, url_id, self._run_id, *_fetch_columns(visit, visit.attempt)))
            next_id += 1
        await self._insert("fetches", _FETCH_COLUMNS, rows)
        return fetch_ids

    async def _add_bodies(self, visits: Sequence[Visit]) -> None:
        bodies = {visit.body.digest: visit.body for visit in visits if visit.body is not None}
        rows = [(digest, body.size, body.zstd) for digest, body in bodies.items()]
        await self._insert("bodies", ("hash", "size", "zstd"), rows, "ON CONFLICT DO NOTHING")

    async def _add_pages(
        self, visits: Sequence[Visit], ids: Sequence[int], fetch_ids: Sequence[int | None]
    ) -> list[int | None]:
        rows: list[tuple[Any, ...]] = []
        page_ids: list[int | None] = []
        next_id = await self._next_id("pages")
        for visit, url_id, fetch_id in zip(visits, ids, fetch_ids, strict=True):
            if visit.page is None:
                page_ids.append(None)
                continue
            page_ids.append(next_id)
            rows.append((next_id, url_id, fetch_id, *_page_columns(visit, visit.page)))
            next_id += 1
        await self._insert("pages", _PAGE_COLUMNS, rows)
        return page_ids

    async def _add_links(self, visits: Sequence[Visit], page_ids: Sequence[int | None]) -> None:
        ids = await self._ids_of(target.url for visit in visits for target in visit.link_targets)
        rows = [
            (page_id, ids[target.url], anchor, rel, nofollow)
            for visit, page_id in zip(visits, page_ids, strict=True)
            if visit.page is not None
            for target, (_url, anchor, rel, nofollow) in zip(visit.link_targets, visit.page.links, strict=True)
        ]
        if rows:
            await self._execute(_ADD_LINKS, _json(rows))

    async def _set_urls(self, visits: Sequence[Visit], ids: Sequence[int], page_ids: Sequence[int | None]) -> None:
        # A robots.txt may have been asked for twice in one batch: the last answer counts.
        rows = {triple[1]: _url_columns(*triple) for triple in zip(visits, ids, page_ids, strict=True)}
        if rows:
            await self._execute(_SET_URLS, _json(list(rows.values())))
        self._known.forget(visit.claim.url for visit in visits if visit.verdict.status is UrlStatus.EXCLUDED)

    async def _set_origins(self, visits: Sequence[Visit], now: float) -> None:
        for visit in visits:
            host_id = visit.claim.host_id
            if visit.robots is not None:
                await self._set_robots(visit.robots, host_id, now)
            if visit.origin_failed is not None:
                await self._execute(_FAIL_ORIGIN, host_id, origin_of(visit.claim.url), visit.origin_failed)

    async def _set_robots(self, robots: RobotsCopy, host_id: int, now: float) -> None:
        old = await self._execute("SELECT robots_body FROM origins WHERE origin = ?", robots.origin)
        await self._execute(
            _SET_ROBOTS,
            host_id,
            robots.origin,
            robots.status_code,
            robots.body,
            robots.fetched_at,
            robots.expires_at,
            robots.failures,
        )
        if old and not robots.failures and old[0][0] != robots.body:
            await self._execute(_READMIT_FORBIDDEN, host_id, now)

    async def _set_hosts(self, visits: Sequence[Visit]) -> None:
        rows: dict[int, list[Any]] = {}
        for visit in visits:
            row = rows.setdefault(visit.claim.host_id, [visit.claim.host_id, 0, 0.0, None])
            row[1] += visit.page is not None
            row[2] = max(row[2], visit.back_off_until or 0.0)
            row[3] = visit.host_failures if visit.host_failures is not None else row[3]
        if rows:
            await self._execute(_SET_HOSTS, _json(list(rows.values())), self._run_id)

    async def _count_run(self, visits: Sequence[Visit]) -> None:
        done = Counter(page=sum(visit.page is not None for visit in visits))
        done["request"] = sum(visit.attempt is not None for visit in visits)
        await self._execute(
            "UPDATE runs SET pages = pages + ?, requests = requests + ? WHERE id = ?",
            done["page"],
            done["request"],
            self._run_id,
        )

    async def _set_due(self, host_ids: Iterable[int]) -> list[HostRecord]:
        rows = await self._execute(_SET_DUE, _json(sorted(host_ids)), self._run_id)
        return [
            HostRecord(
                host_id=row[0],
                name=row[1],
                next_due_at=row[2],
                back_off_until=row[3],
                failures=row[4],
                run_pages=row[5],
            )
            for row in rows
            if row[2] is not None
        ]

    async def _next_id(self, table: str) -> int:
        rows = await self._execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")  # noqa: S608 - our own names
        return int(rows[0][0])

    async def _insert(
        self, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]], conflict: str = ""
    ) -> None:
        """One VALUES with many rows: blobs cannot travel as JSON."""
        step = _MAX_PARAMETERS // len(columns)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            values = ", ".join([f"({', '.join('?' * len(columns))})"] * len(part))
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values} {conflict}"  # noqa: S608 - our own names
            parameters = [value for row in part for value in row]
            try:
                await self._execute(sql, *parameters)
            except UnicodeEncodeError:  # a lone surrogate: too rare to look for in every text
                await self._execute(sql, *_clean(parameters))

    async def _execute(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))


_FETCH_COLUMNS = (
    "id", "url_id", "run_id", "started_at", "elapsed_s", "status_code", "failure", "message", "content_type", "bytes",
    "truncated", "redirect_url", "address", "reused",
)  # fmt: skip


def _fetch_columns(visit: Visit, attempt: Response | Failure) -> tuple[Any, ...]:
    shared = (visit.redirect_url, attempt.address, int(attempt.reused))
    if isinstance(attempt, Failure):
        message = _clean(attempt.message)
        return (attempt.started_at, attempt.elapsed_s, None, attempt.kind, message, None, None, 0, *shared)
    size = len(attempt.body) if attempt.read else attempt.size
    size = size if size is None else min(size, _MAX_INTEGER)
    answer = (attempt.status_code, None, None, _clean(attempt.content_type), size, int(attempt.truncated))
    return (attempt.started_at, attempt.elapsed_s, *answer, *shared)


_PAGE_COLUMNS = (
    "id", "url_id", "fetch_id", "title", "description", "language", "canonical_url", "text", "encoding", "headings",
    "open_graph", "json_ld", "noindex", "nofollow", "truncated", "links_total", "body_hash", "content_hash",
)  # fmt: skip


def _page_columns(visit: Visit, page: Page) -> tuple[Any, ...]:
    truncated = isinstance(visit.attempt, Response) and visit.attempt.truncated
    return (
        page.title,
        page.description,
        page.language,
        page.canonical_url,
        page.text,
        page.encoding,
        _json(page.headings),
        _json(dict(page.open_graph)),
        _json(page.json_ld),
        int(page.noindex),
        int(page.nofollow),
        int(truncated),
        page.links_total,
        visit.body.digest if visit.body is not None else None,
        page.content_hash,
    )


def _url_columns(visit: Visit, url_id: int, page_id: int | None) -> tuple[Any, ...]:
    verdict, attempt = visit.verdict, visit.attempt
    response = attempt if isinstance(attempt, Response) else None
    return (
        url_id,
        verdict.status,
        verdict.reason,
        verdict.attempts,
        visit.next_fetch_at,
        response.started_at if response else None,
        page_id,
        response.etag if response else None,
        response.last_modified if response else None,
    )


def _robots_target(visit: Visit) -> tuple[Target, ...]:
    """robots.txt has a row too, so that its attempts have one to point at; nothing is ever planned for it there."""
    if visit.claim.kind is not UrlKind.ROBOTS:
        return ()
    return (Target(url=visit.claim.url, host=visit.claim.host, kind=UrlKind.ROBOTS, seed=SeedMark.NO),)


def _nearest(targets: Iterable[Target]) -> list[Target]:
    """One target a URL: the dearest, then an admitted one, then the nearest."""
    best: dict[str, Target] = {}
    for target in targets:
        known = best.get(target.url)
        if known is None or _rank(target) < _rank(known):
            best[target.url] = target
    return list(best.values())


def _rank(target: Target) -> tuple[int, bool, int]:
    return -target.seed, target.reason is not None, target.depth


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # SQLite cuts JSON at a NUL, and no lone surrogate is UTF-8


def _json(value: Any) -> str:
    """JSON for json_each, or to be stored."""
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError:  # a lone surrogate
        data = orjson.dumps(_clean(value))
    return (orjson.dumps(_clean(value)) if b"\\u0000" in data else data).decode()


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    return value
