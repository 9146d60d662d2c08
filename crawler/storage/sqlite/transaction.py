"""One transaction: many results, each with its page, links, new URLs and state, committed together or not at all.

Rows go in by set-based statements, one a kind and batch (`INSERT ... SELECT ... FROM json_each(?)`, or one VALUES with
many rows where there are blobs): a statement a row would take and give up the GIL a row, which costs more than the row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, repeat
from operator import attrgetter, itemgetter
from typing import Any

import aiosqlite

from crawler.extraction_rules import Rule
from crawler.records import (
    LISTINGS,
    Blame,
    Difference,
    HostRecord,
    Place,
    Response,
    Result,
    RobotsCopy,
    SeedMark,
    Target,
    UrlKind,
    UrlStatus,
    columns_of,
)
from crawler.storage.heads import Heads
from crawler.storage.known import KnownUrls
from crawler.storage.sqlite.change_log import CHANGE_COLUMNS, LOG_BROKEN, change_rows
from crawler.storage.sqlite.checks import conclude_origin, is_check, store_checks
from crawler.storage.sqlite.columns import (
    HOST_COLUMNS,
    IS_ANSWERED,
    IS_FORBIDDEN,
    MADE_PENDING,
    ROBOTS_COLUMNS,
    JsonStatement,
    host_record,
)
from crawler.storage.sqlite.extracts import Found, set_rules, store_extracts
from crawler.storage.sqlite.heads import head_columns
from crawler.storage.sqlite.intake import Intake, Limits
from crawler.storage.sqlite.url_limit import record_unstored
from crawler.storage.values import (
    as_json,
    fetch_values,
    page_values,
    place_values,
    storable,
    updated_values,
    url_values,
)

_MAX_PARAMETERS = 30_000  # SQLite takes 32,766 a statement

_INSERT = "INSERT INTO {} ({}) {}"
_REPLACE = "INSERT OR REPLACE INTO {} ({}) {}"
_INSERT_ONCE = f"{_INSERT} ON CONFLICT DO NOTHING"  # what may be there already
_LINK_COLUMNS = "page_id, target_id, anchor, rel, nofollow"
_url_of = attrgetter("url")

_FORGET_LISTED = "DELETE FROM sitemap_entries WHERE sitemap_id = ?"
_LISTED_COLUMNS = "sitemap_id, url_id, lastmod, data"

_SET_URLS = """
UPDATE urls SET
    kind = coalesce(v.kind, urls.kind),
    status = v.status,
    reason = v.reason,
    cause = v.cause,
    detail = v.detail,
    attempts = v.attempts,
    next_fetch_at = v.next_fetch_at,
    fetched_at = coalesce(v.fetched_at, urls.fetched_at),
    page_id = coalesce(v.page_id, urls.page_id),
    etag = CASE WHEN v.fetched_at IS NULL THEN urls.etag ELSE v.etag END,
    last_modified = CASE WHEN v.fetched_at IS NULL THEN urls.last_modified ELSE v.last_modified END,
    revisit_at = v.revisit_at,
    changes = coalesce(v.changes, urls.changes),
    watched_s = coalesce(v.watched_s, urls.watched_s),
    promise_s = CASE WHEN v.revisit_at IS NULL THEN urls.promise_s ELSE v.promise_s END,
    hinted = 0,
    failing_since = v.failing_since,
    failing_reason = v.failing_reason,
    unread_type = v.unread_type
FROM v WHERE urls.id = v.id
"""

# While it was asked for as a page, a robots.txt has named it as a sitemap.
_ASK_AS_SITEMAP = """
UPDATE urls SET status = 'pending', next_fetch_at = ?2, revisit_at = NULL
WHERE id IN (SELECT value FROM json_each(?1)) AND kind IN ('sitemap', 'feed') AND status = 'fetched'
"""

_POSTPONE = JsonStatement(
    "UPDATE urls SET next_fetch_at = {until} FROM json_each(?1) AS v WHERE urls.id = {id}", "id", "until"
)

# Found by this page: the link's target was added by this very transaction.
_SET_NEW_LINKS = """
UPDATE urls SET new_links = (new_links + (
    SELECT count(*) FROM links AS l JOIN urls AS t ON t.id = l.target_id
    WHERE l.page_id = ?2 AND t.discovered_at = ?3 AND t.status = 'pending'
)) / 2 WHERE id = ?1
"""

_FORGET_LINKS = "DELETE FROM links WHERE page_id IN (SELECT value FROM json_each(?))"

_PAGES_OF = "SELECT id, page_id FROM urls WHERE id IN (SELECT value FROM json_each(?))"

_SET_BODY = """
UPDATE pages SET body_hash = ?2 WHERE id = (SELECT page_id FROM urls WHERE id = ?1) AND body_hash IS NULL
"""

# A sitemap is believed where what it said of this host was right at least every second time, and at first.
_HINT = JsonStatement(
    """
UPDATE urls SET revisit_at = fetched_at, hinted = 1
FROM json_each(?1) AS v
WHERE urls.url = {url} AND urls.status = 'fetched' AND urls.fetched_at < {lastmod} AND {lastmod} <= ?2
    AND urls.next_fetch_at IS NULL AND (SELECT hints_wrong <= hints_right + 5 FROM hosts WHERE id = urls.host_id)
""",
    "url",
    "lastmod",
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

# An attempt that failed says nothing about the rules: the copy that was read last stays, with the time of its reading.
_SET_ROBOTS = f"""
INSERT INTO origins (host_id, {", ".join(ROBOTS_COLUMNS.values())})
VALUES (?, {", ".join("nullif(?, 0)" if name == "fetched_at" else "?" for name in ROBOTS_COLUMNS)})
ON CONFLICT (origin) DO UPDATE SET robots_status = excluded.robots_status,
    robots_body = CASE WHEN excluded.robots_failures > 0 THEN robots_body ELSE excluded.robots_body END,
    robots_fetched_at = iif(excluded.robots_failures > 0, robots_fetched_at, excluded.robots_fetched_at),
    robots_expires_at = excluded.robots_expires_at,
    robots_failures = excluded.robots_failures
"""  # noqa: S608 - our own names
_robots_values = attrgetter(*ROBOTS_COLUMNS)

_SET_PAUSE = """
INSERT INTO origins (host_id, origin, paused_until, pause_reason) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (origin) DO UPDATE SET
    pause_reason = CASE WHEN excluded.paused_until > paused_until THEN excluded.pause_reason ELSE pause_reason END,
    paused_until = max(excluded.paused_until, paused_until)
"""

# A wrong guess that somebody named while it was under way is none, and is judged anew.
_READMIT_GUESSES = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?2
WHERE id IN (SELECT value FROM json_each(?1)) AND status = 'excluded' AND seed >= 0
"""  # noqa: S608 - our own names

_READMIT_FORBIDDEN = f"UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?2 WHERE host_id = ?1 AND {IS_FORBIDDEN}"  # noqa: S608 - our own names

_WAITS_FOR_RULES = "next_fetch_at IS NOT NULL AND status = 'pending' AND fetched_at IS NULL"
_IS_OF_ORIGIN = "substr(url, 1, length(?2) + 1) = ?2 || '/'"

# What waits for the rules without having had an answer, and what has failed before and is due again by now. What was
# answered before stays pending, to be tried later.
_FAIL_ORIGIN = f"""
UPDATE urls SET status = 'failed', reason = ?3, cause = ?3, detail = NULL, next_fetch_at = NULL,
    attempts = max(attempts, ?4) + 1, failing_since = coalesce(failing_since, ?5), failing_reason = ?3, revisit_at = ?6
WHERE id IN (
    SELECT id FROM urls WHERE host_id = ?1 AND {_WAITS_FOR_RULES}
    UNION ALL SELECT id FROM urls WHERE host_id = ?1 AND status = 'failed' AND revisit_at <= ?5
) AND {_IS_OF_ORIGIN}
"""  # noqa: S608 - our own names

# Of the pages that this is about to fail, those that have not failed before.
_IS_NEWLY_FAILED = (
    f"host_id = ?1 AND {_WAITS_FOR_RULES} AND {_IS_OF_ORIGIN} AND kind = 'page' AND failing_reason IS NULL"
)
_NEWLY_FAILED = f"SELECT count(*) FROM urls WHERE {_IS_NEWLY_FAILED}"  # noqa: S608 - our own names
_LOG_NEWLY_FAILED = LOG_BROKEN + _IS_NEWLY_FAILED

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
        self._intake = Intake(self._execute, known, self._limits)

    async def run(self, results: Sequence[Result], now: float, targets: Sequence[Target] = ()) -> list[HostRecord]:
        """Store it all; returns the hosts touched that have something planned."""
        async with self._begun():
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
        await self._set_origins(results, now)
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
        touched = await self._intake.add([target for result in results for target in _robots_target(result)], now)
        rows = await self._intake.ids_of(result.claim.url for result in results if not result.claim.url_id)
        ids = [result.claim.url_id or rows[result.claim.url] for result in results]
        touched |= await self._add_targets(results, ids, targets, now)
        fetch_ids = await self._add_fetches(results, ids)
        await self._add_bodies(results)
        target_ids = await self._link_ids(results)
        page_ids = await self._add_pages(results, ids, fetch_ids, target_ids)
        stored = await self._stored_pages(results, ids)
        await self._add_links(results, [new or old for new, old in zip(page_ids, stored, strict=True)], target_ids)
        await self._update_pages(results, stored, target_ids)
        await self._store_extracts(results, ids, page_ids, stored)
        await self._add_listed(results, ids, now)
        await self._complete_pages(results, ids, page_ids, now)
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
            listed = [one.target for one in result.listed]
            unsettled = self._known.unsettled(chain(result.link_targets, result.targets, listed))
            sitemaps = (target for target in chain(result.targets, listed) if target.kind in LISTINGS)
            for target in chain(unsettled, sitemaps):
                news.append(target)
                found_on.setdefault(target.url, url_id)
        return await self._intake.add(news, now, found_on)

    async def _link_ids(self, results: Sequence[Result]) -> list[list[int | None]]:
        """The row ids of the link targets of each result; None where there was no room for a row."""
        known = self._known.id_of.get
        found = [list(map(known, map(_url_of, result.link_targets))) for result in results]
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
        next_id = await self._next_id("fetches")
        for result, url_id, head in zip(results, ids, heads, strict=True):
            if result.attempt is None:
                fetch_ids.append(None)
                continue
            fetch_ids.append(next_id)
            own = {"id": next_id, "url_id": url_id, "run_id": self._run_id}
            rows.append(own | head | fetch_values(result, result.attempt))
            next_id += 1
        await self._insert("fetches", rows)
        return fetch_ids

    async def _add_bodies(self, results: Sequence[Result]) -> None:
        bodies = {result.body.digest: result.body for result in results if result.body is not None}
        rows = [{"hash": digest, "size": body.size, "zstd": body.zstd} for digest, body in bodies.items()]
        await self._insert("bodies", rows, _INSERT_ONCE)

    async def _add_pages(
        self,
        results: Sequence[Result],
        ids: Sequence[int],
        fetch_ids: Sequence[int | None],
        target_ids: Sequence[Sequence[int | None]],
    ) -> list[int | None]:
        rows: list[dict[str, Any]] = []
        page_ids: list[int | None] = []
        next_id = await self._next_id("pages")
        for result, url_id, fetch_id, linked in zip(results, ids, fetch_ids, target_ids, strict=True):
            if result.page is None:
                page_ids.append(None)
                continue
            page_ids.append(next_id)
            own = {"id": next_id, "url_id": url_id, "fetch_id": fetch_id}
            rows.append(own | page_values(result, result.page, linked))
            next_id += 1
        await self._insert("pages", rows)
        return page_ids

    async def _stored_pages(self, results: Sequence[Result], ids: Sequence[int]) -> list[int | None]:
        """The versions of what was read again and says the same; None for all else."""
        reread = [url_id for result, url_id in zip(results, ids, strict=True) if result.reread is not None]
        rows = await self._execute(_PAGES_OF, as_json(reread)) if reread else []
        stored = {row[0]: row[1] for row in rows}
        return [
            stored.get(url_id) if result.reread is not None else None
            for result, url_id in zip(results, ids, strict=True)
        ]

    async def _add_links(
        self, results: Sequence[Result], page_ids: Sequence[int | None], target_ids: Sequence[Sequence[int | None]]
    ) -> None:
        replaced = [
            page_id
            for result, page_id in zip(results, page_ids, strict=True)
            if result.difference is Difference.READER and page_id is not None
        ]
        if replaced:
            await self._execute(_FORGET_LINKS, as_json(replaced))
        flat: list[Any] = []  # rows of _LINK_COLUMNS, one after the other: there are a hundred a page
        for result, page_id, linked in zip(results, page_ids, target_ids, strict=True):
            page = result.page or result.reread
            if page is None or not linked:
                continue
            links = columns_of(page.links)
            rows = zip(repeat(page_id, len(linked)), linked, links.anchors, links.rels, links.nofollows, strict=True)
            flat.extend(chain.from_iterable(rows if all(linked) else (row for row in rows if row[1] is not None)))
        for values, parameters in _values(flat, len(_LINK_COLUMNS.split(", "))):
            await self._execute_storable(_INSERT_ONCE.format("links", _LINK_COLUMNS, values), parameters)

    async def _store_extracts(
        self,
        results: Sequence[Result],
        ids: Sequence[int],
        page_ids: Sequence[int | None],
        stored: Sequence[int | None],
    ) -> None:
        """What rules have found, of what was read again in the place of what they had found in that version."""
        found = [
            Found(page_id, url_id, page.extracts, is_again=new is None)
            for result, url_id, new, old in zip(results, ids, page_ids, stored, strict=True)
            if (page := result.page or result.reread) is not None
            and page.extracts
            and (page_id := new or old) is not None
        ]
        if found:
            await store_extracts(found, self._run_id, self._execute)

    async def _add_listed(self, results: Sequence[Result], ids: Sequence[int], now: float) -> None:
        """What sitemaps and feeds name and say. Their dates are hints for pages that may be known by now: those of the
        first reading are not.
        """
        listed = {one.target.url for result in results for one in result.listed}
        target_ids = await self._intake.ids_of(listed - self._intake.unstored)
        for result, sitemap_id in zip(results, ids, strict=True):
            if result.forgets_listed:
                await self._execute(_FORGET_LISTED, sitemap_id)
            if not result.listed:
                continue
            flat = [
                value
                for target, entry in result.listed
                if target.url in target_ids
                for value in (sitemap_id, target_ids[target.url], entry.lastmod, entry.facts)
            ]
            for values, parameters in _values(flat, len(_LISTED_COLUMNS.split(", "))):
                await self._execute_storable(
                    _INSERT_ONCE.format("sitemap_entries", _LISTED_COLUMNS, values), parameters
                )
            if result.claim.previous is not None:
                lastmods = [
                    (one.target.url, one.entry.lastmod) for one in result.listed if one.entry.lastmod is not None
                ]
                await self._execute(_HINT.sql, as_json(lastmods), now)

    async def _update_pages(
        self, results: Sequence[Result], stored: Sequence[int | None], target_ids: Sequence[Sequence[int | None]]
    ) -> None:
        """What makes no version is kept of the newest visit; nothing is written where it is what it was."""
        rows = [
            {"id": page_id} | updated_values(result, result.reread, linked)
            for result, page_id, linked in zip(results, stored, target_ids, strict=True)
            if result.reread is not None and page_id is not None
        ]
        for columns, values, parameters in _named_values(rows):
            names = [name for name in columns if name != "id"]
            new = {name: f"v.{name}" for name in names} | {"link_details": "coalesce(v.link_details, p.link_details)"}
            await self._execute_storable(
                f"WITH v ({', '.join(columns)}) AS ({values})"  # noqa: S608 - our own names
                f" UPDATE pages AS p SET {', '.join(f'{name} = {new[name]}' for name in names)} FROM v"
                f" WHERE p.id = v.id AND ({', '.join(f'p.{name}' for name in names)})"
                f" IS NOT ({', '.join(map(new.__getitem__, names))})",
                parameters,
            )

    async def _complete_pages(
        self, results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], now: float
    ) -> None:
        """What a second visit adds: a body to a version stored without, how many new links came."""
        for result, url_id, page_id in zip(results, ids, page_ids, strict=True):
            if result.claim.previous is None:
                continue
            if page_id is not None:
                await self._execute(_SET_NEW_LINKS, url_id, page_id, now)
            elif result.body is not None:
                await self._execute(_SET_BODY, url_id, result.body.digest)

    async def _log_changes(
        self, results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], now: float
    ) -> None:
        rows = await change_rows(results, ids, page_ids, self._run_id, now, self._execute)
        for values, parameters in _values([*chain.from_iterable(rows)], len(CHANGE_COLUMNS.split(", "))):
            await self._execute_storable(_INSERT.format("change_log", CHANGE_COLUMNS, values), parameters)

    async def _set_urls(
        self, results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], now: float
    ) -> None:
        # A robots.txt may have been asked for twice in one batch: the last answer counts.
        rows = {
            triple[1]: url_values(*triple)
            for triple in zip(results, ids, page_ids, strict=True)
            if not (triple[0].is_postponed or triple[0].is_part)
        }
        for columns, values, parameters in _named_values([*rows.values()]):
            await self._execute_storable(f"WITH v ({', '.join(columns)}) AS ({values}) {_SET_URLS}", parameters)
        unread = [row_id for one, row_id in zip(results, ids, strict=True) if _is_unread(one)]
        if unread:
            await self._execute(_ASK_AS_SITEMAP, as_json(unread), now)
        guesses = [row_id for one, row_id in zip(results, ids, strict=True) if one.claim.seed is SeedMark.GUESS]
        if guesses:
            await self._execute(_READMIT_GUESSES, as_json(guesses), now)
        later = [(row_id, one.next_fetch_at) for one, row_id in zip(results, ids, strict=True) if one.is_postponed]
        if later:
            await self._execute(_POSTPONE.sql, as_json(later))
        self._known.forget(result.claim.url for result in results if result.verdict.status is UrlStatus.EXCLUDED)

    async def _set_origins(self, results: Sequence[Result], now: float) -> None:
        for result in results:
            host_id = result.claim.host_id
            if result.robots is not None:
                await self._set_robots(result.robots, host_id, now)
            if result.origin_failed is not None:
                attempts, again_at = result.verdict.attempts - 1, result.origin_revisit_at
                of_origin = (host_id, result.claim.origin)
                failure = (*of_origin, result.origin_failed, attempts, now, again_at)
                ((newly_failed,),) = await self._execute(_NEWLY_FAILED, *of_origin)
                self.failed_with_origins += newly_failed
                if newly_failed:
                    await self._execute(_LOG_NEWLY_FAILED, *of_origin, result.origin_failed, self._run_id, now)
                await self._execute(_FAIL_ORIGIN, *failure)
                if result.checked is not None:
                    await conclude_origin(*of_origin, result.checked, self._run_id, now, self._execute)
            closure = result.closure
            if closure is not None and closure.blame is Blame.ORIGIN:
                await self._execute(_SET_PAUSE, host_id, closure.name, closure.until, closure.why)

    async def _set_robots(self, robots: RobotsCopy, host_id: int, now: float) -> None:
        old = await self._execute("SELECT robots_body FROM origins WHERE origin = ?", robots.origin)
        await self._execute(_SET_ROBOTS, host_id, *_robots_values(robots))
        if old and not robots.failures and old[0][0] != robots.body:
            await self._execute(_READMIT_FORBIDDEN, host_id, now)
            if self._limits.urls is not None:
                self._limits.urls.forget()

    async def _set_hosts(self, results: Sequence[Result]) -> None:
        rows: dict[int, dict[str, Any]] = {}
        for result in results:
            row = rows.setdefault(result.claim.host_id, _unchanged(result.claim.host_id))
            row["pages"] += result.page is not None
            row["requests"] += _requests(result)
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
        await self._insert("places", [{"run_id": self._run_id, **place_values(one)} for one in last.values()], _REPLACE)

    async def _count_run(self, results: Sequence[Result]) -> None:
        pages = sum(result.page is not None for result in results)
        requests = sum(map(_requests, results))
        sql = "UPDATE runs SET pages = pages + ?, requests = requests + ? WHERE id = ?"
        await self._execute(sql, pages, requests, self._run_id)

    async def _set_due(self, host_ids: Iterable[int]) -> list[HostRecord]:
        rows = await self._execute(_SET_DUE, as_json(sorted(host_ids)), self._run_id)
        return [host for host in map(host_record, rows) if host.next_due_at is not None]

    async def _next_id(self, table: str) -> int:
        rows = await self._execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")  # noqa: S608 - our own names
        return int(rows[0][0])

    async def _insert(self, table: str, rows: Sequence[Mapping[str, Any]], statement: str = _INSERT) -> None:
        for columns, values, parameters in _named_values(rows):
            await self._execute_storable(statement.format(table, ", ".join(columns), values), parameters)

    async def _execute_storable(self, sql: str, parameters: Sequence[Any]) -> None:
        try:
            await self._execute(sql, *parameters)
        except UnicodeEncodeError:  # a lone surrogate: too rare to look for in every text
            await self._execute(sql, *storable(parameters))

    async def _execute(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))


def _named_values(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, ...], str, list[Any]]]:
    """The same for rows by name, which all have the same names; these come first."""
    if rows:
        columns = tuple(rows[0])
        for values, parameters in _values([*chain.from_iterable(map(itemgetter(*columns), rows))], len(columns)):
            yield columns, values, parameters


def _values(flat: list[Any], width: int) -> Iterator[tuple[str, list[Any]]]:
    """Rows of so many values, one after the other, as a SELECT of VALUES and its parameters; as many as one may have.

    Where SQLite need not parse the statement each time, this takes half as long as JSON, which cannot hold blobs. So
    that few statements occur, the last row stands there more than once, and the limit leaves the others of it out.
    """
    row = f"({', '.join('?' * width)})"
    most = _MAX_PARAMETERS // width
    for start in range(0, len(flat), most * width):
        part = flat[start : start + most * width]
        rows = len(part) // width
        count = min(_round(rows), most)
        parameters = [*part, *part[-width:] * (count - rows), rows]
        yield f"SELECT * FROM (VALUES {', '.join([row] * count)}) LIMIT ?", parameters  # noqa: S608 - no text of others


def _round(number: int) -> int:
    """The next number that is a power of two, or three quarters of one."""
    power = 1 << (number - 1).bit_length()
    return power * 3 // 4 if number <= power * 3 // 4 else power


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


def _is_unread(result: Result) -> bool:
    """Whether it was asked for as a page, and is none that we read."""
    response = result.attempt
    return result.claim.kind is UrlKind.PAGE and isinstance(response, Response) and not response.read


def _requests(result: Result) -> int:
    """Those sent for it: at least that of the attempt, if it was sent."""
    attempt = result.attempt
    return max(result.requests, isinstance(attempt, Response) or (attempt is not None and attempt.sent))


def _robots_target(result: Result) -> tuple[Target, ...]:
    """robots.txt has a row too, so that its attempts have one to point at; nothing is ever planned for it there."""
    if result.claim.kind is not UrlKind.ROBOTS:
        return ()
    return (Target(url=result.claim.url, host=result.claim.host, kind=UrlKind.ROBOTS, seed=SeedMark.NO),)
