"""A database that version 0.1.0 has left, with a run that was killed, is migrated, resumed and crawled again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from crawler import NetworkConfig, open_crawl
from crawler.fakeweb import FakeWeb, Served
from crawler.records import HTTP_STATUS, ExclusionReason, FailureKind, Reason
from crawler.storage.location import database_at
from tests.acceptance.conftest import Cli
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, SHUT_OUT, SLOW, old_web

WHY = "SELECT url, reason FROM urls WHERE status IN ('excluded', 'failed') ORDER BY url"


@pytest.fixture
def web() -> FakeWeb:
    """As it was when the database was made."""
    return old_web(2)


@pytest.fixture
def served(cli: Cli, serve: Callable[[FakeWeb], Served], web: FakeWeb) -> Served:
    """The web that the database is of; the database's URLs have its port."""
    served = serve(web)
    restore("database_0_1_0.sql", PORT, cli.db, served)
    return served


def asked_for(served: Served, since: int = 0) -> Counter[str]:
    """How often each URL was, but for robots.txt."""
    return Counter(served.url(hit.host, hit.target) for hit in served.log[since:] if hit.target != "/robots.txt")


def test_the_run_that_was_killed_goes_on_and_nothing_is_fetched_again(cli: Cli, served: Served) -> None:
    pending = cli.rows("SELECT url FROM urls WHERE status = 'pending' AND url NOT LIKE '%//refused.%' ORDER BY url")
    stored, why = cli.pages(), cli.rows(WHY)
    runs = cli.rows("SELECT id, ended_at FROM runs ORDER BY id")
    assert [ended is None for _id, ended in runs] == [False, False, False, True]
    cli.crawl(served)
    assert asked_for(served) == Counter(pending)
    slow = [served.url("slow.test", f"/{number}") for number in range(SLOW)]
    assert cli.pages() == sorted([*stored, *(url for url in pending if url in slow)])
    assert set(slow) <= set(cli.pages())
    assert set(why) <= set(cli.rows(WHY))
    assert cli.rows("SELECT id, pages, end_reason FROM runs")[3:] == [(4, SLOW, "waiting")]  # for refused.test


def test_the_default_name_of_that_version_gives_way_to_todays(cli: Cli, served: Served) -> None:
    outcome = cli.crawl(served)
    assert {hit.headers.get("user-agent") for hit in served.log} == {NetworkConfig().user_agent}
    assert outcome.err.count("without a way to reach you") == 1


async def test_why_a_url_was_kept_out_or_failed_is_told_in_parts_after_the_migration(cli: Cli, served: Served) -> None:
    why = cli.rows("SELECT reason FROM urls WHERE status = 'excluded' ORDER BY 1")
    async with database_at(cli.db).open_store():
        pass
    found = cli.rows("SELECT reason, cause, detail FROM urls WHERE status = 'excluded' ORDER BY reason")
    assert [reason for reason, _cause, _detail in found] == why
    newer = {ExclusionReason.HOOK, ExclusionReason.NO_SITEMAP}
    assert {cause for _reason, cause, _detail in found} == {*ExclusionReason} - newer
    failed = cli.rows("SELECT reason, cause, detail FROM urls WHERE status = 'failed'")
    assert {cause for _reason, cause, _detail in failed} <= {*FailureKind, HTTP_STATUS}
    assert len(failed) > 3
    assert all(reason == Reason(cause, detail) for reason, cause, detail in [*found, *failed])


async def test_what_it_did_not_keep_is_unknown_after_the_migration(cli: Cli, served: Served) -> None:
    async with database_at(cli.db).open_store():
        pass
    for table, known in (("pages", "content_hash"), ("fetches", "body_hash"), ("urls", "links_cut_at")):
        columns = cli.rows("SELECT name FROM pragma_table_info(?)", table)
        new = columns[columns.index(known) + 1 :]
        assert {"pages": "metadata_hash", "fetches": "head_id", "urls": "found_on"}[table] in new
        assert set(cli.rows(f"SELECT coalesce({', '.join([*new, 'NULL'])}) FROM {table}")) == {None}
    assert cli.rows("SELECT count(*) FROM response_headers") == cli.rows("SELECT count(*) FROM resources") == [0]


async def test_what_had_failed_fails_since_its_first_attempt_and_is_due_again_unless_settled(
    cli: Cli, served: Served
) -> None:
    tried = "SELECT u.url, min(f.started_at) FROM fetches AS f JOIN urls AS u ON u.id = f.url_id GROUP BY u.id"
    first = dict(cli.rows(tried))
    async with database_at(cli.db).open_store():
        pass
    columns = "url, reason, failing_since, failing_reason, revisit_at"
    sql = f"SELECT {columns} FROM urls WHERE status = 'failed' AND kind = 'page'"
    failed = {row[0]: row[1:] for row in cli.rows(sql)}
    assert all(since == first[url] for url, (_reason, since, _why, _at) in failed.items() if url in first)
    assert all(reason == why for reason, _since, why, _at in failed.values())
    again = {reason: at is not None for reason, _since, _why, at in failed.values()}
    assert (again["http 500"], again["http 403"], again["bad_response"]) == (True, False, False)
    assert cli.rows("SELECT count(*) FROM failing_urls") == [0]


@pytest.mark.thorough
def test_what_has_not_changed_gives_no_new_version_and_what_has_gives_one(
    cli: Cli, served: Served, web: FakeWeb
) -> None:
    cli.crawl(served)
    pages, before = cli.pages(), len(served.log)
    cli.crawl(served, "--max-age", "0s")
    again = asked_for(served, before)
    assert set(pages) <= set(again)
    assert set(again.values()) == {1}
    assert cli.pages() == pages
    web.sites["a.test"].page("/changes", title="Changes", text="This is another version.")
    cli.crawl(served, "--max-age", "0s")
    changes = served.url("a.test", "/changes")
    assert cli.pages() == sorted([*pages, changes])
    versions = cli.rows("SELECT text FROM pages JOIN urls ON urls.id = url_id WHERE url = ? ORDER BY pages.id", changes)
    assert [text.splitlines()[-1] for text in versions] == [
        "This is version 1.",
        "This is version 2.",
        "This is another version.",
    ]


@pytest.mark.thorough
def test_a_place_that_was_closed_stays_closed(cli: Cli, served: Served, web: FakeWeb) -> None:
    """Each day links to one more; a page that has changed brings it before the crawl anew."""
    day = "/calendar?month=1&year=1"
    web.sites["calendar.test"].page(day, title="A day", text="New", links=["/calendar?month=777&year=7"])
    cli.crawl(served, "--max-age", "0s")
    closed = SHUT_OUT["/calendar?month=998&year=9"]
    url = served.url("calendar.test", "/calendar?month=777&year=7")
    assert cli.rows("SELECT status, reason FROM urls WHERE url = ?", url) == [("excluded", closed)]


def test_a_reader_asks_for_a_crawl_to_migrate_it_and_reads_it_then(cli: Cli, served: Served) -> None:
    assert "older schema" in cli.command("status", "--db", str(cli.db), status=6).err
    cli.crawl(served)
    status: dict[str, Any] = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    assert [run["state"] for run in status["runs"]] == ["waiting", *["complete"] * 3]
    assert status["urls"]["fetched"] == len(set(cli.pages()))
    assert cli.rows("PRAGMA integrity_check") == ["ok"]
    assert cli.rows("PRAGMA foreign_key_check") == []


async def test_its_pages_and_bodies_are_read_from_python(cli: Cli, served: Served) -> None:
    cli.crawl(served)
    changes = served.url("a.test", "/changes")
    async with open_crawl(cli.db) as archive:
        page = await archive.page(changes)
        assert page is not None
        assert page.text.splitlines()[-1] == "This is version 2."
        body = await archive.body(changes)
        assert body is not None
        assert b"This is version 2." in body
        assert len([page async for page in archive.pages()]) == len(set(cli.pages()))
