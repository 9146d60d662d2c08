"""Whether a link's fragment names a place on a page."""

from __future__ import annotations

import pytest

from crawler.archive.fragments import has_place
from crawler.bodies import compress

PAGE = """<!doctype html><h2 id="Part">1</h2><a name="old">2</a><p name="none"><i id="über">3</i><i id="a%20b">4</i>
<i id="user-content-readme">5</i><i id="">6</i>
<a title="a > b" NAME='q&amp;a'>7</a><svg id=bare><b data-id="data">8</b>"""


@pytest.mark.parametrize(
    ("fragment", "there"),
    [
        ("Part", True),
        ("part", False),
        ("old", True),
        ("none", False),
        ("über", True),
        ("%C3%BCber", True),
        ("%FCber", False),
        ("a%20b", True),
        ("a b", False),
        ("readme", True),
        ("q&a", True),
        ("bare", True),
        ("data", False),
        ("nowhere", False),
        ("top", True),
        ("TOP", True),
        ("", True),
        ("Part:~:text=1", True),
        ("nowhere:~:text=1", False),
        (":~:text=1", True),
        ("!/page", True),
        ("/page", True),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16le"])
def test_a_place_is_what_a_browser_would_scroll_to(fragment: str, there: bool, encoding: str) -> None:
    assert has_place(compress(PAGE.encode(encoding)), encoding, fragment) is there


def test_of_a_body_that_cannot_be_read_nothing_is_claimed() -> None:
    assert has_place(b"no zstd frame", "utf-8", "nowhere")


@pytest.mark.parametrize("piece", ["<div>", "<a ", "<a name='", ' id="', "id=", '<a title="', " name=x<a"])
def test_a_page_that_would_hold_up_a_parser_does_not_hold_up_this(piece: str) -> None:
    """100,000 nested elements take a parser 13 s, and a quadratic search as long. The test's own limit tells."""
    assert not has_place(compress((piece * (2_000_000 // len(piece))).encode()), "utf-8", "nowhere")
