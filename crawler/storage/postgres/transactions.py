"""Transactions: begun again where the server asks for it, with what it cannot hold replaced, and fenced.

The fence is the first statement of each transaction that stores what only the owner of a partition may store. It takes
the partition's row: until the transaction ends, nobody can become its owner, and where somebody has, it finds no row.
So no clock is asked, and a process that was frozen for an hour stores nothing that another has done meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar

import asyncpg

from crawler.errors import LeaseLostError
from crawler.storage.postgres.connection import Connection, Pool
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.values import storable

_T = TypeVar("_T")

Execute: TypeAlias = Callable[..., Awaitable[list[Any]]]  # a statement with its parameters; gives its rows

_TRIES = 10

# Two transactions waited for each other, or met where they must not; nothing of this one has happened.
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# A NUL, or half of a surrogate pair: too rare to look for in every text.
_UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError, asyncpg.DataError)


class Tally(NamedTuple):
    """What a transaction adds to what the run has done in a partition."""

    pages: int = 0
    requests: int = 0


async def in_transaction(
    pool: Pool,
    work: Callable[[Execute], Awaitable[_T]],
    forget: Callable[[], None] = lambda: None,
    patience_s: float | None = None,
) -> _T:
    """What `work` does, in one transaction. It may be done more than once, but only the last time counts: `forget` is
    called whenever nothing of it has come into the database, for all that is known.

    Raises `TimeoutError` where one try takes longer than `patience_s`, as where the link to the server is down.
    """
    is_careful = False
    for tries_left in reversed(range(_TRIES)):
        try:
            async with asyncio.timeout(patience_s), pool.acquire() as connection, _transaction(connection):
                return await work(_carefully(connection.fetch) if is_careful else connection.fetch)
        except BaseException as error:
            forget()
            if isinstance(error, _UNSTORABLE) and not is_careful:
                is_careful = True
            elif not (isinstance(error, _AGAIN) and tries_left):
                raise
    raise AssertionError("the last try returns or raises")


@asynccontextmanager
async def _transaction(connection: Connection) -> AsyncIterator[None]:
    """As asyncpg's own, which would wait for the server even where nobody waits for it any more."""
    try:
        await connection.execute("BEGIN")
        yield
        await connection.execute("COMMIT")
    except (asyncio.CancelledError, asyncpg.InternalClientError):
        connection.terminate()  # nobody knows what it is doing
        raise
    except BaseException:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            await connection.execute("ROLLBACK")  # on a line that is lost it fails, in one of several ways
        raise


def _carefully(execute: Execute) -> Execute:
    async def executed(sql: str, *parameters: Any) -> list[Any]:
        return await execute(sql, *map(storable, parameters))

    return executed


# Only what has pages is of interest in `tallies`: how much of its grant a worker has used.
_FENCE = """
WITH v AS MATERIALIZED (
    SELECT unnest($1::int[]) AS part, unnest($2::int[]) AS pages, unnest($3::int[]) AS requests ORDER BY part
), told AS (
    INSERT INTO tallies AS t (part, worker, run_id, pages, requests)
    SELECT part, $4, $5, pages, requests FROM v WHERE pages > 0
    ON CONFLICT (part, worker) DO UPDATE SET
        pages = CASE WHEN t.run_id = $5 THEN t.pages ELSE 0 END + excluded.pages,
        requests = CASE WHEN t.run_id = $5 THEN t.requests ELSE 0 END + excluded.requests,
        run_id = $5
)
UPDATE parts AS p SET
    run_pages = CASE WHEN p.run_id = $5 THEN p.run_pages ELSE 0 END + v.pages,
    run_requests = CASE WHEN p.run_id = $5 THEN p.run_requests ELSE 0 END + v.requests,
    run_id = $5,
    lease_until = greatest(p.lease_until, now() + $6::float8 * interval '1 second'),
    commit_id = $7
FROM v WHERE p.part = v.part AND p.owner = $4
RETURNING p.part
"""


async def fence(
    tallies: Mapping[int, Tally], ownership: Ownership, run_id: int, execute: Execute, commit_id: int | None = None
) -> None:
    """Make sure that these partitions are this process's own until the transaction ends, and add to their counts.

    Raises `LeaseLostError` if one of them is not. `commit_id`: by what the transaction can be recognized.
    """
    parts = sorted(tallies)
    pages, requests = ([tallies[part][place] for part in parts] for place in (0, 1))
    owned = await execute(_FENCE, parts, pages, requests, ownership.worker, run_id, ownership.lease_s, commit_id)
    if len(owned) < len(parts):
        lost = len(parts) - len(owned)
        raise LeaseLostError(f"another process has taken over {lost} of the {len(parts)} partitions to be written to")
