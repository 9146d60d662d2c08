"""One transaction: many visits, each with its page, links, new URLs and state, committed together or not at all.

Rows go in by set-based statements, one a kind and batch (`INSERT ... SELECT ... FROM json_each(?)`, or one VALUES with
many rows where there are blobs): a statement a row would take and give up the GIL a row, which costs more than the row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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
    Visit,
)
from crawler.storage.bodies import StoredBody, compress
from crawler.urls import origin_of

_MAX_KNOWN = 131_072  # URLs; about 30 MB
_MAX_PARAMETERS = 30_000  # SQLite takes 32,766 a statement

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
WHERE excluded.depth < depth OR excluded.seed > seed OR (status = 'excluded' AND excluded.status = 'pending')
"""

_URL_IDS = """
SELECT u.url, u.id, u.depth, u.seed, u.status = 'excluded'
FROM json_each(?) AS t CROSS JOIN urls AS u ON u.url = t.value
"""

_ADD_LINKS = """
INSERT OR IGNORE INTO links (page_id, target_id, anchor, rel, nofollow)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]')
FROM json_each(?)
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
    back_off_until = coalesce(json_extract(v.value, '$[2]'), back_off_until),
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

_SET_ROBOTS = """
INSERT INTO origins (host_id, origin, robots_status, robots_body, robots_fetched_at, robots_expires_at, robots_failures)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (origin) DO UPDATE SET robots_status = excluded.robots_status, robots_body = excluded.robots_body,
    robots_fetched_at = excluded.robots_fetched_at, robots_expires_at = excluded.robots_expires_at,
    robots_failures = excluded.robots_failures
"""

_READMIT_FORBIDDEN = """
UPDATE urls SET status = 'pending', reason = NULL, next_fetch_at = ?2
WHERE host_id = ?1 AND status = 'excluded' AND reason >= 'robots' AND reason < 'robott'
"""

_FAIL_ORIGIN = """
UPDATE urls SET status = 'failed', reason = ?3, next_fetch_at = NULL
WHERE host_id = ?1 AND next_fetch_at IS NOT NULL AND substr(url, 1, length(?2) + 1) = ?2 || '/'
"""


class KnownUrls:
    """A bounded cache of stored URLs in front of the unique index: most links on a page are known already.

    Only the writer fills it, so it never disagrees with what the next transaction will find.
    """

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, int, int, bool]] = {}  # url -> id, depth, seed, excluded

    def id_of(self, url: str) -> int | None:
        """The row id, where it is known."""
        row = self._rows.get(url)
        return row[0] if row else None

    def settles(self, target: Target) -> bool:
        """Whether storing this target would change nothing."""
        row = self._rows.get(target.url)
        if row is None:
            return False
        _id, depth, seed, excluded = row
        return target.depth >= depth and target.seed <= seed and not (excluded and target.reason is None)

    def learn(self, rows: Iterable[Sequence[Any]]) -> None:
        """Remember rows of url, id, depth, seed, excluded; the oldest are forgotten when there are too many."""
        for url, row_id, depth, seed, excluded in rows:
            self._rows[url] = (row_id, depth, seed, bool(excluded))
        if len(self._rows) > _MAX_KNOWN:
            for url in list(self._rows)[: _MAX_KNOWN // 4]:
                del self._rows[url]

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
        hashes, bodies = await compress(visits)
        await self._execute("BEGIN IMMEDIATE")
        try:
            hosts = await self._store(visits, targets, hashes, bodies, now)
            await self._execute("COMMIT")
        except BaseException:
            self._known.clear()
            if self._connection.in_transaction:
                await self._execute("ROLLBACK")
            raise
        return hosts

    async def readmit(self, ids: Sequence[int], now: float) -> None:
        """Excluded URLs become pending; their hosts' next due time follows."""
        await self._execute("BEGIN IMMEDIATE")
        rows = await self._execute(
            "UPDATE urls SET status = 'pending', reason = NULL, next_fetch_at = ?2"
            " WHERE id IN (SELECT value FROM json_each(?1)) RETURNING host_id",
            _json(list(ids)),
            now,
        )
        await self._set_due({row[0] for row in rows})
        await self._execute("COMMIT")
        self._known.clear()

    async def _store(
        self,
        visits: Sequence[Visit],
        targets: Sequence[Target],
        hashes: Sequence[bytes | None],
        bodies: dict[bytes, StoredBody],
        now: float,
    ) -> list[HostRecord]:
        found = [target for visit in visits for target in (*visit.targets, *_robots_target(visit))]
        touched = await self._add_urls([*targets, *found], now)
        ids = [visit.claim.url_id or self._id_of(visit.claim.url) for visit in visits]
        fetch_ids = await self._add_fetches(visits, ids)
        await self._add_bodies(bodies)
        page_ids = await self._add_pages(visits, ids, fetch_ids, hashes)
        await self._add_links(visits, page_ids)
        await self._set_urls(visits, ids, page_ids)
        await self._set_origins(visits, now)
        await self._set_hosts(visits)
        await self._count_run(visits)
        return await self._set_due(touched | {visit.claim.host_id for visit in visits})

    async def _add_urls(self, targets: Iterable[Target], now: float) -> set[int]:
        """Insert what is new, improve what is known; returns the hosts that may have gained a URL."""
        news = _nearest(target for target in targets if not self._known.settles(target))
        if not news:
            return set()
        await self._execute(_ADD_HOSTS, _json(sorted({target.host for target in news})))
        rows = [(t.url, t.host, t.kind, t.status, t.reason, t.depth, t.hops, int(t.seed)) for t in news]
        await self._execute(_ADD_URLS, _json(rows), now)
        self._known.learn(await self._execute(_URL_IDS, _json([target.url for target in news])))
        gained = _json(sorted({target.host for target in news if target.reason is None}))
        found = await self._execute("SELECT id FROM hosts WHERE name IN (SELECT value FROM json_each(?))", gained)
        return {row[0] for row in found}

    def _id_of(self, url: str) -> int:
        row_id = self._known.id_of(url)
        if row_id is None:  # it was learnt in this very transaction: a cache too small to hold one batch is a mistake
            raise AssertionError(f"{url} has no row")
        return row_id

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

    async def _add_bodies(self, bodies: dict[bytes, StoredBody]) -> None:
        rows = [(digest, body.size, body.zstd) for digest, body in bodies.items()]
        await self._insert("bodies", ("hash", "size", "zstd"), rows)

    async def _add_pages(
        self,
        visits: Sequence[Visit],
        ids: Sequence[int],
        fetch_ids: Sequence[int | None],
        hashes: Sequence[bytes | None],
    ) -> list[int | None]:
        rows: list[tuple[Any, ...]] = []
        page_ids: list[int | None] = []
        next_id = await self._next_id("pages")
        for visit, url_id, fetch_id, digest in zip(visits, ids, fetch_ids, hashes, strict=True):
            if visit.page is None:
                page_ids.append(None)
                continue
            page_ids.append(next_id)
            rows.append((next_id, url_id, fetch_id, *_page_columns(visit, visit.page, digest)))
            next_id += 1
        await self._insert("pages", _PAGE_COLUMNS, rows)
        return page_ids

    async def _add_links(self, visits: Sequence[Visit], page_ids: Sequence[int | None]) -> None:
        await self._learn_again(target.url for visit in visits for target, _link in visit.links)
        rows = [
            (page_id, self._id_of(target.url), link.anchor, link.rel, int(link.nofollow))
            for visit, page_id in zip(visits, page_ids, strict=True)
            if page_id is not None
            for target, link in visit.links
        ]
        if rows:
            await self._execute(_ADD_LINKS, _json(rows))

    async def _learn_again(self, urls: Iterable[str]) -> None:
        """A batch with more URLs than the cache holds has pushed some of them out."""
        missing = list({url for url in urls if self._known.id_of(url) is None})
        if missing:
            self._known.learn(await self._execute(_URL_IDS, _json(missing)))

    async def _set_urls(self, visits: Sequence[Visit], ids: Sequence[int], page_ids: Sequence[int | None]) -> None:
        rows = [_url_columns(*triple) for triple in zip(visits, ids, page_ids, strict=True)]
        if rows:
            await self._execute(_SET_URLS, _json(rows))

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
        if old and old[0][0] != robots.body:
            await self._execute(_READMIT_FORBIDDEN, host_id, now)

    async def _set_hosts(self, visits: Sequence[Visit]) -> None:
        rows: dict[int, list[Any]] = {}
        for visit in visits:
            row = rows.setdefault(visit.claim.host_id, [visit.claim.host_id, 0, None, None])
            row[1] += visit.page is not None
            row[2] = visit.back_off_until if visit.back_off_until is not None else row[2]
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

    async def _insert(self, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        """One VALUES with many rows: blobs cannot travel as JSON."""
        step = _MAX_PARAMETERS // len(columns)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            values = ", ".join([f"({', '.join('?' * len(columns))})"] * len(part))
            await self._execute(
                f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES {values}",  # noqa: S608 - our own names
                *(value for row in part for value in row),
            )

    async def _execute(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))


_FETCH_COLUMNS = (
    "id", "url_id", "run_id", "started_at", "elapsed_s", "status_code", "failure", "message", "content_type", "bytes",
    "truncated", "redirect_url", "address", "reused",
)  # fmt: skip


def _fetch_columns(visit: Visit, attempt: Response | Failure) -> tuple[Any, ...]:
    shared = (visit.redirect_url, attempt.address, int(attempt.reused))
    if isinstance(attempt, Failure):
        return (attempt.started_at, attempt.elapsed_s, None, attempt.kind, attempt.message, None, None, 0, *shared)
    size = len(attempt.body) if attempt.read else attempt.size
    answer = (attempt.status_code, None, None, attempt.content_type, size, int(attempt.truncated))
    return (attempt.started_at, attempt.elapsed_s, *answer, *shared)


_PAGE_COLUMNS = (
    "id", "url_id", "fetch_id", "title", "description", "language", "canonical_url", "text", "encoding", "headings",
    "open_graph", "json_ld", "noindex", "nofollow", "truncated", "links_total", "body_hash", "content_hash",
)  # fmt: skip


def _page_columns(visit: Visit, page: Page, body_hash: bytes | None) -> tuple[Any, ...]:
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
        body_hash,
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


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
