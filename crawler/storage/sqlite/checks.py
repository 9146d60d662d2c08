"""What has come of URLs that are only checked: a part of the writer's transaction.

Invariant: a check has its row in `checks`; nothing of it changes a row of `urls`.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from crawler.records import Checked, CheckVerdict, Failure, HostRecord, Response, Result, UrlKind
from crawler.storage.columns import host_record
from crawler.storage.sqlite.columns import HOST_COLUMNS, Execute, JsonStatement
from crawler.storage.values import as_json, storable
from crawler.urls import host_of

CHECK_HOST_COLUMNS = HOST_COLUMNS.replace("next_due_at", "next_check_at")  # due is a check; ?2 is the run

ADD_HOSTS = "INSERT OR IGNORE INTO hosts (name) SELECT DISTINCT value FROM json_each(?)"

SET_DUE = f"""
UPDATE hosts SET next_check_at = (
    SELECT max(min(due_at), hosts.back_off_until) FROM checks WHERE host_id = hosts.id AND due_at IS NOT NULL
) WHERE id IN ({{}}) RETURNING {CHECK_HOST_COLUMNS}
"""  # noqa: S608 - our own names
_SET_DUE_OF = SET_DUE.format("SELECT value FROM json_each(?1)")

_AGAIN = JsonStatement(
    "UPDATE checks SET due_at = {due_at}, attempts = {attempts} FROM json_each(?1) AS v WHERE checks.id = {id}"
)

# `mark` is + or -, or nothing for what was not asked.
_CONCLUDED = """
    due_at = NULL, attempts = 0, run_id = ?2, checked_at = {at}, verdict = {verdict}, cause = {cause},
    status_code = {status_code}, message = {message}, redirect_url = {redirect_url},
    recent = substr(recent || {mark}, -10),
    good_at = iif({mark} = '+', {at}, good_at),
    broken_since = CASE {mark} WHEN '+' THEN NULL WHEN '-' THEN coalesce(broken_since, {at}) ELSE broken_since END
"""
_OF_CONCLUSION = ("id", "at", "verdict", "cause", "status_code", "message", "redirect_url", "mark")
_CONCLUDE = JsonStatement(
    f"UPDATE checks SET {_CONCLUDED} FROM json_each(?1) AS v WHERE checks.id = {{id}} AND due_at IS NOT NULL",  # noqa: S608
    *_OF_CONCLUSION,
)

# What waits for the rules of an origin that cannot be reached.
_CONCLUDE_ORIGIN = JsonStatement(
    f"""
UPDATE checks SET {_CONCLUDED} FROM json_each(?1) AS v
WHERE host_id = {{id}} AND due_at IS NOT NULL AND substr(url, 1, length(?3)) = ?3
""",  # noqa: S608 - our own names
    *_OF_CONCLUSION,
)

# What is crawled has its verdict there, and what this run has checked has it already.
_FOLLOW = JsonStatement(
    """
INSERT INTO checks (url, host_id, hops, due_at)
SELECT {url}, h.id, {hops}, ?2 FROM json_each(?1) AS v CROSS JOIN hosts AS h ON h.name = {host}
WHERE NOT EXISTS (SELECT 1 FROM urls WHERE url = {url} AND status IN ('fetched', 'gone', 'failed'))
ON CONFLICT (url) DO UPDATE SET due_at = excluded.due_at, hops = excluded.hops, attempts = 0
    WHERE due_at IS NULL AND run_id IS NOT ?3
RETURNING host_id
""",
    "url",
    "host",
    "hops",
)


def is_check(result: Result) -> bool:
    """Whether the result is of a check, and so none of a row of `urls`."""
    return result.claim.kind is UrlKind.CHECK


async def store_checks(
    results: Sequence[Result], host_ids: Set[int], run_id: int, now: float, execute: Execute
) -> list[HostRecord]:
    """Store what has come of checks, in the writer's transaction; returns those of these hosts, and of those to which
    redirects lead, that have more of them due.
    """
    again = [
        {"id": -one.claim.url_id, "due_at": one.next_fetch_at, "attempts": one.verdict.attempts}
        for one in results
        if one.checked is None
    ]
    over = [(-one.claim.url_id, one.checked, one.attempt) for one in results if one.checked is not None]
    if again:
        await execute(_AGAIN.sql, _AGAIN.rows(again))
    rows = [_conclusion(check_id, checked, attempt, now) for check_id, checked, attempt in over]
    if rows:
        await execute(_CONCLUDE.sql, _CONCLUDE.rows(rows), run_id)
    touched = host_ids | await _follow(results, run_id, now, execute)
    hosts = map(host_record, await execute(_SET_DUE_OF, as_json(sorted(touched)), run_id))
    return [host for host in hosts if host.next_due_at is not None]


async def conclude_origin(
    host_id: int, origin: str, checked: Checked, run_id: int, now: float, execute: Execute
) -> None:
    """What is due of an origin that cannot be reached is over with that."""
    row = _conclusion(host_id, checked, None, now)
    await execute(_CONCLUDE_ORIGIN.sql, _CONCLUDE_ORIGIN.rows([row]), run_id, f"{origin}/")


async def _follow(results: Sequence[Result], run_id: int, now: float, execute: Execute) -> set[int]:
    """Check where redirects lead; returns the hosts of that."""
    found = {
        one.checked.redirect_url: (one.checked.redirect_url, host_of(one.checked.redirect_url), one.claim.hops + 1)
        for one in results
        if one.checked is not None and one.checked.redirect_url is not None
    }
    if not found:
        return set()
    await execute(ADD_HOSTS, as_json(sorted({host for _url, host, _hops in found.values()})))
    return {row[0] for row in await execute(_FOLLOW.sql, as_json(list(found.values())), now, run_id)}


def _conclusion(row_id: int, checked: Checked, attempt: Response | Failure | None, now: float) -> dict[str, Any]:
    return {
        "id": row_id,
        "at": now if attempt is None else attempt.started_at,
        "verdict": checked.verdict,
        "cause": checked.cause and storable(checked.cause),
        "status_code": attempt.status_code if isinstance(attempt, Response) else None,
        "message": storable(attempt.message) if isinstance(attempt, Failure) else None,
        "redirect_url": checked.redirect_url,
        "mark": _MARKS.get(checked.verdict, "-"),
    }


_MARKS = {CheckVerdict.GOOD: "+", CheckVerdict.REDIRECTED: "+", CheckVerdict.NOT_ASKED: ""}
