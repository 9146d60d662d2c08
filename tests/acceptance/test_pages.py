"""What goes out on the wire and what ends up in the file: redirects, types, encodings, bodies, links."""

from __future__ import annotations

import pytest

from crawler.bodies import decompress
from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli, Places, Serve

pytestmark = pytest.mark.any_store

FAST = ("--delay", "0", "--concurrency", "16")


def test_requests_go_out_exactly_as_normalized(cli: Cli, serve: Serve) -> None:
    targets = [
        "/%7Euser",
        "/a?",
        "/a?b=%41|c",
        "//double",
        "/%zz",
        "/x;y=1?q=a+b&c=%20",
        "/caf%C3%A9",
        "/a'b(c)",
        "/d/",
    ]
    hrefs = [
        "/%7Euser",
        "/a?",
        "/a?b=%41|c",
        "/.//double",
        "/%zz",
        "/x;y=1?q=a+b&c=%20",
        "/café#part",
        "/a'b(c)",
        "/c/../d/",
    ]
    web = FakeWeb()
    web.host("a.test").page("/", links=hrefs)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert sorted(hit.target for hit in served.log) == sorted([*targets, "/", "/robots.txt"])


def test_redirects_are_urls_of_their_own_and_keep_the_depth(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/old", "/loop", "/out", "/nowhere"])
    site.redirect("/old", "/older", status=301)
    site.redirect("/older", "/new", status=308)
    site.page("/new")
    site.redirect("/loop", "/pool")
    site.redirect("/pool", "/loop")
    site.redirect("/out", "http://b.test/")
    site.redirect("/nowhere", "javascript:alert(1)")
    web.host("b.test").page("/")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    urls = dict(cli.rows("SELECT url, status || ' ' || depth || ' ' || hops FROM urls WHERE kind = 'page'"))
    path = {url.removeprefix(served.url("a.test")[:-1]): state for url, state in urls.items()}
    assert path["/old"] == "redirected 1 0"
    assert path["/older"] == "redirected 1 1"
    assert path["/new"] == "fetched 1 2"
    assert path["/loop"] == path["/pool"].replace("1 1", "1 0") == "redirected 1 0"
    assert path["/nowhere"] == "failed 1 0"
    assert urls[served.url("b.test")] == "excluded 1 1"
    assert not served.hits("b.test")


def test_at_most_ten_redirects_in_a_row(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/r0"])
    for number in range(50):
        site.redirect(f"/r{number}", f"/r{number + 1}")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST)
    assert [hit.target for hit in served.log if hit.target.startswith("/r")] == [
        "/robots.txt",
        *(f"/r{number}" for number in range(11)),
    ]
    assert outcome.summary["excluded"] == {"hops": 1}


def test_a_seeds_redirect_widens_the_scope_and_the_screen_says_so(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("example.test").redirect("/", "http://www.example.test/")
    web.host("www.example.test").page("/", links=["/in", "http://example.test/back"])
    web.sites["www.example.test"].page("/in")
    web.sites["example.test"].page("/back")
    served = serve(web)
    outcome = cli.crawl(served, served.url("example.test"), *FAST)
    assert len(cli.pages()) == 3
    assert "www.example.test is now in scope" in outcome.err


def test_a_meta_refresh_is_followed_like_a_redirect(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", head='<meta http-equiv="refresh" content="0; url=/next">')
    site.page("/next")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-depth", "0")
    assert len(cli.pages()) == 2


def test_a_page_is_stored_whole(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    head = (
        '<meta name="description" content="All about cats"><link rel="canonical" href="/cats">'
        '<meta property="og:title" content="Cats!"><script type="application/ld+json">{"@type": "Thing"}</script>'
    )
    markup = (
        '<h2>More</h2><script>nothing()</script><p>Cats &amp; dogs</p><base href="/sub/"><a href="x" rel="Next">go</a>'
    )
    site.page("/", title="Cats", head=head, markup=markup, text="Purr.")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    row = cli.rows(
        "SELECT title, description, language, canonical_url, text, headings, open_graph, json_ld, encoding FROM pages"
        " JOIN urls ON urls.page_id = pages.id WHERE url LIKE '%/'"
    )[0]
    assert row[:4] == ("Cats", "All about cats", "en", served.url("a.test", "/cats"))
    assert "Purr." in row[4]
    assert "Cats & dogs" in row[4]
    assert "nothing()" not in row[4]
    assert row[5:] == ('[[1,"Cats"],[2,"More"]]', '{"og:title":"Cats!"}', '["{\\"@type\\": \\"Thing\\"}"]', "utf-8")
    assert cli.rows(
        "SELECT u.url, l.anchor, l.rel FROM links l JOIN urls u ON u.id = l.target_id WHERE l.anchor = 'go'"
    ) == [(served.url("a.test", "/sub/x"), "go", "next")]
    body = cli.rows("SELECT b.zstd FROM bodies b JOIN pages p ON p.body_hash = b.hash")[0]
    assert b"<title>Cats</title>" in decompress(body)


def test_no_bodies_keeps_none_and_equal_bodies_are_kept_once(cli: Cli, serve: Serve, places: Places) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    for path in ("/", "/same1", "/same2"):
        site.page(path, body=b"<title>x</title><a href=/same1>1</a><a href=/same2>2</a>")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.rows("SELECT count(*) FROM pages") == [3]
    assert cli.rows("SELECT count(*) FROM bodies") == [1]
    (cli.folder / "bare").mkdir()
    bare = places.cli(cli.folder / "bare")
    bare.crawl(served, served.url("a.test"), *FAST, "--no-bodies")
    assert bare.rows("SELECT count(*) FROM bodies") == [0]
    assert bare.rows("SELECT count(*) FROM pages WHERE body_hash IS NULL") == [3]


def test_other_types_are_recorded_and_not_parsed(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/doc.pdf", "/next"])
    site.page("/doc.pdf", body=b"%PDF-1.4 <a href=/trap>", content_type="application/pdf")
    site.page("/next")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--per-host", "1")
    assert cli.rows(
        "SELECT f.content_type, f.bytes, u.status, u.page_id FROM fetches f JOIN urls u ON u.id = f.url_id"
        " WHERE u.url LIKE '%.pdf'"
    ) == [("application/pdf", 23, "fetched", None)]
    assert len({hit.connection for hit in served.log}) == 1  # drained, so that the connection lives on


@pytest.mark.first_case
@pytest.mark.parametrize("encoding", ["windows-1252", "shift_jis", "utf-8", "koi8-r"])
def test_text_is_decoded_by_what_the_page_says(cli: Cli, serve: Serve, encoding: str) -> None:
    text = {"windows-1252": "naïve café", "shift_jis": "日本語", "utf-8": "Ω", "koi8-r": "привет"}[encoding]
    web = FakeWeb()
    web.host("a.test").page("/", title=text, encoding=encoding, content_type="text/html")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    assert cli.rows("SELECT title, encoding FROM pages") == [(text, encoding)]


def test_pages_in_legacy_encodings_are_read_followed_and_say_what_named_theirs(cli: Cli, serve: Serve) -> None:
    """As on a site of long ago: what its links ask for is in the encoding of the page that they are on."""
    text = "Сегодня на рынке было много людей, а вечером мы вернулись домой."
    link = "<a href='/найти?что=чай'>найти</a>"
    late = "<p>" + "x" * 20_000 + "</p><meta charset=windows-1251>"
    bodies = {
        "/guess": f"<p>{text}</p>{link}".encode("koi8-r"),
        "/late": f"<p>{text}</p>{link}{late}".encode("cp1251"),
        "/few": b"<p>caf\xe9",
        "/plain": f"<p>{text}".encode(),
    }
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=list(bodies), content_type="text/html")
    for path, body in bodies.items():
        site.page(path, body=body, content_type="text/html")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    rows = cli.rows("SELECT u.url, p.encoding, p.encoding_source, p.text FROM pages p JOIN urls u ON u.page_id = p.id")
    pages = {url.rpartition("/")[2]: (encoding, source, found) for url, encoding, source, found in rows}
    assert {name: page[:2] for name, page in pages.items() if name} == {
        "guess": ("koi8-r", "guess"),
        "late": ("windows-1251", "meta"),
        "few": ("windows-1252", "default"),
        "plain": ("utf-8", "utf-8"),
    }
    assert all(text in pages[name][2] for name in ("guess", "late", "plain"))
    path = "/%D0%BD%D0%B0%D0%B9%D1%82%D0%B8"
    assert {hit.target for hit in served.log} >= {f"{path}?%DE%D4%CF=%DE%C1%CA", f"{path}?%F7%F2%EE=%F7%E0%E9"}


def test_nul_and_control_characters_do_not_truncate_the_text(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body=b"<title>a\0b</title><p>one\0two &#0; &#xD800; end")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    title, text = cli.rows("SELECT title, text FROM pages")[0]
    assert title == "a\ufffdb"
    assert text.endswith("end")
    assert "\0" not in text


def test_a_body_beyond_max_bytes_is_cut_and_marked(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body=b"<title>long</title>" + b"x" * 100_000)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--max-bytes", "5000")
    assert cli.rows("SELECT bytes, truncated FROM fetches WHERE content_type IS NOT NULL AND status_code = 200") == [
        (5000, 1)
    ]
    assert cli.rows("SELECT title, truncated FROM pages") == [("long", 1)]


@pytest.mark.thorough
def test_server_errors_are_tried_again_and_404_is_gone(cli: Cli, serve: Serve) -> None:
    from crawler.fakeweb import Answer

    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/flaky", "/broken", "/missing", "/gone", "/forbidden"])
    site.sequence("/flaky", Answer(status=500), Answer.page(title="fine"))
    site.status("/broken", 500)
    site.status("/gone", 410)
    site.status("/forbidden", 403)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--retries", "1")
    states = dict(cli.rows("SELECT url, status || ' ' || coalesce(reason, '') FROM urls WHERE kind = 'page'"))
    by_path = {url.rpartition("/")[2]: state.strip() for url, state in states.items()}
    assert by_path == {
        "": "fetched",
        "flaky": "fetched",
        "broken": "failed http 500",
        "missing": "gone",
        "gone": "gone",
        "forbidden": "failed http 403",
    }
    assert outcome.summary["retries"] == 2
    assert outcome.summary["by_status"] == {"200": 2, "403": 1, "404": 2, "410": 1, "500": 3}


def test_one_session_reuses_its_connections(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("a.test", pages=300)
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), "--delay", "0", "--per-host", "4", "--concurrency", "8")
    assert outcome.summary["requests"] == 301
    assert outcome.summary["connections_opened"] == served.connections <= 4
    assert outcome.summary["connections_reused"] == 301 - served.connections
    assert outcome.summary["dns_lookups"] == 1
    assert f"{served.connections} opened for 301 requests" in outcome.out


def test_credentials_in_a_seed_go_to_its_origin_alone_and_are_stored_nowhere(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["/b", "http://b.test/"])
    web.sites["a.test"].page("/b")
    web.host("b.test").page("/")
    served = serve(web)
    seed = served.url("a.test").replace("http://", "http://joe:s3cr%65t@")
    outcome = cli.crawl(served, seed, *FAST, "--scope", "any")
    assert {hit.headers.get("authorization") for hit in served.hits("a.test")} == {"Basic am9lOnMzY3JldA=="}
    assert {hit.headers.get("authorization") for hit in served.hits("b.test")} == {None}
    for secret in ("s3cr", "joe", "am9lOn"):
        assert cli.stores_nowhere(secret)
        assert secret not in outcome.out + outcome.err


def test_markup_that_would_keep_a_parser_busy_is_a_failure_and_the_crawl_goes_on(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/deep", "/fine"])
    site.page("/deep", body=b"<div>" * 100_000)
    site.page("/fine")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--parse-timeout", "0.5")
    assert cli.pages() == [served.url("a.test"), served.url("a.test", "/fine")]
    assert cli.rows("SELECT status, reason FROM urls WHERE url LIKE '%/deep'") == [("failed", "parse_timeout")]
    assert outcome.summary["by_failure"] == {"parse_timeout": 1}
