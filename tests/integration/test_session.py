"""The shared session: how it is built, what it keeps open, and that nothing is left when it closes."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import aiohttp
import pytest
import trustme
import uvloop

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.errors import UsageError
from crawler.network.fetcher import HttpFetcher, open_fetcher
from crawler.network.guard import AddressGuard, BlockedAddressError
from crawler.network.resolver import Resolver
from crawler.network.session import (
    MAX_KEPT_CONNECTIONS,
    RESERVED_FILES,
    Concurrency,
    common_headers,
    fit_concurrency,
    open_file_limit,
    open_session,
)
from crawler.records import Failure, FailureKind, Response
from tests.integration.rawserver import DnsServer, RawServer, ok

LOOPBACK = NetworkConfig(allow_private=("127.0.0.0/8", "::1/128"), timeout_s=10)
EAGER = PolitenessConfig(delay_s=0, per_host=64)
both_loops = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


@both_loops
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("way_out", [None, ZeroDivisionError, asyncio.CancelledError])
def test_nothing_is_left_open_in_whatever_way_the_session_is_left(
    new_loop: NewLoop, tls: bool, way_out: type[BaseException] | None
) -> None:
    counters = Counters()

    async def crawl() -> None:
        server_context, client_context = contexts(trustme.CA()) if tls else (None, None)
        async with (
            RawServer(ok(), tls=server_context) as kept,
            RawServer(slow_body, tls=server_context) as slow,
            open_fetcher(LOOPBACK, EAGER, counters, ssl_context=client_context) as fetcher,
        ):
            answers = await asyncio.gather(*(fetcher.fetch(f"{kept.url}/") for _ in range(10)))
            assert all(isinstance(answer, Response) for answer in answers), answers
            assert isinstance(await fetcher.fetch(f"{slow.url}/", max_bytes=1), Response)  # closed, not drained
            unfinished = asyncio.create_task(fetcher.fetch(f"{slow.url}/"))
            await until(lambda: len(slow.requests) == 2)
            unfinished.cancel()
            if way_out:
                raise way_out
            with suppress(asyncio.CancelledError):
                await unfinished

    with unclosed_things_are_errors(), asyncio.Runner(loop_factory=new_loop) as runner:
        with pytest.raises(way_out) if way_out else nullcontext():
            runner.run(crawl())
        assert counters.connections_open == 0
        assert counters.connections_opened >= 3
    assert counters.in_flight == 0


@both_loops
def test_the_gauge_follows_every_way_in_which_a_socket_ends(new_loop: NewLoop) -> None:
    counters = Counters()

    async def crawl() -> None:
        with closed_port() as nobody:
            async with (
                RawServer(ok()) as kept,
                RawServer(ok(b"x", "Connection: close")) as closing,
                RawServer(b"", closing=True) as rude,
                open_fetcher(LOOPBACK, EAGER, counters) as fetcher,
            ):
                for url in (kept.url, closing.url, rude.url, f"http://127.0.0.1:{nobody}", kept.url):
                    await fetcher.fetch(f"{url}/")
                await until(lambda: counters.connections_open == 1)  # the kept one
                assert counters.connections_opened == 3
                assert counters.connections_reused == 1
                assert counters.connections_peak <= 3

    with unclosed_things_are_errors(), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(crawl())
    assert counters.connections_open == 0


@both_loops
def test_a_peer_that_never_says_goodbye_does_not_hold_up_the_end(new_loop: NewLoop) -> None:
    """A TLS connection that is closed with data unread waits for the peer, for half a minute if it is silent."""
    counters = Counters()
    server_context, client_context = contexts(trustme.CA())

    async def crawl(url: str) -> None:
        async with open_fetcher(LOOPBACK, EAGER, counters, ssl_context=client_context) as fetcher:
            answer = await fetcher.fetch(url, max_bytes=1)
            assert isinstance(answer, Response), answer
            assert counters.connections_open == 1
        assert counters.connections_open == 0

    with (
        silent_tls_server(server_context) as port,
        unclosed_things_are_errors(),
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(crawl(f"https://127.0.0.1:{port}/"))


@both_loops
def test_idle_connections_to_many_hosts_are_bounded(new_loop: NewLoop) -> None:
    hosts = [f"127.1.{number // 100}.{number % 100 + 1}" for number in range(300)]
    counters = Counters()
    workers, kept = 8, 20

    async def crawl() -> None:
        todo = iter(hosts * 2)
        async with (
            RawServer(ok(), host="0.0.0.0") as server,
            open_fetcher(
                LOOPBACK, EAGER, counters, concurrency=Concurrency(workers=workers, kept_connections=kept)
            ) as fetcher,
        ):

            async def work() -> None:
                for host in todo:
                    answer = await fetcher.fetch(f"http://{host}:{server.port}/")
                    assert isinstance(answer, Response), answer

            await asyncio.gather(*(work() for _ in range(workers)))
            await until(lambda: counters.connections_open <= kept)
            assert counters.connections_open >= kept - workers  # the bound is used, too
            again = await fetcher.fetch(f"http://{hosts[0]}:{server.port}/")
            assert again.reused

    with unclosed_things_are_errors(), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(crawl())
    assert counters.requests == 601
    assert counters.connections_peak <= kept + 2 * workers


async def test_connections_are_kept_while_there_is_room() -> None:
    counters = Counters()
    async with RawServer(ok()) as server, open_fetcher(LOOPBACK, EAGER, counters) as fetcher:
        for _ in range(20):
            await fetcher.fetch(f"{server.url}/")
        assert server.connections == 1
        assert (counters.connections_opened, counters.connections_reused) == (1, 19)
        assert counters.connections_per_request == 0.05


async def test_too_many_open_files_are_a_failure_like_any_other() -> None:
    async with RawServer(ok()) as server, open_fetcher(LOOPBACK, EAGER, Counters()) as fetcher:
        with no_descriptors_left():
            answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.message, answer.sent) == (FailureKind.CONNECT, os.strerror(errno.EMFILE), False)
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)


@pytest.mark.parametrize(
    ("wanted", "soft_limit", "workers", "kept"),
    [
        (64, 1024, 64, 832),
        (64, 256, 64, 64),
        (64, 160, 32, 32),
        (500, 1024, 320, 320),
        (4096, 1 << 20, 4096, MAX_KEPT_CONNECTIONS),
        (64, 64, 1, 1),
        (64, 0, 1, 1),
    ],
)
def test_workers_and_idle_connections_fit_below_the_open_file_limit(
    wanted: int, soft_limit: int, workers: int, kept: int
) -> None:
    fitted = fit_concurrency(wanted, soft_limit)
    assert fitted == Concurrency(workers=workers, kept_connections=kept)
    if soft_limit > 2 * RESERVED_FILES:
        assert RESERVED_FILES + 2 * fitted.workers + fitted.kept_connections <= soft_limit


def test_the_open_file_limit_is_the_systems() -> None:
    assert open_file_limit() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize("ending", ["closed", "reset", "closed within the head"])
async def test_a_request_is_sent_once_even_if_its_reused_connection_ends(ending: str) -> None:
    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            writer.write(ok())
        elif ending == "reset":
            reset(writer)
        else:
            writer.write(b"" if ending == "closed" else b"HTTP/1.1 200 O")
            writer.close()

    async with RawServer(answer) as server, open_fetcher(LOOPBACK, EAGER, Counters()) as fetcher:
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
        lost = await fetcher.fetch(f"{server.url}/")
        assert isinstance(lost, Failure)
        assert (lost.kind, lost.reused, lost.sent) == (FailureKind.DISCONNECTED, True, True)
        assert len(server.requests) == 2


async def test_a_request_is_sent_once_on_a_fresh_connection_too() -> None:
    counters = Counters()
    async with RawServer(b"", closing=True) as server, open_fetcher(LOOPBACK, EAGER, counters) as fetcher:
        lost = await fetcher.fetch(f"{server.url}/")
        assert isinstance(lost, Failure)
        assert (lost.kind, lost.reused) == (FailureKind.DISCONNECTED, False)
        assert (len(server.requests), counters.requests) == (1, 1)


async def test_a_connection_that_is_reset_in_the_pool_is_no_news() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    counters = Counters()

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        asyncio.get_running_loop().call_later(0.02, reset, writer)

    async with RawServer(answer) as server, open_fetcher(LOOPBACK, EAGER, counters) as fetcher:
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
        await until(lambda: counters.connections_open == 0)
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)
    gc.collect()
    assert not complaints


async def test_what_every_request_carries() -> None:
    network = NetworkConfig(
        allow_private=LOOPBACK.allow_private,
        user_agent="crawler/1 (+https://me.example)",
        headers={"X-Team": "search", "accept": "text/html"},
    )
    async with RawServer(ok()) as server, open_fetcher(network, EAGER, Counters()) as fetcher:
        await fetcher.fetch(f"{server.url}/")
    assert sorted(server.requests[0].decode().split("\r\n")[1:-2]) == sorted(
        [
            f"Host: 127.0.0.1:{server.port}",
            "User-Agent: crawler/1 (+https://me.example)",
            "X-Team: search",
            "accept: text/html",
            "Accept-Encoding: gzip, deflate, br, zstd",
        ]
    )


async def test_cookies_are_not_kept() -> None:
    async with RawServer(ok(b"", "Set-Cookie: a=b; Path=/")) as server, DnsServer({"name.test": ["127.0.0.1"]}) as dns:
        network = NetworkConfig(allow_private=LOOPBACK.allow_private, dns_server=dns.address)
        async with open_fetcher(network, EAGER, Counters()) as fetcher:
            for _ in range(2):
                await fetcher.fetch(f"http://name.test:{server.port}/")
    assert b"Cookie" not in server.requests[1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Bad Name": "x"},
        {"": "x"},
        {"X": "a\r\nEvil: b"},
        {"X": "a\0b"},
        {"Host": "other.example"},
        {"content-length": "5"},
        {"Transfer-Encoding": "chunked"},
        {"Authorization": "Basic x\r\nEvil: b"},
    ],
)
def test_headers_that_cannot_be_sent_are_the_users_mistake_and_not_repeated(headers: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^--header") as mistake:
        common_headers(NetworkConfig(headers=headers))
    assert all(not value or value not in str(mistake.value) for value in headers.values() if len(value) > 1)


async def test_a_wrong_dns_server_is_reported_before_anything_opens() -> None:
    counters = Counters()
    with pytest.raises(UsageError, match="--dns-server"):
        async with open_fetcher(NetworkConfig(dns_server="nonsense"), EAGER, counters):
            pass
    assert counters == Counters()


async def test_without_an_attempt_the_socket_is_judged_all_the_same() -> None:
    counters = Counters()
    resolver, guard = Resolver(counters), AddressGuard([], counters)
    async with RawServer(ok()) as server:
        async with open_session(NetworkConfig(), EAGER, resolver=resolver, guard=guard) as session:
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await session.get(server.url)
        await resolver.close()
        assert isinstance(refused.value.os_error, BlockedAddressError)
        assert not server.requests


async def test_a_name_is_judged_by_the_address_that_it_leads_to() -> None:
    async with RawServer(ok()) as server, DnsServer({"rebind.test": ["127.0.0.1"]}) as dns:
        network = NetworkConfig(dns_server=dns.address)
        async with open_fetcher(network, EAGER, Counters()) as fetcher:
            origin = f"http://rebind.test:{server.port}"
            fetcher.open_origin(origin)  # a seed with a public name opens nothing
            refused = await fetcher.fetch(f"{origin}/")
        assert isinstance(refused, Failure)
        assert (refused.kind, refused.address) == (FailureKind.BLOCKED_ADDRESS, "127.0.0.1")
        assert "loopback" in refused.message
        assert server.connections == 0


async def test_a_seed_that_is_an_address_opens_itself_and_no_other_port() -> None:
    async with (
        RawServer(ok()) as seed,
        RawServer(ok()) as other,
        open_fetcher(NetworkConfig(), EAGER, Counters()) as fetcher,
    ):
        assert await kind_of(fetcher, seed.url) is FailureKind.BLOCKED_ADDRESS
        fetcher.open_origin(seed.url)
        assert await kind_of(fetcher, seed.url) is None
        assert await kind_of(fetcher, other.url) is FailureKind.BLOCKED_ADDRESS
        assert other.connections == 0


async def test_a_localhost_seed_reaches_loopback_in_whatever_family_answers() -> None:
    async with RawServer(ok(), host="127.0.0.1") as server, open_fetcher(NetworkConfig(), EAGER, Counters()) as fetcher:
        origin = f"http://localhost:{server.port}"
        assert await kind_of(fetcher, origin) is FailureKind.BLOCKED_ADDRESS
        fetcher.open_origin(origin)
        answer = await fetcher.fetch(f"{origin}/")
        assert isinstance(answer, Response)
        assert answer.address == "127.0.0.1"


@both_loops
def test_an_embedded_ipv4_address_is_judged_at_the_socket_as_what_it_leads_to(new_loop: NewLoop) -> None:
    async def crawl() -> None:
        async with RawServer(ok()) as server, open_fetcher(NetworkConfig(), EAGER, Counters()) as fetcher:
            url = f"http://[::ffff:7f00:1]:{server.port}"
            assert await kind_of(fetcher, url) is FailureKind.BLOCKED_ADDRESS
            assert server.connections == 0
            fetcher.open_origin(url)
            assert await kind_of(fetcher, url) is None

    with unclosed_things_are_errors(), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(crawl())


async def test_a_public_address_beside_a_private_one_is_still_tried() -> None:
    """The allowed address of two is used, whichever comes first."""
    async with RawServer(ok(), host="127.0.0.2") as server, DnsServer({"two.test": ["127.0.0.1", "127.0.0.2"]}) as dns:
        network = NetworkConfig(dns_server=dns.address, allow_private=("127.0.0.2/32",))
        async with open_fetcher(network, EAGER, Counters()) as fetcher:
            answer = await fetcher.fetch(f"http://two.test:{server.port}/")
            assert isinstance(answer, Response), answer
            assert answer.address == "127.0.0.2"


async def slow_body(_head: bytes, writer: asyncio.StreamWriter) -> None:
    """Begins a body and never ends it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning")
    await writer.drain()
    await asyncio.Event().wait()


async def kind_of(fetcher: HttpFetcher, origin: str) -> FailureKind | None:
    answer = await fetcher.fetch(f"{origin}/")
    return answer.kind if isinstance(answer, Failure) else None


def contexts(ca: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    ca.configure_trust(client)
    return server, client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def unclosed_things_are_errors() -> Iterator[None]:
    """Unclosed sockets, transports and sessions warn when they are collected; pytest makes that an error."""
    yield
    gc.collect()


@contextmanager
def silent_tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """Answers one request with half a body and then neither reads nor closes, until the test is over."""
    over = threading.Event()

    def serve() -> None:
        plain, _address = listening.accept()
        with context.wrap_socket(plain, server_side=True) as peer:
            peer.recv(10_000)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")
            over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of loopback on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """The process may not open anything."""
    gc.collect()  # what other tests have left would give its descriptors back in the meantime
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    holes = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 1, hard))
        holes.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for hole in holes:
            os.close(hole)
