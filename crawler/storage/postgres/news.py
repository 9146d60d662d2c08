"""New URLs and hosts come into the database, whoever owns them, and what was kept out is let in.

Invariant: this may be done by any process, and twice: it needs no fence. What it adds to a host it tells the host's
owner through `arrivals`, at the end of the same transaction; it never changes a host's row. Rows are touched in the
order of their keys, so that two processes that find the same URLs do not wait for each other; but those of own hosts in
the order in which they were found, since in that order they are fetched.

What is known is improved by being found again: it gets nearer, becomes a seed's, or is admitted. A cache of what is
stored answers first, so that a link that is known costs no statement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from crawler.records import LISTINGS, ExclusionReason, PreferredTarget, Reason, SeedMark, Target, UrlKind, UrlStatus
from crawler.storage.known import KnownUrls, nearest
from crawler.storage.postgres.columns import arrays, insertion, is_liftable, rows_of
from crawler.storage.postgres.hosts import HostKey
from crawler.storage.postgres.ids import HostKeys, id_of
from crawler.storage.postgres.limits import Limits
from crawler.storage.postgres.transactions import Execute
from crawler.storage.values import storable

Document: TypeAlias = tuple[int, int]  # the host and the id of the URL that names another

_NOWHERE: Mapping[str, Document] = MappingProxyType({})
_URLS_AT_ONCE = 8_000  # in one statement; a sitemap has 50,000, which would hold up the event loop for 0.1 s
_TRIES = 3  # to improve what somebody else changes at the same time

_ADD_HOSTS = insertion("hosts", ("part", "id", "name"), "ON CONFLICT DO NOTHING")

# Nothing is ever planned for a robots.txt, and it counts nowhere.
_NEW_COLUMNS = (
    "part",
    "host_id",
    "id",
    "url",
    "kind",
    "depth",
    "hops",
    "seed",
    "found_by",
    "found_on_host",
    "found_on",
)
_NEW_PENDING = f"""
INSERT INTO urls ({", ".join(_NEW_COLUMNS)}, status, discovered_at, next_fetch_at)
SELECT {", ".join(_NEW_COLUMNS)}, 'pending', $1::float8, CASE WHEN kind <> 'robots' THEN $1::float8 END
FROM {rows_of(_NEW_COLUMNS, 2)} ON CONFLICT DO NOTHING RETURNING id
"""  # noqa: S608 - our own names
_EXCLUDED_COLUMNS = (*_NEW_COLUMNS, "reason", "cause", "detail")
_NEW_EXCLUDED = f"""
INSERT INTO urls ({", ".join(_EXCLUDED_COLUMNS)}, status, discovered_at)
SELECT {", ".join(_EXCLUDED_COLUMNS)}, 'excluded', $1::float8
FROM {rows_of(_EXCLUDED_COLUMNS, 2)} ON CONFLICT DO NOTHING RETURNING id
"""  # noqa: S608 - our own names

_OF_KEY = ("part", "host_id", "id")
_STORED = f"""
SELECT u.id, u.url, u.depth, u.seed, u.kind, u.status, u.cause, u.detail, u.page_id IS NULL
FROM {rows_of(_OF_KEY)} JOIN urls AS u USING (part, host_id, id)
"""  # noqa: S608 - our own names


class _Stored(NamedTuple):
    """A row of `_STORED`."""

    id: int
    url: str
    depth: int
    seed: int
    kind: str
    status: str
    cause: str | None
    detail: str | None
    has_no_page: bool


# What is known may only get nearer (depth), dearer (seed), or admitted where anything but robots.txt excluded it; by a
# guess (a seed of -1), nothing is changed that is known. Who names what was guessed has found it. A link led to a
# "mistaken" one, nothing was found there that is a page, and now it turns out to be a sitemap.
_LIFTABLE = is_liftable("u")
_MISTAKEN = """
u.kind = 'page' AND u.page_id IS NULL AND u.status IN ('pending', 'fetched', 'excluded')
    AND v.kind IN ('sitemap', 'feed') AND v.status = 'pending'
"""
_DUE = f"({_LIFTABLE}) OR (u.status = 'fetched' AND {_MISTAKEN})"
_FOUND = (*_EXCLUDED_COLUMNS, "status")
# `o` is the row as it was: where another transaction changes it meanwhile, nothing comes back of it.
_IMPROVE = f"""
UPDATE urls AS u SET
    depth = least(u.depth, v.depth),
    hops = least(u.hops, v.hops),
    seed = greatest(u.seed, v.seed),
    found_by = CASE WHEN u.seed < 0 THEN v.found_by ELSE u.found_by END,
    found_on = CASE WHEN u.seed < 0 THEN v.found_on ELSE u.found_on END,
    found_on_host = CASE WHEN u.seed < 0 THEN v.found_on_host ELSE u.found_on_host END,
    kind = CASE WHEN {_MISTAKEN} THEN v.kind ELSE u.kind END,
    status = CASE WHEN {_DUE} THEN v.status ELSE u.status END,
    next_fetch_at = CASE WHEN NOT ({_DUE}) THEN u.next_fetch_at WHEN v.status = 'pending' THEN $1::float8 END,
    reason = CASE WHEN {_LIFTABLE} THEN v.reason ELSE u.reason END,
    cause = CASE WHEN {_LIFTABLE} THEN v.cause ELSE u.cause END,
    detail = CASE WHEN {_LIFTABLE} THEN v.detail ELSE u.detail END
FROM {rows_of(_FOUND, 2)} JOIN urls AS o USING (part, host_id, id)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id
    AND u.status = o.status AND u.kind = o.kind AND (u.page_id IS NULL) = (o.page_id IS NULL)
RETURNING u.part, u.host_id, u.id, o.status, u.status, u.kind
"""  # noqa: S608 - our own names

_TOLD = ("pending", "excluded", "fetched")  # no other status is given or taken here
_TELL = insertion("arrivals", ("part", "host_id", *_TOLD))

_PREFERRED = ("part", "host_id", "id", "priority")
_BRING_FORWARD = f"""
UPDATE urls AS u SET next_fetch_at = $1::float8 - v.priority FROM {rows_of(_PREFERRED, 2)}
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id
    AND u.status = 'pending' AND u.attempts = 0 AND u.next_fetch_at > $1::float8 - v.priority
RETURNING u.part, u.host_id
"""  # noqa: S608 - our own names

# Of what is full (a domain, a host) nobody asks for each link whether it may be let in.
_FULL = (ExclusionReason.HOSTS_OF_DOMAIN, ExclusionReason.URLS_OF_HOST)
_LISTING_KINDS = frozenset(kind.value for kind in LISTINGS)
_MAY_BE_MISTAKEN = frozenset({UrlStatus.PENDING.value, UrlStatus.FETCHED.value, UrlStatus.EXCLUDED.value})

_key_of = itemgetter(0, 1, 2)


class News:
    """What one transaction, whose statements `execute` runs, finds.

    `unstored` are the URLs for which there was no room: they have no row, however often they were added. `new` are the
    ids of those that were added and are pending.
    """

    def __init__(
        self, execute: Execute, known: KnownUrls, limits: Limits, hosts: HostKeys, owns: Callable[[int], bool]
    ) -> None:
        """`owns`: whether a partition is this process's own."""
        self._execute = execute
        self._owns = owns
        self._known = known
        self._limits = limits
        self._hosts = hosts
        self._told: defaultdict[HostKey, Counter[str]] = defaultdict(Counter)
        self.unstored: set[str] = set()
        self.new: set[int] = set()

    async def add(self, targets: Iterable[Target], now: float, found_on: Mapping[str, Document] = _NOWHERE) -> None:
        """Insert what is new of these, improve what is known. `found_on`: the documents that name the URLs."""
        news = nearest(targets)
        await self._add_hosts({target.host for target in news})
        for start in range(0, len(news), _URLS_AT_ONCE):
            part = await self._within_limits(news[start : start + _URLS_AT_ONCE])
            await self._add_urls(self._rows(part, found_on), now)

    async def bring_forward(self, preferred: Iterable[PreferredTarget], now: float) -> None:
        """Those that were added and are pending are due as if they had been found earlier."""
        rows = sorted((*self._hosts[one.host], id_of(one.url), one.priority_s) for one in preferred)
        for part, host_id in await self._execute(_BRING_FORWARD, now, *arrays(rows)) if rows else ():
            self._told[part, host_id].update()  # a row of zeros says that something may be due

    async def tell(self) -> None:
        """Tell the owners of the hosts how their counts have changed. Call it last, once."""
        rows = [(*key, *map(counts.__getitem__, _TOLD)) for key, counts in sorted(self._told.items())]
        if rows:
            await self._execute(_TELL, *arrays(rows))

    async def _add_hosts(self, names: set[str]) -> None:
        names -= self._hosts.stored
        if names:
            rows = sorted((*self._hosts[name], name) for name in names)
            await self._execute(_ADD_HOSTS, *arrays(rows))
            self._hosts.stored |= names

    async def _within_limits(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The targets that get a row. Those beyond a limit on hosts or URLs are excluded, or get none."""
        away = await self._turned_away(target for target in targets if target.reason is None)
        if away:
            targets = [replace(t, reason=away[t.host]) if t.reason is None and t.host in away else t for t in targets]
        if self._limits.urls is None:
            return targets
        fitting = await self._limits.urls.fit(targets, self._execute)
        if len(fitting) < len(targets):
            self.unstored |= {target.url for target in targets} - {target.url for target in fitting}
        return fitting

    async def _turned_away(self, targets: Iterable[Target]) -> Mapping[str, Reason]:
        """Of the hosts of these, those that are one too many of their domain, with the reason."""
        if self._limits.hosts is None:
            return {}
        seeds: dict[str, bool] = {}
        for target in targets:
            seeds[target.host] = bool(target.seed) or seeds.get(target.host, False)
        return await self._limits.hosts.turn_away(seeds, self._execute)

    def _rows(self, targets: Iterable[Target], found_on: Mapping[str, Document]) -> list[tuple[_Row, Target]]:
        hosts = self._hosts
        rows = []
        for target in targets:
            part, host_id = hosts[target.host]
            found_by = target.found_by
            key = (part, host_id, id_of(target.url), target.url)
            marks = (target.kind._value_, target.depth, target.hops, target.seed._value_, found_by and found_by._value_)
            rows.append(((*key, *marks, *found_on.get(target.url, _NO_DOCUMENT)), target))
        owns = self._owns
        rows.sort(key=lambda pair: (pair[0][:2], 0 if owns(pair[0][0]) else pair[0][2]))
        return rows

    async def _add_urls(self, rows: Sequence[tuple[_Row, Target]], now: float) -> None:
        """Rows for those that have none, further ways to the others."""
        pending = [pair for pair in rows if pair[1].reason is None]
        excluded = [pair for pair in rows if pair[1].reason is not None]
        new = await self._insert(_NEW_PENDING, [row for row, _target in pending], now)
        self.new |= new
        new |= await self._insert(_NEW_EXCLUDED, [(*row, *_of_reason(target)) for row, target in excluded], now)
        added = [pair for pair in rows if pair[0][2] in new]
        self._known.learn(
            (target.url, row[2], target.depth, target.seed, _may_enter(target.reason)) for row, target in added
        )
        for row, target in added:
            if target.kind is not UrlKind.ROBOTS:
                self._told[row[:2]][target.status._value_] += 1
        await self._improve({row[2]: (row, target) for row, target in rows if row[2] not in new}, now)

    async def _insert(self, sql: str, rows: Sequence[Sequence[Any]], now: float) -> set[int]:
        """Their ids, of those that were not there."""
        return {row[0] for row in await self._execute(sql, now, *arrays(rows))} if rows else set()

    async def _improve(self, found: dict[int, tuple[_Row, Target]], now: float) -> None:
        """Change the rows of these, which have one, as far as a further way to them changes anything."""
        for _try in range(_TRIES):
            if not found:
                return
            stored = await self._stored(found)
            better = {key: found[key] for key, row in stored.items() if _improves(found[key][1], row)}
            self._known.learn(_known_as(row) for key, row in stored.items() if key not in better)
            if better:
                await self._change(better, now)
            found = better  # what they are by now is learnt; what another has changed meanwhile is judged anew

    async def _stored(self, found: Mapping[int, tuple[_Row, Target]]) -> dict[int, _Stored]:
        """Their rows. Where another URL of the host has the same id (once in 10^9 URLs), it has the row."""
        keys = arrays(_key_of(row) for row, _target in found.values())
        stored = map(_Stored._make, await self._execute(_STORED, *keys))
        return {row.id: row for row in stored if row.url == found[row.id][0][3]}

    async def _change(self, better: Mapping[int, tuple[_Row, Target]], now: float) -> None:
        rows = [(*row, *_of_reason(target), target.status._value_) for row, target in better.values()]
        changed = await self._execute(_IMPROVE, now, *arrays(sorted(rows, key=_key_of)))
        for part, host_id, _id, was, status, kind in changed:
            if was != status and kind != UrlKind.ROBOTS.value:
                self._told[part, host_id].update({status: 1, was: -1})


_Row: TypeAlias = tuple[Any, ...]  # of `_NEW_COLUMNS`
_NO_DOCUMENT = (None, None)


def _of_reason(target: Target) -> tuple[str | None, str | None, str | None]:
    reason = target.reason
    return (None, None, None) if reason is None else (storable(reason), str(reason.cause), storable(reason.detail))


def _may_enter(reason: Reason | None) -> bool:
    return reason is not None and reason.cause not in _FULL and _is_liftable(reason.cause, reason.detail)


def _is_liftable(cause: str | None, detail: str | None) -> bool:
    """As `is_liftable` of what is excluded."""
    if cause == ExclusionReason.HOOK:
        return detail is not None and not detail.startswith("on_request")
    return cause != ExclusionReason.ROBOTS


def _improves(target: Target, row: _Stored) -> bool:
    """Whether `_IMPROVE` changes this row."""
    if target.seed is SeedMark.GUESS:
        return False
    if target.depth < row.depth or target.seed > row.seed:
        return True
    if target.reason is not None:
        return False
    is_lifted = row.status == UrlStatus.EXCLUDED.value and _is_liftable(row.cause, row.detail)
    return is_lifted or (target.kind.value in _LISTING_KINDS and _is_mistaken(row))


def _is_mistaken(row: _Stored) -> bool:
    return row.kind == UrlKind.PAGE.value and row.has_no_page and row.status in _MAY_BE_MISTAKEN


def _known_as(row: _Stored) -> tuple[str, int, int, int, bool]:
    """For `KnownUrls.learn`."""
    is_excluded = row.status == UrlStatus.EXCLUDED.value
    may_enter = is_excluded and row.cause not in _FULL and _is_liftable(row.cause, row.detail)
    return row.url, row.id, row.depth, row.seed, may_enter
