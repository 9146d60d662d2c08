"""Which URLs may enter, and the reason why others may not."""

from __future__ import annotations

import pytest

from crawler.config import ScopeConfig, ScopeRule
from crawler.policy.scope import MAX_HOPS, MAX_URL_LENGTH, Scope
from crawler.records import SeedMark, UrlKind


def a_scope(
    rule: ScopeRule = ScopeRule.HOST, root: str = "http://www.example.com/docs/start", **options: object
) -> Scope:
    return Scope(ScopeConfig(scope=rule, **options), [root])  # type: ignore[arg-type]


REACHED = [
    # the whole host, whatever the scheme and the port
    (ScopeRule.HOST, "http://www.example.com/", True),
    (ScopeRule.HOST, "https://www.example.com:8443/x", True),
    (ScopeRule.HOST, "http://example.com/", False),
    (ScopeRule.HOST, "http://a.www.example.com/", False),
    (ScopeRule.HOST, "http://www.example.com.evil.test/", False),
    (ScopeRule.HOST, "http://www.example.com./", True),
    # the registrable domain and all that is below
    (ScopeRule.DOMAIN, "http://example.com/", True),
    (ScopeRule.DOMAIN, "http://a.b.example.com/", True),
    (ScopeRule.DOMAIN, "http://notexample.com/", False),
    (ScopeRule.DOMAIN, "http://example.org/", False),
    (ScopeRule.DOMAIN, "http://com/", False),
    # the seed's folder
    (ScopeRule.PREFIX, "http://www.example.com/docs/", True),
    (ScopeRule.PREFIX, "https://www.example.com/docs/a/b?c", True),
    (ScopeRule.PREFIX, "http://www.example.com/docs", False),
    (ScopeRule.PREFIX, "http://www.example.com/docsx/", False),
    (ScopeRule.PREFIX, "http://www.example.com/?x=/docs/", False),
    (ScopeRule.PREFIX, "http://example.com/docs/", False),
    (ScopeRule.ANY, "http://elsewhere.test/", True),
]


def test_the_folder_of_a_seed_ends_before_its_query() -> None:
    scope = a_scope(ScopeRule.PREFIX, "http://www.example.com/docs/start?next=/blog/")
    assert scope.judge("http://www.example.com/docs/other", depth=1) is None


@pytest.mark.parametrize(("rule", "url", "inside"), REACHED)
def test_how_far_from_the_seed_a_rule_reaches(rule: ScopeRule, url: str, inside: bool) -> None:
    assert a_scope(rule).judge(url, depth=1) == (None if inside else "scope")


DOMAINS = [
    ("http://www.example.co.uk/", "http://shop.example.co.uk/", True),
    ("http://www.example.co.uk/", "http://other.co.uk/", False),
    ("http://co.uk/", "http://example.co.uk/", False),
    ("http://me.github.io/", "http://you.github.io/", False),
    ("http://localhost/", "http://localhost:81/", True),
    ("http://localhost/", "http://other/", False),
    ("http://10.1.2.3/", "http://10.1.2.3/x", True),
    ("http://10.1.2.3/", "http://9.1.2.3/", False),
    ("http://[2001:db8::1]/", "http://[2001:db8::1]:81/", True),
    ("http://[2001:db8::1]/", "http://[2001:db8::2]/", False),
    ("http://www.xn--bcher-kva.example/", "http://xn--bcher-kva.example/", True),
]


@pytest.mark.parametrize(("root", "url", "inside"), DOMAINS)
def test_a_domain_ends_where_the_public_suffix_begins(root: str, url: str, inside: bool) -> None:
    assert a_scope(ScopeRule.DOMAIN, root).judge(url, depth=1) == (None if inside else "scope")


def test_sitemaps_outside_of_the_folder() -> None:
    """Sitemaps are taken from outside of the folder, but not from another host."""
    scope = a_scope(ScopeRule.PREFIX)
    assert scope.judge("http://www.example.com/sitemap.xml", depth=0, kind=UrlKind.SITEMAP) is None
    assert scope.judge("http://example.com/docs/sitemap.xml", depth=0, kind=UrlKind.SITEMAP) == "scope"


def test_a_sitemap_enters_where_what_it_names_may() -> None:
    sitemap = "http://www.example.com/sitemap.xml"
    assert a_scope(max_depth=1).judge(sitemap, depth=0, kind=UrlKind.SITEMAP) is None
    assert a_scope(max_depth=0).judge(sitemap, depth=0, kind=UrlKind.SITEMAP) == "depth"


def test_links_are_followed_to_the_depth_and_no_further() -> None:
    scope = a_scope(max_depth=2)
    assert scope.judge("http://www.example.com/", depth=2) is None
    assert scope.judge("http://www.example.com/", depth=3) == "depth"


def test_include_and_exclude_search_the_whole_url() -> None:
    scope = a_scope(include=("/docs/", r"\?page="), exclude=(r"\.pdf$", "/private/"))
    assert scope.judge("http://www.example.com/docs/a", depth=1) is None
    assert scope.judge("http://www.example.com/?page=2", depth=1) is None
    assert scope.judge("http://www.example.com/blog/", depth=1) == "include"
    assert scope.judge("http://www.example.com/docs/a.pdf", depth=1) == "exclude"
    assert scope.judge("http://www.example.com/docs/private/a", depth=1) == "exclude"
    assert scope.judge("http://www.example.com/sitemap.xml", depth=0, kind=UrlKind.SITEMAP) is None


@pytest.mark.parametrize("mark", [SeedMark.SEED_REDIRECT, SeedMark.YES, SeedMark.BARE])
def test_a_seed_is_bound_by_exclude_length_and_hops_alone(mark: SeedMark) -> None:
    scope = a_scope(include=("nothing",), exclude=("secret",), max_depth=0)
    assert scope.judge("http://elsewhere.test/", depth=9, seed=mark) is None
    assert scope.judge("http://www.example.com/secret", depth=0, seed=mark) == "exclude"
    assert scope.judge("http://www.example.com/", depth=0, hops=MAX_HOPS + 1, seed=mark) == "hops"


def test_redirects_in_a_row_end() -> None:
    scope = a_scope()
    assert scope.judge("http://www.example.com/", depth=0, hops=MAX_HOPS) is None
    assert scope.judge("http://www.example.com/", depth=0, hops=MAX_HOPS + 1) == "hops"


def test_urls_that_are_too_long_stay_outside() -> None:
    scope = a_scope()
    url = "http://www.example.com/".ljust(MAX_URL_LENGTH, "x")
    assert scope.judge(url, depth=0) is None
    assert scope.judge(url + "x", depth=0) == "length"


@pytest.mark.parametrize("seed", [SeedMark.NO, SeedMark.SEED_REDIRECT])
def test_ports_of_other_services_are_no_web_servers(seed: SeedMark) -> None:
    scope = a_scope()
    for port in (1, 22, 25, 143, 6667, 10080):
        assert scope.judge(f"http://www.example.com:{port}/", depth=1, seed=seed) == "port"
        assert scope.judge(f"https://www.example.com:{port}/", depth=1, seed=seed) == "port"
    for port in (80, 443, 81, 8080, 6379, 6670):
        assert scope.judge(f"http://www.example.com:{port}/", depth=1, seed=seed) is None
    assert scope.judge("http://www.example.com/a:25/", depth=1, seed=seed) is None
    assert a_scope(root="http://[2001:db8::1]/").judge("http://[2001:db8::1]:25/", depth=1, seed=seed) == "port"


def test_a_root_opens_its_port_for_its_own_origin_alone() -> None:
    scope = a_scope(ScopeRule.ANY, "http://www.example.com:6667/")
    assert scope.judge("http://www.example.com:6667/x", depth=1) is None
    assert scope.judge("https://www.example.com:6667/", depth=1) == "port"
    assert scope.judge("http://www.example.com:6668/", depth=1) == "port"
    assert scope.judge("http://other.test:6667/", depth=1) == "port"
    assert scope.add_root("http://other.test:6667/")
    assert not scope.add_root("http://other.test:6667/")
    assert scope.judge("http://other.test:6667/", depth=1) is None


def test_a_new_root_widens_the_scope() -> None:
    scope = a_scope()
    assert scope.judge("http://other.test/", depth=1) == "scope"
    assert scope.add_root("http://other.test/")
    assert scope.judge("http://other.test/", depth=1) is None


WIDENED = [
    (ScopeRule.HOST, "https://www.example.com/other/", False),
    (ScopeRule.HOST, "http://other.test/", True),
    (ScopeRule.DOMAIN, "http://example.com/other/", False),
    (ScopeRule.DOMAIN, "http://other.test/", True),
    (ScopeRule.PREFIX, "http://www.example.com/docs/other", False),
    (ScopeRule.PREFIX, "http://www.example.com/docs/below/", False),
    (ScopeRule.PREFIX, "http://www.example.com/other/", True),
    (ScopeRule.PREFIX, "http://other.test/docs/", True),
    (ScopeRule.ANY, "http://other.test/", False),
]


@pytest.mark.parametrize(("rule", "root", "widens"), WIDENED)
def test_a_root_says_whether_it_lets_more_in(rule: ScopeRule, root: str, widens: bool) -> None:
    scope = a_scope(rule)
    assert scope.add_root(root) is widens
    assert not scope.add_root(root)
    assert scope.judge(root, depth=1) is None
