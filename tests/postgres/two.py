"""Two stores on one crawl, each owner of half of its partitions, without leases to renew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import count

from crawler.clock import since_boot
from crawler.storage.postgres.ids import id_of, part_of
from crawler.storage.postgres.store import PostgresStore, open_store
from tests.postgres.crawls import PARTS
from tests.postgres.sql import execute, rows

FIRST, SECOND = range(PARTS // 2), range(PARTS // 2, PARTS)
HOUR_S = 3600.0


@asynccontextmanager
async def two_stores(url: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """The first owns `FIRST`, the second `SECOND`; a run has begun."""
    execute(url, "INSERT INTO runs (id, started_at, options) VALUES (1, 0, '{}')")
    async with open_store(url) as one, open_store(url) as other:
        for store, parts in ((one, FIRST), (other, SECOND)):
            claim(url, store, parts)
            store.run_id = 1
        yield one, other


def claim(url: str, store: PostgresStore, parts: Iterable[int]) -> None:
    """Make the store the owner of these."""
    wanted, worker = list(parts), store.ownership.worker
    execute(
        url,
        "UPDATE parts SET owner = ?, epoch = epoch + 1, lease_until = now() + interval '1 hour' WHERE part = ANY(?)",
        worker,
        wanted,
    )
    store.ownership.gain(dict(rows(url, "SELECT part, epoch FROM parts WHERE part = ANY(?)", wanted)))
    store.ownership.hold_until(since_boot() + HOUR_S)


def hosts_in(parts: range, suffix: str = "test") -> Iterator[str]:
    """Names of hosts that stand in these partitions."""
    names = (f"h{number}.{suffix}" for number in count())
    return (name for name in names if part_of(id_of(name), PARTS) in parts)
