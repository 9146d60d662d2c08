"""The resolver against a real DNS server on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crawler.counters import Counters
from crawler.errors import UsageError
from crawler.fetching import Unresolved
from crawler.network import resolver as room
from crawler.network.resolver import Resolver, in_stable_order, parse_dns_server
from tests.integration.rawserver import DnsServer


class Clock:
    """Stands still until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def asking(
    server: DnsServer, *, timeout_s: float = 5.0, max_names: int = 100, clock: Clock | None = None
) -> AsyncIterator[tuple[Resolver, Counters]]:
    counters = Counters()
    async with server:
        resolver = Resolver(
            counters, server.address, timeout_s=timeout_s, max_names=max_names, clock=clock or time.monotonic
        )
        try:
            yield resolver, counters
        finally:
            await resolver.close()


async def lifetime_is(kept_s: float, name: str, resolver: Resolver, counters: Counters, clock: Clock) -> bool:
    """Whether an answer got now is used until just before `kept_s` seconds, and not after."""
    await resolver.lookup(name)
    first = counters.dns_lookups
    clock.now += kept_s - 0.001
    await resolver.lookup(name)
    kept = counters.dns_lookups
    clock.now += 0.002
    await resolver.lookup(name)
    return (kept, counters.dns_lookups) == (first, first + 1)


async def test_an_answer_is_asked_for_once_and_kept() -> None:
    server = DnsServer({"a.test": ["192.0.2.1"]})
    async with asking(server) as (resolver, counters):
        assert await resolver.lookup("a.test") == ("192.0.2.1",)
        assert await resolver.lookup("A.TEST.") == ("192.0.2.1",)
        assert (counters.dns_lookups, counters.dns_cache_hits) == (1, 1)
        assert server.asked.count(("a.test", "A")) == 1


async def test_both_families_come_in_an_order_that_does_not_depend_on_the_servers() -> None:
    server = DnsServer({"a.test": ["192.0.2.30", "192.0.2.4", "2001:db8::2", "192.0.2.4", "2001:db8::1"]})
    async with asking(server) as (resolver, _counters):
        answer = await resolver.lookup("a.test")
    assert not isinstance(answer, Unresolved)
    assert [address for address in answer if "." in address] == ["192.0.2.4", "192.0.2.30"]
    assert [address for address in answer if ":" in address] == ["2001:db8::1", "2001:db8::2"]


def test_the_first_family_stays_first_and_few_addresses_are_kept() -> None:
    many = [f"192.0.2.{last}" for last in range(200, 0, -1)]
    assert in_stable_order(["2001:db8::9", *many])[:3] == ("2001:db8::9", "192.0.2.1", "192.0.2.2")
    assert len(in_stable_order(many)) == room.MAX_ADDRESSES_PER_FAMILY


async def test_aliases_are_followed() -> None:
    server = DnsServer({"b.test": ["192.0.2.1"]}, aliases={"a.test": "b.test"})
    async with asking(server) as (resolver, _counters):
        assert await resolver.lookup("a.test") == ("192.0.2.1",)


@pytest.mark.parametrize(
    ("ttl", "expected"), [(0, room.MIN_TTL_S), (60, 60.0), (86400, room.MAX_TTL_S)], ids=["short", "usual", "long"]
)
async def test_the_time_to_live_is_obeyed_within_bounds(ttl: int, expected: float) -> None:
    clock = Clock()
    async with asking(DnsServer({"a.test": ["192.0.2.1"]}, ttl=ttl), clock=clock) as (resolver, counters):
        assert await lifetime_is(expected, "a.test", resolver, counters, clock)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "kept_s", "words"),
    [
        ("nowhere.test", room.ABSENT_TTL_S, "does not exist"),
        ("empty.test", room.ABSENT_TTL_S, "does not exist"),
        ("broken.test", room.TROUBLE_TTL_S, "general failure"),
        ("refused.test", room.TROUBLE_TTL_S, "refused"),
        ("silent.test", room.TROUBLE_TTL_S, "no DNS answer"),
        ("x" * 64 + ".test", room.ABSENT_TTL_S, "does not exist"),
    ],
)
async def test_failures_are_values_with_a_reason_and_kept_briefly(name: str, kept_s: float, words: str) -> None:
    server = DnsServer(
        {"empty.test": []}, trouble={"broken.test": "SERVFAIL", "refused.test": "REFUSED", "silent.test": None}
    )
    clock = Clock()
    async with asking(server, timeout_s=2.0, clock=clock) as (resolver, counters):
        async with asyncio.timeout(8):  # silence ends after 2 s
            answer = await resolver.lookup(name)
        assert isinstance(answer, Unresolved)
        assert words in answer.message
        assert name in answer.message
        assert await lifetime_is(kept_s, name, resolver, counters, clock)


async def test_lookups_of_one_name_at_the_same_time_are_one_query() -> None:
    server = DnsServer({"a.test": ["192.0.2.1"]})
    async with asking(server) as (resolver, counters):
        answers = await asyncio.gather(*(resolver.lookup("a.test") for _ in range(50)))
        assert set(answers) == {("192.0.2.1",)}
        assert server.asked.count(("a.test", "A")) == 1
        assert counters.dns_lookups == 1


async def test_a_caller_that_gives_up_does_not_end_the_lookup_for_the_others() -> None:
    server = DnsServer({"a.test": ["192.0.2.1"]})
    async with asking(server) as (resolver, counters):
        has_fallback, patient = (asyncio.create_task(resolver.lookup("a.test")) for _ in range(2))
        await asyncio.sleep(0)
        has_fallback.cancel()
        assert await patient == ("192.0.2.1",)
        assert has_fallback.cancelled()
        assert counters.dns_lookups == 1


@pytest.mark.thorough
async def test_the_lookups_under_way_are_bounded_and_all_end() -> None:
    names = [f"h{number}.test" for number in range(3 * room.MAX_LOOKUPS)]
    server = DnsServer({name: ["192.0.2.1"] for name in names}, trouble={"h0.test": None})
    async with asking(server, timeout_s=2.0) as (resolver, counters):
        lookups = [asyncio.create_task(resolver.lookup(name)) for name in names]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert counters.dns_lookups == room.MAX_LOOKUPS
        answers = await asyncio.gather(*lookups)
        assert answers.count(("192.0.2.1",)) == len(names) - 1


async def test_only_so_many_names_are_remembered_and_the_unused_go_first() -> None:
    names = [f"h{number}.test" for number in range(4)]
    server = DnsServer({name: ["192.0.2.1"] for name in names})
    async with asking(server, max_names=2) as (resolver, counters):
        for name in ("h0.test", "h1.test", "h0.test", "h2.test", "h0.test", "h1.test"):
            await resolver.lookup(name)
        assert counters.dns_lookups == 4  # h0, h1, h2 (which drops h1), h1


@pytest.mark.parametrize("name", ["localhost", "LocalHost.", "app.localhost"])
async def test_localhost_is_loopback_and_never_asked_for(name: str) -> None:
    server = DnsServer({name.lower().rstrip("."): ["192.0.2.1"]})
    async with asking(server) as (resolver, counters):
        assert await resolver.lookup(name) == ("127.0.0.1", "::1")
        assert not server.asked
        assert counters.dns_lookups == 0


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.7", "192.0.2.7"), ("[2001:DB8::1]", "2001:db8::1"), ("2001:db8::1", "2001:db8::1")],
)
async def test_the_address_of_an_ip_literal_is_itself(host: str, address: str) -> None:
    server = DnsServer()
    async with asking(server) as (resolver, _counters):
        assert await resolver.address_of(host) == address
        assert not server.asked


async def test_the_address_of_a_name_is_its_first_or_a_failure() -> None:
    async with asking(DnsServer({"a.test": ["192.0.2.9", "192.0.2.1"]})) as (resolver, _counters):
        assert await resolver.address_of("a.test") == "192.0.2.1"
        assert isinstance(await resolver.address_of("nowhere.test"), Unresolved)


async def test_aiohttp_gets_host_entries_or_an_error_with_a_message() -> None:
    async with asking(DnsServer({"a.test": ["192.0.2.1", "2001:db8::1"]})) as (resolver, _counters):
        entries = await resolver.resolve("a.test", 443)
        assert {(entry["host"], entry["port"], entry["family"]) for entry in entries} == {
            ("192.0.2.1", 443, socket.AF_INET),
            ("2001:db8::1", 443, socket.AF_INET6),
        }
        assert [entry["host"] for entry in await resolver.resolve("a.test", 443, socket.AF_INET)] == ["192.0.2.1"]
        with pytest.raises(socket.gaierror, match="does not exist"):
            await resolver.resolve("nowhere.test", 443)


@pytest.mark.thorough
async def test_a_late_answer_is_waited_for_though_all_others_came_at_once() -> None:
    quick = {f"h{number}.test": ["192.0.2.1"] for number in range(20)}
    server = DnsServer({"late.test": ["192.0.2.2"], **quick}, delays_s={"late.test": 3.0})
    async with asking(server, timeout_s=20) as (resolver, _counters):
        for name in quick:
            await resolver.lookup(name)
        assert await resolver.lookup("late.test") == ("192.0.2.2",)


async def test_closing_ends_the_wait_for_a_late_answer_too() -> None:
    async with DnsServer({"a.test": ["192.0.2.1"]}, trouble={"silent.test": None}) as server:
        resolver = Resolver(Counters(), server.address, timeout_s=60)
        for number in range(20):
            await resolver.lookup(f"h{number}.test")
        lookup = asyncio.create_task(resolver.lookup("silent.test"))
        while server.asked.count(("silent.test", "A")) <= room.TRIES:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(3):  # it would wait for 5 s and more
            await resolver.close()
        assert isinstance(await lookup, Unresolved)


async def test_closing_ends_lookups_under_way_with_a_failure() -> None:
    async with DnsServer(trouble={"silent.test": None}) as server:
        resolver = Resolver(Counters(), server.address, timeout_s=30)
        lookup = asyncio.create_task(resolver.lookup("silent.test"))
        while not server.asked:
            await asyncio.sleep(0.01)
        await resolver.close()
        assert isinstance(await lookup, Unresolved)
        assert isinstance(await resolver.lookup("other.test"), Unresolved)


async def test_closing_gives_back_sockets_and_threads() -> None:
    async with DnsServer({"a.test": ["192.0.2.1"]}) as server:
        warm_up = Resolver(Counters(), server.address)  # pycares keeps one thread for all that will ever be closed
        await warm_up.close()
        before = await settled()
        resolver = Resolver(Counters(), server.address)
        await resolver.lookup("a.test")
        assert descriptors_and_threads() > before
        await resolver.close()
        assert await settled() <= before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9.9.9.9", "9.9.9.9:53"),
        ("127.0.0.1:5353", "127.0.0.1:5353"),
        ("2620:fe::fe", "[2620:fe::fe]:53"),
        ("[2620:fe::fe]", "[2620:fe::fe]:53"),
        ("[::1]:5353", "[::1]:5353"),
    ],
)
def test_a_dns_server_is_an_address_with_or_without_a_port(text: str, expected: str) -> None:
    assert parse_dns_server(text) == expected


@pytest.mark.parametrize(
    "text",
    ["dns.example", "9.9.9", "9.9.9.9:", "9.9.9.9:0", "9.9.9.9:65536", "[::1]x", "[::1]:", "[9.9.9.9", "a:1", "²"],
)
def test_another_dns_server_is_the_users_mistake(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--dns-server "):
        parse_dns_server(text)


def descriptors_and_threads() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))  # noqa: PTH208


async def settled() -> tuple[int, int]:
    """What is in use once that does not change any more; c-ares closes in a thread of its own."""
    readings = [(0, 0)]
    while len(readings) < 20 or len(set(readings[-20:])) > 1:
        await asyncio.sleep(0.01)
        readings.append(descriptors_and_threads())
    return readings[-1]
