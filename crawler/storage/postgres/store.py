"""The store: its slices put together."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crawler.clock import since_boot
from crawler.storage.postgres.commits import Commits
from crawler.storage.postgres.connection import connect, explained, open_pool, worker_settings
from crawler.storage.postgres.control import Control
from crawler.storage.postgres.database import prepared
from crawler.storage.postgres.exclusions import Exclusions
from crawler.storage.postgres.figures import Figures
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.rules import Rules
from crawler.storage.postgres.runs import Runs
from crawler.storage.postgres.seeds import SeedReads
from crawler.storage.postgres.share import open_share
from crawler.storage.postgres.stale import StaleReads
from crawler.storage.postgres.unavailable import Unavailable

_CLAIM_ALL = """
UPDATE parts SET owner = $1, epoch = epoch + 1, clean = 0, lease_until = now() + $2::float8 * interval '1 second'
RETURNING part, epoch
"""
_ALONE_S = 7 * 24 * 3600.0


class PostgresStore(Runs, Commits, StaleReads, Exclusions, SeedReads, Rules, Figures, Unavailable):
    """The crawl database, open for one run; see `interface.Store` for what each operation is for."""

    @property
    def writing(self) -> asyncio.Lock:
        """The turn of its commits."""
        return self._writing

    async def claim_all(self) -> None:
        """Own all partitions for a week, whoever owned them, without leases to renew: for whoever is alone with the
        database, as tests are.
        """
        self.ownership.gain(dict(await self._write(_CLAIM_ALL, self.ownership.worker, _ALONE_S)))
        self.ownership.hold_until(since_boot() + _ALONE_S)


@asynccontextmanager
async def open_store(
    db: str, *, parts: int | None = None, lease_s: float | None = None, name: str = "crawler"
) -> AsyncIterator[PostgresStore]:
    """Open (or make) the crawl database at this URL; of its partitions, the store owns none so far.

    `parts`: the number of partitions of a new database. `lease_s`: how long a lease lasts; None: as long as the
    database says. `name`: what the server shows of this process.
    """
    number, agreed_s = await _prepared(db, parts)
    lease_s = agreed_s if lease_s is None else lease_s
    async with open_pool(db, worker_settings(name, lease_s)) as pool:
        store = PostgresStore(db, pool, Ownership(secrets.randbits(62), number, since_boot, lease_s))
        store.control = Control(db, name, lease_s, store.ownership.may_send)
        yield store


async def _prepared(db: str, parts: int | None) -> tuple[int, float]:
    """The number of partitions, and how long a lease lasts."""
    with explained(db):
        connection = await connect(db)
        try:
            return await prepared(connection, db, parts), await connection.fetchval("SELECT lease_s FROM meta")
        finally:
            await connection.close()


@asynccontextmanager
async def open_worker(
    db: str,
    *,
    alone: bool,
    parts: int | None = None,
    lease_s: float | None = None,
    name: str | None = None,
) -> AsyncIterator[PostgresStore]:
    """Open (or make) the crawl database, and be one of its workers, with a share. `alone`: the only one, who owns all
    of it, until it lets others in (`share.opened`).

    `lease_s`: see `open_store`. `name`: what people see of this process; None: its machine and its number there.
    Raises `DatabaseBusyError` where others are in the way.
    """
    called = name or f"{socket.gethostname()}:{os.getpid()}"
    async with (
        open_store(db, parts=parts, lease_s=lease_s, name=f"crawler {called}"[:63]) as store,
        open_share(store, called, alone=alone),
    ):
        yield store
