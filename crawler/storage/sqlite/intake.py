"""New URLs and hosts come into the database, and what was kept out is let in.

What is known is improved by being found again: it gets nearer, becomes a seed's, or is admitted. Part of the writer's
transaction.
Invariant: a cache of what is stored answers first, so that a link that is known costs no statement. What is new takes
one look into the index of URLs, in the statement that inserts it; only what was there is looked up and improved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from crawler.records import LISTINGS, ExclusionReason, FoundBy, PreferredTarget, Reason, SeedMark, Target
from crawler.statically_frozen import dataclass
from crawler.storage.columns import IS_LIFTABLE, MADE_PENDING
from crawler.storage.known import KnownUrls, nearest
from crawler.storage.sqlite.columns import Execute, JsonStatement
from crawler.storage.sqlite.host_limit import OF_FULL_DOMAIN, HostLimit
from crawler.storage.sqlite.rows import execute_storable, flat_values
from crawler.storage.sqlite.url_limit import UrlLimit
from crawler.storage.values import as_json, storable

_NOWHERE: Mapping[str, int] = MappingProxyType({})
_URLS_AT_ONCE = 8_000  # in one statement; a sitemap has 50,000, which would hold up the event loop for 0.1 s

_MANY_LINKS = 1_000  # new ones in one transaction
_url_of, _depth_of = attrgetter("url"), attrgetter("depth")

_ADD_HOSTS = "INSERT OR IGNORE INTO hosts (name) SELECT DISTINCT value FROM json_each(?)"

# A link led to it, nothing was found there that is a page, and now it turns out to be a sitemap.
_IS_MISTAKEN = """
kind = 'page' AND page_id IS NULL AND urls.status IN ('pending', 'fetched', 'excluded')
    AND excluded.kind IN ('sitemap', 'feed') AND excluded.status = 'pending'
"""
_IS_DUE = f"({IS_LIFTABLE}) OR (status = 'fetched' AND {_IS_MISTAKEN})"

# What is known may only get nearer (depth), dearer (seed), or admitted where anything but robots.txt excluded it; by a
# guess (a seed of -1), nothing is changed that is known. Who names what was guessed has found it.
_IMPROVE = f"""
WHERE true
ON CONFLICT (url) DO UPDATE SET
    depth = min(depth, excluded.depth),
    hops = min(hops, excluded.hops),
    seed = max(seed, excluded.seed),
    found_by = iif(seed < 0, excluded.found_by, found_by),
    found_on = iif(seed < 0, excluded.found_on, found_on),
    kind = CASE WHEN {_IS_MISTAKEN} THEN excluded.kind ELSE kind END,
    status = CASE WHEN {_IS_DUE} THEN excluded.status ELSE status END,
    next_fetch_at = CASE WHEN {_IS_DUE} THEN excluded.next_fetch_at ELSE next_fetch_at END,
    reason = CASE WHEN {IS_LIFTABLE} THEN excluded.reason ELSE reason END,
    cause = CASE WHEN {IS_LIFTABLE} THEN excluded.cause ELSE cause END,
    detail = CASE WHEN {IS_LIFTABLE} THEN excluded.detail ELSE detail END
WHERE excluded.seed >= 0 AND (
    excluded.depth < depth OR excluded.seed > seed OR ({IS_LIFTABLE} AND excluded.status = 'pending')
    OR ({_IS_MISTAKEN})
)
"""
_OF_TARGET = ("host", "url", "kind", "depth", "hops", "seed", "found_by")
_OF_REASON = ("reason", "cause", "detail")
_ADD_PENDING = JsonStatement(
    """
INSERT INTO urls (host_id, url, kind, status, depth, hops, seed, discovered_at, next_fetch_at, found_by, found_on)
SELECT h.id, {url}, {kind}, 'pending', {depth}, {hops}, {seed}, ?2, ?2, {found_by}, {found_on}
FROM json_each(?1) AS v CROSS JOIN hosts AS h ON h.name = {host}
"""
    + _IMPROVE,
    *_OF_TARGET,
    "found_on",
)
_ADD_EXCLUDED = JsonStatement(
    """
INSERT INTO urls (
    host_id, url, kind, status, reason, cause, detail, depth, hops, seed, discovered_at, found_by, found_on
)
SELECT
    h.id, {url}, {kind}, 'excluded', {reason}, {cause}, {detail}, {depth}, {hops}, {seed}, ?2, {found_by}, {found_on}
FROM json_each(?1) AS v CROSS JOIN hosts AS h ON h.name = {host}
"""
    + _IMPROVE,
    *_OF_TARGET,
    *_OF_REASON,
    "found_on",
)
_BRING_FORWARD = JsonStatement(
    """
UPDATE urls SET next_fetch_at = ?2 - {priority} FROM json_each(?1) AS v
WHERE urls.url = {url} AND status = 'pending' AND attempts = 0 AND next_fetch_at > ?2 - {priority}
""",
    "url",
    "priority",
)
_pending_values = attrgetter(*_OF_TARGET)
_excluded_values = attrgetter(*_OF_TARGET, "reason", "reason.cause", "reason.detail")

# Whether being found again may let it in. Of what is full (a domain, a host) it is not asked for each link.
_OF_FULL_HOST = f"cause = '{ExclusionReason.URLS_OF_HOST}'"
_MAY_ENTER = f"{IS_LIFTABLE} AND NOT ({OF_FULL_DOMAIN}) AND NOT ({_OF_FULL_HOST})"
_URL_IDS = f"""
SELECT u.url, u.id, u.depth, u.seed, {_MAY_ENTER}, {IS_LIFTABLE}
FROM json_each(?) AS t CROSS JOIN urls AS u ON u.url = t.value
"""  # noqa: S608 - our own names

_READMIT = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?2
WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'excluded' RETURNING host_id
"""  # noqa: S608 - our own names
# OR ROLLBACK and DO NOTHING: a statement that may fail half-way, to be undone alone, first copies each page that it
# changes. Whoever runs these rolls back anyhow.
_NEW_PENDING = """
WITH v (host, url, kind, depth, hops, seed, found_by, found_on) AS ({})
INSERT OR ROLLBACK INTO urls (
    host_id, url, kind, status, depth, hops, seed, discovered_at, next_fetch_at, found_by, found_on
)
SELECT h.id, v.url, v.kind, 'pending', v.depth, v.hops, v.seed, ?, ?, v.found_by, v.found_on
FROM v CROSS JOIN hosts AS h ON h.name = v.host
WHERE true ON CONFLICT (url) DO NOTHING RETURNING url, id, 0
"""
_NEW_EXCLUDED = f"""
WITH v (host, url, kind, depth, hops, seed, found_by, found_on, reason, cause, detail) AS ({{}})
INSERT OR ROLLBACK INTO urls (
    host_id, url, kind, status, reason, cause, detail, depth, hops, seed, discovered_at, found_by, found_on
)
SELECT
    h.id, v.url, v.kind, 'excluded', v.reason, v.cause, v.detail, v.depth, v.hops, v.seed, ?, v.found_by,
    v.found_on
FROM v CROSS JOIN hosts AS h ON h.name = v.host
WHERE true ON CONFLICT (url) DO NOTHING RETURNING url, id, {_MAY_ENTER}
"""  # noqa: S608 - our own names

_HOSTS_OF = """
SELECT u.id, h.name, u.seed > 0 FROM json_each(?) AS t
CROSS JOIN urls AS u ON u.url = t.value CROSS JOIN hosts AS h ON h.id = u.host_id
"""
_EXPLAIN = JsonStatement("""
UPDATE urls SET reason = {reason}, cause = {cause}, detail = {detail} FROM json_each(?1) AS v
WHERE urls.id = {id} AND status = 'excluded' AND urls.reason <> {reason}
""")


@dataclass(slots=True)
class Limits:
    """What the run bounds; None: nothing."""

    hosts: HostLimit | None = None
    urls: UrlLimit | None = None


class Intake:
    """The URLs and hosts of one transaction, whose statements `execute` runs.

    `unstored` are the URLs for which there was no room: they have no row, however often they were added.
    """

    def __init__(self, execute: Execute, known: KnownUrls, limits: Limits) -> None:
        self._execute = execute
        self._known = known
        self._limits = limits
        self.unstored: set[str] = set()

    async def add(self, targets: Iterable[Target], now: float, found_on: Mapping[str, int] = _NOWHERE) -> set[int]:
        """Insert what is new, improve what is known; returns the hosts that may have gained a URL.

        `found_on`: the rows of the documents that name the URLs, of those that a document names.
        """
        news = _in_order(nearest(self._known.unsettled(targets)))
        if not news:
            return set()
        await self._execute(_ADD_HOSTS, as_json(sorted({target.host for target in news})))
        admitted: set[str] = set()
        for start in range(0, len(news), _URLS_AT_ONCE):
            part = await self._within_limits(news[start : start + _URLS_AT_ONCE])
            await self._improve(await self._insert_new(part, now, found_on), now, found_on)
            admitted.update(target.host for target in part if target.reason is None)
        gained = as_json(sorted(admitted))
        found = await self._execute("SELECT id FROM hosts WHERE name IN (SELECT value FROM json_each(?))", gained)
        return {row[0] for row in found}

    async def bring_forward(self, preferred: Iterable[PreferredTarget], now: float) -> None:
        """Those that were added and are pending are due as if they had been found earlier."""
        if rows := [(target.url, target.priority_s) for target in preferred]:
            await self._execute(_BRING_FORWARD.sql, as_json(rows), now)

    async def _insert_new(self, targets: Iterable[Target], now: float, found_on: Mapping[str, int]) -> list[Target]:
        """Give rows to those that have none; returns the others."""
        pending, excluded = _by_admission(targets)
        rest = await self._insert(_NEW_PENDING, pending, now, found_on)
        return rest + await self._insert(_NEW_EXCLUDED, excluded, now, found_on)

    async def _insert(
        self, sql: str, targets: Sequence[Target], now: float, found_on: Mapping[str, int]
    ) -> list[Target]:
        """The same for those of one admission."""
        flat = [value for target in targets for value in _new_row(target, found_on.get(target.url))]
        times = [now] * sql.count("?")
        inserted: list[Any] = []
        for values, parameters in flat_values(flat, len(flat) // len(targets) if targets else 1):
            inserted += await execute_storable(sql.format(values), parameters + times, self._execute)
        new = {url: (row_id, may_enter) for url, row_id, may_enter in inserted}
        self._known.learn((t.url, new[t.url][0], t.depth, t.seed, new[t.url][1]) for t in targets if t.url in new)
        return [target for target in targets if target.url not in new]

    async def _improve(self, targets: Sequence[Target], now: float, found_on: Mapping[str, int]) -> None:
        """Change the rows of these, which have one, as far as a further way to them changes anything."""
        if not targets:
            return
        rows = {row[0]: row for row in await self._execute(_URL_IDS, as_json([target.url for target in targets]))}
        better = [target for target in targets if _may_improve(target, rows[target.url])]
        pending, excluded = _by_admission(better)
        if pending:
            values = [(*_pending_values(target), found_on.get(target.url)) for target in pending]
            await self._execute(_ADD_PENDING.sql, as_json(values), now)
        if excluded:
            values = [(*_excluded_values(target), found_on.get(target.url)) for target in excluded]
            await self._execute(_ADD_EXCLUDED.sql, as_json(values), now)
        improved = await self._execute(_URL_IDS, as_json([target.url for target in better])) if better else ()
        self._known.learn(row[:5] for row in chain(rows.values(), improved))

    async def ids_of(self, urls: Iterable[str]) -> dict[str, int]:
        """The row ids of URLs that are stored. A batch may hold more of them than the cache, which then forgot some."""
        wanted = set(urls)
        ids = self._known.ids(wanted)
        if len(ids) < len(wanted):
            missing = as_json(list(wanted - ids.keys()))
            ids |= {row[0]: row[1] for row in await self._execute(_URL_IDS, missing)}
        return ids

    async def readmit(self, urls: Sequence[str], now: float) -> list[int]:
        """Make excluded URLs pending, but for those that would be of one host too many, or one too many of their host.

        Returns the id of the host for each that is pending now. The cache knows nothing of it.
        """
        hosts = {row[0]: (row[1], bool(row[2])) for row in await self._execute(_HOSTS_OF, as_json(list(urls)))}
        too_many = await self._turn_away(hosts.values())
        away = {url_id: too_many[host] for url_id, (host, _seed) in hosts.items() if host in too_many}
        if self._limits.urls is not None:
            rest = {url_id: found for url_id, found in hosts.items() if url_id not in away}
            away |= await self._limits.urls.turn_away(rest, self._execute)
        explained = [
            {"id": url_id, "reason": why, "cause": why.cause, "detail": why.detail} for url_id, why in away.items()
        ]
        await self._execute(_EXPLAIN.sql, _EXPLAIN.rows(explained))
        admitted = [url_id for url_id in hosts if url_id not in away]
        return [row[0] for row in await self._execute(_READMIT, as_json(admitted), now)]

    async def _within_limits(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The targets that get a row. Those beyond a limit on hosts or URLs are excluded, or get none."""
        away = await self._turn_away((target.host, bool(target.seed)) for target in targets if target.reason is None)
        if away:
            targets = [replace(t, reason=away[t.host]) if t.reason is None and t.host in away else t for t in targets]
        if self._limits.urls is None:
            return targets
        fitting = await self._limits.urls.fit(targets, self._execute)
        if len(fitting) < len(targets):
            self.unstored |= {target.url for target in targets} - {target.url for target in fitting}
        return fitting

    async def _turn_away(self, hosts: Iterable[tuple[str, bool]]) -> dict[str, Reason]:
        """Those of the hosts, given with 'it is a seed's', that are one too many of their domain, with the reason."""
        if self._limits.hosts is None:
            return {}
        seeds: dict[str, bool] = {}
        for host, seed in hosts:
            seeds[host] = seed or seeds.get(host, False)
        return await self._limits.hosts.turn_away(seeds, self._execute)


def _in_order(targets: list[Target]) -> list[Target]:
    """Many links by depth and URL, as the index of URLs has them: neighbours then share the pages that are looked up
    and changed. What people, sitemaps and redirects name comes before, in their order; and few links stay in theirs.
    """
    links = [target for target in targets if target.found_by is FoundBy.LINK]
    if len(links) < _MANY_LINKS:
        return targets
    links.sort(key=_url_of)
    links.sort(key=_depth_of)
    return [*(target for target in targets if target.found_by is not FoundBy.LINK), *links]


def _by_admission(targets: Iterable[Target]) -> tuple[list[Target], list[Target]]:
    """Those that are pending, and those that are excluded."""
    parts: tuple[list[Target], list[Target]] = ([], [])
    for target in targets:
        parts[target.reason is not None].append(target)
    return parts


def _new_row(target: Target, found_on: int | None) -> tuple[Any, ...]:
    """For `_NEW_PENDING` or, with the last three, for `_NEW_EXCLUDED`. Plain words, as in `values`."""
    found_by, reason = target.found_by, target.reason
    row = (
        target.host,
        target.url,
        target.kind._value_,
        target.depth,
        target.hops,
        target.seed._value_,
        found_by and found_by._value_,
        found_on,
    )
    return row if reason is None else (*row, storable(reason), str(reason.cause), storable(reason.detail))


def _may_improve(target: Target, row: Sequence[Any]) -> bool:
    """Whether `_IMPROVE` may change this row of `_URL_IDS`."""
    _url, _row_id, depth, seed, _may_enter, is_liftable = row
    return target.seed is not SeedMark.GUESS and (
        target.depth < depth or target.seed > seed or (is_liftable and target.reason is None) or target.kind in LISTINGS
    )
