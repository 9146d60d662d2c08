"""One transaction: many results, each with its page, links, new URLs and state, committed together or not at all.

Rows go in by set-based statements, few a kind and batch (`INSERT ... SELECT ... FROM json_each(?)`, or one VALUES with
many rows where there are blobs): a statement a row would take and give up the GIL a row, which costs more than the row.
What concerns one kind of thing alone (versions of pages, listings, origins, checks, new URLs) has a file of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from operator import attrgetter
from typing import Any

import aiosqlite

from crawler.extraction_rules import Rule
from crawler.records import (
    LISTINGS,
    Blame,
    HostRecord,
    Place,
    Result,
    SeedMark,
    Target,
    UrlStatus,
)
from crawler.storage.columns import IS_ANSWERED, MADE_PENDING, host_record, set_state
from crawler.storage.heads import Heads
from crawler.storage.interface import Archived
from crawler.storage.known import KnownUrls
from crawler.storage.results import is_unread, requests_of, robots_target
from crawler.storage.sqlite.change_log import CHANGE_COLUMNS, change_rows
from crawler.storage.sqlite.checks import is_check, store_checks
from crawler.storage.sqlite.columns import HOST_COLUMNS, JsonStatement
from crawler.storage.sqlite.extracts import found_by, set_rules, store_extracts
from crawler.storage.sqlite.heads import head_columns
from crawler.storage.sqlite.intake import Intake, Limits
from crawler.storage.sqlite.listings import add_listed
from crawler.storage.sqlite.origins import set_origins
from crawler.storage.sqlite.rows import REPLACE, execute_storable, insert, insert_flat, named_values, next_id_of
from crawler.storage.sqlite.url_limit import record_unstored
from crawler.storage.sqlite.versions import (
    add_bodies,
    add_links,
    add_pages,
    complete_pages,
    stored_versions,
    update_pages,
)
from crawler.storage.sqlite.warc import store_archived
from crawler.storage.values import as_json, fetch_values, place_values, url_values

_url_of = attrgetter("url")

# OR ROLLBACK: see `intake`.
_SET_URLS = f"UPDATE OR ROLLBACK urls SET {set_state('urls')} FROM v WHERE urls.id = v.id"  # noqa: S608 - our own names

# While it was asked for as a page, a robots.txt has named it as a sitemap.
_ASK_AS_SITEMAP = """
UPDATE urls SET status = 'pending', next_fetch_at = ?2, revisit_at = NULL
WHERE id IN (SELECT value FROM json_each(?1)) AND kind IN ('sitemap', 'feed') AND status = 'fetched'
"""

_POSTPONE = JsonStatement(
    "UPDATE urls SET next_fetch_at = {until} FROM json_each(?1) AS v WHERE urls.id = {id}", "id", "until"
)

_SET_HOSTS = JsonStatement("""
UPDATE hosts SET
    run_pages = {pages} + CASE WHEN run_id IS ?2 THEN run_pages ELSE 0 END,
    run_requests = {requests} + CASE WHEN run_id IS ?2 THEN run_requests ELSE 0 END,
    run_requests_noted = CASE WHEN run_id IS ?2 THEN run_requests_noted ELSE 0 END,
    run_id = ?2,
    back_off_until = max({back_off_until}, back_off_until),
    next_check_at = max({back_off_until}, next_check_at),
    back_off_reason = CASE WHEN {back_off_until} > back_off_until THEN {back_off_reason} ELSE back_off_reason END,
    failures = coalesce({failures}, failures),
    pace_s = CASE WHEN {pace_s} IS NULL THEN pace_s ELSE nullif({pace_s}, 0) END,
    hints_right = hints_right + {hints_right},
    hints_wrong = hints_wrong + {hints_wrong}
FROM json_each(?1) AS v WHERE hosts.id = {id}
""")

_SET_DUE = f"""
UPDATE hosts SET next_due_at = (
    SELECT max(min(next_fetch_at), hosts.back_off_until) FROM urls
    WHERE host_id = hosts.id AND next_fetch_at IS NOT NULL
) WHERE id IN (SELECT value FROM json_each(?1))
RETURNING {HOST_COLUMNS}
"""  # noqa: S608 - our own names

# A wrong guess that somebody named while it was under way is none, and is judged anew.
_READMIT_GUESSES = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?2
WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'excluded' AND seed >= 0
"""  # noqa: S608 - our own names

# `?1` seconds earlier. What has happened keeps its time, but for the newest run, by which the clock is judged, and for
# answers that would otherwise lie in the future, younger than any age.
_REWIND = (
    "UPDATE urls SET next_fetch_at = next_fetch_at - ?1 WHERE next_fetch_at IS NOT NULL",
    "UPDATE urls SET revisit_at = revisit_at - ?1 WHERE revisit_at IS NOT NULL",
    "UPDATE urls SET fetched_at = fetched_at - ?1 WHERE fetched_at > ?2",
    "UPDATE hosts SET next_due_at = next_due_at - ?1, next_check_at = next_check_at - ?1,"
    " back_off_until = back_off_until - ?1",
    "UPDATE checks SET due_at = due_at - ?1, checked_at = min(checked_at, ?2)",
    "UPDATE origins SET robots_expires_at = robots_expires_at - ?1, paused_until = paused_until - ?1",
    "UPDATE runs SET started_at = started_at - ?1, ended_at = ended_at - ?1 WHERE id = (SELECT max(id) FROM runs)",
)


_FORGET_PLACES = "DELETE FROM places WHERE host_id = ?"
_SET_REDESIGNED = "UPDATE hosts SET redesigned_at = ? WHERE id = ?"

# What has an answer from before the run, and is not due in it: so many rows, by urls_revisit. Once they are due they
# stand before the others.
_MAKE_DUE = f"""
UPDATE urls SET revisit_at = fetched_at WHERE id IN (
    SELECT id FROM urls WHERE host_id = ?1 AND revisit_at >= ?2 AND fetched_at < ?2 AND {IS_ANSWERED} LIMIT ?3
) RETURNING id
"""  # noqa: S608 - our own names


class Transaction:
    """One BEGIN ... COMMIT on the writing connection."""

    def __init__(
        self,
        connection: aiosqlite.Connection,
        known: KnownUrls,
        heads: Heads,
        run_id: int,
        limits: Limits | None = None,
    ) -> None:
        self._connection = connection
        self._known = known
        self._heads = heads
        self._run_id = run_id
        self._limits = limits if limits is not None else Limits()
        self.failed_with_origins = 0  # pages that had not failed before, without a result of their own
        self.page_ids: list[int] = []  # of the pages that it stores, in the order of their results
        self._intake = Intake(self._execute, known, self._limits)

    async def run(
        self, results: Sequence[Result], now: float, targets: Sequence[Target] = (), archived: Archived | None = None
    ) -> list[HostRecord]:
        """Store it all; returns the hosts touched that have something planned."""
        async with self._begun():
            if archived is not None:
                await store_archived(archived, self._execute)
            return await self._store(results, targets, now)

    async def apply(self, statements: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        """Statements that change nothing that is remembered of stored URLs."""
        async with self._begun():
            for sql, parameters in statements:
                await self._execute(sql, *parameters)

    async def set_rules(self, rules: Sequence[Rule]) -> None:
        """From now on pages are read by these extraction rules."""
        async with self._begun():
            await set_rules(rules, self._execute)

    async def change(self, sql: str, *parameters: Any) -> None:
        """One statement that changes URLs past the cache and returns their host ids; the hosts' due times follow."""
        async with self._begun():
            rows = await self._execute(sql, *parameters)
            await self._set_due({row[0] for row in rows})
        self._forget()

    async def readmit(self, urls: Sequence[str], now: float) -> int:
        """Make excluded URLs pending, as many as there is room for; returns how many are."""
        async with self._begun():
            host_ids = await self._intake.readmit(urls, now)
            await self._set_due(set(host_ids))
        self._forget()
        return len(host_ids)

    async def redesigned(self, host_id: int, at: float, places: Sequence[Place]) -> None:
        """All of the host has changed at once, and of its places this is known."""
        async with self._begun():
            await self._execute(_SET_REDESIGNED, at, host_id)
            await self._execute(_FORGET_PLACES, host_id)
            await self._set_places(places)

    async def make_due(self, host_id: int, before: float, limit: int) -> int:
        """So many URLs that were answered before, and are planned for later, are due now; returns how many."""
        async with self._begun():
            return len(await self._execute(_MAKE_DUE, host_id, before, limit))

    async def rewind(self, seconds: float, now: float) -> None:
        """All that is planned is planned so much earlier: the clock was set back."""
        async with self._begun():
            for sql in _REWIND:
                await self._execute(sql, seconds, *([now] if "?2" in sql else ()))

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[None]:
        await self._execute("BEGIN IMMEDIATE")
        try:
            yield
            await self._execute("COMMIT")
        except BaseException:
            self._forget()
            if self._connection.in_transaction:
                await self._execute("ROLLBACK")
            raise

    def _forget(self) -> None:
        """What was remembered of stored URLs is true no longer."""
        self._known.clear()
        self._heads.forget()
        if self._limits.urls is not None:
            self._limits.urls.forget()

    async def _store(self, results: Sequence[Result], targets: Sequence[Target], now: float) -> list[HostRecord]:
        checks = [result for result in results if is_check(result)]
        of_urls = [result for result in results if not is_check(result)] if checks else results
        touched = await self._store_urls(of_urls, targets, now)
        self.failed_with_origins += await set_origins(results, self._run_id, now, self._limits, self._execute)
        await self._set_hosts(results)
        await self._set_places([result.place for result in results if result.place is not None])
        await self._count_run(results)
        hosts = await self._set_due(touched | {result.claim.host_id for result in results})
        checked = {one.claim.host_id for one in results if one.checked is not None or is_check(one)}
        if not checked:
            return hosts
        return [*hosts, *await store_checks(checks, checked, self._run_id, now, self._execute)]

    async def _store_urls(self, results: Sequence[Result], targets: Sequence[Target], now: float) -> set[int]:
        """All but what concerns their origins and hosts; returns the hosts for which something may be planned now."""
        touched = await self._intake.add([target for result in results for target in robots_target(result)], now)
        rows = await self._intake.ids_of(result.claim.url for result in results if not result.claim.url_id)
        ids = [result.claim.url_id or rows[result.claim.url] for result in results]
        touched |= await self._add_targets(results, ids, targets, now)
        fetch_ids = await self._add_fetches(results, ids)
        page_ids = await self._add_versions(results, ids, fetch_ids)
        self.page_ids = [page_id for page_id in page_ids if page_id is not None]
        await add_listed(results, ids, now, self._intake, self._execute)
        await complete_pages(results, ids, page_ids, now, self._execute)
        await self._log_changes(results, ids, page_ids, now)
        await self._set_urls(results, ids, page_ids, now)
        if self._limits.urls is not None:
            limit = self._limits.urls.most
            await record_unstored(results, ids, self._intake.unstored, limit, self._execute)
        return touched

    async def _add_targets(
        self, results: Sequence[Result], ids: Sequence[int], targets: Sequence[Target], now: float
    ) -> set[int]:
        """Add what was found, with the document that named it first; returns the hosts that may have gained a URL."""
        news, found_on = list(targets), dict[str, int]()
        for result, url_id in zip(results, ids, strict=True):
            if not (result.link_targets or result.targets or result.listed):
                continue
            listed = [one.target for one in result.listed]
            unsettled = self._known.unsettled(chain(result.link_targets, result.targets, listed))
            sitemaps = (target for target in chain(result.targets, listed) if target.kind in LISTINGS)
            for target in chain(unsettled, sitemaps):
                news.append(target)
                found_on.setdefault(target.url, url_id)
        gained = await self._intake.add(news, now, found_on)
        await self._intake.bring_forward(chain.from_iterable(result.preferred for result in results), now)
        return gained

    async def _link_ids(self, results: Sequence[Result]) -> list[list[int | None]]:
        """The row ids of the link targets of each result; None where there was no room for a row."""
        known = self._known.id_of.get
        found = [[*map(known, map(_url_of, targets))] if (targets := result.link_targets) else [] for result in results]
        if all(map(all, found)):  # as a rule
            return found
        unstored = self._intake.unstored
        linked = {target.url for result in results for target in result.link_targets}
        ids: dict[str, int | None] = {**await self._intake.ids_of(linked - unstored), **dict.fromkeys(unstored)}
        return [[ids[target.url] for target in result.link_targets] for result in results]

    async def _add_fetches(self, results: Sequence[Result], ids: Sequence[int]) -> list[int | None]:
        rows: list[dict[str, Any]] = []
        fetch_ids: list[int | None] = []
        heads = await head_columns(results, self._heads, self._execute)
        next_id = await next_id_of("fetches", self._execute)
        for result, url_id, head in zip(results, ids, heads, strict=True):
            if result.attempt is None:
                fetch_ids.append(None)
                continue
            fetch_ids.append(next_id)
            row = fetch_values(result, result.attempt)
            row["id"], row["url_id"], row["run_id"] = next_id, url_id, self._run_id
            row["head_id"], row["head_values"] = head
            rows.append(row)
            next_id += 1
        await insert("fetches", rows, self._execute)
        return fetch_ids

    async def _add_versions(
        self, results: Sequence[Result], ids: Sequence[int], fetch_ids: Sequence[int | None]
    ) -> list[int | None]:
        """What was read; returns the rows of new versions, None for each result that has none."""
        await add_bodies(results, self._execute)
        target_ids = await self._link_ids(results)
        page_ids = await add_pages(results, ids, fetch_ids, target_ids, self._execute)
        stored = await stored_versions(results, ids, self._execute)
        current = [new or old for new, old in zip(page_ids, stored, strict=True)]
        await add_links(results, current, target_ids, self._execute)
        await update_pages(results, stored, target_ids, self._execute)
        if found := found_by(results, ids, page_ids, stored):
            await store_extracts(found, self._run_id, self._execute)
        return page_ids

    async def _log_changes(
        self, results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], now: float
    ) -> None:
        rows = await change_rows(results, ids, page_ids, self._run_id, now, self._execute)
        await insert_flat("change_log", CHANGE_COLUMNS, [*chain.from_iterable(rows)], self._execute)

    async def _set_urls(
        self, results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], now: float
    ) -> None:
        # A robots.txt may have been asked for twice in one batch: the last answer counts.
        rows = {
            triple[1]: url_values(*triple)
            for triple in zip(results, ids, page_ids, strict=True)
            if not (triple[0].is_postponed or triple[0].is_part)
        }
        for columns, values, parameters in named_values([*rows.values()]):
            sql = f"WITH v ({', '.join(columns)}) AS ({values}) {_SET_URLS}"
            await execute_storable(sql, parameters, self._execute)
        unread = [row_id for one, row_id in zip(results, ids, strict=True) if is_unread(one)]
        if unread:
            await self._execute(_ASK_AS_SITEMAP, as_json(unread), now)
        guesses = [row_id for one, row_id in zip(results, ids, strict=True) if one.claim.seed is SeedMark.GUESS]
        if guesses:
            await self._execute(_READMIT_GUESSES, as_json(guesses), now)
        later = [(row_id, one.next_fetch_at) for one, row_id in zip(results, ids, strict=True) if one.is_postponed]
        if later:
            await self._execute(_POSTPONE.sql, as_json(later))
        self._known.forget(result.claim.url for result in results if result.verdict.status is UrlStatus.EXCLUDED)

    async def _set_hosts(self, results: Sequence[Result]) -> None:
        rows: dict[int, dict[str, Any]] = {}
        for result in results:
            row = rows.get(result.claim.host_id)
            if row is None:
                row = rows[result.claim.host_id] = _unchanged(result.claim.host_id)
            row["pages"] += result.page is not None
            row["requests"] += requests_of(result)
            closure = result.closure
            if closure is not None and closure.blame is Blame.HOST and closure.until > row["back_off_until"]:
                row["back_off_until"], row["back_off_reason"] = closure.until, closure.why
            if result.pace_s is not None:
                row["pace_s"] = result.pace_s
            if result.host_failures is not None:
                row["failures"] = result.host_failures
            if result.revisit is not None and result.claim.previous is not None and result.claim.previous.hinted:
                row["hints_right" if result.page is not None else "hints_wrong"] += 1
        if rows:
            await self._execute(_SET_HOSTS.sql, _SET_HOSTS.rows(rows.values()), self._run_id)

    async def _set_places(self, places: Iterable[Place]) -> None:
        """The last of each counts."""
        last = {(place.host_id, place.name): place for place in places}
        rows = [{"run_id": self._run_id, **place_values(one)} for one in last.values()]
        await insert("places", rows, self._execute, REPLACE)

    async def _count_run(self, results: Sequence[Result]) -> None:
        pages = sum(result.page is not None for result in results)
        requests = sum(map(requests_of, results))
        sql = "UPDATE runs SET pages = pages + ?, requests = requests + ? WHERE id = ?"
        await self._execute(sql, pages, requests, self._run_id)

    async def _set_due(self, host_ids: Iterable[int]) -> list[HostRecord]:
        rows = await self._execute(_SET_DUE, as_json(sorted(host_ids)), self._run_id)
        return [host for host in map(host_record, rows) if host.next_due_at is not None]

    async def _execute(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))


def _unchanged(host_id: int) -> dict[str, Any]:
    return {
        "id": host_id,
        "pages": 0,
        "requests": 0,
        "back_off_until": 0.0,
        "back_off_reason": None,
        "failures": None,
        "pace_s": None,
        "hints_right": 0,
        "hints_wrong": 0,
    }
