"""The library's door: awaitable, iterable, clean in every way out."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from crawler import (
    CrawlConfig,
    DatabaseBusyError,
    NetworkConfig,
    Page,
    RunConfig,
    UsageError,
    crawl,
    open_crawl,
)
from crawler.fakeweb import FakeWeb
from crawler.output.page_lines import page_line
from tests.acceptance.conftest import Cli, library_config

pytestmark = pytest.mark.any_store


async def test_awaited_it_gives_a_summary(cli: Cli) -> None:
    web = FakeWeb()
    web.site("a.test", pages=20)
    async with web.serve() as served:
        summary = await crawl([served.url("a.test")], library_config(served, cli.db))
    assert (summary.pages, summary.complete) == (20, True)


async def test_iterated_it_gives_each_page_once_it_is_committed(cli: Cli) -> None:
    web = FakeWeb()
    web.site("a.test", pages=40)
    pages: list[Page] = []
    async with web.serve() as served:
        async for page in crawl([served.url("a.test")], library_config(served, cli.db)):
            assert cli.rows("SELECT status FROM urls WHERE url = ?", page.url) == ["fetched"]
            pages.append(page)
    assert len({page.url for page in pages}) == 40
    assert all(isinstance(page.links, tuple) for page in pages)


@pytest.mark.thorough
async def test_leaving_the_iteration_stops_the_crawl_and_keeps_what_was_done(cli: Cli) -> None:
    web = FakeWeb()
    web.site("a.test", pages=2000)
    async with web.serve() as served:
        config = library_config(served, cli.db)
        run = crawl([served.url("a.test")], config)
        iteration = aiter(run)
        first = await anext(iteration)
        await iteration.aclose()  # type: ignore[attr-defined]
        assert first.url == served.url("a.test")
        summary = await crawl([], config)
        assert summary.complete
        assert cli.rows("SELECT count(*), count(DISTINCT url_id) FROM pages") == [(2000, 2000)]


async def test_cancelled_it_commits_what_was_finished(cli: Cli) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/hang"])
    site.page("/hang", delay_s=60)
    async with web.serve() as served:
        config = library_config(served, cli.db)

        async def run() -> None:
            await crawl([served.url("a.test")], config)

        task = asyncio.create_task(run())
        while not served.hits("a.test", "/hang"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert cli.rows("SELECT count(*) FROM pages") == [1]


async def test_mistakes_of_the_caller_are_typed_errors(no_crawl: Cli) -> None:
    with pytest.raises(UsageError, match="ftp"):
        crawl(["ftp://example.com/"])
    with pytest.raises(UsageError, match="give a seed"):
        await crawl([], CrawlConfig(db=no_crawl.db))


async def test_a_second_crawl_at_the_same_place_is_a_typed_error(cli: Cli) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", delay_s=60)
    async with web.serve() as served:
        config = library_config(served, cli.db)
        first = asyncio.create_task(crawl([served.url("a.test")], config).finished())
        while not served.hits("a.test", "/"):
            await asyncio.sleep(0.01)
        with pytest.raises(DatabaseBusyError, match="another run"):
            await crawl([served.url("a.test")], config)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


@pytest.mark.sqlite  # the README crawls into a file
@pytest.mark.thorough
async def test_the_readmes_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    assert len(example[1].splitlines()) <= 15
    web = FakeWeb()
    web.site("a.test", pages=2)  # a second each
    async with web.serve() as served:
        code = example[1].replace("https://example.com/", served.url("a.test"))
        code = code.replace("asyncio.run(main())", "").replace(
            "CrawlConfig(",
            f"CrawlConfig(network=NetworkConfig(dns_server={served.dns!r}, allow_private=('127.0.0.0/8',)),",
        )
        names: dict[str, object] = {"NetworkConfig": NetworkConfig}
        monkeypatch.chdir(tmp_path)
        exec(compile(code, "README.md", "exec"), names)
        await names["main"]()  # type: ignore[operator]
    assert list(tmp_path.glob("**/*.db"))


async def test_what_was_stored_can_be_read_again(cli: Cli) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Home", text="Hello.", head='<meta property="og:title" content="H">', links=[("/b", "next")])
    site.page("/b", title="B")
    async with web.serve() as served:
        config = library_config(served, cli.db)
        committed = [page async for page in crawl([served.url("a.test")], config)]
        async with open_crawl(config.db) as archive:
            stored = [page async for page in archive.pages()]
            by_url = {page.url: page for page in stored}
            if isinstance(cli.db, Path):  # on a server they come host by host
                assert [page.url for page in stored] == [served.url("a.test"), served.url("a.test", "/b")]
            body = await archive.body(served.url("a.test"))
            assert await archive.page(served.url("a.test", "/b")) == by_url[served.url("a.test", "/b")]
            assert await archive.page("http://a.test/none") is None
    assert sorted(stored, key=lambda page: page.url) == sorted(committed, key=lambda page: page.url)
    assert body is not None
    assert b"<title>Home</title>" in body


async def test_a_page_says_where_it_is_from_the_same_when_committed_and_when_read(cli: Cli) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    fields = [("X-Twice", "one"), ("x-twice", "two"), ("Set-Cookie", "id=secret; Path=/")]
    site.page("/", title="Home", headers=fields, links=[("/b", "next"), ("/b#part", "again")])
    site.page("/b", body="<h2>Part</h2>" + "x" * 5000)
    async with web.serve() as served:
        config = library_config(served, cli.db)
        committed = {page.url: page async for page in crawl([served.url("a.test")], config)}
        async with open_crawl(config.db) as archive:
            stored = {page.url: page async for page in archive.pages()}
            first = await archive.page(served.url("a.test"), version=1)
            written = f"{served.url('a.test', '/b').removeprefix('http://')}#part"  # as people do
            assert await archive.page(written) == stored[served.url("a.test", "/b")]
            assert (await archive.body(written) or b"").startswith(b"<h2>")
            assert [link.page_url async for link in archive.links_to(written)] == [served.url("a.test")]
            assert await archive.page("mailto:me@example.com") is None
    home, other = (committed[served.url("a.test", path)] for path in ("/", "/b"))
    ids = cli.rows("SELECT id FROM pages ORDER BY id")
    if isinstance(cli.db, Path):
        assert ids == [1, 2]
    assert (home.page_id, home.run_id, home.status, home.depth, home.truncated) == (ids[0], 1, 200, 0, False)
    assert home.headers["x-twice"] == ["one", "two"]
    assert home.headers["set-cookie"] == "id; Path=/"
    assert home.fetched_at is not None
    assert abs(home.fetched_at - time.time()) < 600
    assert (other.page_id, other.depth, other.size_bytes) == (ids[1], 1, 5013)
    assert {url: page.asdict() for url, page in committed.items()} == {url: one.asdict() for url, one in stored.items()}
    assert first is not None
    assert first.asdict() == home.asdict()


async def test_a_page_as_data_is_json_and_a_line(cli: Cli) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", title="Über\nuns", text="Hello.", links=[("/b", "next")])
    async with web.serve() as served:
        config = library_config(served, cli.db)
        config = replace(config, run=RunConfig(response_headers=False))
        [page] = [page async for page in crawl([served.url("a.test")], config)]
    line = page_line(page)
    assert line.count(b"\n") == 1
    data = json.loads(line)
    assert data == page.asdict()
    assert data["links"] == [{"url": served.url("a.test", "/b"), "anchor": "next", "rel": "", "nofollow": False}]
    assert bytes.fromhex(data["content_hash"]) == page.content_hash
    assert (data["title"], data["headers"], data["status"]) == ("Über uns", {}, 200)
    assert not data.keys() & {"refresh_url", "refresh_is_redirect", "images_hash"}


@pytest.mark.thorough
async def test_async_with_makes_leaving_early_clean_at_once(cli: Cli) -> None:
    web = FakeWeb()
    web.site("a.test", pages=2000)
    async with web.serve() as served:
        config = library_config(served, cli.db)
        async with crawl([served.url("a.test")], config) as run:
            async for _page in run:
                break
        assert run.summary is not None
        assert (run.summary.end_reason, run.summary.complete) == ("stopped", False)
        again = await crawl([], config)  # the database is free
    assert again.complete
