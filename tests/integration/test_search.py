"""Searching finds exactly the current pages that match, whatever has happened to pages, index or database since."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import open_crawl
from crawler.archive.answers import SearchResults
from crawler.archive.derived import derived_file
from crawler.archive.matching import Matcher
from crawler.archive.search_index import normalized_language
from crawler.archive.words import clean, folded, joined, words
from crawler.cli import main
from crawler.errors import UsageError
from crawler.records import Page, Reason, Response, UrlStatus, Verdict
from crawler.storage.interface import Store
from crawler.storage.sqlite.prune import prune
from tests.contract.results import NOW, a_result, a_store, claims_of
from tests.integration.test_derived import unable_to_write
from tests.stores import rows

SITE = "http://a.test"


def a_page(path: str, text: str, title: str | None = None, **fields: Any) -> Page:
    url = path if "://" in path else SITE + path
    content_hash = hashlib.sha256(f"{title}\n{text}".encode()).digest()[:16]
    return Page(url=url, title=title, text=text, content_hash=content_hash, **{"reader_version": 2, **fields})


async def store_pages(store: Store, *pages: Page, at: float = NOW) -> None:
    """A version of each, fetched now."""
    await store.retry([page.url for page in pages], at)
    claims = await claims_of(store, at)
    visits = [
        a_result(
            claims[page.url],
            page=page,
            attempt=Response(url=page.url, status_code=200, started_at=at),
            next_fetch_at=at + 1,
        )
        for page in pages
    ]
    await store.commit(visits, at)


async def conclude(store: Store, path: str, status: UrlStatus, at: float, reason: str | None = None) -> None:
    """A visit that brings no page."""
    await store.retry([SITE + path], at)
    claim = (await claims_of(store, at))[SITE + path]
    verdict = Verdict(status=status, reason=Reason(reason) if reason else None)
    attempt = Response(url=claim.url, status_code=404, started_at=at)
    visit = a_result(claim, page=None, verdict=verdict, attempt=attempt, next_fetch_at=at + 1)
    await store.commit([visit], at)


async def crawl_of(db: Path, *pages: Page) -> None:
    async with a_store(db, *(page.url for page in pages)) as store:
        await store_pages(store, *pages)


async def search(db: Path, query: str, **options: Any) -> SearchResults:
    told = options.pop("told", [])
    async with open_crawl(db, notify=told.append) as archive:
        return await archive.search(query, **options)


async def found(db: Path, query: str, **options: Any) -> list[str]:
    """The paths of the pages, the best first."""
    return [hit.url.removeprefix(SITE) for hit in (await search(db, query, **options)).hits]


def marked(excerpt: Any) -> list[str]:
    return [excerpt.text[begin:end] for begin, end in excerpt.marks]


VOCABULARY = """
CREATE VIRTUAL TABLE temp.words USING fts5vocab('main', 'search', 'col');
"""


def vocabulary(db: Path) -> list[Any]:
    """Every word that the index has, with the number of documents and occurrences."""
    with closing(sqlite3.connect(derived_file(db))) as connection:
        connection.executescript(VOCABULARY)
        return connection.execute("SELECT * FROM temp.words").fetchall()


async def is_exact(db: Path) -> None:
    """What has been updated must be what would be made anew."""
    await search(db, "x")
    updated, scores = vocabulary(db), await search(db, "night OR day OR word", limit=1000)
    derived_file(db).unlink()
    await search(db, "x")
    assert updated == vocabulary(db)
    anew = await search(db, "night OR day OR word", limit=1000)
    assert {hit.url: hit.score for hit in scores.hits} == pytest.approx({hit.url: hit.score for hit in anew.hits})
    assert scores.total == anew.total > 0


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def library(tmp_path: Path) -> Path:
    db = tmp_path / "crawl.db"
    await crawl_of(
        db,
        a_page("/text", "A window lets light in. " + "Filling words stand here. " * 30),
        a_page("/heading", "Window. " + "Filling words stand here. " * 30, headings=((1, "Window"),)),
        a_page("/title", "Light comes in. " + "Filling words stand here. " * 30, title="The window"),
        a_page("/functions", "Window functions compute over rows.", title="Functions"),
        a_page("/other", "Rows of the function, and a window far behind, over there.", title="Else"),
        a_page("/accents", "Łódź, Ångström, naïve, Ho\u0302tel, Straße, Αθήνα, Ёлка"),
    )
    return db


async def test_titles_count_more_than_headings_and_those_more_than_text(library: Path) -> None:
    assert (await found(library, "window light"))[0] == "/title"
    ranks = await found(library, "window", limit=20)
    assert ranks.index("/title") < ranks.index("/heading") < ranks.index("/text")


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ('"window functions"', {"/functions"}),
        ("window functions", {"/functions", "/other"}),
        ("function", {"/functions", "/other"}),
        ("functi*", {"/functions", "/other"}),
        ("comput* AND NOT light", {"/functions"}),
        ("compute OR light", {"/functions", "/text", "/title"}),
        ("window NOT filling", {"/functions", "/other"}),
        ("title: window", {"/title"}),
        ("{title headings} : window", {"/title", "/heading"}),
        ("NEAR(rows window, 2)", set()),
        ("NEAR(rows window, 8)", {"/functions", "/other"}),
        ('"wind*"', set()),
        ("lodz", set()),
        ("angstrom", {"/accents"}),
        ("NAIVE", {"/accents"}),
        ("hotel", {"/accents"}),
        ("hôtel", {"/accents"}),
        ("αθηνα", {"/accents"}),
        ("елка", {"/accents"}),
        ("nothing-of-that", set()),
        ("", set()),
        ("  ", set()),
    ],
)
async def test_words_phrases_prefixes_operators_and_columns(library: Path, query: str, paths: set[str]) -> None:
    assert set(await found(library, query)) == paths


PLAIN = [
    ('"window', {"/text", "/heading", "/title", "/functions", "/other"}),
    ("window.", {"/text", "/heading", "/title", "/functions", "/other"}),
    ("window (functions", {"/functions", "/other"}),
    ("window) functions", {"/functions", "/other"}),
    ("compute: rows", {"/functions"}),
    ("window AND", {"/other"}),  # `and` is a word then
    ("compute + + rows", {"/functions"}),
    ("^", set()),
    ("*", set()),
    ("w*", set()),  # a prefix of one letter is a word
    ("NEAR(", set()),
    ("rank: x", set()),
    ("search: x", set()),
    ("-window", {"/text", "/heading", "/title", "/functions", "/other"}),
    ("compute' OR 1=1 --", {"/functions"}),
    ('""', set()),
    ('" "" "', set()),
    ("compute\0rows", set()),
    ("compute\x02\x1e\x1frows", {"/functions"}),
    ("\udcff compute", {"/functions"}),
]


@pytest.mark.parametrize(("query", "paths"), PLAIN)
async def test_what_is_no_syntax_is_read_as_words(library: Path, query: str, paths: set[str]) -> None:
    assert set(await found(library, query)) == paths


@given(st.lists(st.sampled_from([*'ab "():^*+-,{}.窓', " AND ", " NOT ", "NEAR("]), max_size=30))
def test_no_query_is_an_error(parts: list[str]) -> None:
    with closing(Matcher("".join(parts))) as matcher:
        matcher.matches([(1, "a", "[]", "b")])
        matcher.in_titles({1: "a b"})


@pytest.mark.thorough
async def test_a_query_that_is_too_long_says_so_or_is_answered(library: Path) -> None:
    assert await found(library, "window " * 5000)
    deep = "(" * 2000 + "window" + ")" * 2000
    assert await found(library, deep)
    with pytest.raises(UsageError, match="is no language"):
        await search(library, "window", language="de; DROP")


async def test_the_words_that_match_are_marked(library: Path) -> None:
    [hit] = (await search(library, '"window functions"')).hits
    assert (hit.title.text, hit.title.marks) == ("Functions", ())
    assert marked(hit.snippet) == ["Window functions"]
    hits = (await search(library, "title: window")).hits
    assert [marked(hit.title) for hit in hits] == [["window"]]


async def test_excerpts_are_short_whatever_the_page(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    await crawl_of(db, a_page("/long", "needle " + "x" * 1_000_000, title="needle " + "y" * 1_000_000))
    [hit] = (await search(db, "needle")).hits
    assert len(hit.title.text) == len(hit.snippet.text) == 500
    assert marked(hit.title) == marked(hit.snippet) == ["needle"]


# --- scripts without spaces ------------------------------------------------------------------------------------------


@pytest.fixture
async def scripts(tmp_path: Path) -> Path:
    db = tmp_path / "crawl.db"
    await crawl_of(
        db,
        a_page("/ja", "これは全文検索の例です。", title="検索エンジン", language="ja"),
        a_page("/zh", "中国人民银行发布公告,GDP增长。", language="zh-Hans"),
        a_page("/ko", "대한민국의 수도는 서울이다", language="ko_KR"),
        a_page("/th", "ประเทศไทยมีกรุงเทพมหานครเป็นเมืองหลวง", language="th"),
        a_page("/hi", "भारत एक देश है", language="hi"),
        a_page("/half", "ｶﾀｶﾅとＡＢＣ", language="ja"),
    )
    return db


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("検索", {"/ja"}),
        ("全文検索", {"/ja"}),
        ("文検", {"/ja"}),
        ("全検", set()),
        ("人民", {"/zh"}),
        ("民行", set()),
        ("中", {"/zh"}),
        ("告", {"/zh"}),
        ("公告 GDP", {"/zh"}),
        ('"公告 gdp"', {"/zh"}),
        ("GDP增长", {"/zh"}),
        ("title:検索", {"/ja"}),
        ("서울", {"/ko"}),
        ("한민국", {"/ko"}),
        ("ไทย", {"/th"}),
        ("กรุงเทพ", {"/th"}),
        ("ทม", set()),
        ("देश", {"/hi"}),
        ("दश", set()),
        ("カタカナ", {"/half"}),
        ("abc", {"/half"}),
    ],
)
async def test_two_characters_are_enough(scripts: Path, query: str, paths: set[str]) -> None:
    assert set(await found(scripts, query)) == paths


async def test_what_was_cut_is_shown_whole(scripts: Path) -> None:
    [hit] = (await search(scripts, "全文検索")).hits
    assert hit.snippet.text == "これは全文検索の例です。"
    assert marked(hit.snippet) == ["全文検索"]
    assert marked(hit.title) == []
    [hit] = (await search(scripts, "検索")).hits
    assert (marked(hit.title), marked(hit.snippet)) == (["検索"], ["検索"])
    [hit] = (await search(scripts, "กรุงเทพ")).hits
    assert marked(hit.snippet) == ["กรุงเทพ"]


@given(
    st.text(
        alphabet=st.sampled_from(list("aéήΏЁἄ中国人กรุงี้ \n.\x1e\x1f\x02")) | st.characters(exclude_categories=["Cs"])
    )
)
def test_cut_and_joined_again(text: str) -> None:
    whole, marks = joined(words(text))
    assert whole == folded(clean(text))
    assert marks == []
    assert len(whole) == len(clean(text))
    expected = unicodedata.normalize("NFKC", text)
    for reserved in "\0\x02\x03\x04\x1e\x1f":
        expected = expected.replace(reserved, " ")
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("query", "filters", "paths"),
    [
        ("検索", {"language": "ja"}, {"/ja"}),
        ("検索", {"language": "zh"}, set()),
        ("人民", {"language": "ZH"}, {"/zh"}),
        ("人民", {"language": "zh-hans"}, {"/zh"}),
        ("人民", {"language": "zh-hant"}, set()),
        ("서울", {"language": "ko"}, {"/ko"}),
        ("서울", {"language": "ko-KR"}, {"/ko"}),
    ],
)
async def test_by_language(scripts: Path, query: str, filters: dict[str, str], paths: set[str]) -> None:
    assert set(await found(scripts, query, **filters)) == paths


def test_a_language_tag_in_one_form() -> None:
    assert [normalized_language(tag) for tag in ("de_AT", " EN ", None, "")] == ["de-at", "en", None, None]


async def test_by_host(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    urls = ["http://a.test/", "http://b.test/", "http://www.b.test/", "http://cb.test/"]
    await crawl_of(db, *(a_page(url, "word") for url in urls))
    assert len(await found(db, "word")) == 4
    assert await found(db, "word", host="b.test") == ["http://b.test/"]
    assert await found(db, "word", host="*.b.test") == ["http://www.b.test/"]
    assert set(await found(db, "word", host="*b.test")) == set(urls[1:])
    assert await found(db, "word", host="[::1]") == []


# --- what has happened since -----------------------------------------------------------------------------------------


async def nights(store: Store, first: int, number: int = 4) -> None:
    """Pages change, go, and come back; what was excluded does not."""
    chance = random.Random(first)
    for night in range(first, first + number):
        at = NOW + night * 10
        for path in [f"/{n}" for n in range(60)]:
            if SITE + path not in await claims_of(store, at):
                continue
            what = chance.random()
            if what < 0.1:
                await conclude(store, path, UrlStatus.GONE, at)
            elif what < 0.15:
                await conclude(store, path, UrlStatus.EXCLUDED, at, "scope")
            elif what < 0.5:
                text = " ".join(chance.choices(["night", "day", "word", "日本語", "élan"], k=20))
                await store_pages(store, a_page(path, f"{text} {path[1:]}", title=f"night {night}"), at=at)


@pytest.fixture
async def old(tmp_path: Path) -> Path:
    db = tmp_path / "crawl.db"
    await crawl_of(db, *(a_page(f"/{n}", f"word day {n} " * 5, title="The day") for n in range(60)))
    return db


async def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(main, arguments)
    assert not ended.value.code


async def test_new_versions_and_pages_that_go_leave_nothing_behind(old: Path) -> None:
    """Searched after each night, or only after all."""
    await search(old, "x")
    async with a_store(old) as store:
        for night in (1, 2, 3):
            await nights(store, night, 1)
            await search(old, "x")
        await nights(store, 4)
    await is_exact(old)


async def test_a_page_that_changed_is_found_by_its_new_words_alone(old: Path) -> None:
    assert await found(old, "day 7") == ["/7"]
    async with a_store(old) as store:
        await store_pages(store, a_page("/7", "seven"), at=NOW + 5)
        assert await found(old, "day 7", update_s=0) == []  # the index says otherwise
        assert await found(old, "seven", update_s=0) == []
        assert (await search(old, "seven", update_s=0)).behind == 1
        assert await found(old, "seven") == ["/7"]
        assert await found(old, "day 7") == []


@pytest.mark.parametrize("status", [UrlStatus.GONE, UrlStatus.REDIRECTED, UrlStatus.EXCLUDED])
async def test_a_page_that_has_gone_is_not_found_until_it_is_back(old: Path, status: UrlStatus) -> None:
    assert await found(old, "day 7") == ["/7"]
    async with a_store(old) as store:
        await conclude(store, "/7", status, NOW + 5)
        assert await found(old, "day 7", update_s=0) == []
        assert await found(old, "day 7") == []
        assert "7" not in {row[0] for row in vocabulary(old)}
        await store_pages(store, a_page("/7", "word day 7 " * 5, title="The day"), at=NOW + 9)
        assert await found(old, "day 7") == ["/7"]
    await is_exact(old)


async def test_a_page_that_a_run_decides_to_keep_again_is_found(old: Path) -> None:
    """As a change of --exclude does: no request tells of it."""
    await search(old, "x")
    for status, reason, paths in (("excluded", "scope", []), ("pending", None, ["/7"])):
        async with a_store(old):
            pass  # a run
        with closing(sqlite3.connect(old)) as connection, connection:
            connection.execute("UPDATE urls SET status = ?, reason = ? WHERE url = ?", (status, reason, f"{SITE}/7"))
        assert await found(old, "day 7") == paths
    await is_exact(old)


async def test_a_page_that_failed_or_is_due_is_still_found(old: Path) -> None:
    async with a_store(old) as store:
        await store.retry([f"{SITE}/7"], NOW + 5)
        assert await found(old, "day 7") == ["/7"]
        await conclude(store, "/7", UrlStatus.FAILED, NOW + 5, "timeout")
        assert await found(old, "day 7") == ["/7"]


async def corrected(db: Path, store: Store) -> None:
    """What a newer reader finds in the bodies that are stored replaces what an older one found."""
    await store.retry([f"{SITE}/{n}" for n in range(10)], NOW + 5)
    claims = await claims_of(store, NOW + 5)
    visits = [
        a_result(
            claim,
            page=None,
            attempt=Response(url=claim.url, status_code=200, started_at=NOW + 5),
            next_fetch_at=NOW + 5,
        )
        for claim in claims.values()
    ]
    await store.commit(visits, NOW + 5)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE pages SET text = 'corrected word ' || id, reader_version = 3 WHERE id <= 10")


async def test_a_version_that_was_corrected_in_place_is_indexed_anew(old: Path) -> None:
    """Its old words cannot be told any more; they stay in the index, where they find nothing."""
    await search(old, "x")
    async with a_store(old) as store:
        await corrected(old, store)
        assert await found(old, "corrected", limit=20) == [f"/{n}" for n in range(10)]
        assert await found(old, '"day 7"') == []
        assert rows(derived_file(old), "SELECT lost FROM search_state") == [(10,)]


async def test_an_index_with_much_that_finds_nothing_is_built_anew(old: Path) -> None:
    await search(old, "x")
    async with a_store(old) as store:
        for reader in (3, 4):
            await corrected(old, store)
            with closing(sqlite3.connect(old)) as connection, connection:
                connection.execute(
                    "UPDATE pages SET text = text || ?, reader_version = ? WHERE id <= 10", (reader, reader)
                )
            await search(old, "corrected")
        assert rows(derived_file(old), "SELECT lost FROM search_state") == [(20,)]
    assert len(await found(old, "corrected", limit=20)) == 10
    assert rows(derived_file(old), "SELECT lost FROM search_state") == [(20,)]  # nothing was to be done
    async with a_store(old) as store:
        await store_pages(store, a_page("/50", "word", title="night"), at=NOW + 9)
    assert await found(old, "night") == ["/50"]
    assert rows(derived_file(old), "SELECT lost FROM search_state") == [(0,)]
    await is_exact(old)


async def test_a_prune_that_comes_first_takes_the_old_words_along(old: Path) -> None:
    await search(old, "x")
    async with a_store(old) as store:
        await nights(store, 1)
    await command("prune", "--db", str(old), "--keep-versions", "1")
    assert rows(derived_file(old), "SELECT upto FROM indexes") == rows(old, "SELECT max(id) FROM pages")
    assert rows(derived_file(old), "SELECT lost FROM search_state") == [(0,)]
    await is_exact(old)


async def test_a_prune_without_the_command_leaves_words_that_find_nothing(old: Path) -> None:
    await search(old, "x")
    async with a_store(old) as store:
        await store_pages(store, *(a_page(f"/{n}", f"second {n}") for n in range(5)), at=NOW + 5)
    assert (await prune(old, keep_versions=1)).pages == 5
    assert await found(old, "day 3") == []
    assert await found(old, "second 3") == ["/3"]
    assert rows(derived_file(old), "SELECT lost FROM search_state") == [(5,)]


async def test_a_prune_keeps_no_list_of_links_that_are_gone(old: Path) -> None:
    async with open_crawl(old) as archive:
        assert [link async for link in archive.links_to(f"{SITE}/1")] == []
        await archive.search("x")
    async with a_store(old) as store:
        await store_pages(store, a_page("/1", "second"), at=NOW + 5)
    await command("prune", "--db", str(old), "--older-than", "1d")
    assert rows(derived_file(old), "SELECT name FROM indexes") == [("search",)]


async def test_another_database_in_the_same_place_is_not_mistaken_for_this_one(old: Path) -> None:
    await search(old, "x")
    for file in old.parent.glob("crawl.db*"):
        if "derived" not in file.name:
            file.unlink()
    await crawl_of(old, *(a_page(f"/{n}", f"other {n}") for n in reversed(range(70))))
    assert await found(old, "day 7") == []
    assert await found(old, "other 7") == ["/7"]


async def test_while_a_crawl_writes_each_commit_is_found(old: Path) -> None:
    async with a_store(old, *(f"{SITE}/new/{n}" for n in range(20))) as store, open_crawl(old) as archive:
        for n in range(20):
            await store_pages(store, a_page(f"/new/{n}", f"fresh {n}"), at=NOW)
            assert [hit.url for hit in (await archive.search(f"fresh {n}")).hits] == [f"{SITE}/new/{n}"]


# --- time, kills and files -------------------------------------------------------------------------------------------


async def test_to_search_writes_nothing_into_the_crawls_file(old: Path) -> None:
    before = hashlib.sha256(old.read_bytes()).digest()
    await search(old, "day")
    assert hashlib.sha256(old.read_bytes()).digest() == before


async def test_without_time_nothing_is_indexed_and_that_is_said(old: Path) -> None:
    results = await search(old, "day", update_s=0)
    assert (results.hits, results.behind) == ((), 60)
    results = await search(old, "day")
    assert (len(results.hits), results.total, results.behind) == (10, 60, 0)


BUILDER = """
import asyncio, sys
from pathlib import Path
from crawler.archive.derived import bring_up_to_date
from crawler.archive import search_index
from crawler.archive.current import BatchSize

class SlowUpdate(search_index.Update):
    async def _renew(self):
        await super()._renew()
        await asyncio.sleep(0.005)  # most of the time is within a transaction then

class SmallBatches(search_index.SearchIndex):
    async def take_in(self, progress, until):
        await SlowUpdate(progress, until, BatchSize(1)).run()

asyncio.run(bring_up_to_date(Path(sys.argv[1]), SmallBatches()))
"""


@pytest.mark.thorough
async def test_killed_at_any_instant_it_goes_on_and_misses_nothing(old: Path) -> None:
    chance = random.Random(5)
    async with a_store(old) as store:
        await search(old, "x")
        await nights(store, 1, 6)
    kills = 0
    while not await asyncio.to_thread(builds_to_the_end, old, chance.random() * 0.05):
        kills += 1
    assert kills > 2
    await is_exact(old)


def builds_to_the_end(db: Path, after_s: float) -> bool:
    """Kill a process that indexes so long after its first commit, unless it has ended by then."""
    before = index_state(db)
    with subprocess.Popen([sys.executable, "-c", BUILDER, str(db)], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and index_state(db) == before:
            time.sleep(0.001)
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        assert process.communicate()[1] == ""
    return process.returncode == 0


def index_state(db: Path) -> list[Any]:
    with closing(sqlite3.connect(f"{derived_file(db).as_uri()}?mode=ro", uri=True)) as connection:
        sql = "SELECT upto, cursor, checked FROM indexes, search_state WHERE name = 'search'"
        return connection.execute(sql).fetchall()


async def test_while_another_process_indexes_what_there_is_is_searched(old: Path) -> None:
    await search(old, "x")
    async with a_store(old) as store:
        await store_pages(store, a_page("/7", "seven"), at=NOW + 5)
    with derived_file(old).with_name("crawl.db.derived.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = await search(old, "day 8", update_s=0.1)
    assert ([hit.url for hit in results.hits], results.behind) == ([f"{SITE}/8"], 1)


async def test_where_nothing_can_be_written_a_temporary_index_is_made() -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed to other users
        db = Path(name) / "crawl.db"
        await crawl_of(db, a_page("/1", "word"))
        told: list[str] = []
        with unable_to_write(db.parent):
            assert await found(db, "word", told=told) == ["/1"]
        assert len(told) == 1
        assert "using a temporary file" in told[0]
        assert not derived_file(db).exists()
        await search(db, "x")
        told.clear()
        with unable_to_write(db.parent):
            assert await found(db, "word", told=told) == ["/1"]
        assert told == []


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("happens", [cut_short, overwritten, gone])
async def test_a_file_that_is_damaged_is_built_anew(old: Path, happens: Callable[[Path], None]) -> None:
    await search(old, "x")
    happens(derived_file(old))
    assert await found(old, "day 7") == ["/7"]
    assert await found(old, "day 8") == ["/8"]


async def test_several_tasks_may_search_at_once(old: Path) -> None:
    async with open_crawl(old) as archive:
        results = await asyncio.gather(*(archive.search(f"day {n}") for n in range(20)))
        assert [[hit.url for hit in one.hits] for one in results] == [[f"{SITE}/{n}"] for n in range(20)]
        assert await archive.page(f"{SITE}/1") is not None


async def test_it_needs_no_more_time_than_it_is_given(tmp_path: Path) -> None:
    """Each search goes on where the last one stopped; nothing is timed here but the limit itself."""
    db = tmp_path / "crawl.db"
    await crawl_of(db, *(a_page(f"/{n}", f"word {n} " * 2000) for n in range(300)))
    behind = [300]
    while behind[-1]:  # a busy machine may do nothing at all in so short a time
        behind.append((await search(db, "word", update_s=0.02)).behind)
    assert behind == sorted(behind, reverse=True)
    assert len(set(behind)) > 3
    assert (await search(db, "word")).total == 300
