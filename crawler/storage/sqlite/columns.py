"""Where a record's fields stand in the tables, and statements over rows of named values.

A name stands once beside each column: the lists of a statement's columns, of its parameters and of what is read back
are made from that.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from crawler.records import Claim, ExclusionReason, HostRecord, RobotsCopy
from crawler.storage.values import as_json, claim_of

Execute = Callable[..., Awaitable[list[Any]]]  # a statement with its parameters, in the transaction

_NAME = re.compile(r"\{(\w+)\}")


class JsonStatement:
    """A statement over `json_each(?1) AS v`, so that a batch of rows is one statement: `{name}` in it is that value of
    each row.

    The rows travel as JSON arrays, half as long as objects, and are found in them by their place. `names`: the places,
    for those who make rows as tuples; else the order in which the text names them.
    """

    def __init__(self, text: str, *names: str) -> None:
        self.names = names or tuple(dict.fromkeys(_NAME.findall(text)))
        self._in_order = itemgetter(*self.names)
        self.sql = _NAME.sub(lambda name: f"json_extract(v.value, '$[{self.names.index(name[1])}]')", text)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> str:
        """The parameter, from rows of values by name."""
        return as_json(list(map(self._in_order, rows)))


# A field of a claim, or of its previous visit: its column of the hosts, URLs and pages h, u and p.
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
    return claim_of(dict(zip(_CLAIM, row, strict=False)), dict(zip(_PREVIOUS, row[len(_CLAIM) :], strict=True)))


IS_FORBIDDEN = f"status = 'excluded' AND cause = '{ExclusionReason.ROBOTS}'"
IS_JUDGED = f"status = 'excluded' AND cause <> '{ExclusionReason.ROBOTS}'"  # only a new robots.txt lifts the others
# By being found again: not what a hook refused to ask for, however it was found.
IS_LIFTABLE = (
    f"{IS_JUDGED} AND NOT (cause = '{ExclusionReason.HOOK}' AND detail BETWEEN 'on_request' AND 'on_request~')"
)
MADE_PENDING = "status = 'pending', reason = NULL, cause = NULL, detail = NULL"

# Also of urls_answered: what fails is planned for a time of its own, and leaves that index.
IS_ANSWERED = "status IN ('fetched', 'redirected', 'gone') AND kind <> 'robots' AND next_fetch_at IS NULL"
# Of no origin that is named there: a list that is mostly empty (see `prefixes`).
IS_OF_OTHERS = """(
    {0} = '[]' OR NOT EXISTS (SELECT 1 FROM json_each({0}) AS w WHERE substr(url, 1, length(w.value)) = w.value)
)"""


def prefixes(origins: Iterable[str]) -> str:
    """By which the URLs of these origins are known."""
    return as_json([f"{origin}/" for origin in origins])


TAKEN_IN = "pending + fetched + redirected + gone + failed"  # a host's URLs, but for the excluded ones
_HOST = {
    "host_id": "id",
    "name": "name",
    "next_due_at": "next_due_at",
    "back_off_until": "back_off_until",
    "failures": "failures",
    "run_pages": "CASE WHEN run_id IS ?2 THEN run_pages ELSE 0 END",
    "run_requests": "CASE WHEN run_id IS ?2 THEN run_requests ELSE 0 END",
    "pace_s": "pace_s",
    "redesigned_at": "redesigned_at",
}
HOST_COLUMNS = ", ".join(_HOST.values())  # ?2 is the run


def host_record(row: Sequence[Any]) -> HostRecord:
    """From a row of `HOST_COLUMNS`."""
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
