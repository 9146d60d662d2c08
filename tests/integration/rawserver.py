"""Servers that say exactly what a test wants: HTTP byte by byte, and DNS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSRecord  # type: ignore[import-untyped]

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.network.fetcher import HttpFetcher, open_fetcher

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def ok(body: bytes = b"hello", *fields: str, status: str = "200 OK") -> bytes:
    """A complete answer with a Content-Length."""
    head = "".join(f"{field}\r\n" for field in (f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"))
    return head.encode("latin-1") + b"\r\n" + body


async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
    """A body that comes a byte at a time, and slowly: an `Answer`."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def opened_fetcher(**options: object) -> AsyncIterator[HttpFetcher]:
    """A fetcher that may connect to loopback; the options are those of `NetworkConfig`."""
    network = NetworkConfig(**({"allow_private": ("127.0.0.0/8",)} | options))  # type: ignore[arg-type]
    async with open_fetcher(network, PolitenessConfig(delay_s=0, per_host=64), Counters()) as fetcher:
        yield fetcher


class TcpServer:
    """Counts and serves connections; those that are open when the block is left are ended."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self.port = port
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, ssl=self._tls, backlog=1024)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class RawServer(TcpServer):
    """Answers each request head with the same bytes, or as a coroutine writes. Returning None from it goes on, any
    exception of a connection ends that connection. `closing` closes after the first answer.
    """

    def __init__(
        self,
        answer: bytes | Answer,
        *,
        closing: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(host=host, port=port, tls=tls)
        self._answer = answer
        self._closing = closing
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        """Its root, without the last slash."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                if isinstance(self._answer, bytes):
                    writer.write(self._answer)
                else:
                    await self._answer(head, writer)
                await writer.drain()
                if self._closing:
                    writer.close()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


class DnsServer(asyncio.DatagramProtocol):
    """Answers A and AAAA from `zone`: name -> addresses. `trouble` maps names to a response code, or None for silence.

    `aliases` maps names to names, `delays_s` to the seconds that an answer takes. What was asked is in `asked`, as
    (name, type).
    """

    def __init__(
        self,
        zone: dict[str, list[str]] | None = None,
        *,
        trouble: dict[str, str | None] | None = None,
        aliases: dict[str, str] | None = None,
        delays_s: dict[str, float] | None = None,
        ttl: int = 60,
    ) -> None:
        self.zone = zone or {}
        self.trouble = trouble or {}
        self.aliases = aliases or {}
        self.delays_s = delays_s or {}
        self.ttl = ttl
        self.asked: list[tuple[str, str]] = []
        self.hold: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._transport.get_extra_info("sockname")[1])
        self._closed = asyncio.Event()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()
        await self._closed.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        query = DNSRecord.parse(data)
        name, kind = str(query.q.qname).rstrip(".").lower(), QTYPE[query.q.qtype]
        self.asked.append((name, kind))
        if self.trouble.get(name, "") is None:
            return
        answer = query.reply()
        if name in self.trouble:
            answer.header.rcode = getattr(RCODE, self.trouble[name] or "")
        elif name not in self.zone and name not in self.aliases:
            answer.header.rcode = RCODE.NXDOMAIN
        for alias in [name] if name in self.aliases else []:
            answer.add_answer(RR(alias, QTYPE.CNAME, rdata=CNAME(self.aliases[alias]), ttl=self.ttl))
        owner = self.aliases.get(name, name)
        for address in self.zone.get(owner, []):
            if (":" in address) == (kind == "AAAA"):
                data_of = AAAA(address) if kind == "AAAA" else A(address)
                answer.add_answer(RR(owner, query.q.qtype, rdata=data_of, ttl=self.ttl))
        asyncio.get_running_loop().call_later(self.delays_s.get(name, 0), self._send, answer.pack(), addr)

    def _send(self, answer: bytes, address: tuple[str | int, ...]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(answer, address)
