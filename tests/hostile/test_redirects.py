"""Redirects end, lead nowhere that links may not lead, and give no secret away."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from crawler.config import ScopeRule
from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli
from tests.hostile.web import crawled

SECRET = "s3cr3t-t0ken"


async def test_a_chain_of_redirects_ends_after_ten_hops_and_a_loop_at_once(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    for number in range(50):
        site.redirect(f"/{number}", f"/{number + 1}")
    site.page("/50")
    site.redirect("/self", "/self")
    site.redirect("/one", "/two", status=301)
    site.redirect("/two", "/three", status=307)
    site.redirect("/three", "/one", status=308)
    with web.running() as served:
        starts = ("/0", "/self", "/one")
        done = await crawled(served, tmp_path, [served.url("a.test", path) for path in starts])
    assert [hit.target for hit in served.log if hit.target[1:].isdigit()] == [f"/{number}" for number in range(11)]
    assert done.urls()["/11"] == ("excluded", "hops")
    for path in ("/self", "/one", "/two", "/three"):
        assert len(served.hits("a.test", path)) == 1
    assert not done.pages()


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd", "ftp://a.test/", "javascript:alert(1)", "data:text/html,x", "mailto:x@a.test",
        "about:blank", "gopher://a.test/", "http://a.test:99999/", "http://a.test:-1/", "http://[::1", "http://", "http:///",
        "//", "http://a b/", "http://%00/", "\x00", "",
    ],
)  # fmt: skip
async def test_what_is_no_http_url_is_not_followed(location: str, tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").redirect("/start", location)
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test", "/start")])
    assert not done.pages()
    named = {served.url("a.test", path) for path in ("/start", "/", "/robots.txt")}
    assert {url for (url,) in done.rows("SELECT url FROM urls")} <= named
    assert len(served.log) <= 3  # robots.txt, the redirect, and "/" where the location means that
    assert done.summary.requests <= 3


async def test_each_hop_is_checked_for_scope_robots_and_address(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.robots("User-agent: *\nDisallow: /forbidden\n")
    targets = {
        "/scope": "http://b.test/",
        "/robots": "/forbidden",
        "/robots-of-another": "http://a.test/hop",
        "/address": "http://10.1.2.3/",
        "/port": "http://127.0.0.1:1/",
    }
    site.page("/", links=list(targets))
    for path, target in targets.items():
        site.redirect(path, target)
    site.redirect("/hop", "/forbidden")
    web.host("b.test").page("/")
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")], scope=ScopeRule.HOST)
        assert not served.hits("b.test")
        assert not served.hits("a.test", "/forbidden")
        other = tmp_path / "any"
        other.mkdir()
        anywhere = await crawled(served, other, [served.url("a.test")], allow_private=(f"{site.address}/32",))
    assert done.urls()["/forbidden"] == ("excluded", "robots: line 2: Disallow: /forbidden")
    out_of_scope = {(served.url("b.test"),), ("http://10.1.2.3/",)}
    assert set(done.rows("SELECT url FROM urls WHERE reason = 'scope'")) == out_of_scope
    blocked = "SELECT url FROM urls WHERE reason = 'blocked_address' AND kind = 'page' ORDER BY url"
    assert anywhere.rows(blocked) == [("http://10.1.2.3/",), (served.url("b.test"),)]
    assert anywhere.rows("SELECT url FROM urls WHERE reason = 'port'") == [("http://127.0.0.1:1/",)]


def test_credentials_go_to_the_origins_of_the_seeds_alone_and_are_found_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From https to http of the same name, to another port, to another host: three other origins."""
    ca = trustme.CA()
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("a.test", "b.test").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        site = web.host(name, tls=True)
        site.page("/")
        site.page("/landed")
    folder = tmp_path / "crawl"
    folder.mkdir()
    with web.running(ssl_context=context) as served:
        site = web.sites["a.test"]
        userinfo = served.url("b.test", "/landed?{}").replace("//", f"//joe:{SECRET}@")
        site.page("/", links=["/to-http", "/to-b", "/to-userinfo"],
                  markup=f'<a href="{userinfo.format("link")}">x</a>')  # fmt: skip
        site.redirect("/to-http", served.url("a.test", "/landed", scheme="http"))
        site.redirect("/to-b", served.url("b.test", "/landed"))
        site.redirect("/to-userinfo", userinfo.format("redirect"))
        cli = Cli(folder)
        outcome = cli.crawl(
            served, served.url("a.test"), "--delay", "0", "--scope", "any", "--no-bodies",
            "--header", f"Authorization: Bearer {SECRET}", "--header", f"Cookie: sid={SECRET}",
        )  # fmt: skip
    trusted = [hit for hit in served.log if hit.scheme == "https" and hit.host == "a.test"]
    others = [hit for hit in served.log if hit not in trusted]
    assert {hit.target for hit in others} == {"/robots.txt", "/landed", "/landed?link", "/landed?redirect"}
    assert {(hit.host, hit.scheme) for hit in others} == {("a.test", "http"), ("b.test", "https")}
    assert {hit.headers.get("cookie") for hit in trusted} == {f"sid={SECRET}"}
    assert {(hit.headers.get("cookie"), hit.headers.get("authorization")) for hit in others} == {(None, None)}
    for text in (*(path.read_bytes().decode("latin-1") for path in folder.iterdir()), outcome.out, outcome.err):
        assert SECRET not in text
        assert "joe" not in text
