"""The keys of captures: those by which pywb and others look them up."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.urls import normalize
from crawler.warc.surt import surt

_SESSION = "0123456789abcdef0123456789ABCDEF"
_SEGMENTS = (
    "",
    "a",
    "A",
    "%41",
    ".",
    "%2F",
    "%2541",
    "ü",
    "a;b",
    "(S(abcdefghijklmnopqrstuvwx))",
    "a.aspx",
    "%00",
    "%ff",
)
_QUERIES = ("", "?", "?b=2&a=1", "?A=B", "?a&b=", f"?sid={_SESSION}&x=1", "?a=%20%26", "?%", "?a=b%3Dc", "?&&", "?a=+b")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://example.com/", "com,example)/"),
        ("https://www.example.com/Path/?b=2&a=1", "com,example)/path?a=1&b=2"),
        ("https://www2.example.com:8443/a//b/", "com,example:8443)/a/b"),
        ("http://a.example.com/%7Eu/%2541?", "com,example,a)/~u/a"),
        (f"http://a.test/x?PHPSESSID={_SESSION}&y=1", "test,a)/x?y=1"),
        ("http://a.test/(S(abcdefghijklmnopqrstuvwx))/x.aspx", "test,a)/x.aspx"),
        ("http://127.0.0.1/%2e%2e%2fx", "1,0,0,127)/../x"),
        ("http://[2001:db8::1]:81/", "2001:db8::1:81)/"),
    ],
)
def test_a_key_is_the_url_turned_round(url: str, key: str) -> None:
    assert surt(url) == key


@pytest.mark.system  # needs the extra `examples`
@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["example.com", "www.example.com", "www9.a.b.test:8080", "127.0.0.1", "[::1]", "h:80", "h:443"]),
    st.lists(st.sampled_from(_SEGMENTS) | st.text(max_size=5), max_size=4),
    st.sampled_from(_QUERIES) | st.text(max_size=8).map("?{}".format),
)
@example("https", "www.www.test", ["..%2f"], "")
def test_the_keys_are_those_of_the_archives_own_library(
    scheme: str, host: str, segments: list[str], query: str
) -> None:
    from surt import surt as theirs

    url = normalize(f"{scheme}://{host}/{'/'.join(segments)}{query}")
    if url is not None:
        assert surt(url) == theirs(url)
