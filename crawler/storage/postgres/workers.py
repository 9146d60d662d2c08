"""The processes that work on a crawl, each by a row of its own, which it renews while it lives.

Invariants: one that is alone has nobody beside it, and nobody enters while it is; whoever finds a dead one that owns
nothing any more takes its row away, once, with what it was granted and has not used. Whatever a process does as a
worker, it does while its row is there, which is locked until that is done: so none that was taken for dead acts again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from crawler.errors import DatabaseBusyError, LeaseLostError
from crawler.statically_frozen import dataclass
from crawler.storage.postgres.connection import Connection, shown
from crawler.storage.postgres.control import Control
from crawler.storage.postgres.processes import is_dead, this_process
from crawler.storage.postgres.totals import added

_TAKE_TURN = "SELECT 1 FROM meta WHERE id = 1 FOR UPDATE"
_ALIVE = "SELECT id, name, process, alone FROM workers WHERE alive_until > now() AND id <> $1 ORDER BY started_at, id"
_ENTER = """
INSERT INTO workers (id, name, program, process, alive_until, alone)
VALUES ($1, $2, $3, $4, now() + $5::float8 * interval '1 second', $6)
"""
_STAY = """
UPDATE workers SET seen_at = now(), alive_until = now() + $2::float8 * interval '1 second',
    figures = coalesce($3, figures)
WHERE id = $1 RETURNING extract(epoch FROM now())::float8
"""
_BURY = "UPDATE workers SET alive_until = '-infinity' WHERE id = ANY($1::bigint[])"
_EXPIRE = "UPDATE parts SET lease_until = '-infinity' WHERE owner = ANY($1::bigint[])"
_IN_TURN = "UPDATE workers SET idle_at = NULL WHERE id = $1 RETURNING id"

_DEAD = "SELECT id FROM workers WHERE alive_until < now() AND id <> $1"
_LOCK = "SELECT run_id, granted, figures FROM workers WHERE id = $1 FOR UPDATE"
_OWNS = "SELECT 1 FROM parts WHERE owner = $1 LIMIT 1"
_USED = "SELECT coalesce(sum(pages), 0)::bigint FROM tallies WHERE worker = $1 AND run_id = $2"
_LOCK_RUN = "SELECT figures FROM runs WHERE id = $1 FOR UPDATE"
_TAKE_OVER = "UPDATE runs SET granted = granted - $2, figures = $3 WHERE id = $1"
_FORGET_TALLIES = "DELETE FROM tallies WHERE worker = $1"
_FORGET = "DELETE FROM workers WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this process is among the workers. `id` is of this incarnation alone; `name` is for people."""

    id: int
    name: str
    program: str


class Workers:
    """The rows of all, seen by one of them."""

    def __init__(self, control: Control, me: Identity, lease_s: float) -> None:
        self._control = control
        self._me = me
        self._lease_s = lease_s

    async def enter(self, *, alone: bool) -> None:
        """Be one of them from now on. Raises `DatabaseBusyError` where another is alone, or where this one would be
        and is not.
        """
        async with self._control.transaction() as connection:
            await connection.execute(_TAKE_TURN)
            others, _died = await self._living(connection)
            busy = [row["name"] for row in others if alone or row["alone"]]
            if busy:
                raise busy_with(self._control.db, busy)
            here = this_process()
            await connection.execute(
                _ENTER, self._me.id, self._me.name, self._me.program, here, self._lease_s, int(alone)
            )

    async def stay(self, figures: Mapping[str, Any] | None) -> float:
        """It lives; returns what time it is in the database. `figures` are what it has counted; None: as before.

        Raises `LeaseLostError` where it was taken for dead.
        """
        text = None if figures is None else json.dumps(figures)
        rows = await self._control.fetch(_STAY, self._me.id, self._lease_s, text)
        if not rows:
            raise taken_for_dead()
        return float(rows[0][0])

    async def bury(self) -> bool:
        """Record the workers of this machine whose processes are gone, and free their partitions at once; returns
        whether there were any.
        """
        async with self._control.transaction() as connection:
            return (await self._living(connection))[1]

    async def reap(self) -> None:
        """Take the rows of the dead away that own nothing any more."""
        for row in await self._control.fetch(_DEAD, self._me.id):
            async with self._control.transaction() as connection:
                if not await connection.fetchval(_OWNS, row["id"]):
                    await self._settle(connection, row["id"])

    async def leave(self) -> None:
        """It owns nothing any more, and is gone."""
        async with self._control.transaction() as connection:
            await self._settle(connection, self._me.id)

    async def _living(self, connection: Connection) -> tuple[Sequence[Any], bool]:
        """The others that live, and whether some were found dead. What is known to be dead here is dead for all from
        now on, and owns nothing.
        """
        rows = await connection.fetch(_ALIVE, self._me.id)
        dead = [row["id"] for row in rows if is_dead(row["process"])]
        if dead:
            await connection.execute(_BURY, dead)
            await connection.execute(_EXPIRE, dead)
        return [row for row in rows if row["id"] not in dead], bool(dead)

    async def _settle(self, connection: Connection, worker: int) -> None:
        """What it was granted and has not used is free again, and what it has counted is the run's."""
        row = await connection.fetchrow(_LOCK, worker)
        if row is None or await connection.fetchval(_OWNS, worker):  # since it was locked: nothing it does is missed
            return
        if row["run_id"] is not None:
            unused = row["granted"] - await connection.fetchval(_USED, worker, row["run_id"])
            await self._hand_over(connection, row["run_id"], unused, row["figures"])
        await connection.execute(_FORGET_TALLIES, worker)
        await connection.execute(_FORGET, worker)

    async def _hand_over(self, connection: Connection, run_id: int, unused: int, figures: str | None) -> None:
        run = await connection.fetchrow(_LOCK_RUN, run_id)
        if run is not None and (unused or figures):
            await connection.execute(_TAKE_OVER, run_id, unused, summed(run["figures"], figures))


async def live_workers(connection: Connection) -> list[str]:
    """The names of those that live, the oldest first, by one who is none of them."""
    return [row["name"] for row in await connection.fetch(_ALIVE, 0) if not is_dead(row["process"])]


async def in_turn(connection: Connection, worker: int) -> None:
    """First in a transaction of a worker: its row is there until it ends, and it counts as one that has work.

    Raises `LeaseLostError` where it was taken for dead.
    """
    if await connection.fetchval(_IN_TURN, worker) is None:
        raise taken_for_dead()


def summed(figures: str | None, more: str | None) -> str | None:
    """Both together; as JSON."""
    if figures is None or more is None:
        return figures if more is None else more
    return json.dumps(added(json.loads(figures), json.loads(more)))


def busy_with(db: str, names: Collection[str]) -> DatabaseBusyError:
    """The error of whoever would have to be alone."""
    first = next(iter(names))
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return DatabaseBusyError(
        f"another run (worker {first}{others}) is using {shown(db)}; wait for it, take part in it (`crawler worker"
        f" --db {shown(db)}`), or choose another --db"
    )


def taken_for_dead() -> LeaseLostError:
    """The error of a worker whose row is gone."""
    return LeaseLostError("this worker was not heard of for so long that the others took it for dead")
