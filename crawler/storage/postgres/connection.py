"""Connections to the server: the settings with which each begins, and errors of the server in one line each.

Invariants: no message holds the password. What the crawl relies on is a start-up parameter of the session, which no
RESET takes away; where something between us and the server (PgBouncer) does not pass it on, nothing begins. Settings
that only save the server work are made after connecting, and may be lost.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import asyncpg

from crawler.errors import DatabaseFailedError
from crawler.location import location

# asyncpg's classes are generic at check time alone.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

MIN_SERVER = 15  # the oldest that was tried

PATIENCE_S = 0.5  # between two tries to reach the server
_CONNECT_S = 15.0  # to all of the servers that a URL names
_IDLE = "idle_in_transaction_session_timeout"  # in milliseconds
_MOST_CONNECTIONS = 4  # of one process: one for commits, the others for reads beside them

# A statement prepared while the tables were empty would be planned once for all, to read them from end to end; and the
# planner, which knows nothing of how they grow, is to go by their indexes. Compiling (jit) is for reports.
CRAWL_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "plan_cache_mode": "force_custom_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_bitmapscan": "off",
        "jit": "off",
    }
)


# The server looks every 10 seconds whether anybody still waits for the statement that it runs, and notes within two
# minutes that a client's machine is gone. No tcp_user_timeout: it would cut off a client that does not read for a
# while, such as an export into a pager. A server on Windows cannot look, and refuses to be asked to.
_NOTICE_CLIENTS_THAT_ARE_GONE = """
SELECT set_config(name, value, false) FROM (VALUES
    ('client_connection_check_interval', '10s'),
    ('tcp_keepalives_idle', '60s'), ('tcp_keepalives_interval', '10s'), ('tcp_keepalives_count', '6')
) AS wanted (name, value) WHERE name LIKE 'tcp%' OR version() !~* 'windows|mingw|msvc|visual c'
"""


async def connect(db: str, settings: Mapping[str, str] = CRAWL_SETTINGS) -> asyncpg.Connection[asyncpg.Record]:
    """One connection, for whoever closes it. Raises errors of asyncpg: see `explained`."""
    connection = await _connected(db, **_parameters(db, settings))
    try:
        await _check(connection, db, settings)
    except BaseException:
        connection.terminate()
        raise
    return connection


@asynccontextmanager
async def open_pool(db: str, settings: Mapping[str, str] = CRAWL_SETTINGS) -> AsyncIterator[Pool]:
    """Connections, opened as they are needed. Raises `DatabaseFailedError` if there is no way to one."""

    async def check(connection: Connection) -> None:
        await _check(connection, db, settings)

    async def keep(_connection: Connection) -> None:
        """Leave the session as it is: nothing is set while it is used, and to ask for that takes a round trip a use."""

    with explained(db):
        pool: Pool = await asyncpg.create_pool(
            db,
            min_size=0,
            max_size=_MOST_CONNECTIONS,
            connect=_connected,
            init=check,
            reset=keep,
            **_parameters(db, settings),
        )
    try:
        yield pool
    finally:
        pool.terminate()  # nothing is under way; to say goodbye to a server that has gone would take a minute


def worker_settings(name: str, lease_s: float) -> dict[str, str]:
    """Of a worker's connections: one that stands still in a transaction is ended long before others may wait for it."""
    return {**CRAWL_SETTINGS, "application_name": name, _IDLE: str(max(1, int(lease_s * 500)))}


@contextmanager
def explained(db: str) -> Iterator[None]:
    """Turn errors of the server, of the way to it and of asyncpg into one line that names the cause."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise DatabaseFailedError(f"{shown(db)}: {_explanation(error)}") from error


def is_lost(error: BaseException) -> bool:
    """Whether the way to the server is lost, or the server is going away, so that it may be back in a moment."""
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)
    return isinstance(error, _LOST)


def shown(db: str) -> str:
    """The URL of a database as people may see it: without its password, wherever that stands."""
    return str(location(db))


async def _connected(db: str, **parameters: Any) -> asyncpg.Connection[asyncpg.Record]:
    """To the first of the servers that the URL names which can be used.

    asyncpg takes such a URL, too, but spends all of its time on a server that does not answer, as where the primary's
    machine is gone, and goes no further where one closes the line.
    """
    servers = _servers(db)
    failed: list[BaseException] = []
    for server in servers:
        try:
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                server, timeout=_CONNECT_S / len(servers), **parameters
            )
            return connection
        except Exception as error:
            if not is_lost(error):
                raise
            failed.append(error)
    raise next((error for error in failed if not isinstance(error, _STANDBY)), failed[0])


def _servers(db: str) -> list[str]:
    """The URL of each."""
    url = urlsplit(db)
    user, at, hosts = url.netloc.rpartition("@")
    if "," not in hosts:
        return [db]
    return [urlunsplit(url._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


def _parameters(db: str, settings: Mapping[str, str]) -> dict[str, Any]:
    given = dict(parse_qsl(urlsplit(db).query))
    of_server = {} if "target_session_attrs" in given else {"target_session_attrs": "primary"}
    return {"server_settings": {"application_name": "crawler", **settings}, **of_server}


async def _check(connection: Connection, db: str, settings: Mapping[str, str]) -> None:
    """That the server is one that we know, and has all settings; it is also told to notice clients that are gone."""
    version = connection.get_server_version().major
    if version < MIN_SERVER:
        raise DatabaseFailedError(
            f"{shown(db)}: the server is PostgreSQL {version}; version {MIN_SERVER} or newer is needed"
        )
    wanted = {name: value for name, value in settings.items() if name in CRAWL_SETTINGS or name == _IDLE}
    sql = "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])"
    for name, value in await connection.fetch(sql, list(wanted)):
        if value != wanted[name]:
            raise DatabaseFailedError(
                f"{shown(db)}: the server says {name} = {value}, as behind a PgBouncer that ignores what it is asked;"
                f" connect to the server itself, or run ALTER ROLE ... SET {name} = {wanted[name]} there"
            )
    await connection.execute(_NOTICE_CLIENTS_THAT_ARE_GONE)


_GOING = (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
_STANDBY = asyncpg.TargetServerAttributeNotMatched  # for now: it may be about to become the primary
_LOST: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    *_GOING,
    _STANDBY,
    asyncpg.InternalClientError,  # on a line that was lost while asyncpg was at something
    OSError,
)
_LOST += (asyncpg.IdleInTransactionSessionTimeoutError,)  # it was this process that stood still

# By the class of the error, the most special first (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_CAUSES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (
        (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError),
        "{}; check the user and the password (PGPASSFILE, PGPASSWORD, or in the URL)",
    ),
    (asyncpg.InvalidCatalogNameError, "{}; make it (`createdb`), or name another in --db"),
    (asyncpg.InvalidSchemaNameError, "{}; make it (CREATE SCHEMA), or name another with ?search_path= in --db"),
    (
        asyncpg.InsufficientPrivilegeError,
        "{}; the user of --db must own the crawl's tables, or be allowed to make them",
    ),
    (asyncpg.DiskFullError, "the server's disk is full; committed data is safe; free some space and run it again"),
    (asyncpg.TooManyConnectionsError, "{}; raise max_connections, or run fewer workers"),
    (
        (asyncpg.ReadOnlySQLTransactionError, asyncpg.TargetServerAttributeNotMatched),
        "the server is a standby, or read-only; name the primary in --db",
    ),
    (asyncpg.OutOfMemoryError, "the server is out of memory"),
    (asyncpg.CannotConnectNowError, "{}; try again in a moment"),
    (
        _GOING,
        "the server is going away; committed data is safe; run the same command again once it is back",
    ),
    (asyncpg.IdleInTransactionSessionTimeoutError, "the server ended a transaction that this process had left open"),
    (asyncpg.LockNotAvailableError, "another process holds what this one waited for; try again in a moment"),
    (asyncpg.QueryCanceledError, "the server ended a statement that took too long ({})"),
    (
        (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError),
        "{}; a PgBouncer in transaction mode must be 1.21 or newer and have max_prepared_statements set",
    ),
    ((asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError), "{}; the database is damaged; restore a backup"),
    (
        (asyncpg.PostgresConnectionError, ConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError),
        "the connection was lost ({}); committed data is safe; run the same command again once the server is back",
    ),
)


def _explanation(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "there is no server that answers; is it running, and are host and port right?"
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    if isinstance(error, socket.gaierror):
        return f"{_one_line(error)}; is the host's name right?"
    text = _one_line(error)
    if "unsupported startup parameter" in text:
        return f"{text}: PgBouncer's ignore_startup_parameters must name it; see the manual on several machines"
    for kinds, explanation in _CAUSES:
        if isinstance(error, kinds):
            return explanation.format(text)
    return text


def _one_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines: list[str] = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
