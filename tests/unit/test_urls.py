"""What 'the same URL' means: the WHATWG standard's answers, and what the rest of the crawler relies on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.urls import (
    authority_of,
    credentials_of,
    document_base,
    drop_params,
    host_of,
    join_plain,
    normalize,
    origin_of,
    port_of,
    scheme_of,
    target_of,
    without_credentials,
)
from tests.fuzz.documents import ENCODINGS, check_query, check_url

NORMALIZED = [
    # what is already normal
    ("http://example.com/", "http://example.com/"),
    ("https://example.com/a/b?c=d&e", "https://example.com/a/b?c=d&e"),
    # scheme and host fold, path and query do not
    ("HTTP://EXAMPLE.com/PaTh?Q=A", "http://example.com/PaTh?Q=A"),
    # an empty path, slashes
    ("http://example.com", "http://example.com/"),
    ("http://example.com?q", "http://example.com/?q"),
    ("http:example.com", "http://example.com/"),
    ("http:/example.com/x", "http://example.com/x"),
    ("http:////example.com/x", "http://example.com/x"),
    ("http:\\\\example.com\\a\\b", "http://example.com/a/b"),
    ("http://example.com/a?b\\c", "http://example.com/a?b\\c"),
    ("http://example.com//a//b", "http://example.com//a//b"),
    # ports
    ("http://example.com:80/", "http://example.com/"),
    ("https://example.com:443/", "https://example.com/"),
    ("http://example.com:443/", "http://example.com:443/"),
    ("https://example.com:80/", "https://example.com:80/"),
    ("http://example.com:/", "http://example.com/"),
    ("http://example.com:0008080/", "http://example.com:8080/"),
    ("http://example.com:0/", "http://example.com:0/"),
    ("http://example.com:65535/", "http://example.com:65535/"),
    # dots
    ("http://example.com/a/./b/../c", "http://example.com/a/c"),
    ("http://example.com/../../a", "http://example.com/a"),
    ("http://example.com/a/..", "http://example.com/"),
    ("http://example.com/a/.", "http://example.com/a/"),
    ("http://example.com/a/%2e%2E/b", "http://example.com/b"),
    ("http://example.com/a/...", "http://example.com/a/..."),
    ("http://example.com/?a/../b", "http://example.com/?a/../b"),
    # percent-encoding is kept as written, and added where it is needed
    ("http://example.com/%7Euser", "http://example.com/%7Euser"),
    ("http://example.com/~user", "http://example.com/~user"),
    ("http://example.com/%2f%2F", "http://example.com/%2f%2F"),
    ("http://example.com/%zz%", "http://example.com/%zz%"),
    ("http://example.com/a b", "http://example.com/a%20b"),
    ("http://example.com/é?é", "http://example.com/%C3%A9?%C3%A9"),
    ('http://example.com/"<>^`{|}', "http://example.com/%22%3C%3E%5E%60%7B|%7D"),
    ("http://example.com/?\"<>^`{|}'", "http://example.com/?%22%3C%3E^`{|}%27"),
    ("http://example.com/a\0b", "http://example.com/a%00b"),
    ("http://example.com/\U0001f600", "http://example.com/%F0%9F%98%80"),
    # what is stripped and removed
    ("  http://example.com/a \n", "http://example.com/a"),
    ("\x00\x1fhttp://example.com/\x00", "http://example.com/"),
    ("ht\ntp://exam\rple.com/\ta\nb?c\td", "http://example.com/ab?cd"),
    # query and fragment
    ("http://example.com/?", "http://example.com/?"),
    ("http://example.com/?#", "http://example.com/?"),
    ("http://example.com/#", "http://example.com/"),
    ("http://example.com/a#b?c#d", "http://example.com/a"),
    ("http://example.com/?a#b", "http://example.com/?a"),
    # hosts: international, percent-encoded, with a trailing dot
    ("http://bücher.example/", "http://xn--bcher-kva.example/"),
    ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
    ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
    ("http://ｅｘａｍｐｌｅ.com/", "http://example.com/"),
    ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
    ("http://fa\u00adss.example/", "http://fass.example/"),
    ("http://%65xample.com/", "http://example.com/"),
    ("http://example.com./", "http://example.com./"),
    ("http://a_b.example/", "http://a_b.example/"),
    # IPv4 in all its forms, IPv6
    ("http://127.1/", "http://127.0.0.1/"),
    ("http://0x7f.0.0.1/", "http://127.0.0.1/"),
    ("http://0177.0.0.01/", "http://127.0.0.1/"),
    ("http://2130706433/", "http://127.0.0.1/"),
    ("http://0x7F000001/", "http://127.0.0.1/"),
    ("http://127.0.0.1./", "http://127.0.0.1/"),
    ("http://%31%32%37.1/", "http://127.0.0.1/"),
    ("http://１２７.１/", "http://127.0.0.1/"),
    ("http://[0:0::0:1]:80/", "http://[::1]/"),
    ("http://[2001:DB8::0:1]:8080/", "http://[2001:db8::1]:8080/"),
    ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
    # credentials are kept here; `without_credentials` takes them away
    ("http://user:p%40ss@example.com/", "http://user:p%40ss@example.com/"),
    ("http://user@example.com/", "http://user@example.com/"),
    ("http://:pw@example.com/", "http://:pw@example.com/"),
    ("http://@example.com/", "http://example.com/"),
    ("http://a@b@example.com/", "http://a%40b@example.com/"),
]

REFUSED = [
    "",
    " ",
    "example.com",
    "/path",
    "//example.com/",
    "#fragment",
    "ftp://example.com/",
    "file:///etc/passwd",
    "mailto:a@example.com",
    "javascript:alert(1)",
    "data:text/html,x",
    "blob:http://example.com/x",
    "view-source:http://example.com/",
    "httpx://example.com/",
    "http",
    "http:",
    "http://",
    "http:///",
    "http://?q",
    "http://:80/",
    "http://user@/",
    "http://exa mple.com/",
    "http://exa<mple.com/",
    "http://exa%20mple.com/",
    "http://example.com:65536/",
    "http://example.com:http/",
    "http://example.com:-1/",
    "http://256.0.0.1/",
    "http://1.2.3.4.5/",
    "http://4294967296/",
    "http://1.2.3.08/",
    "http://[::1/",
    "http://[::g]/",
    "http://[1.2.3.4]/",
    "http://[::1%25eth0]/",
    "http://\ud800.example/",
    "http://example.com/\ud800",
    "http://example.com/?\udfff",
]

RESOLVED = [
    ("b", "http://example.com/a/c", "http://example.com/a/b"),
    ("", "http://example.com/a?q#f", "http://example.com/a?q"),
    ("#top", "http://example.com/a?q", "http://example.com/a?q"),
    ("?x", "http://example.com/a?q", "http://example.com/a?x"),
    ("/b", "http://example.com:8080/a/c", "http://example.com:8080/b"),
    ("//other.example/b", "https://example.com/a", "https://other.example/b"),
    ("../../../b", "http://example.com/a/c/d", "http://example.com/b"),
    ("..", "http://example.com/a/b/c", "http://example.com/a/"),
    ("\\b", "http://example.com/a", "http://example.com/b"),
    ("http:b", "http://example.com/a/c", "http://example.com/a/b"),
    ("https:b", "http://example.com/a/c", "https://b/"),
    ("HTTP://OTHER.example", "http://example.com/", "http://other.example/"),
    ("b", "http://user:pw@example.com/a", "http://user:pw@example.com/b"),
    ("http://example.com/x", "about:blank", "http://example.com/x"),
]

UNRESOLVED = [
    ("mailto:a@example.com", "http://example.com/"),
    ("b", "mailto:a@example.com"),
    ("b", ""),
    ("b", "/relative"),
    ("b", "file:///etc/"),
    ("//", "http://example.com/"),
    ("b\ud800", "http://example.com/"),
    ("b", "http://example.com/\ud800"),
]


@pytest.mark.parametrize(("href", "url"), NORMALIZED)
def test_a_url_is_normalized_as_the_standard_says(href: str, url: str) -> None:
    assert normalize(href) == url


@pytest.mark.parametrize("href", REFUSED)
def test_what_is_no_http_url_is_refused(href: str) -> None:
    assert normalize(href) is None


@pytest.mark.parametrize(("href", "base", "url"), RESOLVED)
def test_a_reference_is_resolved_against_its_base(href: str, base: str, url: str) -> None:
    assert normalize(href, base) == url


@pytest.mark.parametrize(("href", "base"), UNRESOLVED)
def test_a_reference_that_leads_to_no_http_url_is_refused(href: str, base: str) -> None:
    assert normalize(href, base) is None


PIECES = [
    "../",
    "a/",
    "b.c",
    "/",
    ".",
    "..",
    "?",
    "x=1",
    ":",
    "//",
    "%2e",
    "%",
    ";",
    "=",
    "&",
    "@",
    " ",
    "é",
    "\\",
    "'",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=8),
    st.sampled_from(
        ["http://a.test/", "https://u:p@a.test:8080/b/c/d/", "http://[::1]/a//b/", "http://a.test/%2E/a|b/"]
    ),
)
@example("../../../../a", "https://a.test/b/")
@example("a?b=../c", "https://a.test/b/c/")
def test_what_is_joined_without_the_parser_of_urls_is_what_that_gives(href: str, folder: str) -> None:
    folder = str(normalize(folder))
    assert join_plain(href, folder) in (None, normalize(href, folder))


@pytest.mark.parametrize("href", ["a", "../a/b.html", "/a/b?c=d&e=%20", "../", "a/?b"])
def test_hrefs_as_most_are_need_no_parser_of_urls(href: str) -> None:
    assert join_plain(href, "http://a.test/b/") is not None


PARTS: list[tuple[Callable[[str], object], str, object]] = [
    (scheme_of, "http://example.com/", "http"),
    (scheme_of, "https://http:80@example.com/", "https"),
    (authority_of, "http://u:p@example.com:81/a@b", "u:p@example.com:81"),
    (authority_of, "http://[::1]:81/", "[::1]:81"),
    (host_of, "http://example.com/a:b@c", "example.com"),
    (host_of, "http://u:p@example.com:81/", "example.com"),
    (host_of, "http://[::1]/", "[::1]"),
    (host_of, "http://u@[::1]:81/", "[::1]"),
    (host_of, "http://127.0.0.1:81/", "127.0.0.1"),
    (host_of, "http://example.com.:81/", "example.com"),
    (host_of, "http://./", "."),
    (port_of, "http://example.com/", 80),
    (port_of, "https://example.com/", 443),
    (port_of, "https://u:1@example.com:81/", 81),
    (port_of, "http://[::1]/", 80),
    (port_of, "http://[::1]:81/", 81),
    (port_of, "http://example.com:0/", 0),
    (origin_of, "http://u:p@example.com/a?b", "http://example.com"),
    (origin_of, "https://example.com:81/", "https://example.com:81"),
    (origin_of, "https://[::1]:81/", "https://[::1]:81"),
    (target_of, "http://example.com/", "/"),
    (target_of, "http://example.com/?", "/?"),
    (target_of, "http://u:p@example.com:81/a//b?c=/d", "/a//b?c=/d"),
    (credentials_of, "http://example.com/u:p@", None),
    (credentials_of, "http://user@example.com/", ("user", "")),
    (credentials_of, "http://:pw@example.com/", ("", "pw")),
    (credentials_of, "http://u%40x:p%3A%2F@example.com/", ("u@x", "p:/")),
    (credentials_of, "http://u:p%C3%A9@example.com/", ("u", "pé")),
    (without_credentials, "http://example.com/a@b", "http://example.com/a@b"),
    (without_credentials, "http://u:p@example.com:81/a?b@c", "http://example.com:81/a?b@c"),
    (without_credentials, "https://:p@[::1]/", "https://[::1]/"),
]


@pytest.mark.parametrize(("part", "url", "value"), PARTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_part_of_a_url(part: Callable[[str], object], url: str, value: object) -> None:
    assert part(url) == value


DROPPED = [
    ("http://a/?utm_source=x&b=1", ("utm_*",), "http://a/?b=1"),
    ("http://a/?b=1&utm_source=x&c", ("utm_*",), "http://a/?b=1&c"),
    ("http://a/?utm_source=x", ("utm_*",), "http://a/"),
    ("http://a/?a=1&b=2&a=3", ("a",), "http://a/?b=2"),
    ("http://a/?a=1&b=2&c=3", ("a", "c"), "http://a/?b=2"),
    ("http://a/?%61=1&b=2", ("a",), "http://a/?b=2"),
    ("http://a/?x+y=1&b=2", ("x y",), "http://a/?b=2"),
    ("http://a/?A=1", ("a",), "http://a/?A=1"),
    ("http://a/?ab=1", ("a",), "http://a/?ab=1"),
    ("http://a/?b=a", ("a",), "http://a/?b=a"),
    ("http://a/?a=b=c&d", ("a",), "http://a/?d"),
    ("http://a/?b=1?a=2", ("a",), "http://a/?b=1?a=2"),
    ("http://a/utm_x", ("utm_*",), "http://a/utm_x"),
    ("http://a/?b=%7E&&c", ("a",), "http://a/?b=%7E&&c"),
    ("http://a/?", ("a",), "http://a/?"),
    ("http://a/?a=1", (), "http://a/?a=1"),
    ("http://a/?[x]=1&b", ("[[]x]",), "http://a/?b"),
    ("http://a/?a=1&b=2", ("*",), "http://a/"),
    # parameters of the path
    ("http://a/b;jsessionid=1F", ("jsessionid",), "http://a/b"),
    ("http://a/b;jsessionid=1F?c=1&jsessionid=2", ("jsessionid",), "http://a/b?c=1"),
    ("http://a/b;v=1;jsessionid=1F;w=2/c;jsessionid=/d", ("jsessionid",), "http://a/b;v=1;w=2/c/d"),
    ("http://a/;jsessionid=1F", ("j*",), "http://a/"),
    ("http://a/b;%6Asessionid=1F?", ("jsessionid",), "http://a/b?"),
    ("http://a/b;JSESSIONID=1F", ("jsessionid",), "http://a/b;JSESSIONID=1F"),
    ("http://a/b;jsessionid/c", ("jsessionid",), "http://a/b;jsessionid/c"),
    ("http://a/jsessionid=1F", ("jsessionid",), "http://a/jsessionid=1F"),
    ("http://a/b?c;jsessionid=1F", ("jsessionid",), "http://a/b?c;jsessionid=1F"),
    ("http://a;s=1/b;s=2", ("s",), "http://a;s=1/b"),
    ("http://a/b/..;s=1/c;s=2", ("s",), "http://a/c"),
    ("http://a/b;s=1", (), "http://a/b;s=1"),
]


@pytest.mark.parametrize(("url", "globs", "kept"), DROPPED)
def test_dropped_parameters(url: str, globs: tuple[str, ...], kept: str) -> None:
    """The parameters that a glob names are dropped, and nothing else changes."""
    assert drop_params(url, globs) == kept


# --- properties -----------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [
        *("http:", "https:", "HTTP:", "ftp:", "/", "//", "\\", ":", "@", "?", "#", "&", "=", "%", "%2e", "%7E", "%zz"),
        *(
            "example.com",
            "EXAMPLE.",
            "bücher",
            "xn--a",
            "127.1",
            "0x7f",
            "[::1]",
            "[",
            "]",
            ":80",
            ":443",
            ":0",
            "user",
        ),
        *(
            "..",
            ".",
            "a",
            "é",
            " ",
            "\t",
            "\n",
            "\0",
            "\ud800",
            "\U0001f600",
            "。",
            "\u00ad",
            "|",
            "'",
            '"',
            "<",
            ";",
            ";a=",
        ),
    ]
)
_URL_LIKE = st.lists(_PIECES, max_size=12).map("".join)
_HTTP_LIKE = st.tuples(st.sampled_from(["http://", "https://"]), _URL_LIKE).map("".join)
_ANY = st.text(alphabet=st.characters(codec=None, categories=None), max_size=40) | _URL_LIKE | _HTTP_LIKE
_BASES = st.none() | _ANY | st.sampled_from(["http://example.com/a/b?c", "https://u:p@[::1]:81/", "mailto:x"])


@settings(max_examples=300)
@given(href=_ANY, base=_BASES)
@example(href="http://example.com/#x", base=None)
@example(href="http://example.com/ ?", base=None)
@example(href="//a", base="http://example.com/")
def test_whatever_is_given_what_comes_back_is_normal(href: str, base: str | None) -> None:
    check_url(href, base)


@given(href=_HTTP_LIKE, globs=st.lists(st.sampled_from(["*", "a*", "user", "[a"]), max_size=2))
@example(href="http://a/b/..;a=1/%2E;a=1/c;a=1;=;b/;a=?;a=1", globs=["a"])
def test_dropping_parameters_is_stable(href: str, globs: list[str]) -> None:
    """A URL stays normalized without its parameters, and dropping them again changes nothing."""
    url = normalize(href)
    if url is not None:
        kept = drop_params(url, globs)
        assert normalize(kept) == kept
        assert drop_params(kept, globs) == kept
        assert origin_of(kept) == origin_of(url)


@pytest.mark.parametrize(
    ("href", "encoding", "url"),
    [
        ("?q=да", "windows-1251", "?q=%E4%E0"),
        ("?q=да", "utf-8", "?q=%D0%B4%D0%B0"),
        ("?q=да", "utf-16le", "?q=%D0%B4%D0%B0"),
        ("?q=да", "replacement", "?q=%D0%B4%D0%B0"),
        ("?q=日é", "windows-1251", "?q=%26%2326085%3B%26%23233%3B"),
        ("да?да#да", "windows-1251", "%D0%B4%D0%B0?%E4%E0"),
        ("#?да", "windows-1251", ""),
        ("?a=1&b= 'é\"<", "iso-8859-2", "?a=1&b=%20%27%E9%22%3C"),
        ("\n ?q=\tд\r\nа \x0b", "windows-1251", "?q=%E4%E0"),
        ("?q=да #x", "windows-1251", "?q=%E4%E0%20"),
        ("?%E4=да%zz", "windows-1251", "?%E4=%E4%E0%zz"),
        ("?表", "shift_jis", "?%95\\"),
        ("?日<b", "iso-2022-jp", "?%1B$BF|%1B(B%3Cb"),
        ("?¥\x0e日", "iso-2022-jp", "?%1B(J\\%26%2365533%3B%1B$BF|%1B(B"),
        ("?é日\ud800", "gb18030", "?%A8%A6%C8%D5%841%A47"),
        ("http:?да", "koi8-r", "?%C4%C1"),
        ("//other.example?да?д", "koi8-r", "//other.example/?%C4%C1?%C4"),
    ],
)
def test_a_query_is_in_the_encoding_of_its_document(href: str, encoding: str, url: str) -> None:
    page = "http://example.com/page"
    assert normalize(href, document_base(page, encoding)) == normalize(url, page)
    assert normalize(url, document_base(page, encoding)) == normalize(url, page)


def test_a_document_base_is_its_url() -> None:
    base = document_base("http://example.com/page", "gbk")
    assert base == "http://example.com/page"
    assert type(document_base(base, "utf-8")) is str
    assert type(normalize("", base)) is str


@settings(deadline=None)  # tables are made when they are first needed
@given(st.text(st.sampled_from("?#&= \t\\да日é:/%") | st.characters(), max_size=12), st.sampled_from(ENCODINGS))
def test_a_query_in_any_encoding_is_a_normal_url(href: str, encoding: str) -> None:
    check_query(href, encoding)
