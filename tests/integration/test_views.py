"""The views on a small crawl that has one of each thing, fetched twice: each is exactly the known set."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, RecrawlConfig, ScopeConfig, crawl
from crawler.archive.reading import open_archive
from crawler.archive.reference import MANUAL, reference
from crawler.fakeweb import FakeWeb, Served, Site
from crawler.storage.sqlite.database import open_writer
from crawler.storage.sqlite.views import drop_views, views
from tests.stores import rows

FIRST = [
    ("/ok", "fine"), ("/dead", "the dead"), ("/forbidden", "no entry"), ("/old", "moved"), ("/to-dead", "moved away"),
    ("/loop-a", "round"), ("/private/1", "private"), ("http://b.test/", "elsewhere"), ("/one", "1"), ("/two", "2"),
    ("/untitled", "?"), ("/hidden", "hidden"), ("/for-ok", "c"), ("/for-dead", "c"), ("/for-nothing", "c"),
    ("/for-hidden", "c"), ("/for-another", "c"), ("/x/x/x/x/x", "deep"), ("/large", "large"), ("/slow", "slow"),
    ("/leaving", "leaving"), ("/flaky", "flaky"),
]  # fmt: skip


def first_day(site: Site) -> None:
    site.robots("User-agent: *\nDisallow: /private\nSitemap: http://a.test/sitemap.xml\n")
    site.sitemap("/sitemap.xml", [])
    site.page("/", title="Home", links=FIRST)
    site.page("/ok", title="Ok", links=["/", "/dead"])
    site.status("/forbidden", 403)
    site.redirect("/old", "/older")
    site.redirect("/older", "/new")
    site.page("/new", title="New", text="reached by redirects alone")
    site.redirect("/to-dead", "/dead")
    site.redirect("/loop-a", "/loop-b")
    site.redirect("/loop-b", "/loop-a")
    for path in ("/one", "/two"):
        site.page(path, title="Same", text="the same")
    site.page("/untitled", text="no title")
    site.page("/hidden", title="Hidden", head='<meta name="robots" content="noindex">')
    for path, canonical in CANONICAL.items():
        site.page(path, title=path, text=path, head=f'<link rel="canonical" href="{canonical}">')
    site.page("/large", title="Large", text="large " * 200_000)
    site.page("/slow", title="Slow", text="slow", delay_s=1.05)
    site.page("/leaving", title="Leaving", text="here today", links=["/only-from-there", "/dead"])
    site.page("/only-from-there", title="Left behind", text="left behind")
    site.page("/flaky", title="Flaky", text="flaky", links=["/dead"])


CANONICAL = {
    "/for-ok": "/ok",
    "/for-dead": "/dead",
    "/for-nothing": "/nothing-leads-here",
    "/for-hidden": "/hidden",
    "/for-another": "/for-ok",
}


def second_day(site: Site) -> None:
    site.page("/", title="Home", links=[link for link in FIRST if link[0] != "/dead"])
    site.page("/two", title="Two", text="not the same any more")
    site.status("/leaving", 410)
    site.status("/flaky", 500)


def config_for(db: Path, served: Served, *, again: bool = False) -> CrawlConfig:
    return CrawlConfig(
        db=db,
        scope=ScopeConfig(guess_sitemap=False),
        politeness=PolitenessConfig(delay_s=0, per_host=8),
        network=NetworkConfig(dns_server=served.dns, allow_private=("127.0.0.0/8",), retries=0),
        recrawl=RecrawlConfig(max_age_s=0.0 if again else None),
    )


async def crawl_twice(first: Path, second: Path) -> str:
    """Leaves the database as it was after the first day, and after the second; returns the site's origin."""
    web = FakeWeb()
    site = web.host("a.test")
    first_day(site)
    async with web.serve() as served:
        origin = served.url("a.test", "/")[:-1]
        site.sitemap("/sitemap.xml", [f"{origin}/orphan"])
        site.page("/orphan", title="Orphan", text="in the sitemap", links=["/orphan"])
        site.robots(f"User-agent: *\nDisallow: /private\nSitemap: {origin}/sitemap.xml\n")
        await crawl([f"{origin}/"], config_for(second, served))
        with closing(sqlite3.connect(second)) as source, closing(sqlite3.connect(first)) as copy:
            source.backup(copy)
        second_day(site)
        await crawl([f"{origin}/"], config_for(second, served, again=True))
    return origin


class Days:
    """Both databases, and what a view of one of them holds, as paths."""

    def __init__(self, folder: Path) -> None:
        self.db = {1: folder / "first.db", 2: folder / "second.db"}
        self.origin = asyncio.run(crawl_twice(self.db[1], self.db[2]))

    def ask(self, day: int, sql: str) -> set[Any]:
        """Single columns as plain values."""
        found = rows(self.db[day], sql)
        short = [tuple(self._short(value) for value in row) for row in found]
        assert len(set(short)) == len(short), "a row stands twice"
        return {row[0] if len(row) == 1 else row for row in short}

    def _short(self, value: Any) -> Any:
        return value.replace(self.origin, "") if isinstance(value, str) else value


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(tmp_path_factory.mktemp("views"))


PAGES = {
    "/", "/ok", "/new", "/one", "/two", "/untitled", "/hidden", "/large", "/slow", "/leaving", "/only-from-there",
    "/flaky", "/orphan", *CANONICAL,
}  # fmt: skip
NOT_FOUND = "http 404"
CIRCLE = "redirect loop: /loop-a > /loop-b > /loop-a"


def test_broken_links_are_those_of_the_newest_versions_of_pages_that_stand(days: Days) -> None:
    """What the second day's home page leaves out is broken no more; what fails once keeps its links, and is none."""
    sql = "SELECT page_url, anchor, target_url, status, cause FROM broken_links"
    always = {
        ("/", "no entry", "/forbidden", "failed", "http 403"),
        ("/", "moved away", "/to-dead", "gone", f"{NOT_FOUND}, redirected to /dead"),
        ("/", "round", "/loop-a", "loop", CIRCLE),
        ("/ok", "/dead", "/dead", "gone", NOT_FOUND),
        ("/flaky", "/dead", "/dead", "gone", NOT_FOUND),
    }
    assert days.ask(1, sql) == always | {
        ("/", "the dead", "/dead", "gone", NOT_FOUND),
        ("/leaving", "/dead", "/dead", "gone", NOT_FOUND),
    }
    assert days.ask(2, sql) == always | {
        ("/", "leaving", "/leaving", "gone", "http 410"),
    }


def test_which_status_a_url_is_gone_with_is_told_whatever_came_later_and_as_long_as_it_is_stored(
    days: Days, tmp_path: Path
) -> None:
    assert days.ask(2, "SELECT url, status_code FROM gone_urls") == {("/dead", 404), ("/leaving", 410)}
    with closing(sqlite3.connect(days.db[2])) as source, closing(sqlite3.connect(tmp_path / "later.db")) as later:
        source.backup(later)
        attempt = "INSERT INTO fetches (url_id, run_id, started_at, elapsed_s, status_code) VALUES (?, 2, 1, 1, ?)"
        [(dead,)] = later.execute("SELECT id FROM urls WHERE url LIKE '%/dead'")
        later.executemany(attempt, [(dead, status) for status in (404, 410, 503)])
        causes = "SELECT DISTINCT cause FROM broken_links WHERE target_url LIKE '%dead' ORDER BY 1"
        redirected = f", redirected to {days.origin}/dead"
        assert later.execute(causes).fetchall() == [("http 410",), (f"http 410{redirected}",)]
        later.execute("DELETE FROM fetches WHERE status_code <> 302")
        found = later.execute(causes).fetchall()
        assert found == [("http 404 or 410",), (f"http 404 or 410{redirected}",)]


def test_current_pages_are_those_whose_url_stands(days: Days) -> None:
    assert days.ask(1, "SELECT url FROM current_pages") == PAGES
    assert days.ask(2, "SELECT url FROM current_pages") == PAGES - {"/leaving"}
    assert days.ask(2, "SELECT url FROM stored_pages") == PAGES
    assert days.ask(2, "SELECT DISTINCT status FROM current_pages") == {"fetched"}
    failing = "SELECT url, failing_reason FROM current_pages WHERE failing_since > fetched_at"
    assert days.ask(2, failing) == {("/flaky", "http 500")}
    assert days.ask(2, "SELECT url, title FROM current_pages WHERE url LIKE '%/two'") == {("/two", "Two")}


def test_versions_tell_the_newest_from_the_others(days: Days) -> None:
    changed = "SELECT url, newest, title, run_id FROM page_versions WHERE url LIKE '%/two'"
    assert days.ask(2, changed) == {("/two", 0, "Same", 1), ("/two", 1, "Two", 2)}
    assert days.ask(2, "SELECT count(*) FROM page_versions WHERE newest") == {len(PAGES)}


def test_links_in_and_out_are_the_same_links_seen_from_both_ends(days: Days) -> None:
    for day in (1, 2):
        out = days.ask(day, "SELECT page_url, target_url, anchor, rel, nofollow FROM outlinks")
        assert out == days.ask(day, "SELECT page_url, target_url, anchor, rel, nofollow FROM inlinks")
        assert len(out) == {1: len(FIRST) + 6, 2: len(FIRST) + 3}[day]
    assert days.ask(2, "SELECT page_url FROM inlinks WHERE target_url LIKE '%/dead'") == {"/ok", "/flaky"}
    assert days.ask(2, "SELECT target_url, status FROM outlinks WHERE page_url LIKE '%/ok'") == {
        ("/", "fetched"),
        ("/dead", "gone"),
    }


def test_redirect_chains_name_their_end(days: Days) -> None:
    assert days.ask(2, "SELECT url, hops, end_url, end_status, chain FROM redirect_chains") == {
        ("/old", 2, "/new", "fetched", "/old > /older > /new"),
        ("/older", 1, "/new", "fetched", "/older > /new"),
        ("/to-dead", 1, "/dead", "gone", "/to-dead > /dead"),
        ("/loop-a", 2, "/loop-a", "loop", "/loop-a > /loop-b > /loop-a"),
        ("/loop-b", 2, "/loop-b", "loop", "/loop-b > /loop-a > /loop-b"),
    }


def test_what_was_not_fetched_says_why(days: Days) -> None:
    assert days.ask(1, "SELECT url, reason, has_page FROM failed_urls") == {("/forbidden", "http 403", 0)}
    assert days.ask(2, "SELECT url, reason, has_page FROM failed_urls") == {("/forbidden", "http 403", 0)}
    assert days.ask(1, "SELECT url FROM failing_urls") == set()
    assert days.ask(2, "SELECT url, status, failing_reason, has_page FROM failing_urls") == {
        ("/flaky", "fetched", "http 500", 1)
    }
    assert days.ask(1, "SELECT url, had_page FROM gone_urls") == {("/dead", 0)}
    assert days.ask(2, "SELECT url, had_page FROM gone_urls") == {("/dead", 0), ("/leaving", 1)}
    assert days.ask(2, "SELECT url, host, rule, reason FROM excluded_urls") == {
        ("/private/1", "a.test", "robots", "robots: line 2: Disallow: /private"),
        ("http://b.test/", "b.test", "scope", "scope"),
        ("/x/x/x/x/x", "a.test", "trap", "trap: repeated path segments"),
    }
    assert days.ask(2, "SELECT url, line, rule FROM robots_blocked") == {("/private/1", 2, "Disallow: /private")}
    assert days.ask(2, "SELECT * FROM traps") == {("a.test", "repeated path segments", 1, "/x/x/x/x/x")}


def test_faults_of_pages(days: Days) -> None:
    assert days.ask(1, "SELECT url, first_url, copies FROM duplicate_pages") == {
        ("/one", "/one", 2),
        ("/two", "/one", 2),
    }
    assert days.ask(2, "SELECT url FROM duplicate_pages") == set()
    assert days.ask(2, "SELECT url FROM missing_titles") == {"/untitled"}
    assert days.ask(2, "SELECT url FROM noindex") == {"/hidden"}
    assert days.ask(2, "SELECT url, bytes > 1200000, truncated FROM large_pages") == {("/large", 1, 0)}
    assert "/slow" in days.ask(2, "SELECT url FROM slow_pages")  # on a busy machine others may be, too
    assert days.ask(2, "SELECT url, canonical_url, problem, reason FROM canonical_problems") == {
        ("/for-dead", "/dead", "gone", None),
        ("/for-nothing", "/nothing-leads-here", "unknown", None),
        ("/for-hidden", "/hidden", "noindex", None),
        ("/for-another", "/for-ok", "elsewhere", "/ok"),
    }


def test_orphans_are_pages_that_nothing_current_leads_to(days: Days) -> None:
    """Not what redirects lead to; on the second day also what only a page that is gone led to."""
    assert days.ask(1, "SELECT url FROM orphan_pages") == {"/orphan"}
    assert days.ask(2, "SELECT url FROM orphan_pages") == {"/orphan", "/only-from-there"}


def test_what_sitemaps_name_stands_beside_what_became_of_it(days: Days) -> None:
    asked = "SELECT sitemap_url, sitemap_kind, url, lastmod, priority, title, status, kind FROM sitemap_urls"
    assert days.ask(1, asked) == {("/sitemap.xml", "sitemap", "/orphan", None, None, None, "fetched", "page")}


def test_changes_are_told_by_run(days: Days) -> None:
    assert days.ask(2, "SELECT url, change FROM changes WHERE run_id = 1") == {(page, "new") for page in PAGES}
    assert days.ask(2, "SELECT url, change, page_id IS NOT NULL FROM changes WHERE run_id = 2") == {
        ("/", "changed", 1),
        ("/two", "changed", 1),
        ("/leaving", "gone", 0),
    }


def test_attempts_hosts_and_runs(days: Days) -> None:
    flaky = "SELECT run_id, status_code, failure FROM attempts WHERE url LIKE '%/flaky'"
    assert days.ask(2, flaky) == {(1, 200, None), (2, 500, None)}
    assert days.ask(2, "SELECT count(*) FROM attempts") == days.ask(2, "SELECT sum(requests) FROM run_overview")
    assert days.ask(2, "SELECT run_id, end_reason, elapsed_s > 0 FROM run_overview") == {
        (1, "complete", 1),
        (2, "complete", 1),
    }
    assert days.ask(2, "SELECT host, urls, excluded, failed FROM host_overview WHERE host = 'b.test'") == {
        ("b.test", 1, 1, 0)
    }


# --- how they are declared, and kept up to date ---------------------------------------------------------------------


def test_every_view_runs_in_plain_sqlite_and_has_the_columns_that_are_documented(days: Days) -> None:
    with closing(sqlite3.connect(days.db[2])) as connection:
        for view in views().values():
            found = connection.execute(f"SELECT * FROM {view.name}")
            assert [column[0] for column in found.description] == list(view.columns), view.name
            assert view.description.endswith("."), view.name


def test_every_statement_of_the_file_is_read() -> None:
    source = (Path(__file__).parents[2] / "crawler/storage/sqlite/views.sql").read_text()
    assert list(views()) == re.findall(r"^CREATE VIEW (\w+)", source, re.MULTILINE)
    assert "".join(re.sub(r"^--.*$", "", source, flags=re.MULTILINE).split()) == "".join(
        re.sub(r"^--.*$", "", f"{view.sql};", flags=re.MULTILINE) for view in views().values()
    ).replace("\n", "").replace(" ", "")


def test_the_manual_says_what_the_file_says() -> None:
    assert MANUAL.read_text(encoding="utf-8") == reference(), "run `python -m crawler.archive.reference`"


async def make(path: Path) -> None:
    async with open_writer(path):
        pass


def spoil(path: Path) -> None:
    """As an older program may have left them: one otherwise, one missing, and one that is a user's own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "DROP VIEW noindex; CREATE VIEW noindex AS SELECT 1 AS old; DROP VIEW broken_links;"
            "CREATE VIEW mine AS SELECT url FROM urls;"
        )


async def test_who_writes_brings_the_views_up_to_date_and_leaves_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await make(path)
    spoil(path)
    await make(path)
    stored = dict(rows(path, "SELECT name, sql FROM sqlite_schema WHERE type = 'view'"))
    assert stored.pop("mine")
    assert stored == {view.name: view.sql for view in views().values()}


async def test_who_reads_sees_the_views_of_this_program_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await make(path)
    spoil(path)
    before = path.read_bytes()
    async with open_archive(path) as connection:
        for name in ("noindex", "broken_links"):
            async with connection.execute(f"SELECT * FROM {name}") as cursor:
                assert [column[0] for column in cursor.description] == list(views()[name].columns)
    assert path.read_bytes() == before


async def test_a_migration_may_change_what_the_views_are_made_of(tmp_path: Path) -> None:
    """They are dropped before: SQLite lets no column go that a view names."""
    path = tmp_path / "crawl.db"
    await make(path)
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="run_overview"):
            connection.execute("ALTER TABLE runs DROP COLUMN requests")
        connection.executescript(drop_views())
        connection.execute("ALTER TABLE runs DROP COLUMN requests")
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'view'").fetchone() == (0,)
