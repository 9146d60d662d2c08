"""The store: its slices put together."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import CLOCK_BOOTTIME, clock_gettime

from crawler.storage.postgres.connection import explained, open_pool, worker_settings
from crawler.storage.postgres.database import prepared
from crawler.storage.postgres.exclusions import Exclusions
from crawler.storage.postgres.figures import Figures
from crawler.storage.postgres.ownership import DEFAULT_LEASE_S, Ownership
from crawler.storage.postgres.rules import Rules
from crawler.storage.postgres.seeds import SeedReads
from crawler.storage.postgres.stale import StaleReads
from crawler.storage.postgres.unavailable import Unavailable

_CLAIM_ALL = """
UPDATE parts SET owner = $1, epoch = epoch + 1, clean = 0, lease_until = now() + $2::float8 * interval '1 second'
RETURNING part, epoch
"""
_ALONE_S = 7 * 24 * 3600.0


class PostgresStore(StaleReads, Exclusions, SeedReads, Rules, Figures, Unavailable):
    """The crawl database, open for one run; see `interface.Store` for what each operation is for."""

    async def claim_all(self) -> None:
        """Own all partitions for a week, whoever owned them, without leases to renew: for whoever is alone with the
        database, as tests are.
        """
        self.ownership.gain(dict(await self._write(_CLAIM_ALL, self.ownership.worker, _ALONE_S)))
        self.ownership.hold_until(_boot_clock() + _ALONE_S)


@asynccontextmanager
async def open_store(
    db: str, *, parts: int | None = None, lease_s: float = DEFAULT_LEASE_S, name: str = "crawler"
) -> AsyncIterator[PostgresStore]:
    """Open (or make) the crawl database at this URL; of its partitions, the store owns none so far.

    `parts`: the number of partitions of a new database. `name`: what the server shows of this process.
    """
    async with open_pool(db, worker_settings(name, lease_s)) as pool:
        with explained(db):
            async with pool.acquire() as connection:
                number = await prepared(connection, db, parts)
        yield PostgresStore(db, pool, Ownership(secrets.randbits(62), number, _boot_clock, lease_s))


def _boot_clock() -> float:
    """Goes on while the machine sleeps."""
    return clock_gettime(CLOCK_BOOTTIME)
