"""Requests that take too long end, each at its own time; those that do not take too long go on."""

from __future__ import annotations

import asyncio

import pytest

from crawler.config import MIB
from crawler.network.deadlines import Deadlines
from crawler.network.fetcher import HttpFetcher
from crawler.records import Failure, FailureKind, Response
from tests.integration.rawserver import RawServer, ok, opened_fetcher

KIB = 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-", HEAD + b"\r\n", HEAD + b"\r\nhello"])
async def test_a_server_that_falls_silent_is_left_long_before_the_deadline_of_the_whole(said: bytes) -> None:
    async def fall_silent(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await asyncio.Event().wait()

    async with RawServer(fall_silent) as server, opened_fetcher(timeout_s=600, read_timeout_s=0.2) as fetcher:
        assert await _ends(fetcher, server.url) is FailureKind.TIMEOUT
        assert await _ends(fetcher, server.url) is FailureKind.TIMEOUT  # the timer has gone off once by now


@pytest.mark.thorough
async def test_a_byte_now_and_then_is_no_silence_but_does_not_put_off_the_deadline() -> None:
    async def drip(head: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in HEAD + b"\r\n":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
        writer.write(b"x" * (1000 if b"/short" in head else 999))
        await asyncio.Event().wait()

    async with RawServer(drip) as server, opened_fetcher(timeout_s=600, read_timeout_s=2) as fetcher:
        short, long = await asyncio.gather(  # the head alone takes longer than the read timeout
            fetcher.fetch(f"{server.url}/short"), fetcher.fetch(f"{server.url}/", timeout_s=3)
        )
    assert isinstance(short, Response)
    assert isinstance(long, Failure)
    assert long.kind is FailureKind.TIMEOUT


@pytest.mark.thorough
async def test_what_we_ourselves_do_not_read_is_no_silence() -> None:
    async with (
        RawServer(ok(bytes(300 * KIB))) as server,
        opened_fetcher(timeout_s=600, read_timeout_s=0.3, max_rate=100 * KIB) as fetcher,
    ):
        answer = await fetcher.fetch(f"{server.url}/")
    assert isinstance(answer, Response)
    assert answer.size == 300 * KIB


@pytest.mark.thorough
async def test_a_body_that_waits_for_memory_is_not_silent() -> None:
    """The first two fill the budget, of which one may have too much; the third has sent all that it has."""
    go_on = asyncio.Event()

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"/third" in head:
            writer.write(ok(bytes(300 * KIB)))
            return
        writer.write(ok(bytes(MIB))[:-KIB])
        while not go_on.is_set():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        writer.write(bytes(KIB))

    async with (
        RawServer(answer) as server,
        opened_fetcher(timeout_s=600, read_timeout_s=1, memory_bytes=MIB) as fetcher,
    ):
        fetches = [asyncio.create_task(fetcher.fetch(f"{server.url}/{name}")) for name in ("first", "second")]
        await asyncio.sleep(0.3)
        fetches.append(asyncio.create_task(fetcher.fetch(f"{server.url}/third")))
        await asyncio.sleep(2)  # more than the read timeout
        assert not any(fetch.done() for fetch in fetches)
        go_on.set()
        answers = await asyncio.gather(*fetches)
    assert [isinstance(answer, Response) for answer in answers] == [True] * 3


async def test_each_ends_at_its_own_time_whenever_it_began() -> None:
    ended: list[str] = []

    async def wait(deadlines: Deadlines, name: str, seconds: float) -> None:
        with pytest.raises(TimeoutError), deadlines.after(seconds):
            await asyncio.Event().wait()
        ended.append(name)

    deadlines = Deadlines(600)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for name, seconds in (("third", 0.6), ("first", 0.2), ("last", 0.8), ("second", 0.4)):
            group.create_task(wait(deadlines, name, seconds))
            await asyncio.sleep(0)
    assert ended == ["first", "second", "third", "last"]


async def test_who_is_cancelled_by_somebody_else_is_cancelled() -> None:
    deadlines = Deadlines(600)

    async def wait() -> None:
        with deadlines.after(0.05):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.Event().wait()  # it takes its time, and then the deadline comes as well

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError), deadlines.after(0.05):
            await asyncio.Event().wait()
    deadlines.close()


async def _ends(fetcher: HttpFetcher, url: str) -> FailureKind | None:
    async with asyncio.timeout(60):
        answer = await fetcher.fetch(f"{url}/")
    return answer.kind if isinstance(answer, Failure) else None
