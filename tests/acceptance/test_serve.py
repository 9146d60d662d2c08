"""`crawler serve`: a crawl in a browser, for its owner alone, in which nothing that was crawled does anything."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import unescape
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from crawler.archive.listing import LISTINGS
from crawler.fakeweb import FakeWeb
from tests.acceptance import devtools
from tests.acceptance.conftest import COMMAND, Cli
from tests.acceptance.known_web import EVIL_SHOWN, SITE, crawl_known_web
from tests.frontier.crawls import crawled

HOSTILE = """<title>"><script>document.title='owned'</script></title>
<script>document.title='owned'; fetch('https://evil.test/1')</script><meta http-equiv=refresh content='0; https://evil.test/2'>
<body onload="document.title='owned'"><img src=https://evil.test/3 onerror="document.title='owned'">
<form action=https://evil.test/4><button>go</button></form><a href="javascript:alert(1)">link</a>
<a href=/next>"><img src=x></a>
<iframe src=https://evil.test/5></iframe><p>&lt;img src=x onerror=alert(1)&gt; hostile words"""


class Browser:
    """Asks a running server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): one for name, one in headers.items()})
            response = connection.getresponse()
            return response, response.read().decode()
        finally:
            connection.close()

    def text(self, path: str, *, status: int = 200, **query: str | int) -> str:
        """What is read on a page, without markup."""
        response, body = self.ask(f"{path}?{urlencode(query)}" if query else path)
        assert response.status == status, body
        return " ".join(unescape(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", body, flags=re.DOTALL)).split())


@contextmanager
def serving(db: Path, *arguments: str) -> Iterator[Browser]:
    command = [*COMMAND, "serve", "--db", str(db), "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+?:(\d+)/", line)
        assert found is not None, (line, process.communicate()[1])
        yield Browser(int(found[1]))
    finally:
        process.terminate()
        _out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "Ctrl-C ends it\n")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("known") / "crawl.db"
    crawl_known_web(db)
    return db


@pytest.fixture(scope="module")
def browser(known: Path) -> Iterator[Browser]:
    with serving(known) as found:
        yield found


def test_the_overview_tells_what_the_database_holds(browser: Browser) -> None:
    text = browser.text("/")
    for told in ("fetched 9 URLs", "redirected 4 URLs", "excluded 3 URLs", "http 403 1", "no crawl is running"):
        assert told in text
    assert "example.com 0 9 4 2 2 1" in text


def test_pages_are_found_by_their_words_which_are_marked(browser: Browser) -> None:
    _response, body = browser.ask("/search?q=second+version")
    assert "The <mark>second</mark> <mark>version</mark>" in body
    assert f"/page?{urlencode({'url': f'{SITE}/docs/a'})}" in unescape(body)
    assert "0 of the current pages match" in browser.text("/search", q="nowhere")
    assert "Search" in browser.text("/search")


def test_a_page_is_shown_with_all_that_is_known_of_it(browser: Browser) -> None:
    text = browser.text("/page", url="example.com/docs/a#details")
    for told in (
        "Part A", "version 2 of 2", "The second version", f"link: {SITE}/docs/a", "Versions 2", "with version 1",
        "Links in 1", "Content-Type text/html; charset=utf-8",
    ):  # fmt: skip
        assert told in text
    assert "The first version" in browser.text("/page", url=f"{SITE}/docs/a", version=1)
    assert "robots.txt, line 2: Disallow: /private" in browser.text("/page", url=f"{SITE}/private/1")
    assert "gone: it returned HTTP 404" in browser.text("/page", url=f"{SITE}/dead")


def test_main_content_is_given_as_markdown(browser: Browser) -> None:
    assert "Main content as Markdown" in browser.text("/page", url=f"{SITE}/docs/a")
    shown = browser.text("/markdown", url=f"{SITE}/docs/a", version=1)
    assert shown.startswith(f'--- url: "{SITE}/docs/a" title: "Part A"')
    assert "# Part A The first version" in shown
    assert "no page is stored" in browser.text("/markdown", url=f"{SITE}/dead", status=404)


def test_a_url_that_was_never_seen_is_told_what_the_rules_would_say(browser: Browser) -> None:
    text = browser.text("/page", url=f"{SITE}/private/else", status=404)
    assert "never seen" in text
    assert "Disallow: /private" in text
    assert f"{SITE}/docs/" in browser.text("/page", url=f"{SITE}/docs", status=404)


def test_versions_are_compared_line_by_line(browser: Browser) -> None:
    _response, body = browser.ask(f"/compare?{urlencode({'url': f'{SITE}/docs/a'})}")
    assert "<del>The first version</del>" in body
    assert "<ins>The second version</ins>" in body
    assert "are the same" in browser.text("/compare", url=f"{SITE}/docs/a", **{"from": 2, "to": 2})


@pytest.mark.parametrize("name", LISTINGS)
def test_each_view_is_a_table(browser: Browser, name: str) -> None:
    listing = LISTINGS[name]
    _response, body = browser.ask(f"/views/{name}")
    assert listing.view.description[:40] in unescape(body)
    assert "<table>" in body or "No rows." in body
    assert "crawler list" in body or "No rows." in body
    assert browser.text("/views/" + name, all=1)


def test_a_view_is_sorted_and_chosen_by_the_server(browser: Browser) -> None:
    response, body = browser.ask("/views/all_urls?sort=-depth&host=example.com&url=*docs*")
    assert response.status == 200
    assert re.findall(r'<td class="url"><a [^>]*>([^<]+)</a></td>', body) == [f"{SITE}/docs/a", f"{SITE}/docs/"]
    assert 'aria-sort="descending"' in body
    assert "all-urls --host example.com --url *docs* --sort -depth --db" in unescape(body)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/views/nothing", "there is no view"),
        ("/views/all_urls?sort=nothing", "no column 'nothing'; its columns are url, host, "),
        ("/views/all_urls?sort=nothing", f", {list(LISTINGS['all_urls'].view.columns)[-1]}</p>"),
        ("/views/all_urls?limit=1001", "limit must be between 1 and 1000, not 1001"),
        ("/views/all_urls?limit=0", "limit must be between 1 and 1000, not 0"),
        (f"/views/all_urls?limit={'9' * 5000}", "limit takes a whole number, not '999"),
        ("/views/all_urls?all=0", "all must be 1 or be left out, not '0'"),
        ("/views/all_urls?host=a/b", "host takes a host name"),
        ("/views/all_urls?sort=url&sort=depth", "sort is given more than once"),
        ("/views/all_urls?hosts=x", "no parameter 'hosts'; those of this page are host, url, sort, limit, all"),
        ("/views?limit=1", "no parameter 'limit'; this page has none"),
        ("/?page=2", "no parameter 'page'; this page has none"),
        ("/live?since=1", "no parameter 'since'; this page has none"),
        ("/report?run=1", "no parameter 'run'; this page has none"),
        ("/assets/serve.css?v=1", "no parameter 'v'; this page has none"),
        ("/search?q=a&page=2", "no parameter 'page'; those of this page are q, host, lang, limit"),
        ("/page?u=x", "no parameter 'u'; those of this page are url, version"),
        (f"/page?url={quote(SITE + '/docs/a')}&version=0", "version must be between 1 and "),
        ("/page", "a URL is empty"),
        ("/body?id=1", "no parameter 'id'; those of this page are url, version"),
        ("/markdown?format=html", "no parameter 'format'; those of this page are url, version"),
        ("/compare?old=1", "no parameter 'old'; those of this page are url, from, to"),
        (f"/compare?url={quote(SITE + '/docs/a')}&from=0", "from must be between 1 and "),
        ("/page?url=ftp://x", "ftp://x"),
        (f"/page?url={quote(SITE + '/docs/a')}&version=3", "has versions 1 to 2"),
        (f"/compare?url={quote(SITE + '/docs/a')}&from=7", "there are versions 1 to 2"),
        (f"/compare?url={quote(SITE + '/nothing')}", "was never seen"),
        ("/search?q=a&lang=!", "language"),
    ],
)
def test_mistakes_in_an_address_are_told_on_a_page(browser: Browser, path: str, says: str) -> None:
    response, body = browser.ask(path)
    assert response.status == 400
    assert says in unescape(body)


def test_the_report_is_that_of_the_command(browser: Browser, known: Path, cli: Cli) -> None:
    response, body = browser.ask("/report")
    written = cli.command("report", "-", "--db", str(known)).out
    made = re.compile(r'<p class="made">.*?</p>')
    assert made.sub("", body) == made.sub("", written)
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


# --- who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "localhost.evil.test:8765", "[::2]", ""]
)
def test_a_request_that_was_addressed_to_another_name_is_refused(browser: Browser, host: str) -> None:
    """So a website cannot have its own name resolve to this machine, and read the crawl (DNS rebinding)."""
    response, body = browser.ask("/", Host=host)
    assert (response.status, "crawl" in body) == (403, False) if host else (400, False)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8765", "[::1]", "[::1]:8765"])
def test_names_of_this_machine_are_let_in(browser: Browser, host: str) -> None:
    assert browser.ask("/", Host=host)[0].status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_only_reading_is_possible(browser: Browser, method: str) -> None:
    assert browser.ask("/", method=method)[0].status == 405


def test_every_answer_says_what_a_browser_may_do_with_it(browser: Browser) -> None:
    for path in ("/", "/views/nothing", "/nothing", "/assets/serve.css", f"/body?url={quote(SITE + '/docs/a')}"):
        headers = browser.ask(path)[0].headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_where_others_can_reach_it_a_token_is_needed(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWLER_SERVE_TOKEN", "sesame-42")
    with serving(known, "--address", "0.0.0.0") as browser:
        for path in ("/", "/?token=", "/?token=wrong", "/assets/serve.css"):
            assert browser.ask(path)[0].status == 403
        first, _body = browser.ask("/views?token=sesame-42", Host="crawls.example.com")
        assert (first.status, first.headers["Location"]) == (303, "/views")
        cookie = first.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
        assert browser.ask("/views", Cookie=cookie.split(";")[0])[0].status == 200


def test_a_new_token_stands_in_the_address_that_is_printed(known: Path) -> None:
    command = [*COMMAND, "serve", "--db", str(known), "--port", "0", "--address", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)(/\?token=([\w-]{32}))$", process.stdout.readline().strip())
        assert found is not None
        browser = Browser(int(found[1]))
        assert (browser.ask("/")[0].status, browser.ask(found[2])[0].status) == (403, 303)
        process.terminate()


def test_without_a_crawl_it_does_not_start(cli: Cli, tmp_path: Path) -> None:
    outcome = cli.command("serve", "--db", str(tmp_path / "none.db"), status=6)
    assert "there is no crawl" in outcome.err


def test_what_is_no_sound_crawl_is_refused_before_it_is_served(cli: Cli, known: Path, tmp_path: Path) -> None:
    foreign, cut = tmp_path / "foreign.db", tmp_path / "cut.db"
    with closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE notes (note TEXT)")
    cut.write_bytes(known.read_bytes()[:20_000])
    for db, message in ((foreign, "is a SQLite file but not a crawl database"), (cut, "the database is damaged")):
        for command in (["serve", "--port", "0"], ["mcp"]):
            outcome = cli.command(*command, "--db", str(db), status=6)
            assert (outcome.out, outcome.err.count("\n")) == ("", 1)
            assert message in outcome.err


def test_a_port_that_is_taken_is_said(cli: Cli, known: Path, browser: Browser) -> None:
    outcome = cli.command("serve", "--db", str(known), "--port", str(browser.port), status=2)
    assert "choose another --port" in outcome.err
    outcome = cli.command("serve", "--db", str(known), "--port", "0", "--address", "203.0.113.5", status=2)
    assert "choose another --address" in outcome.err


# --- what was crawled is harmless -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    db = tmp_path_factory.mktemp("hostile") / "crawl.db"
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", body=HOSTILE)
    site.page("/next", title="Next")
    crawled(web, db, "http://a.test/")
    site.page("/", body=HOSTILE + "<p>and more</p>")
    crawled(web, db, at=2_000_000_000, max_age_s=0.0)
    with serving(db) as found:
        yield found


HOSTILE_PAGES = [
    "/", "/search?q=hostile", "/page?url=http://a.test/", "/compare?url=http://a.test/", "/views/current_pages?all=1",
    "/views/outlinks", "/views/resources", "/report",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PAGES)
def test_nothing_crawled_is_markup(hostile: Browser, path: str) -> None:
    response, body = hostile.ask(path)
    assert response.status == 200
    own = re.sub(r"<script[^>]*>[^<]*(?:<(?!/script)[^<]*)*</script>|<style>.*?</style>", "", body, flags=re.DOTALL)
    assert not re.search(r"<script|<img|<form action=.?http|\son\w+=|javascript:", re.sub(r"&lt;.*?&gt;", "", own))
    assert "evil.test/1" not in own or path == "/views/current_pages?all=1"


def test_text_that_reorders_or_hides_is_shown_harmless(browser: Browser) -> None:
    text = browser.text("/page", url=f"{SITE}/evil")
    assert EVIL_SHOWN in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_a_body_is_shown_in_a_sandbox(hostile: Browser) -> None:
    response, body = hostile.ask("/body?url=http://a.test/")
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "allow-" not in policy
    assert "hostile words" in body
    assert "<iframe sandbox title" in hostile.ask("/page?url=http://a.test/")[1]
    assert hostile.ask("/body?url=http://a.test/robots.txt")[0].status == 404


@pytest.mark.system
async def test_in_a_browser_nothing_that_was_crawled_does_anything(hostile: Browser, tmp_path: Path) -> None:
    origin = f"http://127.0.0.1:{hostile.port}"
    async with devtools.opened(f"{origin}/page?url=http://a.test/", tmp_path / "profile") as tab:
        await tab.value("document.querySelector('.frame').open = true")
        for path in HOSTILE_PAGES:
            await tab.open(f"{origin}{path}")
            assert await tab.value("document.title") != "owned"
        await tab.open(f"{origin}/body?url=http://a.test/")
        assert await tab.value("document.title") != "owned"
        assert {url for url in tab.requests if not url.startswith((origin, "data:"))} == set()


@pytest.mark.system
async def test_in_a_browser_no_screen_is_too_narrow_and_the_keyboard_reaches_everything(
    browser: Browser, tmp_path: Path
) -> None:
    origin = f"http://127.0.0.1:{browser.port}"
    pages = ("/", "/search?q=version", f"/page?url={quote(SITE + '/docs/a')}", "/views", "/views/all_urls")
    async with devtools.opened(f"{origin}/", tmp_path / "profile") as tab:
        for path in pages:
            await tab.open(f"{origin}{path}")
            light, dark, phone = [
                await tab.look(width=width, dark=is_dark)
                for width, is_dark in ((1280, False), (1280, True), (360, False))
            ]
            assert len({light, dark, phone}) == 3
            assert await tab.value("document.documentElement.scrollWidth") <= 360
            unnamed = "!(one.labels?.length || one.textContent.trim())"
            controls = "[...document.querySelectorAll('a, button, input:not([type=hidden])')]"
            assert await tab.value(f"{controls}.filter(one => {unnamed}).length") == 0
        assert tab.complaints == []
