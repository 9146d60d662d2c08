"""The proxy that stands between a worker and PostgreSQL where a test wants a certain moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.postgres.proxy import Proxy, Trap, proxy_to
from tests.postgres.sql import execute, rows

GONE = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)
INSERT = "INSERT INTO t SELECT unnest($1::int[])"


@pytest.fixture
def table(empty_database: str) -> str:
    """A database with an empty table."""
    execute(empty_database, "CREATE TABLE t (a int)")
    return empty_database


@pytest.fixture
async def client(table: str) -> AsyncIterator[tuple[Proxy, asyncpg.Connection[asyncpg.Record]]]:
    """A connection by way of a proxy."""
    with proxy_to(table) as proxy:
        connection = await asyncpg.connect(proxy.url)
        yield proxy, connection
        connection.terminate()


async def stored(connection: asyncpg.Connection[asyncpg.Record], count: int) -> None:
    async with connection.transaction():
        await connection.fetch("SELECT 1")
        await connection.fetch(INSERT, list(range(count)))


async def caught(trap: Trap) -> None:
    await asyncio.to_thread(trap.wait)


async def test_all_passes(client: tuple[Proxy, asyncpg.Connection[asyncpg.Record]], table: str) -> None:
    _, connection = client
    for _ in range(3):
        await stored(connection, 50_000)
    assert len(await connection.fetch("SELECT * FROM t")) == 150_000
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.fetch("SELECT * FROM nothing")
    assert await connection.fetchval("SELECT 1") == 1


async def test_a_statement_is_held_before_it_reaches_the_server(
    client: tuple[Proxy, asyncpg.Connection[asyncpg.Record]], table: str
) -> None:
    proxy, connection = client
    await stored(connection, 1)
    trap = proxy.trap("^INSERT INTO t", is_answered=False)
    storing = asyncio.create_task(stored(connection, 2))
    await caught(trap)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert rows(table, f"SELECT state, query {others}") == [("idle in transaction", "SELECT 1")]
    assert not storing.done()
    trap.release()
    await storing
    await stored(connection, 4)  # it happens once
    assert rows(table, "SELECT count(*) FROM t") == [(7,)]


async def test_the_answer_to_a_commit_is_lost(
    client: tuple[Proxy, asyncpg.Connection[asyncpg.Record]], table: str
) -> None:
    proxy, connection = client
    trap = proxy.trap("^COMMIT", after="INSERT INTO t", is_answered=True)
    async with connection.transaction():  # another one's answer is not
        await connection.fetch("SELECT 1")
    storing = asyncio.create_task(stored(connection, 2))
    await caught(trap)
    trap.cut()
    with pytest.raises(GONE):
        await storing
    assert rows(table, "SELECT count(*) FROM t") == [(2,)]


async def test_a_link_is_down_and_up_again(
    client: tuple[Proxy, asyncpg.Connection[asyncpg.Record]], table: str
) -> None:
    proxy, connection = client
    await stored(connection, 1)
    proxy.stall()
    storing = asyncio.create_task(stored(connection, 2))
    done, _ = await asyncio.wait({storing}, timeout=0.2)
    assert not done
    assert rows(table, "SELECT count(*) FROM t") == [(1,)]
    proxy.resume()
    await storing
    assert rows(table, "SELECT count(*) FROM t") == [(3,)]


async def test_all_connections_are_cut(client: tuple[Proxy, asyncpg.Connection[asyncpg.Record]]) -> None:
    proxy, connection = client
    asking = asyncio.create_task(connection.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.1)
    proxy.cut()
    with pytest.raises(GONE):
        await asking
    again = await asyncpg.connect(proxy.url)
    assert await again.fetchval("SELECT 1") == 1
    await again.close()
