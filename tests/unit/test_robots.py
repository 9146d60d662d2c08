"""robots.txt: RFC 9309 with its own examples, what Google's parser adds, and files that mean harm."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.policy.robots import (
    MAX_BYTES,
    MAX_RULE_TEXT,
    MAX_SITEMAPS,
    MatchedRule,
    RobotsRules,
    _canonical,
)
from tests.fuzz.documents import check_robots

HOST = "http://example.com"


def rules_for_all(*lines: str) -> RobotsRules:
    return RobotsRules.parse("\n".join(["User-agent: *", *lines]).encode())


def allows(rule_lines: tuple[str, ...], path: str) -> bool:
    return rules_for_all(*rule_lines).allows("crawler", HOST + path)


RFC_9309_5_1 = b"""\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


@pytest.mark.parametrize(
    ("agent", "path", "allowed"),
    [
        ("anybot", "/picture.gif", False),
        ("anybot", "/picture.gif?size=1", True),
        ("anybot", "/example/", False),
        ("anybot", "/example/page.html", False),
        ("anybot", "/publications/", True),
        ("anybot", "/publications/picture.gif", True),
        ("foobot", "/", False),
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/publications/", False),
        ("barbot", "/example/page.html", False),
        ("bazbot", "/example/page.html", False),
        ("barbot", "/example/allowed.gif", True),
        ("bazbot", "/picture.gif", True),
        ("quxbot", "/example/page.html", True),
    ],
)
def test_the_simple_example_of_rfc_9309(agent: str, path: str, allowed: bool) -> None:
    assert RobotsRules.parse(RFC_9309_5_1).allows(agent, HOST + path) is allowed


def test_the_longest_match_example_of_rfc_9309() -> None:
    rules = RobotsRules.parse(b"User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n")
    assert not rules.allows("foobot", HOST + "/example/page/disallowed.gif")
    assert rules.allows("foobot", HOST + "/example/page/other.gif")


@pytest.mark.parametrize(
    ("path", "url", "matches"),
    [
        # the table of RFC 9309, 2.2.2, both ways
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", True),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/\u30c4", "/foo/bar/\u30c4", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", True),
        ("/foo/bar/%e3%83%84", "/foo/bar/\u30c4", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        ("/foo/bar/baz", "/foo/bar/%62%61%7a", True),
        # reserved characters keep their two forms apart
        ("/a%2Fb", "/a/b", False),
        ("/a/b", "/a%2Fb", False),
        ("/a%2fb", "/a%2Fb", True),
        ("/a%3Fb", "/a?b", False),
        ("/a%3Ab", "/a:b", False),
        ("/a?x=%3F%40", "/a?x=?@", True),
        ("/a?x=?@", "/a?x=%3f%40", True),
        ("/a?x=1%262", "/a?x=1&2", False),
        ("/a?x=1%262", "/a?x=1%262", True),
        # a rule that does not name the query still finds what is encoded in it, and what is not
        ("/*%2Fprint", "/page?next=%2Fprint", True),
        ("/*/print", "/page?next=%2Fprint", True),
        # RFC 9309, 2.2.3: special characters meant verbatim
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-%2a.html", True),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", False),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/a$b", "/a$b", True),
        ("/a$b", "/a%24bc", True),
        ("/a$$", "/a$", True),
        ("/a$$", "/a$b", False),
        # what a WHATWG URL encodes by itself, written raw in the rule
        ("/a b", "/a b", True),
        ('/a"<b>', '/a"<b>', True),
        ("/a?q='x'", "/a?q='x'", True),
        ("/a{b}|c[d]^", "/a{b}|c[d]^", True),
        ("/a[]", "/a%5B%5D", True),
        ("/100%", "/100%25", True),
        ("/%zz", "/%zz", True),
    ],
)
def test_octets_are_compared_in_one_form(path: str, url: str, matches: bool) -> None:
    assert allows((f"Disallow: {path}",), url) is not matches


def test_octets_that_are_no_utf_8_survive() -> None:
    rules = RobotsRules.parse(b"User-agent: *\nDisallow: /caf\xe9\nDisallow: /nul\0here\n")
    assert not rules.allows("crawler", HOST + "/caf%E9/menu")
    assert rules.allows("crawler", HOST + "/caf\u00e9")
    assert not rules.allows("crawler", HOST + "/nul%00here")
    verdict = rules.deciding_rule("crawler", HOST + "/nul%00here")
    assert verdict is not None
    assert verdict.text == "Disallow: /nul\ufffdhere"


@pytest.mark.parametrize(
    ("path", "matching", "others"),
    [
        ("/", ["/", "/fish", "/?q"], []),
        ("/*", ["/", "/fish"], []),
        ("*", ["/", "/fish"], []),
        ("/$", ["/"], ["/fish", "/?q"]),
        ("$", [], ["/", "/fish"]),
        ("*$", ["/", "/fish"], []),
        (
            "/fish",
            ["/fish", "/fish.html", "/fish/salmon", "/fishheads", "/fish.php?id=1"],
            ["/Fish", "/catfish", "/?id=fish"],
        ),
        ("/fish*", ["/fish", "/fish.html", "/fishheads/x"], ["/Fish.asp", "/catfish"]),
        ("/fish/", ["/fish/", "/fish/?id=1", "/fish/salmon.htm"], ["/fish", "/fish.html", "/animals/fish/"]),
        ("/*.php", ["/index.php", "/f/filename.php?parameters", "/filename.php/"], ["/", "/windows.PHP"]),
        ("/*.php$", ["/filename.php", "/folder/filename.php"], ["/filename.php?p", "/filename.php/", "/filename.php5"]),
        ("/fish*.php", ["/fish.php", "/fishheads/catfish.php?p"], ["/Fish.PHP", "/fish"]),
        ("*.php", ["/index.php", "/a/b.php5"], ["/"]),
        ("*/fish", ["/fish", "/a/fish"], ["/", "/a"]),
        ("/a*b*c", ["/abc", "/axbxcx", "/abbc"], ["/acb", "/ab"]),
        ("/a**c", ["/ac", "/abc"], ["/ab"]),
        ("/a*a$", ["/aa", "/aba"], ["/a", "/aab"]),
        ("/ab*bc$", ["/abbc", "/ab/bc"], ["/abc"]),
        ("/*?", ["/?", "/a?b"], ["/a", "/a%3Fb"]),
        ("/?", ["/?", "/?b"], ["/"]),
        ("/a;p=1", ["/a;p=1"], ["/a"]),
        ("fish", [], ["/fish", "/", "/a/fish"]),
        ("?q=", [], ["/?q="]),
        ("http://example.com/fish", [], ["/fish", "/http://example.com/fish"]),
    ],
)
def test_patterns_match_from_the_start_of_the_path(path: str, matching: list[str], others: list[str]) -> None:
    rules = rules_for_all(f"Disallow: {path}")
    assert [url for url in matching if rules.allows("crawler", HOST + url)] == []
    assert [url for url in others if not rules.allows("crawler", HOST + url)] == []


@pytest.mark.parametrize(
    ("rule_lines", "path", "allowed"),
    [
        (("Allow: /p", "Disallow: /"), "/page", True),
        (("Disallow: /", "Allow: /p"), "/page", True),
        (("Allow: /folder", "Disallow: /folder"), "/folder/page", True),
        (("Disallow: /folder", "Allow: /folder"), "/folder/page", True),
        (("Allow: /page", "Disallow: /*.htm"), "/page.htm", False),
        (("Allow: /page", "Disallow: /*.ph"), "/page.php5", True),
        (("Allow: /$", "Disallow: /"), "/", True),
        (("Allow: /$", "Disallow: /"), "/page.htm", False),
        (("Disallow: /x", "Allow: /x/"), "/x", False),
        (("Disallow: /x", "Allow: /x/"), "/x/", True),
        # octets are counted on the pattern as compared: three Japanese octets are nine, an escaped letter is one
        (("Allow: /\u30c4", "Disallow: /*?????"), "/\u30c4?????", True),
        (("Allow: /%61%62%63", "Disallow: /abc*d"), "/abcd", False),
        (("Allow: /ab", "Disallow: /%61"), "/abc", True),
        # wildcards count as octets too
        (("Allow: /fish**", "Disallow: /fish/"), "/fish/", True),
        (("Allow: /fish*$", "Disallow: /fish/"), "/fish/", True),
        (("Allow: /*a", "Disallow: /*aa", "Allow: /*aaa"), "/xaa", False),
        (("Allow: /*a", "Disallow: /*aa", "Allow: /*aaa"), "/xaaa", True),
        (("Allow: /a", "Disallow: /a$"), "/a", False),
        # a URL with two forms (2.2.2): the rules that match either compete
        (("Allow: /*?n=/", "Disallow: /*%2Fprint"), "/p?n=%2Fprint", False),
        (("Disallow: /*?n=/", "Allow: /*%2Fprint"), "/p?n=%2Fprint", True),
        (("Disallow:",), "/", True),
        (("Disallow: /", "Disallow:"), "/", False),
        (("Disallow: /", "Allow:"), "/", False),
    ],
)
def test_the_longest_rule_wins_and_allow_wins_a_tie(rule_lines: tuple[str, ...], path: str, allowed: bool) -> None:
    assert allows(rule_lines, path) is allowed


def test_robots_txt_itself_is_always_allowed() -> None:
    rules = rules_for_all("Disallow: /")
    assert rules.allows("crawler", HOST + "/robots.txt")
    assert not rules.allows("crawler", HOST + "/robots.txt.bak")
    assert not rules.allows("crawler", HOST + "/a/robots.txt")


@pytest.mark.parametrize(
    "user_agent",
    [
        "crawler",
        "CRAWLER",
        "Crawler/0.1",
        "crawler/0.1 (+http://example.org/bot)",
        "crawler:x",
        "Mozilla/5.0 (compatible; Crawler/0.1; http://example.org/bot)",
    ],
)
@pytest.mark.parametrize(
    "named", ["crawler", "Crawler", "crawler/2.0", "crawler *", "crawler bot", "Mozilla/5.0 (compatible; crawler/1)"]
)
def test_an_agent_is_known_by_its_product_token(user_agent: str, named: str) -> None:
    rules = RobotsRules.parse(f"User-agent: *\nDisallow: /any\nUser-agent: {named}\nDisallow: /own".encode())
    assert not rules.allows(user_agent, HOST + "/own")
    assert rules.allows(user_agent, HOST + "/any")


@pytest.mark.parametrize(
    "named", ["crawler4j", "crawler.io", "crawler-2.0", "crawler!", "crawlerü", "360crawler", "crawler2 crawler"]
)
def test_a_group_line_is_compared_whole(named: str) -> None:
    """'crawler4j' does not name 'crawler', nor does any other name that begins with it."""
    rules = RobotsRules.parse(f"User-agent: {named}\nDisallow: /own\nUser-agent: *\nDisallow: /any".encode())
    assert rules.allows("crawler/1.0", HOST + "/own")
    assert not rules.allows("crawler/1.0", HOST + "/any")


@pytest.mark.parametrize(
    ("user_agent", "groups", "chosen"),
    [
        ("my2bot/1.0", ["my2bot", "my", "*"], "my2bot"),
        ("My2Bot/1.0", ["*", "my", "MY2BOT/3"], "MY2BOT/3"),
        ("my2bot/1.0", ["my2", "my", "*"], "my"),
        ("my2bot/1.0", ["my2", "my2botx", "*"], "*"),
        ("my/1.0", ["my2bot", "*"], "*"),
        ("my", ["my2bot", "my"], "my"),
        ("360bot", ["360", "360bot", "bot"], "360bot"),
        ("360bot", ["360", "bot", "*"], "*"),
        ("Mozilla/5.0 (compatible; my2bot/1.0)", ["mozilla", "my2bot"], "my2bot"),
        ("my.bot", ["my", "my.bot"], "my.bot"),
        ("my.bot", ["my", "*"], "my"),
    ],
)
def test_an_agent_looks_for_its_exact_name_then_for_its_token(user_agent: str, groups: list[str], chosen: str) -> None:
    body = "".join(f"User-agent: {name}\nDisallow: /{number}\n\n" for number, name in enumerate(groups))
    rules = RobotsRules.parse(body.encode())
    forbidden = [name for number, name in enumerate(groups) if not rules.allows(user_agent, f"{HOST}/{number}")]
    assert forbidden == [chosen]


@pytest.mark.parametrize(
    "user_agent",
    ["crawl", "crawlers", "my-crawler", "crawler-images", "crawler_x", "Mozilla/5.0", "", "/", "/crawler", "\u30c4"],
)
def test_other_tokens_fall_back_to_the_group_for_all(user_agent: str) -> None:
    rules = RobotsRules.parse(b"User-agent: crawler\nDisallow: /own\nUser-agent: *\nDisallow: /any\nCrawl-delay: 4")
    assert rules.allows(user_agent, HOST + "/own")
    assert not rules.allows(user_agent, HOST + "/any")
    assert rules.crawl_delay(user_agent) == 4


@pytest.mark.parametrize("part", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
@pytest.mark.parametrize("first", [b"User-agent: *\nDisallow: /x\n", b"user-agent:*\rDisallow:/x"])
def test_what_is_left_of_a_byte_order_mark_is_skipped(part: bytes, first: bytes) -> None:
    """Other bytes before the first line spoil it, as in Google's parser."""
    assert not RobotsRules.parse(part + first).allows("crawler", HOST + "/x")
    for other in (b"\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\xef\xbb\xbf\xef\xbb\xbf"):
        assert RobotsRules.parse(other + first).allows("crawler", HOST + "/x")


def test_nothing_is_forbidden_where_no_group_applies() -> None:
    rules = RobotsRules.parse(b"Disallow: /\nCrawl-delay: 9\nUser-agent: otherbot\nDisallow: /")
    assert rules.allows("crawler", HOST + "/")
    assert rules.deciding_rule("crawler", HOST + "/") is None
    assert rules.crawl_delay("crawler") is None


def test_lines_before_the_first_group_belong_to_nobody() -> None:
    assert RobotsRules.parse(b"Disallow: /\nUser-agent: *\nDisallow: /x").allows("crawler", HOST + "/y")


def test_agent_line_without_a_token() -> None:
    """An agent line without a token names nobody, but opens a group."""
    rules = RobotsRules.parse(b"User-agent: crawler\nDisallow: /a\nUser-agent:\nUser-agent: 42\nDisallow: /b")
    assert rules.allows("crawler", HOST + "/b")
    assert rules.allows("", HOST + "/b")
    assert not rules.allows("crawler", HOST + "/a")


def test_groups_of_one_agent_are_merged_even_when_apart() -> None:
    rules = RobotsRules.parse(
        b"User-agent: crawler\nDisallow: /foo\nUser-agent: other\nDisallow: /other\nUser-agent: Crawler\nDisallow: /baz"
    )
    assert [path for path in ("/foo", "/baz", "/other") if rules.allows("crawler", HOST + path)] == ["/other"]


@pytest.mark.parametrize(
    "between", ["", "# comment", "Sitemap: http://a/s.xml", "Crawl-delay: 1", "Host: a", "nonsense", "\n\n"]
)
def test_a_run_of_agents_is_not_ended_by_lines_that_are_no_rules(between: str) -> None:
    rules = RobotsRules.parse(
        f"User-agent: crawler\n{between}\nUser-agent: other\nDisallow: /x\n{between}\nDisallow: /y".encode()
    )
    for agent in ("crawler", "other"):
        assert not rules.allows(agent, HOST + "/x")
        assert not rules.allows(agent, HOST + "/y")


@pytest.mark.parametrize("rule", ["Allow:", "Disallow:", "Disallow: nowhere", "Allow: /z"])
def test_a_run_of_agents_is_ended_by_any_rule(rule: str) -> None:
    rules = RobotsRules.parse(f"User-agent: crawler\n{rule}\nUser-agent: other\nDisallow: /x".encode())
    assert rules.allows("crawler", HOST + "/x")


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n", "\n\n\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_any_line_ending_and_a_byte_order_mark_are_fine(ending: str, bom: str) -> None:
    text = bom + ending.join(["User-agent: *", "Disallow: /x", "Disallow: /y"])
    rules = RobotsRules.parse(text.encode())
    assert [path for path in ("/x", "/y", "/z") if rules.allows("crawler", HOST + path)] == ["/z"]


@pytest.mark.parametrize(
    "line",
    [
        "Disallow:/x",
        "disallow : /x",
        "\t DISALLOW\t:\t/x \t",
        "Disallow: /x # why",
        "Disallow: /x#why",
        "Disallow /x",
        "disalow: /x",
        "Dissallow: /x",
        "dissalow: /x",
        "diasllow: /x",
        "disallaw: /x",
    ],
)
def test_a_rule_may_be_written_like_this(line: str) -> None:
    assert not allows((line,), "/x")
    assert allows((line,), "/y")


@pytest.mark.parametrize(
    "line", ["# Disallow: /x", "Disallow", "/x", ": /x", "Disallow /x /y", "Noindex: /x", "xDisallow: /x"]
)
def test_a_line_that_is_no_rule_says_nothing(line: str) -> None:
    assert allows((line,), "/x")


@pytest.mark.parametrize(
    "line",
    ["User-agent: crawler", "USERAGENT: crawler", "User agent: crawler", "user-agent crawler", "User-agent: * all"],
)
def test_an_agent_line_may_be_written_like_this(line: str) -> None:
    assert not RobotsRules.parse(f"{line}\nDisallow: /".encode()).allows("crawler", HOST + "/x")


def test_the_verdict_names_the_rule_and_its_line() -> None:
    rules = RobotsRules.parse(
        b"# hello\r\n\r\nUser-agent: *\r\nDisallow:  /private  # keep out\r\nAllow: /private/door\r\n"
    )
    assert rules.deciding_rule("crawler", HOST + "/private") == MatchedRule(
        allowed=False, line=4, text="Disallow: /private"
    )
    assert rules.deciding_rule("crawler", HOST + "/private/door") == MatchedRule(
        allowed=True, line=5, text="Allow: /private/door"
    )
    assert rules.deciding_rule("crawler", HOST + "/public") is None


def test_the_verdict_names_the_first_of_equal_rules() -> None:
    verdict = rules_for_all("Disallow: /a", "Disallow: /%61", "Disallow: /*x", "Disallow: /*x").deciding_rule(
        "c", HOST + "/a"
    )
    assert verdict is not None
    assert verdict.line == 2


@pytest.mark.parametrize("path", ["/*" + "*" * 100_000, "/" + "\U0001f600" * MAX_RULE_TEXT])
def test_the_verdict_quotes_no_more_than_a_line_of_a_giant_rule(path: str) -> None:
    verdict = rules_for_all(f"Disallow: {path}").deciding_rule("crawler", HOST + path)
    assert verdict is not None
    assert len(verdict.text) == MAX_RULE_TEXT


@pytest.mark.parametrize(
    "url", ["/x/y", "http://example.com/x", "https://user:pw@EXAMPLE.com:8443/x?q#f", "http://h/a/../x", "http://h/%78"]
)
def test_a_url_is_judged_by_its_normalized_path_and_query(url: str) -> None:
    assert not rules_for_all("Disallow: /x").allows("crawler", url)


@pytest.mark.parametrize("url", ["ftp://example.com/x", "mailto:x", "http://", "http://a b/", "http://h/\ud800"])
def test_what_is_no_http_url_is_no_concern_of_the_rules(url: str) -> None:
    assert rules_for_all("Disallow: /").allows("crawler", url)


def test_a_url_without_a_path_has_the_path_of_the_root() -> None:
    assert not rules_for_all("Disallow: /$").allows("crawler", "http://example.com")
    assert not rules_for_all("Disallow: /?q").allows("crawler", "http://example.com?q")


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [
        *[("5", 5), ("0", 0), ("0.5", 0.5), (".5", 0.5), ("3.", 3), ("10 # s", 10), ("+2", 2), ("0010", 10)],
        *[(value, None) for value in ("-1", "", "soon", "nan", "inf", "1_000", "1,5", "5s", "9" * 400, "\u0665")],
    ],
)
def test_a_crawl_delay_is_a_finite_number_of_seconds(value: str, delay_s: float | None) -> None:
    assert rules_for_all(f"Crawl-delay: {value}").crawl_delay("crawler") == delay_s


def test_a_crawl_delay_holds_for_the_agents_named_before_it() -> None:
    rules = RobotsRules.parse(
        b"User-agent: a\nUser-agent: b\nCrawl-delay: bad\nCrawl-delay: 5\nCrawl-delay: 6\n"
        b"\nUser-agent: c\nCrawl-delay: 7\n\nUser-agent: d\nDisallow: /x\n\nUser-agent: *\nDisallow:\nCrawl-delay: 8\n"
        b"User-agent: a\nCrawl-delay: 9\n"
    )
    assert [rules.crawl_delay(agent) for agent in ("a", "b", "c", "d", "anybot")] == [5, 5, 7, None, 8]


def test_sitemaps_are_global_absolute_normalized_and_named_once() -> None:
    rules = RobotsRules.parse(
        b"Sitemap: HTTP://Example.com:80/s.xml\nUser-agent: crawler\nSITEMAP:https://b.example/%C3%A9\xc3\xa9.xml # x\n"
        b"Sitemap: /relative.xml\nSitemap: ftp://a/s.xml\nSitemap:\nsite-map: http://example.com/s.xml\n"
        b"Sitemap: //a/s.xml\nSite-map: http://c.example/\xff.xml"
    )
    expected = ("http://example.com/s.xml", "https://b.example/%C3%A9%C3%A9.xml", "http://c.example/%EF%BF%BD.xml")
    assert rules.sitemaps == expected


def test_sitemaps_are_resolved_against_the_files_own_url() -> None:
    body = (
        b"Sitemap: /s.xml\nSitemap: maps/a.xml # b.xml\nSitemap: //b.example/s.xml\nSitemap: ?q\nSitemap: http:s.xml\n"
        b"Sitemap:\nSitemap: # none\nSitemap: mailto:a@a.example\nSitemap: http://c.example/s.xml\nsitemap /t.xml\n"
        b"Sitemap: http://[\n"
    )
    rules = RobotsRules.parse(body, "http://a.example/robots.txt")
    assert rules.sitemaps == (
        "http://a.example/s.xml",
        "http://a.example/maps/a.xml",
        "http://b.example/s.xml",
        "http://a.example/robots.txt?q",
        "http://c.example/s.xml",
        "http://a.example/t.xml",
    )
    assert RobotsRules.parse(body).sitemaps == ("http://s.xml/", "http://c.example/s.xml")


def test_sitemaps_are_limited_in_number() -> None:
    body = "\n".join(f"Sitemap: http://a/{number}" for number in range(MAX_SITEMAPS + 5))
    assert RobotsRules.parse(body.encode()).sitemaps == tuple(f"http://a/{number}" for number in range(MAX_SITEMAPS))


@pytest.mark.parametrize("rest", [b"", b"\nA", b"\rAllow: /"])
def test_the_last_line_within_the_limit_is_read_whole(rest: bytes) -> None:
    agent, last = b"User-agent: *\n", b"\nDisallow: /xy" + rest[:1]
    filler = b"#" * (MAX_BYTES - len(agent + last))
    rules = RobotsRules.parse(agent + filler + last + rest[1:])
    assert rules.allows("crawler", HOST + "/x")
    assert not rules.allows("crawler", HOST + "/xy")


@pytest.mark.parametrize("ending", [b"\n", b"\r"])
def test_what_is_beyond_the_limit_is_cut_off_at_a_whole_line(ending: bytes) -> None:
    head = b"User-agent: *" + ending + b"Disallow: /x" + ending
    filler = b"#" * (MAX_BYTES - len(head) - len(b"Allow: /x/") - 1) + ending
    body = head + filler + b"Allow: /x/yes" + ending + b"Disallow: /z"
    rules = RobotsRules.parse(body)
    assert len(head + filler) < MAX_BYTES < len(body)
    assert not rules.allows("crawler", HOST + "/x/no")  # "Allow: /x/" would be a rule nobody wrote
    assert rules.allows("crawler", HOST + "/z")


def test_the_first_500_kibibytes_are_read() -> None:
    last = b"\nUser-agent: *\nDisallow: /x\n"
    body = b"#" * (500 * 1024 - len(last)) + last
    assert not RobotsRules.parse(b"\xef\xbb\xbf" + body + b"#" * 100_000).allows("crawler", HOST + "/x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\0" * 100,
        b"<!doctype html><title>Disallow: /</title>",
        b"\x1f\x8b\x08",
        "User-agent: *\nDisallow: /".encode("utf-16"),
    ],
)
def test_a_body_that_is_no_robots_txt_forbids_nothing(body: bytes) -> None:
    rules = RobotsRules.parse(body)
    assert rules.allows("crawler", HOST + "/x")
    assert rules.sitemaps == ()


def test_wildcards_never_backtrack() -> None:
    rules = rules_for_all("Disallow: /*" + "a*" * 1000 + "b")
    assert rules.allows("crawler", HOST + "/" + "a" * 20_000)
    assert not rules.allows("crawler", HOST + "/" + "a" * 20_000 + "b")


def test_very_many_rules_are_all_obeyed() -> None:
    rules = rules_for_all(
        *(f"Disallow: /p{number}$" for number in range(10_000)),
        *(f"Disallow: /*-{number}/" for number in range(15_000)),
    )
    assert not rules.allows("crawler", HOST + "/p9999")
    assert not rules.allows("crawler", HOST + "/shop-14999/")
    assert rules.allows("crawler", HOST + "/shop-15000/")


def test_very_many_agents_may_share_very_many_rules() -> None:
    agents = [f"User-agent: {chr(97 + number // 26 % 26)}{chr(97 + number % 26)}" for number in range(8_000)]
    agents += ["User-agent: zz"] * 8_000
    body = "\n".join([*agents, *("Disallow: /x" for _ in range(8_000)), *("Crawl-delay: 2" for _ in range(1_000))])
    rules = RobotsRules.parse(body.encode())
    assert not rules.allows("zz", HOST + "/x")
    assert rules.crawl_delay("zz") == 2


def test_file_too_costly_to_judge() -> None:
    """A file that is too costly to judge a URL by may forbid the URL, but never allows it."""
    costly = [f"*aab{number}" for number in range(20_000)]
    long_url = HOST + "/" + "a" * 50_000
    forbidding = rules_for_all(*(f"Disallow: /{path}" for path in costly))
    assert not forbidding.allows("crawler", long_url)
    assert forbidding.allows("crawler", HOST + "/aaa")
    allowing = rules_for_all("Disallow: /", *(f"Allow: /{path}" for path in costly))
    assert not allowing.allows("crawler", long_url)


def test_the_rules_are_parsed_once_and_answer_alike_ever_after() -> None:
    rules = RobotsRules.parse(RFC_9309_5_1)
    first = [rules.allows(agent, HOST + "/example/page.html") for agent in ("foobot", "barbot", "quxbot", "anybot")]
    assert first == [
        rules.allows(agent, HOST + "/example/page.html") for agent in ("foobot", "barbot", "quxbot", "anybot")
    ]


ROBOTS_WORDS = [
    *(b"User-agent", b"Disallow", b"Allow", b"Crawl-delay", b"Sitemap", b"crawler", b"http://a/", b"%2f", b"9"),
    *(b":", b" ", b"\n", b"\r", b"/", b"*", b"$", b"#", b"%", b"a", b".", b"\xff", b"\0", b"\xef\xbb\xbf"),
]


@given(st.one_of(st.binary(), st.lists(st.sampled_from(ROBOTS_WORDS)).map(b"".join)), st.text(), st.text())
@example(b"User-agent: *\nDisallow: $\nDisallow: *$\nAllow: %\nDisallow: /%2", "*", "http://a/%")
def test_any_bytes_give_consistent_decisions(body: bytes, user_agent: str, url: str) -> None:
    """Whatever the bytes: the same rules in another form give the same decision."""
    for agent in ("crawler", user_agent):
        check_robots(body, agent, (url, HOST + "/" + url))


octets = st.one_of(
    st.binary().map(lambda raw: raw.decode("latin-1")),
    st.lists(st.sampled_from(["%", "%2", "%2F", "%2f", "%41", "%c3", "a", "/", "?", "*", "$", "\xe9", " "])).map(
        "".join
    ),
)


@given(octets)
def test_the_canonical_form_is_canonical(text: str) -> None:
    canonical = _canonical(text)
    assert _canonical(canonical) == canonical
    assert re.fullmatch(r"(?:[A-Za-z0-9\-._~!&()+,;=:@/?]|%[0-9A-F]{2})*", canonical)


@given(octets, octets)
def test_canonical_forms_join_as_their_texts_do(one: str, other: str) -> None:
    if "%" not in one[-2:]:  # no escape crosses the seam
        assert _canonical(one + other) == _canonical(one) + _canonical(other)


@given(st.text(alphabet="abcXYZ019-_~/!&()+,;=:@ \u00e9\u30c4"))
def test_a_rule_and_a_url_match_however_each_is_escaped(path: str) -> None:
    escaped = "".join(
        char if char in "/!&()+,;=:@" else "".join(f"%{octet:02x}" for octet in char.encode()) for char in path
    )
    plain_path, escaped_path = f"/x{path}/x", f"/x{escaped}/x"
    for rule, url in product((plain_path, escaped_path), repeat=2):
        assert not allows((f"Disallow: {rule}",), url)


def reference_match(pattern: str, target: str) -> bool:
    """RFC 9309 by the letter, on texts that need no encoding: slow and plain."""
    if pattern == "":
        return True
    if pattern == "$":
        return target == ""
    if pattern[0] == "*":
        return any(reference_match(pattern[1:], target[start:]) for start in range(len(target) + 1))
    return target[:1] == pattern[0] and reference_match(pattern[1:], target[1:])


def reference_allows(rules: list[tuple[bool, str]], target: str) -> bool:
    matching = [(len(pattern), allowed) for allowed, pattern in rules if reference_match(pattern, target)]
    return max(matching, default=(0, True))[1]


patterns = st.builds(
    lambda body, end: "/" + body + end, st.text(alphabet="ab/?*", max_size=7), st.sampled_from(["", "$"])
)
targets = st.text(alphabet="ab/?", max_size=9).map(lambda text: "/" + text)


@given(st.lists(st.tuples(st.booleans(), patterns), max_size=6), st.lists(targets, min_size=1, max_size=6))
def test_decisions_equal_those_of_a_plain_reference(rules: list[tuple[bool, str]], asked: list[str]) -> None:
    compiled = rules_for_all(*(f"{'Allow' if allowed else 'Disallow'}: {pattern}" for allowed, pattern in rules))
    for target in asked:
        assert compiled.allows("crawler", HOST + target) is reference_allows(rules, target)


@pytest.mark.parametrize("length", range(1, 5))
def test_every_short_pattern_matches_like_a_plain_reference(length: int) -> None:
    urls = ["/" + "".join(letters) for size in range(5) for letters in product("ab", repeat=size)]
    for letters in product("ab*", repeat=length):
        for end in ("", "$"):
            pattern = "/" + "".join(letters) + end
            rules = rules_for_all(f"Disallow: {pattern}")
            wrong = [url for url in urls if rules.allows("crawler", HOST + url) is reference_match(pattern, url)]
            assert wrong == [], pattern
