"""Opening a crawl in PostgreSQL: made once, recognized, and what is wrong said in one line without the password."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest

from crawler.errors import DatabaseFailedError, NoCrawlError
from crawler.records import UrlStatus
from crawler.storage.postgres.connection import CRAWL_SETTINGS, connect, explained, open_pool, shown, worker_settings
from crawler.storage.postgres.database import checked, prepared
from crawler.storage.postgres.store import open_store
from tests.postgres.sql import execute, rows

pytestmark = pytest.mark.thorough


def as_user(url: str, name: str) -> str:
    """The same database for another user, with a password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:open%20sesame@{host}"))


def at_port(url: str, port: int) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=f"crawl:open%20sesame@127.0.0.1:{port}"))


async def refused(url: str) -> str:
    """The one line that says why."""
    with pytest.raises(DatabaseFailedError) as failed:
        async with open_store(url):
            pass
    line = str(failed.value)
    assert "\n" not in line
    assert "sesame" not in line
    return line


# --- the database -----------------------------------------------------------------------------------------------------


async def test_many_that_start_at_once_make_one_crawl(empty_database: str) -> None:
    async def opened() -> int:
        async with open_store(empty_database) as store:
            return store.ownership.parts

    assert await asyncio.gather(*(opened() for _ in range(5))) == [1024] * 5
    assert rows(empty_database, "SELECT schema, parts FROM meta") == [(1, 1024)]
    assert rows(empty_database, "SELECT count(*), min(part), max(part) FROM parts") == [(1024, 0, 1023)]


async def test_a_crawl_may_have_a_schema_of_its_own_beside_other_tables(empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE runs (of_mine int)")
    execute(empty_database, "CREATE SCHEMA nightly")
    line = await refused(empty_database)
    assert line.endswith("is not a crawl database: name another, or another schema by ?search_path=")
    async with open_store(f"{empty_database}?search_path=nightly", parts=8) as store:
        assert store.ownership.parts == 8
    assert rows(empty_database, "SELECT count(*) FROM nightly.parts") == [(8,)]
    assert rows(empty_database, "SELECT count(*) FROM runs") == [(0,)]


async def test_a_schema_that_is_not_there_is_not_made(empty_database: str) -> None:
    assert "make it (CREATE SCHEMA)" in await refused(f"{empty_database}?search_path=nightly")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("UPDATE meta SET schema = 99", "was written by a newer version of crawler; upgrade crawler"),
        ("DELETE FROM meta", "is not a crawl database"),
        ("ALTER TABLE meta RENAME parts TO pieces", "is not a crawl database"),
        ("UPDATE meta SET copied_from = 'crawl.db'", "is only half of a copy of crawl.db"),
    ],
)
async def test_what_is_no_crawl_of_this_version_is_refused(crawl_database: str, change: str, line: str) -> None:
    execute(crawl_database, change)
    assert line in await refused(crawl_database)


async def test_a_database_that_lacks_letters_is_refused_before_a_crawl_meets_them(empty_database: str) -> None:
    name = urlsplit(empty_database).path[1:] + "_latin"
    execute(empty_database, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        line = await refused(f"{empty_database}_latin")
    finally:
        execute(empty_database, f"DROP DATABASE {name} WITH (FORCE)")
    assert line.endswith(
        "keeps texts as LATIN1, which lacks most letters; make one in UTF8: createdb -E UTF8 -T template0"
    )


async def test_the_number_of_partitions_stays(crawl_database: str) -> None:
    async with open_store(crawl_database) as store:
        assert store.ownership.parts == 16
    with pytest.raises(DatabaseFailedError, match=r"has 16 partitions, and never another number \(32 are wanted\)"):
        async with open_store(crawl_database, parts=32):
            pass


async def test_who_only_reads_makes_nothing(empty_database: str) -> None:
    connection = await connect(empty_database)
    try:
        with pytest.raises(NoCrawlError, match="there is no crawl in"):
            await checked(connection, empty_database)
    finally:
        await connection.close()
    assert rows(empty_database, "SELECT count(*) FROM pg_class WHERE relname = 'meta'") == [(0,)]


async def test_long_texts_are_packed_by_lz4_where_the_server_has_it(empty_database: str) -> None:
    connection = await connect(empty_database)
    try:
        await prepared(connection, empty_database, 4)
    finally:
        await connection.close()
    has_lz4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    packed = """
        SELECT count(*) FROM pg_attribute WHERE attcompression = 'l' AND (attrelid, attname) IN
            (('pages'::regclass, 'text'), ('page_links'::regclass, 'links'), ('extracts'::regclass, 'data'))
    """
    assert rows(empty_database, packed) == [(3 if rows(empty_database, has_lz4) == [(True,)] else 0,)]


# --- the connection ---------------------------------------------------------------------------------------------------


async def test_the_settings_of_a_session_stay_however_often_it_is_used(crawl_database: str) -> None:
    settings = worker_settings("crawler here:12", lease_s=30)
    wanted = {**CRAWL_SETTINGS, "application_name": "crawler here:12", "idle_in_transaction_session_timeout": "15s"}
    async with open_pool(crawl_database, settings) as pool:
        for _ in range(3):
            found = await pool.fetch("SELECT n, current_setting(n) FROM unnest($1::text[]) AS n", list(wanted))
            assert dict(found) == wanted


async def test_a_statement_is_planned_anew_though_it_was_prepared_on_empty_tables(crawl_database: str) -> None:
    """A plan for any parameters, made for empty tables after five executions, would read full ones from end to end."""
    async with open_pool(crawl_database, worker_settings("crawler", 30)) as pool, pool.acquire() as connection:
        for _ in range(9):
            await connection.fetch("SELECT 1 FROM urls WHERE part = $1 AND host_id = $2 AND id = $3", 1, 2, 3)
        plans = (
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT 1 FROM urls%'"
        )
        assert [tuple(row) for row in await connection.fetch(plans)] == [(0, 9)]


# --- what is wrong with the server ------------------------------------------------------------------------------------


async def test_a_server_that_is_not_there(unused_tcp_port: int, empty_database: str) -> None:
    line = await refused(at_port(empty_database, unused_tcp_port))
    assert line.endswith("there is no server that answers; is it running, and are host and port right?")
    assert line.startswith(f"postgresql://crawl@127.0.0.1:{unused_tcp_port}/")


async def test_a_host_that_is_not_there() -> None:
    assert (await refused("postgresql://crawl@nowhere.invalid/crawl")).endswith("; is the host's name right?")


async def test_a_database_that_is_not_there(empty_database: str) -> None:
    line = await refused(f"{empty_database}_not")
    assert line.endswith("does not exist; make it (`createdb`), or name another in --db")


async def test_a_user_that_is_not_there_or_may_not(empty_database: str) -> None:
    assert "check the user and the password" in await refused(as_user(empty_database, "nobody"))
    async with a_role(empty_database, "LOGIN") as role:
        line = await refused(as_user(empty_database, role))
        assert "permission denied" in line
        assert line.endswith("the user of --db must own the crawl's tables, or be allowed to make them")
    async with a_role(empty_database, "LOGIN CONNECTION LIMIT 0") as role:
        assert "raise max_connections, or run fewer workers" in await refused(as_user(empty_database, role))


async def test_a_database_that_cannot_be_written(empty_database: str) -> None:
    name = urlsplit(empty_database).path[1:]
    execute(empty_database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert (await refused(empty_database)).endswith("the server is a standby, or read-only; name the primary in --db")


async def test_of_several_servers_the_first_that_answers_is_used(empty_database: str) -> None:
    """One closes each line, one says nothing at all, as a machine that is gone: SQL is spoken with the third."""
    hosts = urlsplit(empty_database).netloc.rpartition("@")[2]

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with await asyncio.start_server(close, "127.0.0.1", 0) as closing:
            gone = [f"127.0.0.1:{one.getsockname()[1]}" for one in (closing.sockets[0], silent)]
            connection = await connect(empty_database.replace(hosts, ",".join([*gone, hosts])))
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_of_several_servers_none_is_there(unused_tcp_port_factory: Callable[[], int]) -> None:
    one, other = unused_tcp_port_factory(), unused_tcp_port_factory()
    line = await refused(f"postgresql://crawl:open%20sesame@127.0.0.1:{one},127.0.0.1:{other}/crawl")
    assert line.endswith("there is no server that answers; is it running, and are host and port right?")


async def test_a_connection_that_is_ended(crawl_database: str) -> None:
    connection = await connect(crawl_database)
    rows(crawl_database, "SELECT pg_terminate_backend(?)", connection.get_server_pid())
    lost = "the connection was lost .*; committed data is safe; run the same command again once the server is back"
    with pytest.raises(DatabaseFailedError, match=lost), explained(crawl_database):
        await connection.fetch("SELECT 1")


async def test_a_read_goes_on_where_connections_are_ended(crawl_database: str) -> None:
    async with open_store(crawl_database) as store:
        assert await store.counts() == dict.fromkeys(UrlStatus, 0)
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ? AND pid <> pg_backend_pid()"
        rows(crawl_database, others, urlsplit(crawl_database).path[1:])
        assert await store.counts() == dict.fromkeys(UrlStatus, 0)


async def test_what_the_server_does_not_know_is_said_in_its_words(empty_database: str) -> None:
    assert 'unrecognized configuration parameter "colour"' in await refused(f"{empty_database}?colour=red")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("postgresql://u:p@h/db", "postgresql://u@h/db"),
        ("postgresql://u:p%40ss@h1:1,h2:2/db?sslmode=require", "postgresql://u@h1:1,h2:2/db?sslmode=require"),
        ("postgresql://h/db?user=u&password=p&sslpassword=q", "postgresql://h/db?user=u"),
        ("postgresql:///db", "postgresql:///db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, safe: str) -> None:
    assert shown(url) == safe


@asynccontextmanager
async def a_role(url: str, options: str) -> AsyncIterator[str]:
    """A user of the server, which has no rights in this database."""
    name = f"role_{urlsplit(url).path[1:]}"
    execute(url, f"CREATE ROLE {name} {options}")
    try:
        yield name
    finally:
        execute(url, f"DROP ROLE {name}")
