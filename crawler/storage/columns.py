"""Where a record's fields stand in the tables, the same in every store: as parts of statements, and read back.

A name stands once beside each column: the lists of a statement's columns and of what is read back are made from that.
What is here is SQL that every store's database understands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.records import Blame, Claim, Closure, ExclusionReason, HostRecord, RobotsCopy
from crawler.storage.values import claim_of

# A field of a claim, or of its previous visit: its column of the hosts, URLs and pages h, u and p. The order is that of
# `claim_of`.
_CLAIM = {
    "url_id": "u.id",
    "url": "u.url",
    "host_id": "u.host_id",
    "host": "h.name",
    "kind": "u.kind",
    "depth": "u.depth",
    "hops": "u.hops",
    "attempts": "u.attempts",
    "seed": "u.seed",
    "has_failed": "u.status = 'failed'",
    "failing_since": "u.failing_since",
    "failing_reason": "u.failing_reason",
}
_PREVIOUS = {
    "fetched_at": "u.fetched_at",
    "status": "u.status",
    "content_hash": "p.content_hash",
    "metadata_hash": "p.metadata_hash",
    "reader_version": "coalesce(p.reader_version, 1)",
    "truncated": "p.truncated",
    "has_body": "p.body_hash IS NOT NULL",
    "unread_type": "u.unread_type",
    "etag": "u.etag",
    "last_modified": "u.last_modified",
    "changes": "u.changes",
    "watched_s": "u.watched_s",
    "new_links": "u.new_links",
    "promise_s": "u.promise_s",
    "hinted": "u.hinted",
    "links_cut_at": "u.links_cut_at",
}
CLAIM_COLUMNS = ", ".join([*_CLAIM.values(), *_PREVIOUS.values()])


def claim(row: Sequence[Any]) -> Claim:
    """From a row of `CLAIM_COLUMNS`."""
    return claim_of(row)


# What a result changes in its URL's row, from a row `v` of these columns (see `values.url_values`).
STATE_COLUMNS = (
    *("status", "reason", "cause", "detail", "attempts", "next_fetch_at", "fetched_at", "page_id", "etag"),
    *("last_modified", "revisit_at", "changes", "watched_s", "promise_s", "failing_since", "failing_reason"),
    *("unread_type", "kind"),
)
_SET_STATE = """
    kind = coalesce(v.kind, {u}.kind),
    status = v.status,
    reason = v.reason,
    cause = v.cause,
    detail = v.detail,
    attempts = v.attempts,
    next_fetch_at = v.next_fetch_at,
    fetched_at = coalesce(v.fetched_at, {u}.fetched_at),
    page_id = coalesce(v.page_id, {u}.page_id),
    etag = CASE WHEN v.fetched_at IS NULL THEN {u}.etag ELSE v.etag END,
    last_modified = CASE WHEN v.fetched_at IS NULL THEN {u}.last_modified ELSE v.last_modified END,
    revisit_at = v.revisit_at,
    changes = coalesce(v.changes, {u}.changes),
    watched_s = coalesce(v.watched_s, {u}.watched_s),
    promise_s = CASE WHEN v.revisit_at IS NULL THEN {u}.promise_s ELSE v.promise_s END,
    hinted = 0,
    failing_since = v.failing_since,
    failing_reason = v.failing_reason,
    unread_type = v.unread_type
"""


def set_state(table: str) -> str:
    """The assignments of an UPDATE of `urls`, which the statement calls `table`."""
    return _SET_STATE.format(u=table)


IS_FORBIDDEN = f"status = 'excluded' AND cause = '{ExclusionReason.ROBOTS}'"
IS_JUDGED = f"status = 'excluded' AND cause <> '{ExclusionReason.ROBOTS}'"  # only a new robots.txt lifts the others
# By being found again: not what a hook refused to ask for, however it was found.
IS_LIFTABLE = f"{IS_JUDGED} AND NOT (cause = '{ExclusionReason.HOOK}' AND substr(detail, 1, 10) = 'on_request')"
MADE_PENDING = "status = 'pending', reason = NULL, cause = NULL, detail = NULL"

# Also of urls_answered: what fails is planned for a time of its own, and leaves that index.
IS_ANSWERED = "status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots' AND next_fetch_at IS NULL"

TAKEN_IN = "pending + fetched + redirected + gone + failed"  # a host's URLs, but for the excluded ones
_HOST = {
    "host_id": "{h}.id",
    "name": "{h}.name",
    "next_due_at": "{h}.next_due_at",
    "back_off_until": "{h}.back_off_until",
    "failures": "{h}.failures",
    "run_pages": "CASE WHEN {is_of_run} THEN {h}.run_pages ELSE 0 END",
    "run_requests": "CASE WHEN {is_of_run} THEN {h}.run_requests ELSE 0 END",
    "pace_s": "{h}.pace_s",
    "redesigned_at": "{h}.redesigned_at",
}


def host_columns(is_of_run: str, table: str = "hosts") -> str:
    """Of `host_record`. `is_of_run`: the condition that what is counted for a run is counted for this one. `table` is
    what the statement calls the hosts.
    """
    return ", ".join(_HOST.values()).format(is_of_run=is_of_run, h=table)


def host_record(row: Sequence[Any]) -> HostRecord:
    """From a row of `host_columns`."""
    return HostRecord(**dict(zip(_HOST, row, strict=True)))


ROBOTS_COLUMNS = {
    "origin": "origin",
    "status_code": "robots_status",
    "body": "robots_body",
    "fetched_at": "robots_fetched_at",
    "expires_at": "robots_expires_at",
    "failures": "robots_failures",
}
_PAUSE = {"paused_until": "paused_until", "pause_reason": "pause_reason"}
ORIGIN_COLUMNS = ", ".join([*ROBOTS_COLUMNS.values(), *_PAUSE.values()])


def robots_copy(row: Sequence[Any]) -> RobotsCopy:
    """From a row of `ORIGIN_COLUMNS`; those that were never set have their defaults."""
    found = zip([*ROBOTS_COLUMNS, *_PAUSE], row, strict=True)
    return RobotsCopy(**{name: value for name, value in found if value is not None})


def closure(row: Sequence[Any]) -> Closure:
    """From a row of a store's `CLOSURES`."""
    name, blame, until, why = row
    return Closure(name=name, blame=Blame(blame), until=until, why=why)
