"""The fake web keeps its own promises: every other integration test leans on them."""

from __future__ import annotations

import asyncio
import gzip
import html
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from urllib.request import urlopen

import aiodns
import aiohttp
import pycares
import pytest
import trustme
from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from dnslib import RCODE, DNSRecord  # type: ignore[import-untyped]
from yarl import URL

from crawler.demo.web import DEMO_SEEDS, demo_web
from crawler.fakeweb import Answer, DnsBehaviour, FakeWeb, Request, Served, Site
from crawler.urls import host_of, normalize, target_of


class _DeclaredHosts(AbstractResolver):
    """Asks the fake web's DNS server, as a crawler does."""

    def __init__(self, served: Served) -> None:
        server, _colon, port = served.dns.partition(":")
        self._dns = aiodns.DNSResolver(nameservers=[server], udp_port=int(port), timeout=5, tries=1)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._dns.query_dns(host, "A")
        addresses = [record.data.addr for record in found.answer if isinstance(record.data, pycares.ARecordData)]
        return [ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0) for a in addresses]

    async def close(self) -> None:
        await self._dns.close()


@asynccontextmanager
async def _client(served: Served, tls: ssl.SSLContext | bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    connector = TCPConnector(resolver=_DeclaredHosts(served), ssl=tls)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as client:
        yield client


async def _get(served: Served, url: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        _client(served) as client,
        client.get(URL(url, encoded=True), allow_redirects=False, headers=headers) as response,
    ):
        return response, await response.read()


async def _exchange(served: Served, site: Site, message: bytes) -> bytes:
    """Send bytes to a host on one connection; all that comes back until it closes."""
    reader, writer = await asyncio.open_connection(site.address, served.port)
    writer.write(message)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


def _ask_dns(served: Served, name: str, kind: str = "A") -> DNSRecord | None:
    """One query over UDP; None where no answer comes to it before the one to a later query."""
    host, _colon, port = served.dns.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((host, int(port)))
        for question in (DNSRecord.question(name, kind), DNSRecord.question("sentinel.invalid")):
            client.send(question.pack())
        answer = DNSRecord.parse(client.recv(4096))
    return None if str(answer.q.qname) == "sentinel.invalid." else answer


async def test_a_page_is_served_as_declared() -> None:
    web = FakeWeb()
    web.host("a.test").page(
        "/",
        title="Fish & Chips",
        text="One.\n\nTwo <three>.",
        links=["/b?x=1&y=2", ("/c", "To C")],
        head='<meta name="x">\n',
        markup="<hr>\n",
    )
    async with web.serve() as served:
        response, body = await _get(served, served.url("a.test"))
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = body.decode()
    assert "<title>Fish &amp; Chips</title>" in text
    assert "<p>One.</p>\n<p>Two &lt;three&gt;.</p>" in text
    assert '<a href="/b?x=1&amp;y=2">/b?x=1&amp;y=2</a>' in text
    assert '<a href="/c">To C</a>' in text
    assert '<meta name="x">' in text
    assert "<hr>" in text


async def test_a_tls_handshake_at_the_plain_port_is_refused_at_once() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    async with web.serve() as served:
        assert (await _exchange(served, site, b"\x16\x03\x01\x00\xff")).startswith(b"HTTP/1.1 400 ")
        assert served.log == []


@pytest.mark.parametrize("target", ["/%7Euser/%zz", "/a%2Fb?q=%C3%A9&q=+", "/?", "/;a=1//b/../c", "/caf\xe9"])
async def test_the_raw_target_of_a_request_is_logged(target: str) -> None:
    web = FakeWeb()
    web.host("a.test")
    async with web.serve() as served:
        await _exchange(
            served,
            web.sites["a.test"],
            f"GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n".encode("latin-1"),
        )
        assert [hit.target for hit in served.log] == [target]


async def test_the_log_tells_who_asked_for_what_and_when() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.status("/gone", 410)
    async with web.serve() as served:
        await _get(served, served.url("a.test", "/gone"), Accept="text/html")
        (hit,) = served.hits("a.test")
        assert served.hits("b.test") == served.hits("a.test", "/other") == []
    assert (hit.method, hit.host, hit.address, hit.port) == ("GET", "a.test", site.address, served.port)
    assert (hit.status, hit.connection, hit.scheme) == (410, 1, "http")
    assert hit.headers["accept"] == "text/html"
    assert hit.end is not None
    assert hit.end >= hit.start


async def test_a_connection_is_kept_and_its_number_logged() -> None:
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        web.host(name).page("/", title=name)
    async with web.serve() as served, _client(served) as client:
        for name in ("a.test", "a.test", "b.test", "a.test"):
            async with client.get(served.url(name)) as response:
                await response.read()
        assert [(hit.host, hit.connection) for hit in served.log] == [
            ("a.test", 1),
            ("a.test", 1),
            ("b.test", 2),
            ("a.test", 1),
        ]
        assert served.connections == 2


@pytest.mark.parametrize("whole_host", [True, False])
async def test_a_connection_is_closed_after_the_answer_on_request(whole_host: bool) -> None:
    web = FakeWeb()
    web.host("a.test", keep_alive=not whole_host).page("/", title="A", close=not whole_host)
    async with web.serve() as served, _client(served) as client:
        for _time in range(2):
            async with client.get(served.url("a.test")) as response:
                await response.read()
                assert response.headers["Connection"] == "close"
        assert [hit.connection for hit in served.log] == [1, 2]


@pytest.mark.parametrize("head", ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
async def test_a_client_that_wants_no_second_answer_gets_the_connection_closed(head: str) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body="hello")
    async with web.serve() as served:
        assert (await _exchange(served, web.sites["a.test"], head.encode())).endswith(b"Connection: close\r\n\r\nhello")


async def test_pipelined_requests_are_answered_in_order_even_if_the_first_takes_time() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/slow", body="first", delay_s=0.05)
    site.page("/fast", body="second", close=True)
    async with web.serve() as served:
        received = await _exchange(
            served,
            web.sites["a.test"],
            b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\nGET /fast HTTP/1.1\r\nHost: a.test\r\n\r\n",
        )
        assert received.index(b"first") < received.index(b"second")
        assert [hit.target for hit in served.log] == ["/slow", "/fast"]


async def test_a_request_that_comes_while_another_is_answered_waits_for_its_turn() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    arrived, released = asyncio.Event(), asyncio.Event()

    async def wait_for_release(_request: Request) -> Answer:
        arrived.set()
        await released.wait()
        return Answer(body="first")

    site.answer("/first", wait_for_release)
    site.page("/second", body="second", close=True)
    site.page("/elsewhere")
    async with web.serve() as served:
        reader, writer = await asyncio.open_connection(site.address, served.port)
        writer.write(b"GET /first HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await arrived.wait()
        writer.write(b"GET /second HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await _get(served, served.url("a.test", "/elsewhere"))  # by its answer, the second request has come too
        released.set()
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert received.index(b"first") < received.index(b"second")
        assert [hit.target for hit in served.log] == ["/first", "/elsewhere", "/second"]


async def test_an_answer_that_waits_holds_up_no_other_host_and_the_log_shows_it_waiting() -> None:
    web = FakeWeb()
    arrived, released = asyncio.Event(), asyncio.Event()

    async def wait_for_release(_request: Request) -> Answer:
        arrived.set()
        await released.wait()
        return Answer(body="late")

    web.host("a.test").answer("/", wait_for_release)
    web.host("b.test").page("/", delay_s=0.01)
    async with web.serve() as served:
        late = asyncio.create_task(_get(served, served.url("a.test")))
        await arrived.wait()
        await _get(served, served.url("b.test"))
        assert [(hit.host, hit.status) for hit in served.log] == [("a.test", None), ("b.test", 200)]
        released.set()
        assert (await late)[1] == b"late"
        ends = [hit.end or 0.0 for hit in served.log]
        assert ends[0] > ends[1] > served.log[1].start


async def test_a_delayed_answer_takes_at_least_its_delay() -> None:
    web = FakeWeb()
    web.host("a.test").page("/", delay_s=0.05)
    async with web.serve() as served:
        await _get(served, served.url("a.test"))
        assert (served.log[0].end or 0.0) - served.log[0].start >= 0.04


async def test_urls_of_declared_hosts_get_the_port_in_all_declared_text() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    web.host("b.test")
    markup = "http://b.test/ //b.test/x HTTP://B.test?q http://u:p@b.test/ http://b.test:81/ http://c.test/ http://b.test.eu/"
    site.page("/", body=markup)
    site.page("/bytes", body=markup.encode())
    site.page("/verbatim", body=markup, verbatim=True)
    site.robots("Sitemap: http://a.test/sitemap.xml")
    site.sitemap("/sitemap.xml", ["/1", "http://b.test/2"])
    async with web.serve() as served:
        bodies = {
            path: (await _get(served, served.url("a.test", path)))[1].decode()
            for path in ("/", "/bytes", "/verbatim", "/robots.txt", "/sitemap.xml")
        }
    p = served.port
    assert bodies["/"] == (
        f"http://b.test:{p}/ //b.test:{p}/x HTTP://B.test:{p}?q http://u:p@b.test:{p}/ "
        "http://b.test:81/ http://c.test/ http://b.test.eu/"
    )
    assert bodies["/bytes"] == bodies["/verbatim"] == markup
    assert bodies["/robots.txt"] == f"Sitemap: http://a.test:{p}/sitemap.xml"
    assert f"<loc>http://a.test:{p}/1</loc>" in bodies["/sitemap.xml"]
    assert f"<loc>http://b.test:{p}/2</loc>" in bodies["/sitemap.xml"]


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        ("http://b.test/x", "http://b.test:{port}/x"),
        ("//b.test/x", "//b.test:{port}/x"),
        ("/x", "/x"),
        ("http://elsewhere.test/", "http://elsewhere.test/"),
        ("http://b.test:{port}/x", "http://b.test:{port}/x"),
    ],
)
async def test_a_redirect_points_at_the_port_of_a_declared_host(location: str, sent: str) -> None:
    web = FakeWeb()
    web.host("b.test")
    site = web.host("a.test")
    async with web.serve() as served:
        site.redirect("/", location.format(port=served.port), status=307)
        response, _body = await _get(served, served.url("a.test"))
    assert (response.status, response.headers["Location"]) == (307, sent.format(port=served.port))


async def test_a_page_declared_again_while_it_is_served_changes() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    bodies = []
    async with web.serve() as served:
        for body in ("old", "new"):
            site.page("/", body=body)
            bodies.append((await _get(served, served.url("a.test")))[1])
    assert bodies == [b"old", b"new"]


async def test_routes_match_the_target_then_the_path_then_anything() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/x", body="path")
    site.page("/x?y=1", body="target")
    site.answer("*", lambda request: Answer(body=f"any {request.target}"))
    web.host("b.test")
    async with web.serve() as served:
        asked = [
            served.url("a.test", "/x?y=1"),
            served.url("a.test", "/x?y=2"),
            served.url("a.test", "/z"),
            served.url("b.test", "/z"),
        ]
        answers = [await _get(served, url) for url in asked]
    assert [body for _response, body in answers[:3]] == [b"target", b"path", b"any /z"]
    assert answers[3][0].status == 404


async def test_hosts_that_share_an_address_are_told_apart_by_name_and_the_first_answers_for_any_other() -> None:
    web = FakeWeb()
    first = web.host("a.test")
    first.page("/", body="a")
    web.host("b.test", address=first.address).page("/", body="b")
    async with web.serve() as served:
        bodies = [
            (await _get(served, url))[1]
            for url in (served.url("a.test"), served.url("b.test"), f"http://{first.address}:{served.port}/")
        ]
        assert {hit.address for hit in served.log} == {first.address}
    assert bodies == [b"a", b"b", b"a"]


async def test_a_wildcard_is_every_name_below_it_that_is_not_declared() -> None:
    web = FakeWeb()
    site = web.host("*.a.test")
    site.answer("/", lambda request: Answer(body=f"{request.host} http://x.a.test/ http://a.test/"))
    declared = web.host("b.a.test").address
    async with web.serve() as served:
        port = served.port
        expected = {"x.a.test": site.address, "x.y.a.test": site.address, "b.a.test": declared, "a.test": None}
        for name, address in expected.items():
            reply = await asyncio.to_thread(_ask_dns, served, name)
            assert reply is not None
            assert [str(record.rdata) for record in reply.rr] == ([address] if address else [])
        assert served.url("x.y.a.test") == f"http://x.y.a.test:{port}/"
        raw = await _exchange(served, site, b"GET / HTTP/1.1\r\nHost: x.y.a.test\r\nConnection: close\r\n\r\n")
        assert raw.endswith(f"x.y.a.test http://x.a.test:{port}/ http://a.test/".encode())


async def test_a_host_that_does_not_listen_refuses_connections() -> None:
    web = FakeWeb()
    web.host("a.test")
    web.host("down.test", listening=False)
    async with web.serve() as served:
        with pytest.raises(aiohttp.ClientConnectorError):
            await _get(served, served.url("down.test"))
        assert served.log == []


async def test_one_wildcard_socket_serves_every_address() -> None:
    web = FakeWeb()
    for site in (web.host("a.test"), web.host("b.test", address="127.9.9.9")):
        site.page("/", body=site.name)
    async with web.serve(wildcard=True) as served:
        assert (await _get(served, served.url("b.test")))[1] == b"b.test"
        assert [hit.address for hit in served.log] == ["127.9.9.9"]


async def test_a_head_request_gets_the_head_alone() -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body="hello")
    async with web.serve() as served:
        received = await _exchange(served, web.sites["a.test"], b"HEAD / HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 5\r\n" in received
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
async def test_an_answer_may_be_chunked_and_compressed(chunked: bool, zipped: bool) -> None:
    content = b"".join(b"%d\n" % number for number in range(20000))
    web = FakeWeb()
    web.host("a.test").page("/", body=content, content_type="text/plain", chunked=chunked, gzip=zipped)
    async with web.serve() as served:
        response, body = await _get(served, served.url("a.test"))
    assert response.headers.get("Content-Encoding") == ("gzip" if zipped else None)
    assert ("Content-Length" in response.headers, "Transfer-Encoding" in response.headers) == (not chunked, chunked)
    assert (gzip.decompress(body) if zipped else body) == content


async def test_declared_headers_come_first_repeated_and_instead_of_the_servers() -> None:
    web = FakeWeb()
    headers = [("X-Robots-Tag", "noindex"), ("X-Robots-Tag", "nofollow"), ("content-length", "3")]
    web.host("a.test").page("/", body="hello", headers=headers, content_type="")
    async with web.serve() as served:
        received = await _exchange(served, web.sites["a.test"], b"GET / HTTP/1.0\r\n\r\n")
    assert received == (
        b"HTTP/1.1 200 OK\r\nX-Robots-Tag: noindex\r\nX-Robots-Tag: nofollow\r\ncontent-length: 3\r\n"
        b"Connection: close\r\n\r\nhello"
    )


@pytest.mark.parametrize(
    ("declared", "asked", "status"),
    [
        ({"ETag": '"1"'}, {"If-None-Match": '"1"'}, 304),
        ({"ETag": '"1"'}, {"If-None-Match": '"2"'}, 200),
        (
            {"Last-Modified": "Thu, 01 Jan 2026 00:00:00"},
            {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00"},
            304,
        ),
        ({"ETag": '"1"'}, {}, 200),
        ({}, {"If-None-Match": '"1"'}, 200),
    ],
)
async def test_a_validator_that_comes_back_is_answered_by_304(
    declared: dict[str, str], asked: dict[str, str], status: int
) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body="hello", headers=declared)
    async with web.serve() as served:
        response, body = await _get(served, served.url("a.test"), **asked)
        assert served.log[0].status == status
    assert (response.status, body) == (status, b"hello" if status == 200 else b"")


async def test_a_sequence_gives_one_answer_after_the_other_and_stays_with_the_last() -> None:
    web = FakeWeb()
    web.host("a.test").sequence("/", Answer(status=500), Answer(status=429), Answer(body="fine"))
    async with web.serve() as served:
        statuses = [(await _get(served, served.url("a.test")))[0].status for _time in range(4)]
    assert statuses == [500, 429, 200, 200]


@pytest.mark.parametrize(
    ("message", "status_line"),
    [
        (b"NONSENSE\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed\r\n"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
    ],
)
async def test_what_is_no_request_is_refused(message: bytes, status_line: bytes) -> None:
    web = FakeWeb()
    web.host("a.test").page("/")
    async with web.serve() as served:
        assert (await _exchange(served, web.sites["a.test"], message)).startswith(status_line)


async def test_a_raw_handler_has_every_byte_in_its_hands() -> None:
    async def echo_badly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\n" + await reader.readexactly(4))

    web = FakeWeb()
    web.host("a.test").raw("/evil", echo_badly)
    async with web.serve() as served:
        received = await _exchange(served, web.sites["a.test"], b"GET /evil HTTP/1.1\r\nHost: a.test\r\n\r\nmore")
        (hit,) = served.hits("a.test", "/evil")
    assert received == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\nmore"
    assert hit.status is None
    assert hit.end is not None


async def test_a_raw_handler_whose_client_leaves_is_no_error() -> None:
    left = asyncio.Event()

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        finally:
            left.set()

    web = FakeWeb()
    site = web.host("a.test")
    site.raw("/flood", flood)
    async with web.serve() as served:
        reader, writer = await asyncio.open_connection(site.address, served.port)
        writer.write(b"GET /flood HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await reader.readexactly(100_000)
        writer.transport.abort()
        await left.wait()


async def test_a_raw_answer_that_leaves_slowly_is_sent_to_its_end_and_the_web_closes() -> None:
    size = 8_000_000

    async def much(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * size)

    web = FakeWeb()
    site = web.host("a.test")
    site.raw("/much", much)
    async with asyncio.timeout(20), web.serve() as served:
        reader, writer = await asyncio.open_connection(site.address, served.port)
        writer.write(b"GET /much HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await reader.readexactly(1000)
        await asyncio.sleep(0.1)  # the handler has returned, most of it waits
        assert len(await reader.read(-1)) == size - 1000
        writer.close()


async def test_closing_ends_although_the_stream_handlers_were_cancelled_before() -> None:
    arrived = asyncio.Event()

    async def wait_for_more(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    web = FakeWeb()
    site = web.host("a.test")
    site.connection(wait_for_more)
    async with web.serve() as served:
        reader, writer = await asyncio.open_connection(site.address, served.port)
        await arrived.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)  # the handler is on its way out when the web closes
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_host_may_take_over_connections_before_anything_is_read() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing\r\n")

    web = FakeWeb()
    web.host("a.test").connection(greet)
    async with web.serve() as served:
        assert await _exchange(served, web.sites["a.test"], b"") == b"SSH-2.0-nothing\r\n"
        assert served.log == []


async def test_a_client_that_leaves_before_its_answer_leaves_a_hit_without_status() -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def wait_in_vain(_request: Request) -> Answer:
        arrived.set()
        try:
            await asyncio.sleep(3600)
        finally:
            left.set()
        return Answer()

    web = FakeWeb()
    site = web.host("a.test")
    site.answer("/", wait_in_vain)
    async with web.serve() as served:
        _reader, writer = await asyncio.open_connection(site.address, served.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await arrived.wait()
        writer.close()
        await writer.wait_closed()
        await left.wait()
        assert served.log[0].status is None
        assert served.log[0].end is not None


async def _stream_bug(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    raise ZeroDivisionError


def _answer_bug(_request: Request) -> Answer:
    raise ZeroDivisionError


@pytest.mark.parametrize("raw", [True, False])
async def test_a_bug_in_a_handler_is_raised_when_the_web_closes(raw: bool) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    if raw:
        site.raw("/", _stream_bug)
    else:
        site.answer("/", _answer_bug)
    with pytest.raises(ExceptionGroup) as raised:
        async with web.serve() as served:
            received = await _exchange(served, web.sites["a.test"], b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert raised.value.subgroup(ZeroDivisionError) is not None
    assert received.startswith(b"" if raw else b"HTTP/1.1 500 ")


async def test_a_bug_in_a_handler_does_not_hide_the_failure_of_the_test_itself() -> None:
    web = FakeWeb()
    web.host("a.test").answer("/", _answer_bug)

    async def fail_after_a_request() -> None:
        async with web.serve() as served:
            await _exchange(served, web.sites["a.test"], b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            raise KeyError

    with pytest.raises(KeyError):
        await fail_after_a_request()


async def test_a_tls_host_answers_on_a_port_of_its_own() -> None:
    authority = trustme.CA()
    server, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("s.test").configure_cert(server)
    authority.configure_trust(client_side)
    web = FakeWeb()
    web.host("s.test", tls=True).page("/", body="//s.test/ http://s.test/ https://s.test/")
    async with web.serve(ssl_context=server) as served, _client(served, client_side) as client:
        for scheme, port in (("https", served.tls_port), ("http", served.port)):
            async with client.get(served.url("s.test", scheme=scheme)) as response:
                expected = f"//s.test:{port}/ http://s.test:{served.port}/ https://s.test:{served.tls_port}/"
                assert await response.text() == expected
        assert [(hit.scheme, hit.port) for hit in served.log] == [("https", served.tls_port), ("http", served.port)]
        assert served.url("s.test") == f"https://s.test:{served.tls_port}/"


async def test_a_tls_host_needs_a_certificate() -> None:
    web = FakeWeb()
    web.host("s.test", tls=True)
    with pytest.raises(ValueError, match="ssl_context"):
        async with web.serve():
            pass


async def test_the_same_port_can_be_asked_for_again() -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body="hello")
    async with web.serve() as served:
        await _get(served, served.url("a.test"))
        with pytest.raises(OSError, match="in use"):
            async with web.serve(port=served.port):
                pass
    async with web.serve(port=served.port) as again:
        assert (await _get(again, served.url("a.test")))[1] == b"hello"


def test_where_one_address_has_the_port_taken_the_others_are_let_go() -> None:
    occupied, web = FakeWeb(), FakeWeb()
    second = occupied.host("b.test", address="127.1.0.2").address
    first = web.host("a.test").address
    web.host("b.test", address=second)
    with occupied.running() as served:
        with pytest.raises(OSError, match="in use"), web.running(port=served.port):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((first, served.port))
        with web.running() as elsewhere:
            assert elsewhere.port != served.port


def test_a_host_name_is_declared_once() -> None:
    web = FakeWeb()
    web.host("a.test")
    with pytest.raises(ValueError, match=r"a\.test"):
        web.host("a.test")


def test_every_host_gets_an_address_of_its_own() -> None:
    web = FakeWeb()
    web.host("given.test", address="127.1.0.2")
    addresses = [web.host(f"{number}.test").address for number in range(600)]
    assert len({*addresses, "127.1.0.2"}) == 601


@pytest.mark.parametrize(
    ("behaviour", "rcode", "addresses", "addresses_v6"),
    [
        (None, RCODE.NOERROR, ["127.1.0.1"], []),
        ("nxdomain", RCODE.NXDOMAIN, [], []),
        ("servfail", RCODE.SERVFAIL, [], []),
        ([], RCODE.NOERROR, [], []),
        (["192.0.2.1", "::1", "10.0.0.1"], RCODE.NOERROR, ["192.0.2.1", "10.0.0.1"], ["::1"]),
        (lambda name: ["192.0.2.7"] if name == "a.test" else "nxdomain", RCODE.NOERROR, ["192.0.2.7"], []),
    ],
)
def test_the_dns_server_behaves_as_declared(
    behaviour: DnsBehaviour | None, rcode: int, addresses: list[str], addresses_v6: list[str]
) -> None:
    web = FakeWeb()
    web.host("a.test", dns=behaviour, ttl_s=7)
    with web.running() as served:
        for kind, expected in (("A", addresses), ("AAAA", addresses_v6)):
            answer = _ask_dns(served, "A.test", kind)
            assert answer is not None
            assert answer.header.rcode == rcode
            assert [str(record.rdata) for record in answer.rr] == expected
            assert {record.ttl for record in answer.rr} <= {7}
    assert [entry for entry in served.dns_log if entry[0] == "a.test"] == [("a.test", "A"), ("a.test", "AAAA")]


def test_dns_answers_may_change() -> None:
    addresses = iter((["192.0.2.1"], ["192.0.2.2"]))
    web = FakeWeb()
    web.host("a.test", dns=lambda _name: next(addresses))
    with web.running() as served:
        answers = [_ask_dns(served, "a.test") for _time in range(2)]
    assert [str(answer.rr[0].rdata) for answer in answers if answer] == ["192.0.2.1", "192.0.2.2"]


def test_a_silent_name_is_never_answered() -> None:
    web = FakeWeb()
    web.host("a.test", dns="silent")
    with web.running() as served:
        assert _ask_dns(served, "a.test") is None
    assert ("a.test", "A") in served.dns_log


def test_a_name_that_is_not_declared_does_not_exist() -> None:
    with FakeWeb().running() as served:
        answer = _ask_dns(served, "b.test")
    assert answer is not None
    assert answer.header.rcode == RCODE.NXDOMAIN


def test_nonsense_sent_to_the_dns_server_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    web = FakeWeb()
    web.host("a.test")
    unknown_type = bytes(DNSRecord.question("a.test").pack()[:-4]) + b"\xff\x77\x00\x01"
    with web.running() as served:
        host, _colon, port = served.dns.partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for nonsense in (b"", b"\x00", b"\x00" * 12, b"\xff" * 40, unknown_type):
                client.sendto(nonsense, (host, int(port)))
        assert _ask_dns(served, "a.test") is not None
    assert [record for record in caplog.records if record.name == "asyncio" and record.levelname == "ERROR"] == []


@pytest.mark.parametrize(("pages", "links_per_page"), [(1, 3), (2, 1), (40, 1), (300, 8)])
def test_every_page_of_a_generated_site_can_be_reached(pages: int, links_per_page: int) -> None:
    site = FakeWeb().site("big.test", pages=pages, links_per_page=links_per_page)
    seen, waiting = {"/"}, ["/"]
    while waiting:
        found = set(site.links[waiting.pop()]) - seen
        seen |= found
        waiting += found
    assert seen == set(site.links)
    assert len(seen) == pages
    assert all(len(links) == links_per_page for links in site.links.values())


def test_a_generated_site_is_the_same_every_time_and_another_with_another_seed() -> None:
    one, same, other = (FakeWeb().site("big.test", pages=50, seed=seed) for seed in (1, 1, 2))
    assert one.links == same.links
    assert one.links != other.links
    assert one.routes["/"].body == same.routes["/"].body  # type: ignore[union-attr]


def test_generated_hosts_link_to_each_other_in_a_ring() -> None:
    sites = FakeWeb().hosts(3, pages_each=5)
    assert [site.name for site in sites] == ["h000.test", "h001.test", "h002.test"]
    assert [site.links["/"][-1] for site in sites] == ["http://h001.test/", "http://h002.test/", "http://h000.test/"]
    assert all(len(site.links) == 5 for site in sites)


def test_a_web_in_a_thread_serves_blocking_code_and_leaves_nothing_behind() -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", body="hello")
    site.page("/never", delay_s=3600)
    threads = threading.active_count()
    with web.running() as served, socket.create_connection((site.address, served.port)) as waiting:
        waiting.sendall(b"GET /never HTTP/1.1\r\nHost: a.test\r\n\r\n")
        with urlopen(f"http://{site.address}:{served.port}/", timeout=10) as response:
            assert response.read() == b"hello"
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((site.address, served.port))


def test_a_web_in_a_thread_says_why_it_cannot_open() -> None:
    web = FakeWeb()
    web.host("a.test")
    with web.running() as served, pytest.raises(OSError, match="in use"), web.running(port=served.port):
        pass


def test_closing_with_connections_in_every_state_warns_of_nothing() -> None:
    script = """
import asyncio, gc, logging, socket, time
from crawler.fakeweb import FakeWeb

logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a step was slow is a warning in -X dev: machines are

async def never(reader, writer):
    writer.write(b"x" * 10_000_000)
    await reader.read()

web = FakeWeb()
site = web.host("a.test")
site.page("/", body="hello")
site.page("/late", delay_s=3600)
site.raw("/raw", never)
web.host("b.test").connection(never)
with web.running() as served:
    clients = []
    for address, message in [
        (site.address, b""),
        (site.address, b"GET /"),
        (site.address, b"GET / HTTP/1.1\\r\\n\\r\\n"),
        (site.address, b"GET /late HTTP/1.1\\r\\n\\r\\n"),
        (site.address, b"GET /raw HTTP/1.1\\r\\n\\r\\n"),
        (web.sites["b.test"].address, b""),
    ]:
        clients.append(socket.create_connection((address, served.port)))
        clients[-1].sendall(message)
    while len(served.log) < 3 or served.connections < 6:
        time.sleep(0.001)
for client in clients:
    client.close()
gc.collect()
print("closed")
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("closed\n", "", 0)


def _walk(seeds: Iterator[str], links_at: Callable[[str], tuple[str, ...]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(seeds)
    while waiting:
        url = waiting.pop()
        if url not in seen:
            seen.add(url)
            waiting += [link for href in links_at(url) if (link := normalize(href, url))]
    return seen


def test_the_demo_web_is_found_from_its_seeds_but_for_what_only_a_sitemap_names() -> None:
    web = demo_web()
    found = _walk(iter(DEMO_SEEDS), lambda url: web.sites[host_of(url)].links.get(target_of(url), ()))
    declared = {f"http://{site.name}{path}" for site in web.sites.values() for path in site.routes}
    lost = {re.sub(r"\d", "N", target_of(url)) for url in declared - found}
    assert lost == {"/robots.txt", "/sitemap.xml", "/reading-room/N"}
    assert 200 <= len(declared) <= 400
    assert max(len(site.routes) for site in web.sites.values()) <= 60


def test_the_demo_web_is_the_same_every_time() -> None:
    one, other = (
        {
            (site.name, path): answer.body
            for site in demo_web().sites.values()
            for path, answer in site.routes.items()
            if isinstance(answer, Answer)
        }
        for _time in range(2)
    )
    assert one == other


async def test_every_page_of_the_demo_web_can_be_served() -> None:
    web = demo_web()
    statuses: dict[int, int] = {}
    async with web.serve() as served, _client(served) as client:
        for site in web.sites.values():
            for path, answer in site.routes.items():
                if isinstance(answer, Answer) and not answer.delay_s:
                    async with client.get(served.url(site.name, path), allow_redirects=False) as response:
                        text = await response.read()
                        statuses[response.status] = statuses.get(response.status, 0) + 1
                        assert f".test:{served.port}" in html.unescape(text.decode("latin-1")) or b".test/" not in text
        assert served.with_ports(DEMO_SEEDS[0]) == served.url("harbour.test")
    assert set(statuses) == {200, 301, 302, 410}
