"""What every fetcher owes a run: aiohttp over sockets to the served web, and the one that answers from its declaration.

Each case declares a web and runs on both.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
import trustme

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.content.reader import readable
from crawler.counters import Counters
from crawler.fakeweb import Answer, FakeWeb, Fault, Request
from crawler.fakeweb.directory import Directory
from crawler.fakeweb.fetcher import open_fake_fetcher
from crawler.fetching import RunFetcher, Unresolved
from crawler.network.fetcher import open_fetcher
from crawler.records import Failure, FailureKind, Response

LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Opened:
    """A fetcher, the web that it fetches from, and what it has counted."""

    fetcher: RunFetcher
    web: Directory
    counters: Counters

    async def get(self, path: str = "/", host: str = "a.test", **asked: Any) -> Response | Failure:
        return await self.fetcher.fetch(self.web.url(host, path), **asked)

    async def answer(self, path: str = "/", host: str = "a.test", **asked: Any) -> Response:
        outcome = await self.get(path, host, **asked)
        assert isinstance(outcome, Response), outcome
        return outcome

    async def failure(self, path: str = "/", host: str = "a.test", **asked: Any) -> Failure:
        outcome = await self.get(path, host, **asked)
        assert isinstance(outcome, Failure), outcome
        assert self.counters.in_flight == 0
        return outcome


Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def _over_sockets(web: FakeWeb, **options: Any) -> AsyncIterator[Opened]:
    ours, its = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.configure_trust(ours)
    authority.issue_cert(*(name for name in web.sites)).configure_cert(its)
    async with web.serve(ssl_context=its) as served:
        network = _network(dns_server=served.dns, **options)
        counters = Counters()
        async with open_fetcher(
            network, PolitenessConfig(delay_s=0, per_host=8), counters, ssl_context=ours
        ) as fetcher:
            yield Opened(fetcher, served, counters)


@asynccontextmanager
async def _as_declared(web: FakeWeb, **options: Any) -> AsyncIterator[Opened]:
    counters = Counters()
    with open_fake_fetcher(web, _network(**options), counters) as fetcher:
        yield Opened(fetcher, fetcher.directory, counters)
    assert counters.connections_open == 0


def _network(**options: Any) -> NetworkConfig:
    values: dict[str, Any] = {"allow_private": LOOPBACK, "timeout_s": 10.0} | options
    return NetworkConfig(**values)


@pytest.fixture(params=[_over_sockets, _as_declared], ids=["sockets", "declared"])
def opened(request: pytest.FixtureRequest) -> Open:
    """Opens a fetcher of each kind for a web; options are those of `NetworkConfig`."""
    opener: Open = request.param
    return opener


@pytest.fixture
def web() -> FakeWeb:
    """A web in which a.test has a home."""
    web = FakeWeb()
    web.host("a.test").page("/", title="Home")
    return web


# --- the request ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/a?", "/~x/%7Ex", "/a//b/?c=d&c=%20+", "/%00"])
async def test_request(web: FakeWeb, opened: Open, target: str) -> None:
    """The server sees the URL as it is written, our own headers and those of this request."""
    async with opened(web, user_agent="testbot/1.0", headers={"X-Team": "search"}) as run:
        await run.get(target, headers={"If-None-Match": '"x"'})
        await run.get(target)
        with_it, without = run.web.hits("a.test", target)
        assert (with_it.method, with_it.scheme, with_it.address) == ("GET", "http", web.sites["a.test"].address)
        assert with_it.headers["host"] == run.web.url("a.test").split("/")[2]
        assert (with_it.headers["user-agent"], with_it.headers["x-team"]) == ("testbot/1.0", "search")
        assert (with_it.headers["if-none-match"], without.headers.get("if-none-match")) == ('"x"', None)
        assert "text/html" in with_it.headers["accept"]


async def test_credentials(web: FakeWeb, opened: Open) -> None:
    """The user's credentials go to the origins that were named for them; those for one origin win there."""
    web.host("b.test")
    web.host("c.test")
    async with opened(web, headers={"authorization": "Bearer x", "COOKIE": "sid=1"}) as run:
        origins = [run.web.url(host).removesuffix("/") for host in ("a.test", "b.test")]
        run.fetcher.trust_origin(origins[0])
        run.fetcher.authorize(origins[1], "jörg", "p:w")
        run.fetcher.trust_origin(origins[1])
        for host in ("a.test", "b.test", "c.test"):
            await run.get("/", host)
        seen = [(hit.headers.get("authorization"), hit.headers.get("cookie")) for hit in run.web.log]
        assert seen == [("Bearer x", "sid=1"), ("Basic asO2cmc6cDp3", "sid=1"), (None, None)]


async def test_a_stranger_gets_no_secret(web: FakeWeb, opened: Open) -> None:
    """Not even as a header of any name; what tells nothing goes along."""
    headers = {"X-Api-Key": "k", "Authorization": "x", "Cookie": "c", "From": "me@x.test", "Accept-Language": "de"}
    async with opened(web, headers=headers) as run:
        run.fetcher.trust_origin(run.web.url("a.test").removesuffix("/"))
        for as_stranger in (False, True):
            await run.get(as_stranger=as_stranger)
        seen = [{name: hit.headers.get(name.lower()) for name in headers} for hit in run.web.log]
        nothing = {"X-Api-Key": None, "Authorization": None, "Cookie": None}
        assert seen == [headers, headers | nothing]


@pytest.mark.parametrize("status", [200, 404, 302])
async def test_head(web: FakeWeb, opened: Open, status: int) -> None:
    """The answer has no body, whatever its head says, and the connection lives on."""
    web.sites["a.test"].answer("/", Answer(status=status, body=b"x" * 100_000, headers={"X-A": "b"}))
    async with opened(web) as run:
        for method in ("HEAD", "HEAD"):
            response = await run.answer(method=method)
            assert (response.status_code, response.body) == (status, b"")
            assert (b"X-A", b"b") in response.head
        assert [hit.method for hit in run.web.log] == ["HEAD", "HEAD"]
        assert run.counters.connections_opened == 1
        assert run.counters.bytes == 0


async def test_credentials_in_the_url(web: FakeWeb, opened: Open) -> None:
    """They are neither sent nor shown."""
    async with opened(web) as run:
        outcome = await run.fetcher.fetch(run.web.url("a.test").replace("://", "://me:s3cret@"))
        assert "s3cret" not in repr(outcome)
        assert "authorization" not in run.web.log[0].headers
        assert outcome.url == run.web.url("a.test")


async def test_on_sent(web: FakeWeb, opened: Open) -> None:
    """It is called once, when the request is out and before its answer is there; not where none was sent."""
    told: list[tuple[int, int]] = []
    answered = asyncio.Event()

    async def wait_for_the_client(_request: Request) -> Answer:
        await answered.wait()
        return Answer(body="x")

    web.sites["a.test"].answer("/waits", wait_for_the_client)
    web.host("refused.test", listening=False)
    async with opened(web) as run:

        def note() -> None:
            told.append((run.counters.requests, run.counters.in_flight))
            answered.set()

        assert (await run.answer("/waits", on_sent=note)).status_code == 200
        assert told == [(1, 1)]
        await run.failure("/", "refused.test", on_sent=note)
        assert told == [(1, 1)]
        assert run.counters.in_flight == 0


# --- the answer -----------------------------------------------------------------------------------------------------


async def test_answer(web: FakeWeb, opened: Open) -> None:
    """All that the head says is there, and nothing that it does not say."""
    headers = (
        ("ETag", '"abc"'),
        ("Last-Modified", "Tue, 15 Nov 1994 12:45:26 GMT"),
        ("Date", "Tue, 15 Nov 1994 12:45:27 GMT"),
        ("X-Robots-Tag", "noindex"),
        ("x-robots-tag", "otherbot: nofollow"),
        ("Retry-After", "120"),
        ("Cache-Control", "public, max-age=60"),
    )
    site = web.sites["a.test"]
    site.answer("/full", Answer(body="<p>hé", headers=headers))
    site.answer("/bare", Answer(body=b"x", content_type=""))
    async with opened(web) as run:
        before = time.time()
        full, bare = await run.answer("/full"), await run.answer("/bare")
        assert before - 1 <= full.started_at <= bare.started_at <= time.time() + 1
        assert full.elapsed_s >= 0
        assert full == Response(
            url=run.web.url("a.test", "/full"),
            status_code=200,
            body="<p>hé".encode(),
            size=6,
            content_type="text/html; charset=utf-8",
            retry_after="120",
            etag='"abc"',
            last_modified="Tue, 15 Nov 1994 12:45:26 GMT",
            date="Tue, 15 Nov 1994 12:45:27 GMT",
            max_age_s=60.0,
            robots_tags=("noindex", "otherbot: nofollow"),
            address=site.address,
            started_at=full.started_at,
            elapsed_s=full.elapsed_s,
            first_byte_s=full.first_byte_s,
            head=full.head,
        )
        sent = {(b"ETag", b'"abc"'), (b"X-Robots-Tag", b"noindex"), (b"x-robots-tag", b"otherbot: nofollow")}
        assert sent <= set(full.head)
        assert [name.lower() for name, _value in full.head].count(b"x-robots-tag") == 2
        assert (bare.content_type, bare.etag, bare.date, bare.max_age_s, bare.robots_tags) == (None,) * 4 + ((),)
        assert (run.counters.bytes, run.counters.requests) == (7, 2)


async def test_the_first_byte_s_time_is_the_server_s(web: FakeWeb, opened: Open) -> None:
    """What the server took, less what our own loop was late, in which a busy machine may lose all of a short wait: so
    an answer that was held long enough has it. Of a body that breaks off too; where no answer began, there is none.
    """
    site, held_s = web.sites["a.test"], 0.1
    site.answer("/held", lambda _request: Answer.page(delay_s=held_s))
    site.answer("/cut", Answer(body="short", headers={"Content-Length": "99"}, close=True))
    site.answer("/none", Fault.DISCONNECT)
    async with opened(web) as run:
        while ((held := await run.answer("/held")).first_byte_s or 0.0) < held_s / 2:
            held_s *= 2  # up to the fetcher's deadline, which makes the answer a failure
        assert held.first_byte_s is not None
        assert held.first_byte_s <= held.elapsed_s
        cut, none = await run.failure("/cut"), await run.failure("/none")
        assert cut.first_byte_s is not None
        assert none.first_byte_s is None


@pytest.mark.parametrize("location", ["/there", "http://b.test/x", "//b.test/", "/caf\xe9", "/caf\xc3\xa9", "/a\tb"])
async def test_redirects(web: FakeWeb, opened: Open, location: str) -> None:
    """A redirect is an answer, and not followed; its Location keeps its bytes, with the port of a declared host."""
    web.host("b.test")
    web.sites["a.test"].redirect("/", location, status=301)
    async with opened(web) as run:
        answer = await run.answer()
        b_test = run.web.url("b.test")
        expected = {"http://b.test/x": f"{b_test}x", "//b.test/": b_test.removeprefix("http:"), "/a\tb": "/ab"}
        expected |= {"/caf\xe9": "/caf%E9", "/caf\xc3\xa9": "/café"}
        assert answer.location == expected.get(location, location)
        assert (answer.status_code, answer.read, answer.body) == (301, False, b"")
        assert len(run.web.log) == 1


@pytest.mark.parametrize("status", [200, 203, 204, 300, 304, 400, 404, 410, 429, 500, 503])
async def test_statuses(web: FakeWeb, opened: Open, status: int) -> None:
    """The body of a success is read, no other; the connection lives on either way."""
    web.sites["a.test"].answer("/", Answer(status=status, body="hello"))
    async with opened(web) as run:
        first, second = await run.answer(), await run.answer()
        body = b"" if status in (204, 304) else b"hello"
        assert (first.status_code, first.body) == (status, body if status < 300 else b"")
        assert first.read is (status < 300)
        assert first.size == (0 if status == 204 else None if status == 304 else 5)
        assert (first.reused, second.reused, run.web.connections) == (False, True, 1)


async def test_unknown_paths_and_handlers(web: FakeWeb, opened: Open) -> None:
    """Whole targets, then paths, then '*'; handlers, also in a sequence; a host's 404 and robots.txt."""
    site = web.sites["a.test"]
    site.answer("/h", lambda request: Answer(body=request.target))
    site.sequence("/s", Answer(status=503), Answer(body="2"), Fault.DISCONNECT)
    site.robots("User-agent: *\nDisallow: /x\n")
    async with opened(web) as run:
        assert (await run.answer("/nowhere")).status_code == 404
        assert (await run.answer("/h?x=1")).body == b"/h?x=1"
        assert [(await run.answer("/s")).status_code for _ in range(2)] == [503, 200]
        assert (await run.failure("/s")).kind is FailureKind.DISCONNECTED
        robots = await run.answer("/robots.txt")
        assert (robots.body, robots.content_type) == (b"User-agent: *\nDisallow: /x\n", "text/plain")


async def test_conditional_requests(web: FakeWeb, opened: Open) -> None:
    """Who has the version already is told so."""
    web.sites["a.test"].page("/", title="T", headers={"ETag": '"1"'})
    async with opened(web) as run:
        same = await run.answer(headers={"If-None-Match": '"1"'})
        other = await run.answer(headers={"If-None-Match": '"2"'})
        assert (same.status_code, same.read, same.etag, other.status_code) == (304, False, '"1"', 200)


@pytest.mark.parametrize("how", [{}, {"chunked": True}, {"gzip": True}, {"gzip": True, "chunked": True}])
@pytest.mark.parametrize(("length", "truncated"), [(99, False), (100, False), (101, True), (5000, True)])
async def test_size_limit(web: FakeWeb, opened: Open, how: dict[str, Any], length: int, truncated: bool) -> None:
    """A body is cut at the limit, which counts decoded bytes; where it is not cut, its connection lives on."""
    web.sites["a.test"].answer("/", Answer(body=b"x" * length, **how))
    async with opened(web) as run:
        answer, again = await run.answer(max_bytes=100), await run.answer(max_bytes=100)
        assert (answer.body, answer.truncated) == (b"x" * min(length, 100), truncated)
        assert (answer.size, answer.read) == (min(length, 100), True)
        assert again.reused or truncated


@pytest.mark.parametrize(
    ("how", "size"), [({}, 2000), ({"gzip": True}, len(gzip.compress(b"x" * 2000))), ({"chunked": True}, None)]
)
async def test_unreadable_types(web: FakeWeb, opened: Open, how: dict[str, Any], size: int | None) -> None:
    """A body that nobody reads is not there, and its size is what the head declares."""
    web.sites["a.test"].answer("/", Answer(body=b"x" * 2000, content_type="image/png", **how))
    async with opened(web) as run:
        answer = await run.answer(readable=readable)
        assert (answer.read, answer.body, answer.size, answer.content_type) == (False, b"", size, "image/png")
        assert run.counters.bytes == 0


async def test_large_bodies_that_are_not_wanted(web: FakeWeb, opened: Open) -> None:
    """They cost their connection: reading them would cost more."""
    web.sites["a.test"].answer("/", Answer(status=404, body=b"x" * 1_000_000))
    async with opened(web) as run:
        assert [(await run.answer()).reused for _ in range(2)] == [False, False]


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, compress", "utf-8"])
async def test_declared_codings(web: FakeWeb, opened: Open, coding: str) -> None:
    """A coding that cannot be undone is a failure; one that is none is passed over."""
    web.sites["a.test"].answer("/", Answer(body=b"plain", headers={"Content-Encoding": coding}))
    async with opened(web) as run:
        outcome = await run.get()
        if coding == "utf-8":
            assert isinstance(outcome, Response)
            assert outcome.body == b"plain"
        else:
            assert isinstance(outcome, Failure)
            assert outcome.kind is FailureKind.BAD_RESPONSE
            assert coding in outcome.message


async def test_a_body_holds_its_memory_until_it_is_given_back(web: FakeWeb, opened: Open) -> None:
    """And what is no body holds none."""
    web.sites["a.test"].answer("/body", Answer(body=b"x" * 3000))
    web.sites["a.test"].answer("/broken", Answer(body=b"x" * 3000, headers={"Content-Encoding": "gzip"}))
    web.sites["a.test"].answer("/missing", Answer(status=404, body=b"x" * 3000))
    async with opened(web) as run:
        share = run.fetcher.share()
        await run.answer("/missing", share=share)
        await run.failure("/broken", share=share)
        assert (share.size, share.is_fetched) == (0, False)
        await run.answer("/body", share=share)
        assert (share.size, share.is_fetched) == (3000, True)
        share.give_back()
        assert (share.size, share.is_fetched) == (0, False)


# --- connections ----------------------------------------------------------------------------------------------------


async def test_connections(web: FakeWeb, opened: Open) -> None:
    """A connection is kept and used again, unless the server says that it closes it."""
    web.sites["a.test"].answer("/last", Answer(body=b"x", close=True))
    web.host("once.test", keep_alive=False).page("/")
    async with opened(web) as run:
        assert [(await run.answer(path)).reused for path in ("/", "/", "/last", "/")] == [False, True, True, False]
        assert [(await run.answer("/", "once.test")).reused for _ in range(2)] == [False, False]
        assert [hit.connection for hit in run.web.log] == [1, 1, 1, 2, 3, 4]
        assert (run.counters.connections_opened, run.counters.connections_reused) == (4, 2)


async def test_fresh_connections(web: FakeWeb, opened: Open) -> None:
    """Where a fresh one is wanted, none that was kept is used, then or later."""
    async with opened(web) as run:
        assert [(await run.answer("/", fresh=fresh)).reused for fresh in (False, True, False)] == [False, False, True]
        assert [hit.connection for hit in run.web.log] == [1, 2, 2]


async def test_codings_on_top_of_each_other(web: FakeWeb, opened: Open) -> None:
    """They are undone one after the other; what is cut is kept as far as it goes, what follows the end is not."""
    packed, twice = gzip.compress(b"hello"), gzip.compress(gzip.compress(b"hello"))
    bodies = {"/twice": ("gzip, x-gzip", twice), "/cut": ("gzip", packed[:-8]), "/more": ("gzip", packed + b"x")}
    for path, (coding, body) in bodies.items():
        web.sites["a.test"].answer(path, Answer(body=body, headers={"Content-Encoding": coding}))
    async with opened(web) as run:
        outcomes = {path: await run.answer(path) for path in bodies}
        assert {answer.body for answer in outcomes.values()} == {b"hello"}
        assert [path for path, answer in outcomes.items() if answer.truncated] == ["/cut"]


async def test_partial_content(web: FakeWeb, opened: Open) -> None:
    """A part that nobody asked for is known to be one."""
    web.sites["a.test"].answer("/", Answer(status=206, body=b"hello"))
    async with opened(web) as run:
        answer = await run.answer()
        assert (answer.status_code, answer.body, answer.truncated) == (206, b"hello", True)


async def test_many_at_once(web: FakeWeb, opened: Open) -> None:
    """Requests under way do not wait for each other, and each gets its own answer."""
    meeting = asyncio.Barrier(5)

    async def meet(request: Request) -> Answer:
        await meeting.wait()
        return Answer(body=request.target)

    web.sites["a.test"].answer("*", meet)
    async with opened(web) as run:
        answers = await asyncio.gather(*(run.answer(f"/{number}", timeout_s=10) for number in range(5)))
        assert [answer.body for answer in answers] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
        assert run.counters.connections_peak == 5


async def test_tls(web: FakeWeb, opened: Open) -> None:
    """https where the host has it; refused where it has not."""
    web.host("secure.test", tls=True).page("/", title="S", links=["//a.test/", "http://secure.test/"])
    async with opened(web) as run:
        answer = await run.answer("/", "secure.test")
        assert (answer.url, run.web.log[0].scheme) == (run.web.url("secure.test"), "https")
        assert run.web.url("secure.test", scheme="http").encode() in answer.body
        plain = await run.fetcher.fetch(run.web.url("secure.test", scheme="http"))
        assert isinstance(plain, Response)
        refused = await run.fetcher.fetch(run.web.url("a.test", scheme="https"))
        assert isinstance(refused, Failure)
        assert refused.kind is FailureKind.CONNECT


# --- failures -------------------------------------------------------------------------------------------------------


async def test_what_is_no_response(web: FakeWeb, opened: Open) -> None:
    web.sites["a.test"].answer("/garbage", Fault.GARBAGE)
    web.sites["a.test"].answer("/flood", Fault.FLOOD)
    async with opened(web) as run:
        garbage, flood = await run.failure("/garbage"), await run.failure("/flood")
        assert (garbage.kind, garbage.answered) == (FailureKind.BAD_RESPONSE, False)
        assert (flood.kind, flood.answered) == (FailureKind.TOO_LARGE, False)
        assert flood.message == "the header section is larger than 256 KiB"
        assert None not in (garbage.first_byte_s, flood.first_byte_s), "bytes came"


async def test_silent(web: FakeWeb, opened: Open) -> None:
    """Who wants to connect gets no answer, at a host or at one of its origins."""
    web.host("silent.test", listening="silent")
    web.sites["a.test"].origin(8081, listening="silent")
    async with opened(web, connect_timeout_s=0.2) as run:
        for url in (run.web.url("silent.test"), run.web.url("a.test", port=8081)):
            failure = await run.fetcher.fetch(url)
            assert isinstance(failure, Failure)
            assert (failure.kind, failure.message) == (FailureKind.TIMEOUT, "timed out while connecting")
            assert (failure.sent, failure.answered) == (False, False)
        await run.answer("/")


async def test_refused(web: FakeWeb, opened: Open) -> None:
    """Nobody listens."""
    web.host("refused.test", listening=False)
    async with opened(web) as run:
        failure = await run.failure("/", "refused.test")
        assert (failure.kind, failure.message, failure.sent) == (FailureKind.CONNECT, "Connection refused", False)
        assert failure.address == web.sites["refused.test"].address
        assert (run.counters.requests, run.counters.connections_opened) == (0, 0)


@pytest.mark.parametrize("limits", [{"timeout_s": 1.0}, {"read_timeout_s": 1.0}])
@pytest.mark.parametrize("path", ["/hang", "/late", "/stuck"])
async def test_timeouts(web: FakeWeb, opened: Open, limits: dict[str, float], path: str) -> None:
    """A server that does not answer in time, or not to the end."""
    site = web.sites["a.test"]
    site.answer("/hang", Fault.HANG)
    site.answer("/late", Answer(body="x", delay_s=60))
    site.answer("/stuck", Answer(body="x", headers={"Content-Length": "2"}))
    async with opened(web, **limits) as run:
        failure = await run.failure(path)
        assert (failure.kind, failure.message) == (FailureKind.TIMEOUT, "timed out before the response was complete")
        assert (failure.sent, failure.reused, failure.address) == (True, False, site.address)
        assert len(run.web.log) == 1


async def test_a_timeout_of_ones_own(web: FakeWeb, opened: Open) -> None:
    """`timeout_s` replaces the configured one."""
    web.sites["a.test"].answer("/", Answer(delay_s=60))
    async with opened(web) as run:
        assert (await run.failure(timeout_s=0.1)).kind is FailureKind.TIMEOUT


async def test_disconnects(web: FakeWeb, opened: Open) -> None:
    """The connection ends before the answer, or within its body."""
    site = web.sites["a.test"]
    site.answer("/before", Fault.DISCONNECT)
    site.answer("/within", Answer(body="x", headers={"Content-Length": "2"}, close=True))
    site.answer("/unread", Answer(status=404, body="x", headers={"Content-Length": "2"}, close=True))
    async with opened(web) as run:
        before, within = await run.failure("/before"), await run.failure("/within")
        assert before.kind is within.kind is FailureKind.DISCONNECTED
        assert (before.message, before.sent) == ("the connection closed before the response", True)
        assert within.message == "the connection closed within the body"
        assert (await run.answer("/unread")).status_code == 404
        assert len(run.web.log) == 3  # nothing is sent twice


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 1000, mtime=0)[:9]], ids=["none", "cut"])
async def test_broken_compression(web: FakeWeb, opened: Open, body: bytes) -> None:
    """A body that is none of its coding, or ends before it says anything."""
    web.sites["a.test"].answer("/", Answer(body=body, headers={"Content-Encoding": "gzip"}))
    async with opened(web) as run:
        failure = await run.failure()
        assert failure.kind is FailureKind.BAD_RESPONSE
        assert "gzip" in failure.message


async def test_private_addresses(web: FakeWeb, opened: Open) -> None:
    """They are not connected to, unless a seed names the very address; a name opens nothing."""
    async with opened(web, allow_private=()) as run:
        by_name = run.web.url("a.test")
        by_address = by_name.replace("a.test", web.sites["a.test"].address)
        run.fetcher.open_origin(by_name.removesuffix("/"))
        for url in (by_name, by_address):
            blocked = await run.fetcher.fetch(url)
            assert isinstance(blocked, Failure)
            assert (blocked.kind, blocked.sent) == (FailureKind.BLOCKED_ADDRESS, False)
            assert f"{web.sites['a.test'].address} is loopback" in blocked.message
        run.fetcher.open_origin(by_address.removesuffix("/"))
        assert isinstance(await run.fetcher.fetch(by_address), Response)
        assert len(run.web.log) == 1


async def test_a_cancelled_request(web: FakeWeb, opened: Open) -> None:
    """Nothing of it stays in flight, and the server never answers it."""
    web.sites["a.test"].answer("/", Fault.HANG)
    sent = asyncio.Event()
    async with opened(web) as run:
        task = asyncio.create_task(run.get(on_sent=sent.set))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.counters.in_flight == 0
    assert [hit.status for hit in run.web.log] == [None] * len(run.web.log)


async def test_a_broken_handler(web: FakeWeb, opened: Open) -> None:
    """It answers 500, and is told at the end."""

    def fail(_request: Request) -> Answer:
        raise ValueError("a bug in the test")

    web.sites["a.test"].answer("/", fail)
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="a bug in the test")):
        async with opened(web) as run:
            assert (await run.answer()).status_code == 500


# --- names ----------------------------------------------------------------------------------------------------------


async def test_addresses(web: FakeWeb, opened: Open) -> None:
    """A host is counted under its first address, a literal under itself; names of one server share one."""
    web.host("b.test", address=web.sites["a.test"].address).page("/")
    web.host("many.test", dns=("127.9.9.9", "127.3.3.3", "127.9.9.9"))
    web.host("*.wild.test").page("/")
    async with opened(web) as run:
        address_of = run.fetcher.address_of
        assert await address_of("a.test") == await address_of("b.test") == web.sites["a.test"].address
        assert await address_of("many.test") == "127.3.3.3"
        assert await address_of("x.wild.test") == web.sites["*.wild.test"].address
        assert (await address_of("127.0.0.1"), await address_of("[::1]")) == ("127.0.0.1", "::1")
        assert await address_of("localhost") == "127.0.0.1"
        assert (await run.answer("/", "x.wild.test")).status_code == 200


async def test_another_address_is_tried(web: FakeWeb, opened: Open) -> None:
    """Where nobody listens at the first, or it must not be connected to, the next one may do."""
    web.host("two.test", dns=("127.0.200.200", web.sites["a.test"].address)).page("/")
    web.host("inner.test", dns=("10.1.1.1", web.sites["a.test"].address)).page("/")
    async with opened(web) as run:
        for host in ("two.test", "inner.test"):
            assert (await run.answer("/", host)).address == web.sites["a.test"].address


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("nxdomain", "x.test does not exist in DNS"),
        ("servfail", "no DNS answer for x.test: DNS server returned general failure"),
        (None, "y.test does not exist in DNS"),
    ],
)
async def test_names_without_address(web: FakeWeb, opened: Open, declared: Any, message: str) -> None:
    """No address, and why; a request says the same."""
    web.host("x.test", dns=declared)
    host = "x.test" if declared else "y.test"
    async with opened(web) as run:
        found = await run.fetcher.address_of(host)
        assert isinstance(found, Unresolved)
        assert found == Unresolved(host=host, message=message)
        failure = await run.fetcher.fetch(run.web.url("a.test").replace("a.test", host))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.message, failure.sent) == (FailureKind.DNS, message, False)


async def test_names_are_asked_for_once(web: FakeWeb, opened: Open) -> None:
    """What is known is not asked for again while it holds."""
    async with opened(web) as run:
        for _ in range(3):
            await run.fetcher.address_of("A.test")
            await run.answer()
        assert run.counters.dns_lookups == 1
        assert run.counters.dns_cache_hits >= 3
