"""What was kept out, and may be let in."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.domains import owner_of
from crawler.records import ExclusionReason, Reason, Target, UrlKind
from crawler.storage.columns import IS_FORBIDDEN, IS_JUDGED, MADE_PENDING
from crawler.storage.cursors import next_cursor, place
from crawler.storage.interface import Batch, Cursor
from crawler.storage.sqlite.host_limit import NAME_DOMAINS, HostLimit
from crawler.storage.sqlite.session import Session
from crawler.storage.sqlite.url_limit import FORGET_UNSTORED, READ_AGAIN, UrlLimit
from crawler.urls import host_of

_EXCLUDED = f"""
SELECT host_id, cause, reason, id, detail, url, kind, depth, hops FROM urls INDEXED BY urls_excluded
WHERE {IS_JUDGED} AND (host_id, cause, reason, id) > (?, ?, ?, ?)
ORDER BY host_id, cause, reason, id LIMIT ?
"""  # noqa: S608 - our own names

_FORGET_FORBIDDEN = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = ?1
WHERE {IS_FORBIDDEN} AND host_id IN (SELECT host_id FROM origins WHERE ?2 OR robots_expires_at <= ?1) RETURNING host_id
"""  # noqa: S608 - our own names

# From one reason to the next by urls_excluded: a place that is closed may have shut out a million URLs.
_DETAILS = """
WITH RECURSIVE found (host_id, name, reason) AS (
    SELECT id, name, '' FROM hosts WHERE excluded > 0 AND fetched >= ?2
    UNION ALL
    SELECT host_id, name, (
        SELECT min(reason) FROM urls
        WHERE host_id = found.host_id AND status = 'excluded' AND cause = ?1 AND reason > found.reason
    ) FROM found WHERE reason IS NOT NULL
)
SELECT name, (
    SELECT detail FROM urls
    WHERE host_id = found.host_id AND status = 'excluded' AND cause = ?1 AND reason = found.reason LIMIT 1
) FROM found WHERE reason > ''
"""

_FIRST_EXCLUDED = (0, "", "", 0)  # before the first row


class Exclusions(Session):
    """See `interface.Exclusions` for what each operation is for."""

    async def excluded(self, after: Cursor | None, limit: int) -> Batch[Target]:
        """A batch of the URLs that were excluded by scope, depth or limits, by host and reason."""
        rows = await self._read(_EXCLUDED, (*place(after, _FIRST_EXCLUDED), limit))
        targets = [
            Target(url=url, host=host_of(url), kind=UrlKind(kind), depth=depth, hops=hops, reason=Reason(cause, detail))
            for _host_id, cause, _reason, _id, detail, url, kind, depth, hops in rows
        ]
        return Batch(rows=targets, next=next_cursor(rows, limit, lambda row: row[:4]))

    async def readmit(self, urls: Sequence[str], now: float) -> int:
        """Make excluded URLs pending again, as many as there is room for; returns how many are."""
        async with self._transaction() as transaction:
            return await transaction.readmit(urls, now)

    async def forget_forbidden(self, now: float, *, every: bool) -> None:
        """What robots.txt forbade is decided again where its copy has expired; `every`: wherever it did."""
        await self._change(_FORGET_FORBIDDEN, now, every)

    async def details(self, cause: ExclusionReason, min_fetched: int) -> list[tuple[str, str]]:
        """(host name, detail) for each detail of this cause of exclusion, of hosts with enough fetched URLs."""
        return [(name, detail) for name, detail in await self._read(_DETAILS, (cause, min_fetched))]

    async def limit_hosts(self, per_domain: int) -> None:
        """From now on, store at most this many hosts per domain; stored ones count. Takes one pass over them."""
        await self._writer.create_function("owner_of", 1, owner_of)
        await self._write(NAME_DOMAINS, ())
        self._limits.hosts = HostLimit(per_domain)

    def full_domains(self) -> list[str]:
        """The domains of which hosts were turned away since this was asked last; each once a run."""
        return [] if self._limits.hosts is None else self._limits.hosts.take_full()

    async def limit_urls(self, per_host: int, now: float) -> None:
        """From now on, accept at most this many URLs of a host, and keep at most twice as many rows of it.

        Documents whose links were not all stored because of a lower limit become due, to be read again.
        """
        await self._write(FORGET_UNSTORED, (per_host,))
        await self._change(READ_AGAIN, per_host, now)
        self._limits.urls = UrlLimit(per_host)

    def full_hosts(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each once a run."""
        return [] if self._limits.urls is None else self._limits.urls.take_full()
