"""`crawler search`, as a person or a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crawler.archive.derived import derived_file
from crawler.fakeweb import Answer, FakeWeb, Served
from tests.acceptance.conftest import COMMAND, LOOPBACK, Cli, Gate, Serve, on_a_terminal, wait_for
from tests.acceptance.old_crawls import restore
from tests.acceptance.old_web import PORT, old_web
from tests.benchmarks.servers import nginx

MANUAL = Path("/usr/share/doc/postgresql-doc-15/html")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\u202eevil\x9b1m"


@pytest.fixture
def served(serve: Serve) -> Served:
    web = FakeWeb()
    site = web.host("a.test")
    links = ("/window", "/fenster", "/evil")
    site.page("/", title="Home", text="Windows and doors. The needle is here.", links=links)
    site.page("/window", title="The window", text="A window is an opening in a wall.")
    site.page("/fenster", title="Das Fenster", text="Ein Fenster ist eine Öffnung, a window.", language="de-AT")
    site.page("/evil", title=f"needle {ESCAPES}", text=f"needle {ESCAPES} [bold]markup[/bold]")
    return serve(web)


@pytest.fixture
def crawled(cli: Cli, served: Served) -> Cli:
    cli.crawl(served, served.url("a.test"), "--delay", "0")
    return cli


def search(cli: Cli, *arguments: str, status: int = 0) -> tuple[list[str], str]:
    """The paths of the pages that it found, by the lines that it prints, and its remarks."""
    done = cli.command("search", *arguments, "--db", str(cli.db), status=status)
    return [line.split("\t")[0].rpartition("/")[2] for line in done.out.splitlines()], done.err


def test_it_prints_a_line_for_each_page_the_best_first(crawled: Cli) -> None:
    out = crawled.command("search", "window", "--db", str(crawled.db)).out
    first, *rest = out.splitlines()
    url, title, text = first.split("\t")
    assert (url.rpartition("/")[2], title) == ("window", "The window")
    assert "A window is an opening" in text
    assert len(rest) == 2


def test_words_need_no_quotes_and_options_choose(crawled: Cli) -> None:
    assert search(crawled, "a", "window")[0] == search(crawled, "a window")[0] == ["window", "fenster"]
    assert search(crawled, "window", "--lang", "de")[0] == ["fenster"]
    assert search(crawled, "offnung", "--host", "a.test")[0] == ["fenster"]
    assert search(crawled, "window", "--host", "b.test")[0] == []
    found, remark = search(crawled, "window", "--limit", "1")
    assert found == ["window"]
    assert "1 of 3 pages that match" in remark


def test_nothing_found_is_no_failure(crawled: Cli) -> None:
    assert search(crawled, "nowhere") == ([], "no page matches nowhere\n")
    assert search(crawled, '"a window', "AND", "(") == ([], 'no page matches "a window AND (\n')


def test_wrong_use_is_told_in_one_line(cli: Cli, crawled: Cli) -> None:
    assert "'d e' is no language" in search(crawled, "x", "--lang", "d e", status=2)[1]
    assert "--update-for" in search(crawled, "x", "--update-for", "soon", status=2)[1]
    assert "needs QUERY: crawler search QUERY (" in search(crawled, status=2)[1]
    assert search(crawled, "", " ", status=2)[1] == "crawler: the query is empty; give words to search for\n"
    assert "Usage: crawler search [OPTIONS] {QUERY}...\n" in cli.command("search", "--help").out
    nowhere = cli.command("search", "x", "--db", str(cli.folder / "none.db"), status=6)
    assert nowhere.err.count("\n") == 1


def test_json_lines_say_where_the_words_stand(crawled: Cli) -> None:
    out = crawled.command("search", "title:window", "--json", "--db", str(crawled.db)).out
    [row] = [json.loads(line) for line in out.splitlines()]
    assert set(row) == {"url", "title", "snippet", "language", "score", "title_marks", "snippet_marks"}
    assert [row["title"][begin:end] for begin, end in row["title_marks"]] == ["window"]
    assert row["language"] == "en"
    header, *lines = crawled.command("search", "window", "--format", "csv", "--db", str(crawled.db)).out.splitlines()
    assert header.split(",")[:3] == ["url", "title", "snippet"]
    assert len(lines) == 3


def test_a_terminal_gets_titles_urls_and_highlighted_excerpts(crawled: Cli) -> None:
    shown = on_a_terminal([*COMMAND, "search", "window", "--db", str(crawled.db)], COLUMNS="60")
    assert "\x1b[1;33mwindow\x1b[0m" in shown
    assert "http://a.test" in shown
    plain = on_a_terminal([*COMMAND, "search", "window", "--db", str(crawled.db)], NO_COLOR="1", TERM="dumb")
    assert "The window" in plain
    assert "\x1b[33m" not in plain


def test_what_a_page_says_does_nothing_to_a_terminal(crawled: Cli) -> None:
    shown = on_a_terminal([*COMMAND, "search", "needle", "--db", str(crawled.db)])
    lines = crawled.command("search", "needle", "--db", str(crawled.db)).out
    for text in (shown, lines):
        assert "owned" in text
        assert "[bold]markup[/bold]" in text
        for harm in ("\x1b]", "\x07", "\x1b[2J", "\x1b[31m", "\u202e", "\x9b"):
            assert harm not in text


def test_a_recrawl_and_a_prune_are_seen(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    texts = ("first words", "second words")
    site.sequence("/", *(Answer.page(title="A", text=text, links=["/b"]) for text in texts))
    site.sequence("/b", Answer.page(title="B", text="first and last"), Answer(status=404))
    served = serve(web)
    cli.crawl(served, served.url("a.test"), "--delay", "0")
    assert set(search(cli, "first")[0]) == {"", "b"}
    cli.crawl(served, "--delay", "0", "--max-age", "0s")
    assert search(cli, "first")[0] == []
    assert search(cli, "second")[0] == [""]
    cli.command("prune", "--keep-versions", "1", "--db", str(cli.db))
    assert search(cli, "second")[0] == [""]
    assert cli.rows("SELECT count(*) FROM pages") == [2]


def test_a_page_is_found_while_the_crawl_goes_on(cli: Cli, serve: Serve, gate: Gate) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Home", text="early needle", links=["/late"])
    site.answer("/late", gate)
    served = serve(web)
    process = cli.start(served, served.url("a.test"), "--delay", "0")
    wait_for(lambda: cli.db.exists() and any(hit.target == "/late" for hit in served.log))
    wait_for(lambda: search(cli, "needle")[0] == [""])
    gate.open()
    assert process.wait() == 0
    process.communicate()


def test_without_time_it_says_what_is_not_indexed(crawled: Cli) -> None:
    found, remarks = search(crawled, "window", "--update-for", "0s")
    assert found == []
    assert "up to 4 page versions are not indexed yet" in remarks
    assert len(search(crawled, "window")[0]) == 3


def test_a_database_of_0_1_0_is_searched_once_it_is_migrated(cli: Cli, serve: Serve) -> None:
    served = serve(old_web(2))
    restore("database_0_1_0.sql", PORT, cli.db, served)
    assert "upgrades it" in search(cli, "page", status=6)[1]
    cli.crawl(served)
    slow = cli.rows("SELECT url FROM current_pages WHERE title GLOB 'Slow *'")
    found = cli.command("search", "title: slow", "--limit", "99", "--db", str(cli.db)).out.splitlines()
    assert sorted(line.split("\t")[0] for line in found) == sorted(slow) != []


@pytest.mark.slow
@pytest.mark.skipif(not MANUAL.is_dir(), reason="needs Debian's postgresql-doc-15")
def test_a_chapter_of_a_real_manual_is_found_first(cli: Cli) -> None:
    """Run by hand."""
    with nginx(cli.folder / "nginx", f"root {MANUAL}; index index.html;") as server:
        cli.folder.chmod(0o755)
        url = f"http://127.0.0.1:{server.port}/"
        cli.run([*COMMAND, "crawl", url, *LOOPBACK, "--delay", "0", "--quiet", "--db", str(cli.db)])
    for query, page in (
        ("window function", "tutorial-window.html"),
        ('"window function"', "tutorial-window.html"),
        ("create table", "sql-createtable.html"),
        ("vacuum", "sql-vacuum.html"),
    ):
        assert search(cli, query)[0][0] == page
    index, texts = derived_file(cli.db).stat().st_size, sum(cli.rows("SELECT length(text) FROM current_pages"))
    assert index < 0.6 * texts


def test_the_manual_explains_it(cli: Cli) -> None:
    assert "NEAR(" in cli.command("help", "search").out
