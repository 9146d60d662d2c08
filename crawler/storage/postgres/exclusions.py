"""What was kept out, and may be let in.

These change URLs of any partition: as a rule while a run begins and its process owns all of them, but seeds may widen
the scope later, when others work. So what changes is told to the owners (see arrivals.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from crawler.records import ExclusionReason, Reason, Target, UrlKind
from crawler.storage.columns import IS_FORBIDDEN, IS_JUDGED, MADE_PENDING
from crawler.storage.cursors import next_cursor, place
from crawler.storage.interface import Batch, Cursor
from crawler.storage.postgres.arrivals import telling
from crawler.storage.postgres.host_limit import UNNAMED, HostLimit, name_stored
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.session import Session
from crawler.storage.postgres.transactions import Execute
from crawler.storage.postgres.url_limit import ANY_CUT, FORGET_UNSTORED, READ_AGAIN, UrlLimit
from crawler.storage.values import storable
from crawler.urls import host_of

EXCLUDED = f"""
SELECT part, host_id, cause, reason, id, detail, url, kind, depth, hops FROM urls
WHERE {IS_JUDGED} AND (part, host_id, cause, reason, id) > ($1, $2, $3, $4, $5)
ORDER BY part, host_id, cause, reason, id LIMIT $6
"""  # noqa: S608 - our own names

_FORGET_FORBIDDEN = telling(f"""
UPDATE urls AS u SET {MADE_PENDING}, next_fetch_at = $1
FROM (SELECT DISTINCT part, host_id FROM origins WHERE $2 OR robots_expires_at <= $1) AS o
WHERE u.part = o.part AND u.host_id = o.host_id AND u.{IS_FORBIDDEN} AND kind <> 'robots'
RETURNING u.part, u.host_id, 'excluded' AS was, u.status
""")  # noqa: S608 - our own names

_OF_CAUSE = "u.host_id = h.id AND u.status = 'excluded' AND u.cause = $1"
_HAS_DETAILS = f"""
SELECT DISTINCT part FROM hosts AS h WHERE h.excluded > 0 AND h.fetched >= $2
    AND EXISTS (SELECT 1 FROM urls AS u WHERE u.part = h.part AND {_OF_CAUSE})
"""  # noqa: S608 - our own names
# From one reason to the next by urls_excluded: a place that is closed may have shut out a million URLs. One partition,
# named for each table: only so does Citus take a recursive query.
_DETAILS = f"""
SELECT h.name, d.detail FROM hosts AS h CROSS JOIN LATERAL (
    WITH RECURSIVE found AS (
        (SELECT u.reason, u.detail FROM urls AS u WHERE u.part = $3 AND {_OF_CAUSE} ORDER BY u.reason LIMIT 1)
        UNION ALL SELECT next.reason, next.detail FROM found CROSS JOIN LATERAL (
            SELECT u.reason, u.detail FROM urls AS u
            WHERE u.part = $3 AND {_OF_CAUSE} AND u.reason > found.reason
            ORDER BY u.reason LIMIT 1
        ) AS next
    ) SELECT detail FROM found
) AS d WHERE h.part = $3 AND h.excluded > 0 AND h.fetched >= $2
"""  # noqa: S608 - our own names

_KEYS = "unnest($1::int[], $2::bigint[], $3::bigint[]) AS v (part, host_id, id)"
_TO_READMIT = f"""
SELECT u.id, h.name, u.seed > 0 FROM {_KEYS} JOIN urls AS u USING (part, host_id, id)
JOIN hosts AS h ON h.part = u.part AND h.id = u.host_id WHERE u.status = 'excluded'
"""  # noqa: S608 - our own names
_READMIT = telling(f"""
UPDATE urls AS u SET {MADE_PENDING}, next_fetch_at = $4
FROM {_KEYS} WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id AND u.status = 'excluded'
RETURNING u.part, u.host_id, 'excluded' AS was, u.status
""")  # noqa: S608 - our own names
_EXPLAIN = """
UPDATE urls AS u SET reason = v.reason, cause = v.cause, detail = v.detail
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])
    AS v (part, host_id, id, reason, cause, detail)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id AND u.status = 'excluded' AND u.reason <> v.reason
"""

_FIRST_EXCLUDED = (-1, 0, "", "", 0)  # before the first row
_HOSTS_AT_ONCE = 5_000  # to be named, in one transaction


class Exclusions(Session):
    """See `interface.Exclusions` for what each operation is for."""

    async def excluded(self, after: Cursor | None, limit: int) -> Batch[Target]:
        """A batch of the URLs that were excluded by scope, depth or limits, by host and reason."""
        rows = await self._read(EXCLUDED, *place(after, _FIRST_EXCLUDED), limit)
        targets = [
            Target(url=url, host=host_of(url), kind=UrlKind(kind), depth=depth, hops=hops, reason=Reason(cause, detail))
            for _part, _host_id, cause, _reason, _id, detail, url, kind, depth, hops in rows
        ]
        return Batch(rows=targets, next=next_cursor(rows, limit, lambda row: tuple(row)[:5]))

    async def readmit(self, urls: Sequence[str], now: float) -> int:
        """Make excluded URLs pending again, as many as there is room for; returns how many are."""

        async def work(execute: Execute) -> int:
            keys = {id_of(url): id_of(host_of(url)) for url in urls}
            rows = {row[0]: (row[1], row[2]) for row in await execute(_TO_READMIT, *self._keys(keys))}
            found = {url_id: rows[url_id] for url_id in keys if url_id in rows}  # the first ones have room first
            away = await self._turned_away(found, execute)
            reasons = [storable((str(why), str(why.cause), why.detail)) for why in away.values()]
            explained = list(map(list, zip(*reasons, strict=True))) if reasons else [[], [], []]
            await execute(_EXPLAIN, *self._keys({url_id: keys[url_id] for url_id in away}), *explained)
            admitted = {url_id: keys[url_id] for url_id in found if url_id not in away}
            ((number,),) = await execute(_READMIT, *self._keys(admitted), now)
            return int(number)

        readmitted = await self._transact(work)
        self._forget()
        await self.take_arrivals()
        return readmitted

    async def _turned_away(self, urls: Mapping[int, tuple[str, bool]], execute: Execute) -> dict[int, Reason]:
        """Those of excluded URLs (by id: the host, 'it is a seed') for which there is no room, with the reason."""
        away: dict[int, Reason] = {}
        if self._limits.hosts is not None:
            seeds: dict[str, bool] = {}
            for host, seed in urls.values():
                seeds[host] = seed or seeds.get(host, False)
            too_many = await self._limits.hosts.turn_away(seeds, execute)
            away = {url_id: too_many[host] for url_id, (host, _seed) in urls.items() if host in too_many}
        if self._limits.urls is not None:
            rest = {url_id: found for url_id, found in urls.items() if url_id not in away}
            away |= await self._limits.urls.turn_away(rest, execute)
        return away

    def _keys(self, hosts: Mapping[int, int]) -> tuple[list[int], list[int], list[int]]:
        """Of URLs, each with its host: the partitions, hosts and ids."""
        return self._parts_of(hosts.values()), list(hosts.values()), list(hosts)

    async def forget_forbidden(self, now: float, *, every: bool) -> None:
        """What robots.txt forbade is decided again where its copy has expired; `every`: wherever it did."""
        await self._change_any(_FORGET_FORBIDDEN, now, every)

    async def details(self, cause: ExclusionReason, min_fetched: int) -> list[tuple[str, str]]:
        """(host name, detail) for each detail of this cause of exclusion, of hosts with enough fetched URLs.

        Of all partitions: whoever finds a URL judges it, whosever it is.
        """
        found: list[tuple[str, str]] = []
        for (part,) in await self._read(_HAS_DETAILS, cause, min_fetched):
            found += [(name, detail) for name, detail in await self._read(_DETAILS, cause, min_fetched, part)]
        return found

    async def limit_hosts(self, per_domain: int) -> None:
        """From now on, store at most this many hosts per domain; stored ones count. Takes one pass over them, by the
        process that begins the run.
        """
        if not await self._is_open():
            await self._name_domains()
        self._limits.hosts = HostLimit(per_domain, self.ownership.part_of)

    async def _name_domains(self) -> None:
        start: Iterable[int] = (-1, 0)
        while rows := await self._read(UNNAMED, *start, _HOSTS_AT_ONCE):
            await self._transact(partial(name_stored, rows, self.ownership.part_of))
            start = rows[-1][:2]

    def full_domains(self) -> list[str]:
        """The domains of which hosts were turned away since this was asked last; each once a run."""
        return [] if self._limits.hosts is None else self._limits.hosts.take_full()

    async def limit_urls(self, per_host: int, now: float) -> None:
        """From now on, accept at most this many URLs of a host, and keep at most twice as many rows of it.

        Documents whose links were not all stored because of a lower limit become due, to be read again: where the run
        begins, which nobody else works in yet.
        """
        if not await self._is_open():
            if await self._read(ANY_CUT, per_host):
                for statement in FORGET_UNSTORED:
                    await self._write(statement)
            await self._change_any(READ_AGAIN, per_host, now)
        self._limits.urls = UrlLimit(per_host, self.ownership.part_of)

    def full_hosts(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each once a run."""
        return [] if self._limits.urls is None else self._limits.urls.take_full()

    async def _is_open(self) -> bool:
        """Whether the run was begun by another process, which has done all that is done once."""
        return bool(await self._read("SELECT 1 FROM runs WHERE id = $1 AND is_open = 1", self.run_id))
