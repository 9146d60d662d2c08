"""A small real proxy: HTTP (CONNECT and whole URLs) and SOCKS5 on one port, told apart by the first byte."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress

from tests.integration.rawserver import TcpServer

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy(TcpServer):
    """`names` is the proxy's own idea of DNS. `credentials` ('user:password') are demanded where they are given.

    `refusal` is the HTTP status or the SOCKS5 reply that every request gets; `raw` is said to whoever connects, and
    then the connection is closed. `asked` is every target as it was named to the proxy, `heads` what HTTP said to it.
    """

    def __init__(
        self,
        *,
        names: Mapping[str, str] | None = None,
        credentials: str | None = None,
        refusal: int | None = None,
        raw: bytes | None = None,
    ) -> None:
        super().__init__()
        self._names = names or {}
        self._credentials = credentials
        self._refusal = refusal
        self._raw = raw
        self.asked: list[tuple[str, int]] = []
        self.heads: list[bytes] = []

    def url(self, scheme: str, credentials: str = "") -> str:
        """What `--proxy` takes."""
        return f"{scheme}://{credentials and credentials + '@'}127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            if self._raw is not None:
                await reader.read(1)
                writer.write(self._raw)
            elif (first := await reader.readexactly(1)) == b"\x05":
                await self._socks((reader, writer))
            else:
                await self._http(first, (reader, writer))
        writer.close()

    async def _socks(self, client: _Streams) -> None:
        reader, writer = client
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 2 if self._credentials else 0
        writer.write(bytes([5, wanted if wanted in methods else 255]))
        if wanted not in methods:
            return
        if self._credentials:
            await reader.readexactly(1)
            given = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in range(2)]
            writer.write(bytes([1, ":".join(given) != self._credentials]))
            if ":".join(given) != self._credentials:
                return
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            packed = await reader.readexactly(4 if kind == 1 else 16)
            host = ".".join(map(str, packed)) if kind == 1 else f"v6:{packed.hex()}"
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append((host, port))
        if self._refusal is not None:
            writer.write(bytes([5, self._refusal, 0, 1, 0, 0, 0, 0, 0, 0]))
            return
        try:
            target = await self._connect(host, port)
        except OSError:
            writer.write(bytes([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]))
            return
        writer.write(b"\x05\x00\x00\x03\x05bound\x00\x00" if port % 2 else b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await self._relay(client, target)

    async def _http(self, first: bytes, client: _Streams) -> None:
        reader, writer = client
        target: _Streams | None = None
        while True:
            head = first + await reader.readuntil(b"\r\n\r\n")
            first = b""
            self.heads.append(head)
            method, url, _version = head.split(b"\r\n")[0].decode().split(" ")
            token = base64.b64encode((self._credentials or "").encode())
            if self._credentials and b"\r\nProxy-Authorization: Basic " + token + b"\r\n" not in head:
                writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
                continue
            host, _, port = (url if method == "CONNECT" else url.split("/")[2]).rpartition(":")
            self.asked.append((host, int(port)))
            if self._refusal is not None:
                writer.write(f"HTTP/1.1 {self._refusal} No\r\nContent-Length: 0\r\n\r\n".encode())
                return
            target = target or await self._connect(host, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Go ahead\r\nVia: test\r\n\r\n")
                await self._relay(client, target)
                return
            path = "/" + url.split("/", 3)[3]
            fields = [line for line in head.split(b"\r\n")[1:] if not line.startswith(b"Proxy-")]
            target[1].write(f"{method} {path} HTTP/1.1\r\n".encode() + b"\r\n".join(fields))
            self._tasks.add(asyncio.create_task(_pump(target[0], writer)))

    async def _connect(self, host: str, port: int) -> _Streams:
        streams = await asyncio.open_connection(self._names.get(host, host), port)
        self._writers.add(streams[1])
        return streams

    async def _relay(self, client: _Streams, target: _Streams) -> None:
        await asyncio.gather(_pump(client[0], target[1]), _pump(target[0], client[1]))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
