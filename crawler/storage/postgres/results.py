"""The results of a batch, in the transaction that the fence guards. The news of it have been stored before.

All that is written here stands in the partitions of the batch, and in those for which others have left `arrivals`: the
fence takes these, and no others. Rows go in by one statement a kind and batch, an array a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from crawler.records import Blame, Place, Result, SeedMark, UrlKind, UrlStatus
from crawler.storage.columns import MADE_PENDING, STATE_COLUMNS, set_state
from crawler.storage.known import KnownUrls
from crawler.storage.postgres.arrivals import ARRIVED, take_arrivals
from crawler.storage.postgres.batch import Placed, tallies
from crawler.storage.postgres.change_log import log_changes
from crawler.storage.postgres.columns import arrays, insert, rows_of
from crawler.storage.postgres.extracts import found_by, store_extracts
from crawler.storage.postgres.heads import HeadRows
from crawler.storage.postgres.hosts import HostChanges
from crawler.storage.postgres.ids import HostKeys
from crawler.storage.postgres.listings import add_listed
from crawler.storage.postgres.origins import Origins
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Execute, Tally, fence
from crawler.storage.postgres.url_limit import record_unstored
from crawler.storage.postgres.versions import (
    TargetIds,
    add_bodies,
    add_links,
    add_pages,
    complete_pages,
    stored_versions,
    target_ids,
    update_pages,
)
from crawler.storage.results import is_unread, requests_of
from crawler.storage.room import unstored_of_hosts
from crawler.storage.values import fetch_values, place_values, url_values

_KEY = ("part", "host_id", "id")
# `o` is the row as it was. A row that another process changes meanwhile (it lets a URL in) does not come back.
_SET_URLS = f"""
UPDATE urls AS u SET {set_state("u")}
FROM {rows_of((*_KEY, *STATE_COLUMNS))} JOIN urls AS o USING (part, host_id, id)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id AND u.status = o.status
RETURNING u.part, u.host_id, o.status, u.status, u.kind
"""  # noqa: S608 - our own names

_BY_KEY = "u.part = v.part AND u.host_id = v.host_id AND u.id = v.id"

# While it was asked for as a page, a robots.txt has named it as a sitemap.
_ASK_AS_SITEMAP = f"""
UPDATE urls AS u SET status = 'pending', next_fetch_at = $1::float8, revisit_at = NULL FROM {rows_of(_KEY, 2)}
WHERE {_BY_KEY} AND u.kind IN ('sitemap', 'feed') AND u.status = 'fetched'
RETURNING u.part, u.host_id, 'fetched', u.status, u.kind
"""  # noqa: S608 - our own names

# A wrong guess that somebody named while it was under way is none, and is judged anew.
_READMIT_GUESSES = f"""
UPDATE urls AS u SET {MADE_PENDING}, next_fetch_at = $1::float8 FROM {rows_of(_KEY, 2)}
WHERE {_BY_KEY} AND u.status = 'excluded' AND u.seed >= 0
RETURNING u.part, u.host_id, 'excluded', u.status, u.kind
"""  # noqa: S608 - our own names

_POSTPONE = f"""
UPDATE urls AS u SET next_fetch_at = v.next_fetch_at FROM {rows_of((*_KEY, "next_fetch_at"))} WHERE {_BY_KEY}
"""  # noqa: S608 - our own names

_SET_PLACE = """ON CONFLICT (part, host_id, place) DO UPDATE SET
    run_id = excluded.run_id, looks = excluded.looks, scores = excluded.scores
"""


class Results:
    """One transaction, whose statements `execute` runs. `unstored` are the URLs for which there was no room, `new` the
    ids of those that the batch has brought.
    """

    def __init__(
        self, ownership: Ownership, known: KnownUrls, hosts: HostKeys, heads: HeadRows, run_id: int, execute: Execute
    ) -> None:
        self._ownership = ownership
        self._known = known
        self._hosts = hosts
        self._heads = heads
        self._run_id = run_id
        self._execute = execute
        self._changes = HostChanges()
        self._fenced: dict[int, Tally] = {}
        self.failed_with_origins = 0  # pages that had not failed before, without a result of their own
        self.has_new_rules = False

    async def begin(self, batch: Sequence[Placed], unstored: set[str], commit_id: int) -> None:
        """The fence. Raises `LeaseLostError` if a partition that is written to is another's by now."""
        self._fenced = tallies(batch)
        arrived = {row[0] for row in await self._execute(ARRIVED, self._ownership.owned())}
        if unstored:
            hosts = [host for host, _number in unstored_of_hosts([one.result for one in batch], unstored)]
            arrived |= {part for host in hosts if self._ownership.owns(part := self._hosts[host][0])}
        for part in arrived:
            self._fenced.setdefault(part, Tally())
        await fence(self._fenced, self._ownership, self._run_id, self._execute, commit_id)

    async def store(self, batch: Sequence[Placed], unstored: set[str], new: set[int], now: float) -> None:
        """All but what concerns the hosts."""
        linked = [target_ids(one.result.link_targets, self._known, unstored) for one in batch]
        await self._add_fetches(batch)
        await self._add_versions(batch, linked)
        await add_listed(batch, self._known, self._hosts, unstored, self._execute)
        await complete_pages(batch, linked, new, self._execute)
        await log_changes(batch, self._run_id, now, self._ownership, self._execute)
        await self._set_urls(batch, now)
        await self._set_origins(batch, now)
        await self._set_places([one.result.place for one in batch if one.result.place is not None])

    async def cut(self, batch: Sequence[Placed], unstored: set[str], limit: int) -> None:
        """What there was no room for is counted, and the documents that name it remember the limit."""
        results, ids = [one.result for one in batch], [one.url_id for one in batch]
        await record_unstored(results, ids, unstored, limit, self._ownership.part_of, self._execute)

    async def finish(self, batch: Sequence[Placed]) -> list[Any]:
        """The hosts' rows follow, also with what others have found; returns those that have changed."""
        await take_arrivals(self._fenced, self._changes, self._execute)
        for one in batch:
            self._change_host(one)
        return await self._changes.store(self._run_id, self._execute)

    async def _set_places(self, places: Iterable[Place]) -> None:
        """The last of each counts."""
        last = {(self._ownership.part_of(place.host_id), place.host_id, place.name): place for place in places}
        rows = [{"part": key[0], "run_id": self._run_id, **place_values(last[key])} for key in sorted(last)]
        await insert("places", rows, self._execute, _SET_PLACE)

    async def _add_fetches(self, batch: Sequence[Placed]) -> None:
        heads = await self._heads.columns(batch, self._execute)
        rows = [
            {"part": one.part, "id": one.fetch_id, "host_id": one.host_id, "url_id": one.url_id, "run_id": self._run_id}
            | head
            | fetch_values(one.result, one.result.attempt)
            for one, head in zip(batch, heads, strict=True)
            if one.result.attempt is not None
        ]
        await insert("fetches", rows, self._execute)

    async def _add_versions(self, batch: Sequence[Placed], linked: Sequence[TargetIds]) -> None:
        await add_bodies(batch, self._execute)
        await add_pages(batch, linked, self._execute)
        stored = await stored_versions(batch, self._execute)
        current = [one.page_id or old for one, old in zip(batch, stored, strict=True)]
        await add_links(batch, current, linked, self._hosts, self._execute)
        await update_pages(batch, stored, linked, self._execute)
        rows = [(one.part, one.url_id, one.page_id) for one in batch]
        parts, ids, page_ids = zip(*rows, strict=True)
        if found := found_by([one.result for one in batch], parts, ids, page_ids, stored):
            await store_extracts(found, self._run_id, self._execute)

    async def _set_urls(self, batch: Sequence[Placed], now: float) -> None:
        # A robots.txt may have been asked for twice in one batch: the last answer counts.
        values = {
            one.key: url_values(one.result, one.url_id, one.page_id)
            for one in batch
            if not (one.result.is_postponed or one.result.is_part)
        }
        if values:
            rows = [(*key, *(row[name] for name in STATE_COLUMNS)) for key, row in sorted(values.items(), key=_first)]
            changed = await self._execute(_SET_URLS, *arrays(rows))
            if len(changed) < len(rows):
                raise asyncpg.SerializationError("another process has changed what was to be stored")
            self._count(changed)
        await self._change_urls(_ASK_AS_SITEMAP, [one.key for one in batch if is_unread(one.result)], now)
        await self._change_urls(_READMIT_GUESSES, [one.key for one in batch if _is_guess(one.result)], now)
        later = sorted((*one.key, one.result.next_fetch_at) for one in batch if one.result.is_postponed)
        if later:
            await self._execute(_POSTPONE, *arrays(later))
        self._known.forget(one.result.claim.url for one in batch if one.result.verdict.status is UrlStatus.EXCLUDED)

    async def _change_urls(self, sql: str, keys: Iterable[tuple[int, int, int]], now: float) -> None:
        rows = sorted(set(keys))
        if rows:
            self._count(await self._execute(sql, now, *arrays(rows)))

    async def _set_origins(self, batch: Sequence[Placed], now: float) -> None:
        origins = Origins(self._changes, self._run_id, now, self._execute)
        await origins.store(batch, self._ownership)
        self.failed_with_origins, self.has_new_rules = origins.failed, origins.has_new_rules

    def _change_host(self, one: Placed) -> None:
        result, change = one.result, self._changes.of(one.part, one.host_id)
        change.pages += one.page_id is not None
        change.requests += requests_of(result)
        closure = result.closure
        if closure is not None and closure.blame is Blame.HOST and closure.until > change.back_off_until:
            change.back_off_until, change.back_off_reason = closure.until, closure.why
        if result.pace_s is not None:
            change.pace_s = result.pace_s
        if result.host_failures is not None:
            change.failures = result.host_failures
        previous = result.claim.previous
        if result.revisit is not None and previous is not None and previous.hinted:
            change.hints_right += result.page is not None
            change.hints_wrong += result.page is None

    def _count(self, changed: Sequence[Any]) -> None:
        self._changes.count(row[:4] for row in changed if row[2] != row[3] and row[4] != UrlKind.ROBOTS.value)


def _is_guess(result: Result) -> bool:
    return result.claim.seed is SeedMark.GUESS


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]
