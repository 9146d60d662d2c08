"""Whether a link's fragment names a place on a page."""

from __future__ import annotations

import pytest

from crawler.archive.fragments import has_place
from crawler.bodies import compress

PAGE = """<!doctype html><h2 id="Part">1</h2><a name="old">2</a><p name="none"><i id="über">3</i><i id="a%20b">4</i>
<i id="user-content-readme">5</i><i id="">6</i>"""


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
