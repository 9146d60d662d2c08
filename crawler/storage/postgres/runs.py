"""The record of runs. One run is for all workers: the first begins it, others join it, and the last one ends it.

Invariants: a run is begun by a worker that is alone with the database, and so owns all of it; it is open to others once
all is done that is done once. A worker that joins begins none: it finds one that is open, or waits. A run ends once,
when no other worker of it lives, with what all of them have counted.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from crawler.errors import DatabaseFailedError, UsageError
from crawler.records import EndReason
from crawler.storage.postgres.connection import Connection
from crawler.storage.postgres.control import Control
from crawler.storage.postgres.session import Session
from crawler.storage.postgres.setback import set_back, set_back_s
from crawler.storage.postgres.share import PostgresShare
from crawler.storage.postgres.totals import added
from crawler.storage.postgres.transactions import Execute
from crawler.storage.postgres.workers import in_turn, summed
from crawler.storage.run_options import limits_of

_LAST_OPTIONS = "SELECT options FROM runs ORDER BY id DESC LIMIT 1"
_RUN_TIMES = "SELECT started_at, (SELECT max(started_at) FROM runs WHERE id < $1) AS before FROM runs WHERE id = $1"

# --- how one begins

_UNENDED = "SELECT id, options FROM runs WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1"
_STORED = """
SELECT coalesce(sum(run_pages), 0)::bigint AS pages, coalesce(sum(run_requests), 0)::bigint AS requests
FROM parts WHERE run_id = $1
"""
_FORGET_OTHERS = ("DELETE FROM workers WHERE id <> $1", "DELETE FROM tallies WHERE worker <> $1")
_END_KILLED = """
UPDATE runs SET ended_at = $1, end_reason = $2, is_open = 0,
    pages = (SELECT coalesce(sum(run_pages), 0) FROM parts WHERE parts.run_id = runs.id),
    requests = (SELECT coalesce(sum(run_requests), 0) FROM parts WHERE parts.run_id = runs.id)
WHERE ended_at IS NULL
"""
_BEGIN = """
INSERT INTO runs (id, started_at, options, max_pages)
SELECT coalesce(max(id), 0) + 1, $1, $2, $3 FROM runs RETURNING id
"""
_RESUME = "UPDATE runs SET options = $2, is_open = 0, stop = NULL, over_at = NULL, granted = $3 WHERE id = $1"
_WORK_ON = "UPDATE workers SET run_id = $2 WHERE id = $1"
# What may have been sent counts as sent.
_INHERIT_REQUESTS = """
UPDATE hosts SET run_requests = run_requests_noted WHERE run_id = $1 AND run_requests_noted > run_requests
"""

# --- while it lasts

_JOIN = "SELECT id, options FROM runs WHERE ended_at IS NULL AND is_open = 1 ORDER BY id DESC LIMIT 1 FOR UPDATE"
_NOTED = "SELECT requests_noted FROM runs WHERE id = $1"
_NOTE_RUN = "UPDATE runs SET requests_noted = $2 WHERE id = $1"
_NOTE_HOSTS = """
UPDATE hosts AS h SET
    run_pages = CASE WHEN h.run_id = $1 THEN h.run_pages ELSE 0 END,
    run_requests = CASE WHEN h.run_id = $1 THEN h.run_requests ELSE 0 END,
    run_requests_noted = v.requests,
    run_id = $1
FROM unnest($2::int[], $3::bigint[], $4::int[]) AS v (part, id, requests) WHERE h.part = v.part AND h.id = v.id
"""
_LOCK_OPTIONS = "SELECT options FROM runs WHERE id = $1 FOR UPDATE"
_SET_OPTIONS = "UPDATE runs SET options = $2 WHERE id = $1"

# --- how it ends

_LOCK = "SELECT ended_at, figures FROM runs WHERE id = $1 FOR UPDATE"
_OTHERS = """
SELECT figures, alive_until > now() AND leaves = 0 AS lives FROM workers WHERE run_id = $1 AND id <> $2
"""
_LEAVE_FIGURES = "UPDATE runs SET figures = $2 WHERE id = $1"
_TAKE_LEAVE = "UPDATE workers SET leaves = 1, figures = NULL WHERE id = $1"
_END = """
UPDATE runs SET ended_at = $2, end_reason = $3, summary = $4, is_open = 0, pages = $5, requests = $6, figures = NULL
WHERE id = $1 AND ended_at IS NULL
"""
_ENDED = "SELECT summary, stop FROM runs WHERE id = $1"
_FORGET_NOTICES = "DELETE FROM notices WHERE run_id <= $1"
_FORGET_DEAD = "DELETE FROM workers WHERE run_id = $1 AND alive_until < now()"

_ENDS_OF_ALL = frozenset({EndReason.COMPLETE, EndReason.WAITING, EndReason.MAX_PAGES, EndReason.MAX_REQUESTS})
_ENDS_OF_ONE = frozenset({EndReason.INTERRUPTED, EndReason.TERMINATED, EndReason.FAILED})
_OTHERS_END_S = 15.0  # more than the seconds of grace that what is under way has
_POLL_S = 0.25

# Of a summary, what is this process's own.
_OWN_FIGURES = (
    *("requests", "pages", "bytes", "connections_opened", "connections_reused", "dns_lookups", "dns_cache_hits"),
    *("retries", "by_status", "by_failure", "changes", "cut_sitemaps", "checked", "peak_rss_bytes", "elapsed_s"),
)


class Runs(Session):
    """See `interface.RunLog` for what each operation is for."""

    control: Control
    _has_joined = False  # a run that another worker has begun
    share: PostgresShare

    async def last_options(self) -> dict[str, Any] | None:
        """The options of the newest run; None where there was none."""
        rows = await self._read(_LAST_OPTIONS)
        return dict(json.loads(rows[0][0])) if rows else None

    async def follow_clock(self, now: float) -> float:
        """Where the database's clock was set back since the last run, plan everything earlier by as much; returns the
        seconds.
        """
        return await self._transact(lambda execute: set_back_s(execute, now))

    async def begin_run(self, options: dict[str, Any], now: float) -> tuple[int, int]:
        """Start a run, or resume one that was killed; returns its id and the pages that it has stored. This worker must
        be alone.

        Raises `LeaseLostError` where it was taken for dead.
        """
        unended = await self._read(_UNENDED)
        resumes = bool(unended) and limits_of(json.loads(unended[0]["options"])) == limits_of(options)
        if not resumes:
            await self._transact(lambda execute: set_back(execute, math.nextafter(now, -math.inf)))
        async with self.control.transaction() as connection:
            await in_turn(connection, self.ownership.worker)
            for sql in _FORGET_OTHERS:
                await connection.execute(sql, self.ownership.worker)
            if resumes:
                run_id, pages = await self._resume(connection, unended[0]["id"], options)
            else:
                run_id, pages = await self._begin(connection, options, now), 0
            await connection.execute(_WORK_ON, self.ownership.worker, run_id)
        self.run_id = run_id
        if resumes:
            await self._write(_INHERIT_REQUESTS, run_id)
        return run_id, pages

    async def _begin(self, connection: Connection, options: Mapping[str, Any], now: float) -> int:
        await connection.execute(_END_KILLED, now, EndReason.KILLED)
        run_id: int = await connection.fetchval(_BEGIN, now, json.dumps(options), options["scope"]["max_pages"])
        return run_id

    async def _resume(self, connection: Connection, run_id: int, options: Mapping[str, Any]) -> tuple[int, int]:
        pages: int = (await connection.fetchrow(_STORED, run_id))["pages"]
        await connection.execute(_RESUME, run_id, json.dumps(options), pages)
        return run_id, pages

    async def join_run(self) -> dict[str, Any] | None:
        """Work on the run that is open; returns its options, None where there is none.

        Raises `UsageError` for a run that only one worker can work on.
        """
        async with self.control.transaction() as connection:
            await in_turn(connection, self.ownership.worker)
            run = await connection.fetchrow(_JOIN)
            if run is None:
                return None
            options: dict[str, Any] = json.loads(run["options"])
            if options.get("run", {}).get("max_requests") is not None:
                raise UsageError("this run has --max-requests, which only one worker can keep to; wait for its end")
            await connection.execute(_WORK_ON, self.ownership.worker, run["id"])
        self.run_id = run["id"]
        self._has_joined = True
        return options

    async def run_times(self) -> tuple[float, float | None]:
        """When this run was started, and the one before it."""
        rows = await self._read(_RUN_TIMES, self.run_id)
        return rows[0]["started_at"], rows[0]["before"]

    async def requests_noted(self) -> int:
        """How many requests this run may have sent before it was killed; 0 where it was not."""
        noted, stored = await self._read(_NOTED, self.run_id), await self._read(_STORED, self.run_id)
        return max(int(noted[0]["requests_noted"]), int(stored[0]["requests"]))

    async def note_requests(self, run: int | None, hosts: Sequence[tuple[int, int]]) -> None:
        """So many requests may have been sent by this run (None: as noted before), and to each host by its id."""
        if run is not None:
            await self._write(_NOTE_RUN, self.run_id, run)
        if hosts:
            host_ids, requests = [host for host, _number in hosts], [number for _host, number in hosts]
            parts = self._parts_of(host_ids)

            async def note(execute: Execute) -> None:
                await execute(_NOTE_HOSTS, self.run_id, parts, host_ids, requests)

            await self._transact_fenced(set(parts), note)

    async def set_decided(self, decided: bool) -> None:
        """Whether all that earlier options excluded has been judged by those of now; else the next run has to.

        A worker that does not own all of the crawl has not judged all: so where several have to, the next run does.
        """
        if decided and len(self.ownership.owned()) < self.ownership.parts:
            return
        if not decided:
            await self.share.publish()  # before anything is stored that others would judge without it

        async def set_option(execute: Execute) -> None:
            options = json.loads((await execute(_LOCK_OPTIONS, self.run_id))[0]["options"])
            await execute(_SET_OPTIONS, self.run_id, json.dumps(options | {"decided": decided}))

        await self._transact(set_option)

    async def end_run(self, reason: EndReason, summary: dict[str, Any], now: float) -> dict[str, Any] | None:
        """Record why and when the run ended, and what it reports, where no other worker is left; returns the summary
        with what all have counted. Where others are about to end it, too, it is theirs. None: they go on with it.
        """
        self.share.end_counting()
        ended = await self._end_or_leave(reason, summary, now)
        self.share.has_ended = True
        return ended if ended is not None else await self._summary_of_others(reason)

    async def _end_or_leave(self, reason: EndReason, summary: dict[str, Any], now: float) -> dict[str, Any] | None:
        """None: there are others, who get what this worker has counted."""
        own = {name: summary[name] for name in _OWN_FIGURES if name in summary}
        async with self.control.transaction() as connection:
            run = await connection.fetchrow(_LOCK, self.run_id)
            if run is None or run["ended_at"] is not None:
                raise DatabaseFailedError(f"run {self.run_id} was ended by somebody else")
            others = await connection.fetch(_OTHERS, self.run_id, self.ownership.worker)
            await connection.execute(_TAKE_LEAVE, self.ownership.worker)
            # What the last one started again, or failed with, must not end what others began.
            is_its_own = self._has_joined and reason in _ENDS_OF_ONE
            if is_its_own or any(other["lives"] for other in others):
                await connection.execute(_LEAVE_FIGURES, self.run_id, summed(run["figures"], json.dumps(own)))
                return None
            left = [json.loads(text) for text in (run["figures"], *(other["figures"] for other in others)) if text]
            stored = await connection.fetchrow(_STORED, self.run_id)
            summary = _of_all(summary, own, left, stored["pages"])
            text = orjson.dumps(summary).decode()
            await connection.execute(_END, self.run_id, now, reason, text, stored["pages"], stored["requests"])
            await connection.execute(_FORGET_NOTICES, self.run_id)
            await connection.execute(_FORGET_DEAD, self.run_id)
            return summary

    async def _summary_of_others(self, reason: EndReason) -> dict[str, Any] | None:
        """What the last one records, who is about to."""
        ends_for_all = reason in _ENDS_OF_ALL
        for _ in range(int(_OTHERS_END_S / _POLL_S)):
            row = (await self.control.fetch(_ENDED, self.run_id))[0]
            if row["summary"] is not None:
                return dict(json.loads(row["summary"]))
            if not (ends_for_all or row["stop"] is not None):
                break
            await asyncio.sleep(_POLL_S)
        return None


def _of_all(
    summary: Mapping[str, Any], own: Mapping[str, Any], others: Sequence[Mapping[str, Any]], pages: int
) -> dict[str, Any]:
    """The summary of a run, with what all of its workers have counted."""
    if not others:
        return dict(summary)
    total = dict(own)
    for figures in others:
        total = added(total, {name: figures[name] for name in _OWN_FIGURES if name in figures})
    opened, requests, elapsed_s = (total.get(name, 0) for name in ("connections_opened", "requests", "elapsed_s"))
    rates = {
        "run_pages": pages,
        "pages_per_s": round(total.get("pages", 0) / elapsed_s, 2) if elapsed_s else 0.0,
        "connections_per_request": round(opened / requests, 4) if requests else 0.0,
    }
    return {**summary, **total, **rates}
