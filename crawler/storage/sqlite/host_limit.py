"""How many hosts a domain may have, and which of its further hosts are turned away.

This one bound is kept here, in the transaction that adds a host, and not by the frontier: only here it is known what is
a new host, and what the domain has by now, without holding all hosts in memory. Checked after a commit it would be no
bound: a page has up to 10,000 links, and many are in flight.
Invariant: `hosts.domain` is set in the transaction that takes in a host's first URL, and never taken away.
"""

from __future__ import annotations

from collections.abc import Mapping

from crawler.records import ExclusionReason, Reason
from crawler.storage.columns import MADE_PENDING, TAKEN_IN
from crawler.storage.room import ToldOnce, admit_hosts
from crawler.storage.sqlite.columns import Execute, JsonStatement
from crawler.storage.values import as_json

OF_FULL_DOMAIN = f"cause = '{ExclusionReason.HOSTS_OF_DOMAIN}'"

# Of databases, and of runs, that did not ask for domains. One pass over the hosts.
NAME_DOMAINS = f"UPDATE hosts SET domain = owner_of(name) WHERE domain IS NULL AND {TAKEN_IN} > 0"  # noqa: S608 - our own names

# In the thread of the connection: the event loop would wait 40 ms for 8,000 names of many labels.
_NEW = """
SELECT h.name, owner_of(h.name) FROM json_each(?) AS t CROSS JOIN hosts AS h ON h.name = t.value WHERE h.domain IS NULL
"""
_COUNT = """
SELECT domain, count(*) FROM hosts WHERE domain IN (SELECT value FROM json_each(?)) GROUP BY domain
"""
_TAKE_IN = JsonStatement(
    "UPDATE hosts SET domain = {domain} FROM json_each(?1) AS v WHERE name = {name}", "name", "domain"
)
# Nothing else had spoken against them.
_OPEN = f"""
UPDATE urls SET {MADE_PENDING}, next_fetch_at = discovered_at
WHERE status = 'excluded' AND {OF_FULL_DOMAIN}
    AND host_id IN (SELECT h.id FROM json_each(?) AS t CROSS JOIN hosts AS h ON h.name = t.value)
"""  # noqa: S608 - our own names


class HostLimit:
    """At most so many hosts of one domain, all runs together; seeds are exempt."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._full = ToldOnce()

    async def turn_away(self, hosts: Mapping[str, bool], execute: Execute) -> dict[str, Reason]:
        """Take in those of these (stored) hosts that there is room for, and those that seeds have: True. URLs of
        theirs that were turned away before a seed came are pending now.

        Returns the others, each with the reason.
        """
        domains = {row[0]: row[1] for row in await execute(_NEW, as_json(list(hosts)))}
        if not domains:
            return {}
        unsure = sorted({domain for domain in domains.values() if domain not in self._full})
        counts = {row[0]: row[1] for row in await execute(_COUNT, as_json(unsure))}  # 10,000 hosts take 0.8 ms
        admitted = admit_hosts(domains, hosts, counts, self._most, self._full)
        await execute(_TAKE_IN.sql, as_json(list(admitted.taken.items())))
        if admitted.opened:
            await execute(_OPEN, as_json(admitted.opened))
        return admitted.away

    def take_full(self) -> list[str]:
        """The domains found to be full since the last call; each is returned once."""
        return self._full.take()
