"""How many hosts a domain may have, and which of its further hosts are turned away: see `crawler.storage.room`.

A domain has a row with its number of hosts. Whoever takes hosts in holds it until the end of the transaction in which
their first URLs are added, so the limit holds over all processes, and one that dies leaves no place unused.
Invariant: `hosts.domain` is set together with `domains.hosts`, and never taken away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crawler.domains import owner_of
from crawler.records import ExclusionReason, Reason
from crawler.storage.columns import MADE_PENDING, TAKEN_IN
from crawler.storage.postgres.arrivals import telling
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.transactions import Execute
from crawler.storage.room import ToldOnce, admit_hosts

OF_FULL_DOMAIN = f"cause = '{ExclusionReason.HOSTS_OF_DOMAIN}'"

_NEW = """
SELECT h.name FROM unnest($1::int[], $2::bigint[]) AS v (part, id) JOIN hosts AS h USING (part, id)
WHERE h.domain IS NULL
"""
# Takes the row, and gives the number that it has then.
_HOLD = """
INSERT INTO domains AS d (part, domain, hosts)
SELECT part, domain, 0 FROM unnest($1::int[], $2::text[]) AS v (part, domain) ORDER BY part, domain
ON CONFLICT (part, domain) DO UPDATE SET hosts = d.hosts RETURNING d.domain, d.hosts
"""
_NAME = """
UPDATE hosts AS h SET domain = v.domain FROM unnest($1::int[], $2::bigint[], $3::text[]) AS v (part, id, domain)
WHERE h.part = v.part AND h.id = v.id AND h.domain IS NULL RETURNING h.domain
"""
_COUNT = """
UPDATE domains AS d SET hosts = d.hosts + v.hosts
FROM unnest($1::int[], $2::text[], $3::int[]) AS v (part, domain, hosts)
WHERE d.part = v.part AND d.domain = v.domain
"""
# Nothing else had spoken against them.
_OPEN = telling(f"""
UPDATE urls AS u SET {MADE_PENDING}, next_fetch_at = discovered_at
FROM unnest($1::int[], $2::bigint[]) AS v (part, host_id)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.status = 'excluded' AND u.{OF_FULL_DOMAIN} AND u.kind <> 'robots'
RETURNING u.part, u.host_id, 'excluded' AS was, u.status
""")  # noqa: S608 - our own names

# Of runs that did not ask for domains, with what was taken in and is not counted yet. One pass over the hosts.
UNNAMED = f"""
SELECT part, id, name FROM hosts AS h WHERE domain IS NULL AND (part, id) > ($1, $2) AND (
    {TAKEN_IN} > 0 OR EXISTS (SELECT 1 FROM arrivals WHERE part = h.part AND host_id = h.id AND pending > 0)
) ORDER BY part, id LIMIT $3
"""  # noqa: S608 - our own names


class HostLimit:
    """At most so many hosts of one domain, all runs and processes together; seeds are exempt."""

    def __init__(self, most: int, part_of: Callable[[int], int]) -> None:
        """`part_of`: the partition of an id."""
        self._most = most
        self._part_of = part_of
        self._full = ToldOnce()

    async def turn_away(self, hosts: Mapping[str, bool], execute: Execute) -> dict[str, Reason]:
        """Take in those of these (stored) hosts that there is room for, and those that seeds have: True. URLs of
        theirs that were turned away before a seed came are pending now.

        Returns the others, each with the reason. In a transaction, which keeps others waiting that add hosts of the
        same domains until it ends.
        """
        new = await self._without_domain(hosts, execute)
        if not new:
            return {}
        domains = await _owners(new)
        wanted = {domain for host, domain in domains.items() if hosts[host] or domain not in self._full}
        counts = await hold(sorted(wanted), self._part_of, execute)
        still_new = set(await self._without_domain(domains, execute))  # others may have taken some in, meanwhile
        domains = {host: domain for host, domain in domains.items() if host in still_new}
        admitted = admit_hosts(domains, hosts, counts, self._most, self._full)
        await name_hosts([(id_of(host), domain) for host, domain in admitted.taken.items()], self._part_of, execute)
        if admitted.opened:
            await execute(_OPEN, *self._keys(admitted.opened))
        return admitted.away

    def take_full(self) -> list[str]:
        """The domains found to be full since the last call; each is returned once."""
        return self._full.take()

    async def _without_domain(self, hosts: Mapping[str, Any], execute: Execute) -> list[str]:
        found = {row[0] for row in await execute(_NEW, *self._keys(list(hosts)))}
        return [host for host in hosts if host in found]

    def _keys(self, hosts: Sequence[str]) -> tuple[list[int], list[int]]:
        ids = list(map(id_of, hosts))
        return list(map(self._part_of, ids)), ids


async def hold(domains: Sequence[str], part_of: Callable[[int], int], execute: Execute) -> dict[str, int]:
    """How many hosts each of these domains has; nobody else adds one before the transaction ends."""
    if not domains:
        return {}
    parts = [part_of(id_of(domain)) for domain in domains]
    return {row[0]: row[1] for row in await execute(_HOLD, parts, domains)}


async def name_hosts(hosts: Sequence[tuple[int, str]], part_of: Callable[[int], int], execute: Execute) -> None:
    """Set the domains of hosts, by id, that have none, and count them; the domains are held."""
    ids, domains = [host_id for host_id, _domain in hosts], [domain for _id, domain in hosts]
    named = Counter(row[0] for row in await execute(_NAME, list(map(part_of, ids)), ids, domains)) if hosts else None
    if named:
        parts = [part_of(id_of(domain)) for domain in named]
        await execute(_COUNT, parts, list(named), list(named.values()))


async def name_stored(rows: Sequence[tuple[int, int, str]], part_of: Callable[[int], int], execute: Execute) -> None:
    """Name and count hosts that are stored, from rows of `UNNAMED`."""
    domains = await _owners([name for _part, _id, name in rows])
    await hold(sorted(set(domains.values())), part_of, execute)
    await name_hosts([(host_id, domains[name]) for _part, host_id, name in rows], part_of, execute)


async def _owners(hosts: Sequence[str]) -> dict[str, str]:
    """Off the event loop: 8,000 names of many labels take 40 ms."""
    return await asyncio.to_thread(lambda: {host: owner_of(host) for host in hosts})
