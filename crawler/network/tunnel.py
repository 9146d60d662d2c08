"""The way through a proxy (`--proxy`): a connector that opens each connection at the proxy instead of at the target.

To a SOCKS5 proxy all goes through tunnels (RFC 1928, with the user and password of RFC 1929); to an HTTP proxy https
does (CONNECT, RFC 9110, 9.3.6), while http is sent to the proxy with the whole URL on the request line, which is
aiohttp's part: many proxies tunnel to port 443 alone.

Invariants: no socket is connected to anything but the proxy; each is made by the guard, and so is counted and closed;
credentials are in no message. Failures of the proxy itself are told apart from the target's: `FailureKind.PROXY`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
from typing import Any

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.client_proto import ResponseHandler

from crawler.fetching import Unresolved
from crawler.network.attempt import current_attempt
from crawler.network.guard import AddressGuard, parse_address
from crawler.network.resolver import Resolver, family_of
from crawler.proxy import ProxyServer
from crawler.records import FailureKind

MAX_ANSWER_BYTES = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r|$)")

_NO_AUTHENTICATION, _USER_AND_PASSWORD, _NO_METHOD = 0, 2, 255  # RFC 1928, 3
_NAME, _IPV4, _IPV6 = 3, 1, 4  # RFC 1928, 5
_REPLIES = {  # RFC 1928, 6
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


class ProxyError(aiohttp.ClientError):
    """No connection through the proxy. The message is for people; no connector error, so that aiohttp adds no tries."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ProxyConnector(aiohttp.TCPConnector):
    """Opens every connection through `proxy`. Other options are `TCPConnector`'s.

    It overrides the one step in which aiohttp opens and wraps a socket, as other connectors for proxies do: with
    aiohttp's limits, pool and TLS around it, and the guard's sockets, which such a library would make itself.
    """

    def __init__(self, proxy: ProxyServer, guard: AddressGuard, *, resolver: Resolver, **options: Any) -> None:
        super().__init__(resolver=resolver, **options)
        self._proxy = proxy
        self._guard = guard
        self._names = resolver

    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: list[AddrInfoType],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **kwargs: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        if client_error is aiohttp.ClientProxyConnectionError:  # aiohttp is about to send the proxy a whole URL
            opened = await self._connect(timeout.sock_connect)
        else:
            opened = await self._open_tunnel(req, [info[4][0] for info in addr_infos], timeout.sock_connect)
        return await self._wrap_existing_connection(*args, req=req, timeout=timeout, sock=opened, **kwargs)

    async def _open_tunnel(
        self, req: aiohttp.ClientRequest, addresses: list[str], timeout_s: float | None
    ) -> socket.socket:
        """A socket whose other end is the target's: by its name, or by the first of its addresses that answers."""
        host, port = str(req.url.raw_host), int(req.url.port or 0)
        if self._proxy.scheme != "socks5":
            return await self._tunnel_to(host, port, timeout_s)
        for number, address in enumerate(addresses, start=1):
            self._judge(address)
            try:
                return await self._tunnel_to(address, port, timeout_s)
            except ProxyError as error:
                if error.kind is FailureKind.PROXY or number == len(addresses):
                    raise
        raise AssertionError("a name without addresses does not get here")

    def _judge(self, address: str) -> None:
        """The answer of DNS may have changed since the fetcher asked for the target."""
        attempt = current_attempt.get()
        refused = self._guard.refusal(address, attempt.origin if attempt else None)
        if refused:
            raise ProxyError(FailureKind.BLOCKED_ADDRESS, refused)

    async def _tunnel_to(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        opened = await self._connect(timeout_s)
        dialogue = _Dialogue(opened, self._proxy)
        ask = dialogue.ask_http if self._proxy.scheme == "http" else dialogue.ask_socks
        try:
            async with asyncio.timeout(timeout_s):
                await ask(host, port)
        except TimeoutError:
            opened.close()
            raise ProxyError(
                FailureKind.TIMEOUT, f"timed out while connecting through the proxy {self._proxy.name}"
            ) from None
        except OSError as error:
            opened.close()
            raise ProxyError(FailureKind.CONNECT, f"the proxy {self._proxy.name}: {_reason(error)}") from None
        except BaseException:
            opened.close()
            raise
        return opened

    async def _connect(self, timeout_s: float | None) -> socket.socket:
        """A socket that is connected to the proxy. Raises `OSError` where no descriptor is left."""
        addresses = await self._addresses()
        for number, address in enumerate(addresses, start=1):
            opened = self._guard.make_socket(family_of(address))
            try:
                async with asyncio.timeout(timeout_s):
                    await self._loop.sock_connect(opened, (address, self._proxy.port))
            except OSError as error:
                opened.close()
                if number == len(addresses):
                    message = f"cannot reach the proxy {self._proxy.name}: {_reason(error)}"
                    raise ProxyError(FailureKind.PROXY, message) from None
            except BaseException:
                opened.close()
                raise
            else:
                return opened
        raise AssertionError("a name without addresses does not get here")

    async def _addresses(self) -> tuple[str, ...]:
        """The proxy's. They may be private: the user has named it, and no page can."""
        answer = await self._names.lookup(self._proxy.host)
        if isinstance(answer, Unresolved):
            raise ProxyError(FailureKind.PROXY, f"cannot reach the proxy {self._proxy.name}: {answer.message}")
        return answer


class _Dialogue:
    """What is said to the proxy on a new connection before the target is at its other end. Raises `ProxyError`."""

    def __init__(self, opened: socket.socket, proxy: ProxyServer) -> None:
        self._socket = opened
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()

    async def ask_http(self, host: str, port: int) -> None:
        """CONNECT, by the target's name."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        fields = {"Host": authority} | authorization(self._proxy)
        lines = (f"CONNECT {authority} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", "")
        await self._say("\r\n".join(lines).encode())
        status_line = await self._status_line()
        found = _STATUS_LINE.match(status_line)
        if found is None:
            raise self._broken("it does not speak HTTP")
        status = int(found[1])
        if status == 407:
            raise demands_credentials(self._proxy)
        if not 200 <= status < 300:
            raise self._refused(f"it responded to CONNECT with HTTP {status}")

    async def ask_socks(self, host: str, port: int) -> None:
        """SOCKS5's CONNECT, to an address, or to a name that the proxy resolves."""
        await self._authenticate()
        await self._say(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2))
        version, reply, _reserved, kind = await self._hear(4)
        if version != 5:
            raise self._broken("it does not speak SOCKS5")
        if reply:
            raise self._refused(_REPLIES.get(reply, f"reply {reply}"))
        length = {_IPV4: 4, _IPV6: 16}.get(kind)
        await self._hear(2 + (length or (await self._hear(1))[0]))  # the address that it is bound to tells us nothing

    async def _authenticate(self) -> None:
        credentials = self._proxy.credentials
        methods = bytes([_NO_AUTHENTICATION] + [_USER_AND_PASSWORD] * bool(credentials))
        await self._say(bytes([5, len(methods)]) + methods)
        version, method = await self._hear(2)
        if version != 5:
            raise self._broken("it does not speak SOCKS5")
        if method == _NO_METHOD or method not in methods:
            raise demands_credentials(self._proxy)
        if method == _USER_AND_PASSWORD and credentials is not None:
            user, password = (text.encode() for text in credentials)
            await self._say(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
            _version, status = await self._hear(2)
            if status:
                raise demands_credentials(self._proxy)

    async def _say(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def _hear(self, size: int) -> bytes:
        heard = b""
        while len(heard) < size:
            part = await self._loop.sock_recv(self._socket, size - len(heard))
            if not part:
                raise self._refused("it closed the connection")
            heard += part
        return heard

    async def _status_line(self) -> bytes:
        """The head of the answer, byte by byte: what comes behind it is the target's."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if len(head) > MAX_ANSWER_BYTES:
                raise self._broken("its response to CONNECT is too long")
            head += await self._hear(1)
        return head.partition(b"\r\n")[0]

    def _refused(self, reason: str) -> ProxyError:
        return ProxyError(FailureKind.CONNECT, f"no connection through the proxy {self._proxy.name}: {reason}")

    def _broken(self, reason: str) -> ProxyError:
        return ProxyError(FailureKind.PROXY, f"the proxy {self._proxy.name} cannot be used: {reason}")


def authorization(proxy: ProxyServer) -> dict[str, str]:
    """The header field with the credentials of an HTTP proxy, where there are some (RFC 9110, 11.7.2)."""
    if proxy.credentials is None:
        return {}
    return {"Proxy-Authorization": f"Basic {base64.b64encode(':'.join(proxy.credentials).encode()).decode()}"}


def demands_credentials(proxy: ProxyServer) -> ProxyError:
    """The proxy does not know the user."""
    problem = "requires a user and password" if proxy.credentials is None else "rejects the user and password"
    status = " (407)" if proxy.scheme == "http" else ""
    return ProxyError(FailureKind.PROXY, f"the proxy {proxy.name} {problem}{status}; check --proxy")


def _socks_address(host: str) -> bytes:
    address = parse_address(host)
    if address is None:
        name = host.encode("ascii")
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "timed out" if isinstance(error, TimeoutError) else str(error)
