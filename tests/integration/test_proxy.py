"""`--proxy`: everything goes through it, the guard judges the target, and its troubles are not the site's."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trustme
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import CrawlConfig, NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.errors import UsageError
from crawler.network.fetcher import HttpFetcher, open_fetcher
from crawler.network.resolver import MIN_TTL_S
from crawler.network.session import common_headers
from crawler.proxy import parse_proxy
from crawler.records import Failure, FailureKind, Response
from tests.fuzz.connections import check_proxy
from tests.integration.proxies import Proxy
from tests.integration.rawserver import DnsServer, RawServer, ok

SCHEMES = ["http", "socks5", "socks5h"]
LOCAL = ("127.0.0.0/30",)
AT_HOME = {"a.test": "127.0.0.1"}
through = pytest.mark.parametrize("scheme", SCHEMES)


@through
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_request_goes_through_the_proxy_and_connections_are_kept_and_counted(
    new_loop: Callable[[], asyncio.AbstractEventLoop], scheme: str, tls: bool
) -> None:
    counters = Counters()

    async def crawl() -> None:
        ca = trustme.CA()
        serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        ca.issue_cert("a.test").configure_cert(serving)
        ca.configure_trust(trusting)
        async with (
            RawServer(ok(), host="127.0.0.2", tls=serving if tls else None) as server,
            Proxy(names={"a.test": "127.0.0.2"}, credentials="me:s3cret@/") as proxy,
            DnsServer({"a.test": ["127.0.0.2"]}) as dns,
            _opened(proxy.url(scheme, "me:s3cret%40%2F"), counters, dns=dns, ssl_context=trusting) as fetcher,
        ):
            url = f"http{'s' if tls else ''}://a.test:{server.port}/a?"
            for number in range(3):
                answer = await fetcher.fetch(url)
                assert isinstance(answer, Response), answer
                assert (answer.body, answer.reused, answer.address) == (b"hello", number > 0, "127.0.0.2")
            assert (server.connections, proxy.connections) == (1, 1)
            assert [head.split(b"\r\n")[0] for head in server.requests] == [b"GET /a? HTTP/1.1"] * 3
            assert all(b"roxy" not in head and b"s3cret" not in head for head in server.requests)
            by_name = scheme != "socks5"
            assert set(proxy.asked) == {("a.test" if by_name else "127.0.0.2", server.port)}
            assert (counters.connections_opened, counters.connections_reused, counters.requests) == (1, 2, 3)
            assert counters.connections_open == 1

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(crawl())
    gc.collect()
    assert counters.connections_open == 0


async def test_the_proxy_sees_nothing_of_an_https_request_but_the_name() -> None:
    async with Proxy(refusal=502) as proxy:
        headers = {"X-Key": "s3cret", "Authorization": "Bearer s3cret"}
        async with _opened(proxy.url("http", "me:pw"), headers=headers) as fetcher:
            fetcher.trust_origin("https://127.0.0.1:8443")
            await fetcher.fetch("https://127.0.0.1:8443/private")
    assert proxy.heads == [
        b"CONNECT 127.0.0.1:8443 HTTP/1.1\r\nHost: 127.0.0.1:8443\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n"
    ]


@through
async def test_a_certificate_is_verified_through_a_proxy_too(scheme: str) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(serving)
    async with RawServer(ok(), tls=serving) as server, Proxy() as proxy, _opened(proxy.url(scheme)) as fetcher:
        answer = await fetcher.fetch(f"{server.url}/")
        assert isinstance(answer, Failure)
        assert answer.kind is FailureKind.TLS
    async with (
        RawServer(ok(), tls=serving) as server,
        Proxy() as proxy,
        _opened(proxy.url(scheme), insecure=True) as fetcher,
    ):
        assert isinstance(await fetcher.fetch(f"{server.url}/"), Response)


# --- the guard ------------------------------------------------------------------------------------------------------


@through
@pytest.mark.parametrize(
    "target", ["10.0.0.1", "127.0.0.1", "[::ffff:a00:1]", "private.test", "half.test", "other-half.test", "localhost"]
)
async def test_the_target_is_judged_before_the_proxy_hears_of_it(scheme: str, target: str) -> None:
    zone = {"private.test": ["192.168.1.1"], "half.test": ["203.0.113.1", "8.8.8.8"]}
    zone["other-half.test"] = ["10.0.0.1", "93.184.216.34"]  # by number they come in this order
    async with Proxy() as proxy, DnsServer(zone) as dns, _opened(proxy.url(scheme), dns=dns, allow=()) as fetcher:
        for url in (f"http://{target}/", f"https://{target}/"):
            answer = await fetcher.fetch(url)
            assert isinstance(answer, Failure)
            assert (answer.kind, answer.sent) == (FailureKind.BLOCKED_ADDRESS, False)
            assert answer.address
            assert answer.address in answer.message
    assert proxy.connections == 0  # which itself is on a private address, being the user's


async def test_a_socks5_proxy_is_given_the_address_that_was_judged_whatever_it_makes_of_the_name() -> None:
    async with (
        RawServer(ok()) as server,
        DnsServer({"a.test": ["127.0.0.1"]}) as dns,
        Proxy(names={"a.test": "10.0.0.1"}) as proxy,
        _opened(proxy.url("socks5"), dns=dns) as fetcher,
    ):
        assert isinstance(await fetcher.fetch(f"http://a.test:{server.port}/"), Response)


@pytest.mark.thorough
async def test_a_name_that_changes_while_its_request_waits_for_a_connection_is_judged_again() -> None:
    """Judged at first, the second request waits for the only connection until DNS may be asked again."""

    async def slow(_head: bytes, writer: asyncio.StreamWriter) -> None:
        dns.zone["a.test"] = ["10.0.0.1"]
        await asyncio.sleep(MIN_TTL_S + 0.3)
        writer.write(ok(b"hello", "Connection: close"))

    async with (
        RawServer(slow, closing=True) as server,
        DnsServer({"a.test": ["127.0.0.1"]}, ttl=0) as dns,
        Proxy() as proxy,
        _opened(proxy.url("socks5"), dns=dns, per_host=1) as fetcher,
    ):
        fetching = asyncio.gather(*(fetcher.fetch(f"http://a.test:{server.port}/{number}") for number in range(2)))
        first, second = await fetching
    assert isinstance(first, Response)
    assert isinstance(second, Failure)
    assert second.kind is FailureKind.BLOCKED_ADDRESS
    assert proxy.asked == [("127.0.0.1", server.port)]


async def test_the_next_address_is_tried_where_the_first_cannot_be_reached() -> None:
    async with (
        RawServer(ok(), host="127.0.0.2") as server,
        DnsServer({"a.test": ["127.0.0.1", "127.0.0.2"]}) as dns,
        Proxy() as proxy,
        _opened(proxy.url("socks5"), dns=dns, allow=("127.0.0.0/8",)) as fetcher,
    ):
        answer = await fetcher.fetch(f"http://a.test:{server.port}/")
        assert isinstance(answer, Response), answer
    assert proxy.asked == [("127.0.0.1", server.port), ("127.0.0.2", server.port)]


@through
async def test_a_name_that_dns_does_not_know_is_not_asked_for(scheme: str) -> None:
    async with Proxy(names=AT_HOME) as proxy, DnsServer() as dns, _opened(proxy.url(scheme), dns=dns) as fetcher:
        answer = await fetcher.fetch("http://a.test/")
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.message) == (FailureKind.DNS, "a.test does not exist in DNS")
    assert proxy.connections == 0


# --- troubles -------------------------------------------------------------------------------------------------------


@through
@pytest.mark.parametrize("target", ["http://127.0.0.1/", "https://127.0.0.1/"])
async def test_a_proxy_that_is_down_is_named(scheme: str, target: str) -> None:
    answer = await _trouble(f"{scheme}://me:s3cret@127.0.0.1:{_closed_port()}", target)
    assert answer.kind is FailureKind.PROXY
    assert answer.message.startswith(f"cannot reach the proxy {scheme}://127.0.0.1:")
    assert answer.message.endswith("Connection refused")


@through
@pytest.mark.parametrize("target", ["http://127.0.0.1/", "https://127.0.0.1/"])
async def test_a_proxy_whose_name_is_unknown_is_named(scheme: str, target: str) -> None:
    answer = await _trouble(f"{scheme}://proxy.test:8080", target)
    assert answer.kind is FailureKind.PROXY
    assert answer.message == f"cannot reach the proxy {scheme}://proxy.test:8080: proxy.test does not exist in DNS"


@through
@pytest.mark.parametrize("target", ["http://127.0.0.1/", "https://127.0.0.1/"])
@pytest.mark.parametrize("given", ["", "me:wrong"])
async def test_a_proxy_that_does_not_know_us_says_so(scheme: str, target: str, given: str) -> None:
    async with Proxy(credentials="me:s3cret") as proxy:
        answer = await _trouble(proxy.url(scheme, given), target)
    assert answer.kind is FailureKind.PROXY
    problem = "rejects the user and password" if given else "requires a user and password"
    status = " (407)" if scheme == "http" else ""
    assert answer.message == f"the proxy {proxy.url(scheme)} {problem}{status}; check --proxy"


REFUSALS = [
    ("http", 403, "it responded to CONNECT with HTTP 403"),
    ("http", 502, "it responded to CONNECT with HTTP 502"),
    ("socks5", 2, "not allowed by its rules"),
    ("socks5", 5, "connection refused"),
    ("socks5h", 4, "host unreachable"),
    ("socks5h", 99, "reply 99"),
]


@pytest.mark.parametrize(("scheme", "refusal", "reason"), REFUSALS)
async def test_what_the_proxy_cannot_reach_is_a_failed_connection(scheme: str, refusal: int, reason: str) -> None:
    async with Proxy(refusal=refusal) as proxy:
        answer = await _trouble(proxy.url(scheme), "https://127.0.0.1/")
    assert answer.kind is FailureKind.CONNECT
    assert answer.message == f"no connection through the proxy {proxy.url(scheme)}: {reason}"


NONSENSE = [
    ("http", b"SSH-2.0-OpenSSH\r\n\r\n", FailureKind.PROXY, "does not speak HTTP"),
    ("http", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, FailureKind.PROXY, "too long"),
    ("http", b"", FailureKind.CONNECT, "closed the connection"),
    ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", FailureKind.PROXY, "does not speak SOCKS5"),
    ("socks5", b"\x05\x00HTTP", FailureKind.PROXY, "does not speak SOCKS5"),
    ("socks5", b"\x05\x01", FailureKind.PROXY, "requires a user and password"),
    ("socks5", b"\x05", FailureKind.CONNECT, "the proxy socks5://127.0.0.1:"),
    ("socks5", b"\x05\x00\x05\x00\x00\x03\xffx", FailureKind.CONNECT, "the proxy socks5://127.0.0.1:"),
]


@pytest.mark.parametrize(("scheme", "raw", "kind", "message"), NONSENSE)
async def test_nonsense_from_a_proxy_is_a_failure(scheme: str, raw: bytes, kind: FailureKind, message: str) -> None:
    async with Proxy(raw=raw) as proxy:
        answer = await _trouble(proxy.url(scheme), "https://127.0.0.1/")
    assert answer.kind is kind, answer
    assert message in answer.message


@through
async def test_a_proxy_that_says_nothing_is_a_timeout(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepted by the kernel, read by nobody
        proxy = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        answer = await _trouble(proxy, "https://127.0.0.1/", connect_timeout_s=0.3)
    assert answer.kind is FailureKind.TIMEOUT
    assert answer.message == f"timed out while connecting through the proxy {proxy}"


# --- the option -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8080",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://:8080",
        "https://me:s3cret@proxy.test:8080",
        "socks4://proxy.test:1080",
        "http://proxy.test:8080/s3cret",
        "http://proxy.test:8080?s3cret",
        "http://me:s3cret#@proxy.test:8080",
        "http://me:s3cret/@proxy.test:8080",
        "http://pro xy:8080",
        "http://[::1:8080",
        "http://:s3cret@proxy.test:8080",
        "http://me%0d%0aX:s3cret@proxy.test:8080",
        "socks5://me:" + "s3cret" * 50 + "@proxy.test:1080",
    ],
)
def test_what_is_no_proxy_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--proxy") as raised:
        NetworkConfig(proxy=text)
    assert "s3cret" not in str(raised.value)


def test_what_is_stored_and_shown_of_a_proxy_holds_no_credentials() -> None:
    network = NetworkConfig(proxy="socks5://me:s3cret@[::1]:1080/")
    assert CrawlConfig(network=network).storable()["network"]["proxy"] == "socks5://[::1]:1080"
    proxy = parse_proxy("http://Jo%40:p%3aw@Proxy.Test:3128")
    assert (proxy.host, proxy.port, proxy.credentials) == ("proxy.test", 3128, ("Jo@", "p:w"))
    assert "p:w" not in repr(proxy)


def test_proxy_credentials_cannot_be_sent_to_everybody_as_a_header() -> None:
    with pytest.raises(UsageError, match="Proxy-Authorization"):
        common_headers(NetworkConfig(headers={"Proxy-Authorization": "Basic x"}))


_STARTS = st.sampled_from(
    [
        *(
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.0 407\r\n\r\n",
            b"HTTP/1.1 2000\r\n\r\n",
        ),
        *(b"\5\0\5", b"\5\0\5\0\0\1\x7f\0\0\1\0\x50", b"\5\0\5\0\0\3\1a\0\x50", b"\5\0\5\1\0\1\x7f\0\0\1\0\x50"),
        *(b"\5\2\1\0\5\0\0\4" + bytes(18), b"\5\2\1\1\5\0\0\1\x7f\0\0\1\0\x50"),
    ]
)


@given(
    st.sampled_from(["http", "socks5"]),
    st.builds(bytes.__add__, _STARTS, st.sampled_from([b"", b"\r\n\r\n"]) | st.binary(max_size=9)),
    st.sampled_from([None, ("me", "s3cret")]),
)
def test_whatever_a_proxy_says_there_is_a_tunnel_or_one_line(
    scheme: str, said: bytes, credentials: tuple[str, str] | None
) -> None:
    asyncio.run(check_proxy(scheme, said, credentials))


@asynccontextmanager
async def _opened(
    proxy: str | None,
    counters: Counters | None = None,
    *,
    dns: DnsServer | None = None,
    allow: tuple[str, ...] = LOCAL,
    ssl_context: ssl.SSLContext | None = None,
    per_host: int = 64,
    **options: object,
) -> AsyncIterator[HttpFetcher]:
    network = NetworkConfig(
        **({"timeout_s": 10.0} | options),  # type: ignore[arg-type]
        proxy=proxy,
        allow_private=allow,
        dns_server=dns.address if dns else None,
    )
    politeness = PolitenessConfig(delay_s=0, per_host=per_host)
    async with open_fetcher(network, politeness, counters or Counters(), ssl_context=ssl_context) as fetcher:
        yield fetcher


async def _trouble(proxy: str, target: str, **options: object) -> Failure:
    async with DnsServer() as dns, _opened(proxy, dns=dns, **options) as fetcher:  # type: ignore[arg-type]
        answer = await fetcher.fetch(target)
    assert isinstance(answer, Failure), answer
    assert "s3cret" not in repr(answer)
    return answer


def _closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
