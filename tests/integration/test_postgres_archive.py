"""A crawl in PostgreSQL answers every question as the same crawl does in a SQLite file, but for ids and order."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import CrawlConfig, RecrawlConfig, UsageError
from crawler.archive.archive import Archive, open_crawl
from crawler.archive.changes import BEGINNING, NOW, FeedEntry, newest_cursor
from crawler.archive.dialect import Glob
from crawler.archive.filters import PageFilter, UrlFilter
from crawler.archive.listing import Question, check_view, listing_of
from crawler.archive.plan import read_plan
from crawler.archive.postgres_changes import Places
from crawler.archive.reading import open_database
from crawler.archive.report import read_report
from crawler.archive.stored_pages import PageReader, open_pages
from crawler.archive.verification import verify
from crawler.location import DatabaseUrl, Location
from crawler.records import UrlStatus
from crawler.storage.postgres.ids import row_id
from crawler.storage.postgres.views import views as views_of_postgres
from crawler.storage.sqlite.views import views
from tests.postgres.both import Both, both_crawls
from tests.postgres.server import Server
from tests.stores import rows, rows_changed

pytestmark = pytest.mark.thorough

_IDS = {"url_id", "page_id", "fetch_id", "change_id", "target_id", "page_url_id", "sitemap_id", "example_url"}
_NOT_THERE = {"checked_urls", "broken_resources"}
_Found = TypeVar("_Found")


@pytest.fixture(scope="module")
def both(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """For all tests but those that change something."""
    with both_crawls(tmp_path_factory.mktemp("both"), postgres) as crawls:
        yield crawls


@pytest.fixture
def copied(both: Both, postgres: Server) -> Iterator[Both]:
    """The same, for one test alone."""
    with postgres.database(both.dsn.rpartition("/")[2]) as dsn:
        yield Both(both.file, DatabaseUrl(dsn, dsn))


# --- views ------------------------------------------------------------------------------------------------------------


def test_views_are_those_of_sqlite_and_their_columns_come_first(both: Both) -> None:
    assert views().keys() - views_of_postgres().keys() == _NOT_THERE
    assert views_of_postgres().keys() <= views().keys()
    for name in views_of_postgres():
        [*there] = (row[0] for row in rows(both.file, "SELECT name FROM pragma_table_info(?) ORDER BY cid", name))
        [*here] = (
            row[0]
            for row in rows(
                both.dsn,
                "SELECT attname FROM pg_attribute WHERE attrelid = ?::text::regclass AND attnum > 0 ORDER BY attnum",
                name,
            )
        )
        assert here[: len(there)] == there, name
        assert all(column.removeprefix("end_") in {"part", "host_id", "url_id"} for column in here[len(there) :]), name


@pytest.mark.parametrize("name", sorted(views_of_postgres()))
def test_a_view_has_the_same_rows(both: Both, name: str) -> None:
    columns = ", ".join(f'"{column}"' for column in views()[name].columns if column not in _IDS)
    sql = f"SELECT {columns} FROM {name}"
    found, wanted = Counter(rows(both.dsn, sql)), Counter(rows(both.file, sql))
    assert found == wanted
    assert {tuple(map(type, row)) for row in found} == {tuple(map(type, row)) for row in wanted}
    assert wanted, "the crawl has none of these: nothing is compared"


def test_the_view_of_a_rule_has_the_same_rows(both: Both) -> None:
    sql = "SELECT url, name, price, price_currency, n FROM extract_product"
    assert sorted(rows(both.dsn, sql)) == sorted(rows(both.file, sql)) != []


# --- questions --------------------------------------------------------------------------------------------------------


def asked(both: Both, question: Callable[[Archive], Awaitable[_Found]]) -> tuple[_Found, _Found]:
    """What the file answers, and what PostgreSQL does."""

    async def ask(place: Location) -> _Found:
        async with open_crawl(place) as archive:
            return await question(archive)

    return asyncio.run(ask(both.file)), asyncio.run(ask(both.url))


def plain(value: Any) -> Any:
    """Without ids, and lists whose order says nothing in theirs."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items() if key not in _IDS}
    if isinstance(value, list | tuple):
        return sorted((plain(part) for part in value), key=repr)
    return value


def urls(both: Both) -> list[str]:
    return [row[0] for row in rows(both.file, "SELECT url FROM urls ORDER BY id")]


def test_all_that_is_known_of_each_url(both: Both) -> None:
    async def details(archive: Archive) -> list[Any]:
        return [asdict(found) for url in urls(both) if (found := await archive.details(url)) is not None]

    wanted, found = asked(both, details)
    for one, other in zip(wanted, found, strict=True):
        assert plain(one) == plain(other), one["state"]["url"]
    assert len(wanted) == len(urls(both))


def test_why_of_each_url_and_of_some_that_nobody_knows(both: Both) -> None:
    some = [*urls(both), "http://nobody.test/", f"{urls(both)[0]}never-seen", f"{urls(both)[0]}x/x/x/x/y"]

    async def why(archive: Archive) -> list[Any]:
        return [asdict(await archive.why(url, now=1.8e9)) for url in some]

    wanted, found = asked(both, why)
    for one, other in zip(wanted, found, strict=True):
        assert plain(one) == plain(other), one["url"]


def test_what_a_person_means(both: Both) -> None:
    origin = urls(both)[0]
    texts = [
        origin,
        origin.removeprefix("http://"),
        f"{origin}ok#there",
        f"{origin}okay",
        f"{origin}flaky/",
        "nobody.test",
    ]

    async def meant(archive: Archive) -> list[Any]:
        return [
            (await archive.find(text), await archive.guesses(text), await archive.likeliest(text)) for text in texts
        ]

    wanted, found = asked(both, meant)
    assert wanted == found
    assert any(near for _url, near, _likely in wanted)


def test_pages_versions_bodies(both: Both) -> None:
    async def stored(archive: Archive) -> Any:
        pages = [page.asdict() async for page in archive.pages()]
        versions = [page.asdict() async for page in archive.versions()]
        bodies = [(url, await archive.body(url)) for url in urls(both)]
        older = [await archive.body(url, version=1) for url in urls(both)]
        return [plain(one) for one in (pages, versions, bodies, older)]

    wanted, found = asked(both, stored)
    assert found == wanted
    assert len(wanted[1]) > len(wanted[0]) > 20


def test_failures_and_those_that_fail_for_now(both: Both) -> None:
    async def failing(archive: Archive) -> list[Any]:
        return [
            [asdict(one) async for one in archive.failures()],
            [asdict(one) async for one in archive.failing()],
        ]

    wanted, found = asked(both, failing)
    assert plain(found) == plain(wanted)
    assert all(wanted)


def test_links_to_a_url_of_which_only_some_are_wanted(both: Both) -> None:
    origin = urls(both)[0]

    async def links(archive: Archive) -> list[str]:
        return [link.page_url async for link in archive.links_to(f"{origin}dead", limit=1)]

    wanted, found = asked(both, links)
    assert len(wanted) == len(found) == 1


QUESTIONS: list[dict[str, Any]] = [
    {"view": "urls", "urls": UrlFilter(host="a.test")},
    {"view": "urls", "urls": UrlFilter(host="*.TEST".lower(), glob="*/[lo]*")},
    {"view": "urls", "urls": UrlFilter(glob="*/?ne")},
    {"view": "broken", "urls": UrlFilter(host="a.test")},
    {"view": "broken", "urls": UrlFilter(host="b.test")},
    {"view": "links", "urls": UrlFilter(host="a.*", glob="*/")},
    {"view": "attempts", "run": 2},
    {"view": "changes", "run": 1, "sort": "-at", "limit": 3},
    {"view": "pages", "sort": "bytes", "columns": ("url", "bytes")},
]


@pytest.mark.parametrize("asked_for", QUESTIONS, ids=str)
def test_rows_of_a_view_that_are_chosen(both: Both, asked_for: dict[str, Any]) -> None:
    question = Question(
        listing=listing_of(asked_for["view"]), **{name: given for name, given in asked_for.items() if name != "view"}
    )

    async def answers(archive: Archive) -> list[Any]:
        return [dict(zip(question.selected, row, strict=True)) async for row in archive.answers(question)]

    wanted, found = asked(both, answers)
    assert plain(wanted) == plain(found)
    assert wanted or asked_for["urls"].host == "b.test"


def test_rows_that_are_sorted_come_in_that_order(both: Both) -> None:
    async def sizes(archive: Archive) -> list[Any]:
        return [row["bytes"] async for row in archive.rows("current_pages", sort="-bytes", columns=("bytes",))]

    wanted, found = asked(both, sizes)
    assert wanted == found == sorted(wanted, reverse=True)


def test_the_rows_of_a_rule(both: Both) -> None:
    async def products(archive: Archive) -> list[Any]:
        return [row async for row in archive.rows("product")]

    wanted, found = asked(both, products)
    assert plain(wanted) == plain(found) != []


def test_the_figures_of_status(both: Both) -> None:
    wanted, found = (asdict(asyncio.run(read_report(place, 1.8e9))) for place in both.places())
    assert plain(found) == plain(wanted)
    assert found["urls"][UrlStatus.FETCHED] > 20


# --- what is not there ------------------------------------------------------------------------------------------------


async def everything(rows_of: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in rows_of]


ONLY_OF_A_FILE: dict[str, Callable[[Archive], Awaitable[Any]]] = {
    "a search": lambda archive: archive.search("words"),
    "near_duplicate_pages": lambda archive: everything(archive.near_duplicates()),
    "best_linked": lambda archive: archive.best_linked(),
    "checked_urls": lambda archive: everything(archive.checks()),
    "broken_fragments": lambda archive: everything(archive.rows("broken_fragments")),
    "a part of all versions": lambda archive: everything(archive.versions(after=1)),
    "the last version": lambda archive: archive.last_version(),
}


@pytest.mark.parametrize("what_it_is", ONLY_OF_A_FILE)
def test_what_only_a_file_has_is_refused_and_says_how_to_get_it(both: Both, what_it_is: str) -> None:
    async def ask() -> None:
        async with open_crawl(both.dsn) as archive:
            await ONLY_OF_A_FILE[what_it_is](archive)

    with pytest.raises(UsageError, match=rf"{what_it_is} works on a SQLite file only; .*crawler copy postgresql://"):
        asyncio.run(ask())


def test_which_views_there_are(both: Both) -> None:
    for name in ("near_duplicate_pages", "best_linked", "broken_fragments", *_NOT_THERE):
        with pytest.raises(UsageError, match=name):
            check_view(name, both.url)
    check_view("broken_links", both.url)


def test_who_reads_a_file_loads_no_driver_of_postgresql(both: Both) -> None:
    script = (
        "import sys; from crawler.cli.commands import run; run(['list', 'urls', '--db', sys.argv[1]]);"
        " run(['changes', '--db', sys.argv[1]]); run(['export', 'text', '-', '--db', sys.argv[1]]);"
        " assert not {'asyncpg', 'crawler.archive.postgres_reader'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", script, both.file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- patterns ---------------------------------------------------------------------------------------------------------


def test_a_pattern_matches_what_it_matches_in_sqlite(both: Both) -> None:
    chance = Random(1)

    def text(letters: str, most: int) -> str:
        return "".join(chance.choices(letters, k=chance.randint(0, most)))

    pairs = [(text("aab-]^[[*?\\.$(|", 8), text("aab-]^[.\\$(|\n", 4)) for _ in range(20_000)]
    with closing(sqlite3.connect(":memory:")) as connection:
        wanted = [bool(connection.execute("SELECT ? GLOB ?", (text, glob)).fetchone()[0]) for glob, text in pairs]
    sql = "SELECT t.one ~ t.regex FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS t (one, regex, n) ORDER BY n"
    found = rows(both.dsn, sql, [text for _glob, text in pairs], [Glob(glob).as_regex() for glob, _text in pairs])
    assert [pair for pair, one, (other,) in zip(pairs, wanted, found, strict=True) if one is not other] == []
    assert sum(wanted) > 500


# --- changes ----------------------------------------------------------------------------------------------------------


def changes(place: Location, since: str = BEGINNING, limit: int | None = None) -> list[FeedEntry]:
    async def read() -> list[FeedEntry]:
        async with open_crawl(place) as archive:
            return [entry async for entry in archive.changes(since, limit)]

    return asyncio.run(read())


def what(entries: Iterable[FeedEntry]) -> list[tuple[Any, ...]]:
    """Without cursors and ids, in no order."""
    return sorted((one.url, one.change, one.run_id, one.at, one.detail, one.page_id is None) for one in entries)


def test_changes_are_those_of_the_file_and_go_on_behind_any_of_them(both: Both) -> None:
    found = changes(both.url)
    assert what(found) == what(changes(both.file))
    for number, entry in enumerate(found, start=1):
        assert changes(both.url, entry.cursor) == found[number:]
    assert changes(both.url, limit=3) == found[:3]
    assert changes(both.url, found[4].cursor, limit=2) == found[5:7]


def test_nothing_has_changed_since_now(both: Both) -> None:
    async def now() -> str:
        async with open_database(both.url) as reader:
            return await newest_cursor(both.url, reader)

    cursor = asyncio.run(now())
    assert cursor == changes(both.url)[-1].cursor
    assert changes(both.url, cursor) == []


def test_what_comes_later_is_told_once_in_whichever_partition_it_is(copied: Both) -> None:
    before = changes(copied.url)
    [(part, host_id, url_id)] = rows(copied.dsn, "SELECT part, host_id, id FROM urls WHERE url LIKE '%/one'")
    newest = max(row[0] for row in rows(copied.dsn, "SELECT id FROM change_log WHERE part = ?", part))
    other = next(one for one in range(1024) if one != part)
    log = "INSERT INTO change_log (part, id, host_id, url_id, run_id, at, change) VALUES (?, ?, ?, ?, 3, 5.5, 'gone')"
    rows_changed(copied.dsn, log, part, newest + 1, host_id, url_id)
    cursor = before[-1].cursor
    [first] = changes(copied.url, cursor)
    assert (first.url.rpartition("/")[2], first.change, first.run_id) == ("one", "gone", 3)
    columns = "part, host_id, id, url, kind, status, depth, discovered_at"
    rows_changed(copied.dsn, f"INSERT INTO urls ({columns}) VALUES (?, 7, 8, 'http://x/', 'page', 'gone', 0, 0)", other)
    rows_changed(copied.dsn, log, other, row_id(other, 1, 1), 7, 8)
    assert [one.url for one in changes(copied.url, first.cursor)] == ["http://x/"]
    assert len(changes(copied.url, cursor)) == 2
    assert len(changes(copied.url)) == len(before) + 2


def test_a_cursor_of_another_crawl_is_refused(both: Both, copied: Both) -> None:
    cursor = changes(both.url)[5].cursor
    with pytest.raises(UsageError, match="of another database"):
        changes(both.file, cursor)
    with pytest.raises(UsageError, match="of another database"):
        changes(both.url, changes(both.file)[5].cursor)
    rows_changed(copied.dsn, "UPDATE change_log SET at = at + 1")
    with pytest.raises(UsageError, match="of another database"):
        changes(copied.url, cursor)
    for wrong in ("p1_", "p1_AAAA", "p1_" + changes(both.file)[5].cursor[3:], "x", ""):
        with pytest.raises(UsageError, match="is no cursor of this version"):
            changes(both.url, wrong)


def test_what_prune_has_removed_unseen_is_told(copied: Both) -> None:
    found = changes(copied.url)
    seen, rest = found[3], found[4:]
    (part, last) = rows(copied.dsn, "SELECT part, id FROM change_log WHERE change = 'gone' LIMIT 1")[0]
    rows_changed(copied.dsn, "INSERT INTO change_log_pruned (part, upto) VALUES (?, ?)", part, last)
    rows_changed(copied.dsn, "DELETE FROM change_log WHERE part = ? AND id = ?", part, last)
    with pytest.raises(UsageError, match="`crawler prune` has removed changes"):
        changes(copied.url, seen.cursor)
    assert len(changes(copied.url)) == len(found) - 1
    removed = next(entry for entry in rest if entry.change == "gone")
    assert changes(copied.url, removed.cursor) != []


@given(st.dictionaries(st.integers(0, 4095), st.integers(1, 2**63 - 1)), st.integers(0, 2**32 - 1))
def test_places_are_packed_and_unpacked(ids: dict[int, int], mark: int) -> None:
    assert Places.unpacked(Places(ids=ids, mark=mark).packed()) == Places(ids=ids, mark=mark)


def test_a_cursor_of_all_partitions_is_no_longer_than_a_line_may_be() -> None:
    ids = {part: row_id(part, 3 + part % 7, 1000 + part * part) for part in range(1024)}
    assert len(Places(ids=ids, mark=1).packed()) < 4096


# --- pages of an export -----------------------------------------------------------------------------------------------

FIELDS = ("url", "title", "text", "headers", "links", "link_details", "extracts", "headings", "json_ld", "alternates")
FILTERS = [
    PageFilter(),
    PageFilter(run=1),
    PageFilter(run=2),
    PageFilter(urls=UrlFilter(host="a.test", glob="*/?ne")),
    PageFilter(statuses=(UrlStatus.GONE, UrlStatus.PENDING)),
    PageFilter(statuses=(200, UrlStatus.FETCHED), language="de"),
    PageFilter(changed_since=1e9, where="depth < 2 AND title <> 'what?'"),
]


def exported(
    place: Location, chosen: PageFilter, read: Callable[[PageReader], Awaitable[_Found]], **options: Any
) -> _Found:
    async def run() -> _Found:
        async with open_pages(place, chosen, **options) as reader:
            return await read(reader)

    return asyncio.run(run())


@pytest.mark.parametrize("chosen", FILTERS, ids=str)
def test_an_export_has_the_same_pages(both: Both, chosen: PageFilter) -> None:
    async def pages(reader: PageReader) -> Any:
        found = [
            (one.page.asdict(), one.url_status, one.host, one.body())
            async for one in reader.pages(FIELDS, with_bodies=True)
        ]
        listing = [url async for url, _page_id in reader.listing()]
        assert await reader.count() == len(found) == len(listing)
        assert await reader.among([*listing, "http://a.test/nowhere", "no URL"]) == set(listing)
        return found

    wanted, found = (exported(place, chosen, pages) for place in both.places())
    assert plain(found) == plain(wanted)
    assert wanted or chosen.run == 2 or chosen.statuses


def test_an_export_in_parts_has_those_together_that_are_alike(both: Both) -> None:
    async def parts(reader: PageReader) -> Any:
        by = ("language", "date", "host", "run_id", "url_status", "status")
        pages = [one async for one in reader.pages(("url", "language"), by=by)]
        return [one.page.language for one in pages], sorted(one.page.url for one in pages)

    wanted, found = (exported(place, PageFilter(), parts) for place in both.places())
    assert found == wanted
    assert len(set(wanted[0])) > 2


def test_links_of_an_export(both: Both) -> None:
    async def links(reader: PageReader) -> Any:
        pages = {one.url_id: one async for one in reader.pages(("url",))}
        found = await reader.links_of(list(pages.values()))
        return [(pages[one.page_url_id].page.url, one.url, *one[3:]) for one in found]

    wanted, found = (exported(place, PageFilter(), links) for place in both.places())
    assert sorted(found) == sorted(wanted) != []


def test_an_export_of_what_has_changed_since(both: Both) -> None:
    """From behind the changes of the first run."""

    async def increment(reader: PageReader) -> Any:
        return (
            sorted([one.page.url async for one in reader.pages(("url",))]),
            sorted([one async for one in reader.removed()]),
            await reader.changed_hosts(),
        )

    found = []
    for place in both.places():
        first = [entry for entry in changes(place) if entry.run_id == 1]
        since = {"since": first[-1].cursor}
        found.append([exported(place, PageFilter(), increment, **since)])
        found[-1].append(exported(place, PageFilter(urls=UrlFilter(glob="*/leav*")), increment, **since))
        found[-1].append(exported(place, PageFilter(), increment, **since, whole_hosts=True))
        found[-1].append(exported(place, PageFilter(), increment, since=NOW))
    assert found[0] == found[1]
    (urls_of, removed, _hosts), *_rest = found[0]
    assert len(urls_of) == 3
    assert [one.why for one in removed] == ["gone"]


WRONG = {
    "nope = 1": 'column "nope" does not exist',
    "1) OR (1=1": "argument of OR must be type boolean",
    "depth = 1; DROP TABLE urls": "syntax error",
    "pg_sleep(1) IS NULL": "only reading is allowed",
    "lo_unlink(3) = 1": "only reading is allowed",
    'PG_SLEEP (1) IS NULL OR "set_config"(1)': "only reading is allowed",
    'U&"pg\\005fsleep" (1) IS NULL': "only reading is allowed",
    "text": "argument of WHERE must be type boolean",
    "1 / (depth - depth) > 0": "--where: division by zero",
    "text::int > 0": "--where: invalid input syntax",
    "/* x": "unterminated",
}


@pytest.mark.parametrize("condition", WRONG)
def test_a_condition_that_cannot_be_used_is_told(both: Both, condition: str) -> None:
    async def read(reader: PageReader) -> int:
        return len([one async for one in reader.pages(("url",))])

    with pytest.raises(UsageError, match=re.escape(WRONG[condition])):
        exported(both.url, PageFilter(where=condition), read)


def test_conditions_of_postgresql_may_have_its_operators(both: Both) -> None:
    async def read(reader: PageReader) -> list[str]:
        return [one.page.url.rpartition("/")[2] async for one in reader.pages(("url",))]

    assert exported(both.url, PageFilter(where="metas::jsonb ? 'author' -- as they are stored"), read) != []


def test_rows_that_nobody_reads_to_the_end_go_with_the_loop_without_a_word(both: Both) -> None:
    """As when `head` has seen enough, and what waits for rows is left as it is."""
    told, kept = list[str](), list[object]()

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, event: told.append(event["message"]))
        opened = open_database(both.url)
        rows = (await opened.__aenter__()).stream("SELECT generate_series(1, 1000)", (), 10)
        assert len(await anext(rows)) == 10
        kept.append((opened, rows))

    for _ in range(10):
        asyncio.run(leave())
        kept.clear()
    assert not [one for one in told if "PostgresReader" in one]  # the database itself was left open by this test


# --- the next run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_age_s", [0.0, 3600.0, "auto"])
def test_what_the_next_run_has_to_do(both: Both, max_age_s: Any) -> None:
    in_a_day, recrawl = time.time() + 86_400, RecrawlConfig(max_age_s=max_age_s)
    file, server = (
        asyncio.run(read_plan(place, CrawlConfig(db=place, recrawl=recrawl), in_a_day)) for place in both.places()
    )
    assert file.due > 0
    assert server == replace(file, fresh_now=server.fresh_now)
    assert server.fresh_now == pytest.approx(file.fresh_now)


# --- verification -----------------------------------------------------------------------------------------------------


def faults(place: Location) -> dict[str, Sequence[str]]:
    async def check() -> dict[str, Sequence[str]]:
        return {one.name: one.examples async for one in verify(place) if one.wrong}

    return asyncio.run(check())


def test_the_copy_is_sound(both: Both) -> None:
    assert faults(both.url) == {}


DAMAGE = {
    "DROP INDEX urls_due": ("schema", "the index urls_due is missing"),
    "DROP VIEW broken_links": ("schema", "the view broken_links is missing"),
    "DELETE FROM hosts WHERE excluded > 0 AND fetched = 0": ("references", "names one of hosts"),
    "UPDATE origins SET part = part + 1": ("references", "stands in partition"),
    "UPDATE hosts SET fetched = fetched + 1": ("hosts", "URLs that are fetched, and has"),
    "UPDATE hosts SET next_due_at = NULL": ("hosts", "nothing is planned for it"),
    "UPDATE urls SET url = url || 'x' WHERE url LIKE '%/one'": ("urls", "another key than its text makes"),
    "UPDATE urls SET page_id = 5 WHERE url LIKE '%/one'": ("urls", "names a version that is not there"),
    "UPDATE pages SET body_hash = '\\x00' WHERE title = 'Ok'": ("pages", "the body of version"),
    "UPDATE fetches SET head_id = 0 WHERE run_id = 2": ("attempts", "the header fields of attempt"),
    "UPDATE extracts SET data = '[]'": ("extracts", "is no JSON object"),
    "UPDATE extracts SET data = '{'": ("extracts", "is no JSON object"),
    "DELETE FROM extraction_rules": ("extracts", "is not known"),
    "UPDATE runs SET pages = 1": ("runs", "counts 1 versions of pages"),
    "UPDATE bodies SET size = size + 1": ("bodies", "body"),
    "UPDATE page_links SET links = '[[1'": ("references", "cannot be read to the end"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(copied: Both, damage: str) -> None:
    rows_changed(copied.dsn, damage)
    check, told = DAMAGE[damage]
    found = faults(copied.url)
    assert any(told in example for example in found[check]), found
    assert {"bodies", "runs"} & found.keys() <= {check}
