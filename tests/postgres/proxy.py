"""A proxy between a client and its PostgreSQL servers that reads along: it can hold one moment of a transaction for as
long as a test wants it, cut the line there, or let nothing pass any more.

It runs in a thread of its own. What a client says is known by the protocol (version 3): Parse names a statement, Bind
or Query executes one, and each Sync or Query is answered in the end by ReadyForQuery.
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from urllib.parse import urlsplit, urlunsplit


class Trap:
    """A moment that a test waits for: see `Proxy.trap`. It happens once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, statement: str, after: str | None, is_answered: bool) -> None:
        self._loop = loop
        self._statement = re.compile(statement)
        self._after = re.compile(after) if after is not None else None
        self.is_answered = is_answered
        self._caught = threading.Event()
        self._over = asyncio.Event()
        self.cuts = False

    def wait(self) -> None:
        """Until the moment has come; the connection now stands still."""
        self._caught.wait()

    @property
    def is_caught(self) -> bool:
        """Whether it has come."""
        return self._caught.is_set()

    def release(self) -> None:
        """Let the connection go on."""
        self._loop.call_soon_threadsafe(self._over.set)

    def cut(self) -> None:
        """End the connection there, and with it what was held."""
        self.cuts = True
        self.release()

    def fits(self, transaction: list[str]) -> bool:
        """Whether this is the moment: the last of these statements is being executed."""
        *earlier, statement = transaction
        if self._caught.is_set() or self._statement.search(statement) is None:
            return False
        after = self._after
        return after is None or any(after.search(one) for one in earlier)

    async def hold(self) -> None:
        """By the connection: wait until the test has done with it."""
        self._caught.set()
        await self._over.wait()
        if self.cuts:
            raise ConnectionAbortedError


class Proxy:
    """Created by `proxy_to`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._loop = asyncio.get_running_loop()
        self._passes = asyncio.Event()
        self._passes.set()
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._traps: list[Trap] = []
        self._ports: list[int] = []  # for each of the servers, in their order

    @property
    def url(self) -> str:
        """Of the same database, by way of the proxy."""
        user, at, _servers = self._upstream.netloc.rpartition("@")
        here = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        query = "&".join(filter(None, (self._upstream.query, "sslmode=disable")))
        return urlunsplit(self._upstream._replace(netloc=f"{user}{at}{here}", query=query))

    def trap(self, statement: str, *, after: str | None = None, is_answered: bool) -> Trap:
        """Hold the connection that executes such a statement (a regular expression), `after` another one in the same
        transaction: before the statement has reached the server or, with `is_answered`, before the answer has reached
        the client.
        """
        trap = Trap(self._loop, statement, after, is_answered)
        self._loop.call_soon_threadsafe(self._traps.append, trap)
        return trap

    def stall(self) -> None:
        """Let nothing pass, as a link that is down: nobody is told."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def resume(self) -> None:
        """Let all pass again, also what was held."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def cut(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writers in self._connections.values():
            for writer in writers:
                writer.transport.abort()

    async def run(self, opened: threading.Event, stop: asyncio.Event) -> None:
        """In the proxy's thread."""
        servers = [
            await asyncio.start_server(partial(self._connected, address), "127.0.0.1", 0)
            for address in self._upstream.netloc.rpartition("@")[2].split(",")
        ]
        self._ports = [server.sockets[0].getsockname()[1] for server in servers]
        opened.set()
        await stop.wait()
        for server in servers:
            server.close()
        self._passes.set()
        for trap in self._traps:
            trap.cut()
        self._cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = [writer]
        try:
            await self._passes.wait()
            host, _, port = address.rpartition(":")
            server_reader, server_writer = await asyncio.open_connection(host, port)
            self._connections[task].append(server_writer)
            link = _Link(self._passes, self._traps)
            pumps = [
                asyncio.create_task(link.to_server(reader, server_writer)),
                asyncio.create_task(link.to_client(server_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # the server is not there: neither is the client's connection
        finally:
            for one in self._connections.pop(task):
                one.transport.abort()


class _Link:
    """One connection, both ways."""

    def __init__(self, passes: asyncio.Event, traps: list[Trap]) -> None:
        self._passes = passes
        self._traps = traps
        self._statements: dict[bytes, str] = {}  # by the name that the client gave them
        self._transaction: list[str] = []
        self._next: Trap | None = None  # for the answer that the client asks for next
        self._answers: deque[Trap | None] = deque()

    async def to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack("!i", head := await reader.readexactly(4))
        writer.write(head + await reader.readexactly(size - 4))  # the only message without a kind
        async for messages in _messages(reader):
            for message in messages:
                await self._look(message)
                await self._passes.wait()
                writer.write(message)
            await writer.drain()

    async def to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answers.append(None)  # the first one comes unasked
        async for messages in _messages(reader):
            for message in messages:
                if message[:1] == b"Z" and self._answers and (trap := self._answers.popleft()) is not None:
                    await trap.hold()
            await self._passes.wait()
            writer.write(b"".join(messages))
            await writer.drain()

    async def _look(self, message: bytes) -> None:
        kind = message[:1]
        if kind == b"P":
            name, text, _rest = message[5:].split(b"\0", 2)
            self._statements[name] = text.decode()
        elif kind == b"B":
            _portal, name, _rest = message[5:].split(b"\0", 2)
            await self._executes(self._statements.get(name, ""))
        elif kind == b"Q":
            await self._executes(message[5:-1].decode())
        if kind in (b"Q", b"S"):
            self._answers.append(self._next)
            self._next = None

    async def _executes(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self._transaction = []
        self._transaction.append(statement)
        for trap in self._traps:
            if trap.fits(self._transaction):
                if trap.is_answered:
                    self._next = trap
                else:
                    await trap.hold()
        if statement.startswith(("COMMIT", "ROLLBACK")):
            self._transaction = []


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[list[bytes]]:
    """Whole messages as they arrive, until the line is closed."""
    waiting = bytearray()
    with suppress(ConnectionError):
        while chunk := await reader.read(1 << 18):
            waiting += chunk
            start, whole = 0, []
            while len(waiting) - start >= 5:
                end = start + 1 + struct.unpack_from("!i", waiting, start + 1)[0]
                if end > len(waiting):
                    break
                whole.append(bytes(waiting[start:end]))
                start = end
            del waiting[:start]
            if whole:
                yield whole


@contextmanager
def proxy_to(upstream: str) -> Iterator[Proxy]:
    """A proxy to the database of this URL, until the context is left."""
    opened, started = threading.Event(), threading.Event()
    made: list[tuple[Proxy, asyncio.Event]] = []

    async def run() -> None:
        proxy, stop = Proxy(upstream), asyncio.Event()
        made.append((proxy, stop))
        started.set()
        await proxy.run(opened, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="proxy")
    thread.start()
    started.wait()
    opened.wait()
    [(proxy, stop)] = made
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(stop.set)
        thread.join()
