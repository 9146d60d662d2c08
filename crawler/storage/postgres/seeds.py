"""What the user named.

What is tried again may be anybody's: seeds are added while others work, too. So it is told to the owners.
"""

from __future__ import annotations

from collections.abc import Sequence

from crawler.records import SeedMark
from crawler.storage.columns import MADE_PENDING
from crawler.storage.failing import IS_FAILING
from crawler.storage.postgres.arrivals import telling
from crawler.storage.postgres.ids import id_of
from crawler.storage.postgres.session import Session
from crawler.urls import host_of

_RETRY = telling(f"""
UPDATE urls AS u SET attempts = 0, next_fetch_at = $4, {MADE_PENDING}
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS v (part, host_id, id)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id AND u.status = 'failed' AND u.kind <> 'robots'
RETURNING u.part, u.host_id, 'failed' AS was, u.status
""")  # noqa: S608 - our own names
# What fails keeps its status.
_RETRY_FAILING_OF = telling(f"""
UPDATE urls AS u SET attempts = 0, next_fetch_at = $4, reason = NULL, cause = NULL, detail = NULL
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS v (part, host_id, id)
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id AND {IS_FAILING} AND u.kind <> 'robots'
RETURNING u.part, u.host_id, u.status AS was, u.status
""")  # noqa: S608 - our own names

_RETRY_FAILED = telling(f"""
UPDATE urls SET {MADE_PENDING}, attempts = 0, next_fetch_at = $1
WHERE status = 'failed' AND kind <> 'robots' RETURNING part, host_id, 'failed' AS was, status
""")  # noqa: S608 - our own names
_RETRY_FAILING = telling(f"""
UPDATE urls SET attempts = 0, next_fetch_at = $1
WHERE {IS_FAILING} AND kind <> 'robots' RETURNING part, host_id, status AS was, status
""")  # noqa: S608 - our own names

_ROOTS = "SELECT url FROM urls WHERE seed > 0 AND cause IS DISTINCT FROM 'port' ORDER BY discovered_at, url"
_NAMED = "SELECT url, seed FROM urls WHERE seed > 0 AND seed >= $1 ORDER BY discovered_at, url"
_ANY_FETCHED = """
SELECT 1 FROM urls
WHERE seed > 0 AND (status = 'fetched' AND failing_since IS NULL OR ($1 AND fetched_at IS NOT NULL)) LIMIT 1
"""


class SeedReads(Session):
    """See `interface.Seeds` for what each operation is for; `add` is with the commits, which add URLs, too."""

    async def retry(self, urls: Sequence[str], now: float) -> None:
        """Make those of these URLs that have failed due again, as if they had never been tried; also those that fail
        but keep their status.
        """
        hosts = [id_of(host_of(url)) for url in urls]
        keys = (self._parts_of(hosts), hosts, list(map(id_of, urls)))
        await self._change_any(_RETRY_FAILING_OF, *keys, now)
        await self._change_any(_RETRY, *keys, now)

    async def retry_failed(self, now: float) -> None:
        """Make all that has failed due again, as if it had never been tried; also what fails but keeps its status."""
        await self._change_any(_RETRY_FAILING, now)
        await self._change_any(_RETRY_FAILED, now)

    async def roots(self) -> list[str]:
        """The seeds of this database and what they redirect to, except URLs on a port that no web server uses."""
        return [row[0] for row in await self._read(_ROOTS)]

    async def named_seeds(self) -> list[tuple[str, SeedMark]]:
        """The URLs that the user named."""
        return [(url, SeedMark(seed)) for url, seed in await self._read(_NAMED, int(SeedMark.YES))]

    async def any_seed_fetched(self, *, ever: bool) -> bool:
        """Whether at least one seed was fetched when it was last tried; `ever`: was answered at any time."""
        return bool(await self._read(_ANY_FETCHED, ever))
