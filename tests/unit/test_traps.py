"""Which URLs look like a crawler trap, and which honest ones must not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import ScopeConfig
from crawler.policy.repetition import ALIKE_PAGES, ELSEWHERE, RepetitionDetector
from crawler.policy.scope import Scope
from crawler.policy.traps import pattern_of, session_of, trap_of
from crawler.records import Page, SeedMark

CONFIG = ScopeConfig()
SID = "0123456789abcdef0123456789abcdef"

TRAPS = [
    ("/a/b/a/b/a/b/", "repeated path segments"),
    ("/site/en/a/b/a/b/a/b/index.html", "repeated path segments"),
    ("/x/x/x/x", "repeated path segments"),
    ("/start/page/page/page/page/", "repeated path segments"),
    ("/0/0/0/0/0", "repeated path segments"),
    ("/a/b/c/a/b/c/a/b/c", "repeated path segments"),
    ("/1/2/3/4/5/6/7/8" * 3, "repeated path segments"),
    ("/docs/x/docs/y/docs/z/docs/w/docs/", "repeated path segments"),
    ("/en/x/en/y/en/z/en/w/en", "repeated path segments"),
    ("/a" + "".join(f"/{number}" for number in range(25)), "path segments"),
    ("/?a=1&a=1&a=1", "repeated query parameters"),
    ("/list?page=2&sort=up&x=1&sort=up&y=2&sort=up", "repeated query parameters"),
    ("/?" + "&".join(f"p{number}" for number in range(41)), "query parameters"),
]

HONEST = [
    "/",
    "/index.html",
    "/about/",
    "/2020/10/10/10-things-to-know",
    "/2010/10/10/10/",
    "/archive/2011/11/11/",
    "/tiles/0/0/0.png",
    "/system/photos/000/000/000/original.jpg",
    "/system/avatars/000/000/001/thumb.png",
    "/wiki/Python_(programming_language)",
    "/wiki/Duran_Duran/Duran_Duran",
    "/wiki/Special:WhatLinksHere/Special:WhatLinksHere",
    "/w/index.php?title=Main_Page&action=history&offset=20200101&limit=500",
    "/openjdk-17/api/java.base/java/util/concurrent/atomic/AtomicLong.html",
    "/apidocs/org/apache/commons/lang3/concurrent/package-summary.html",
    "/org/repo/blob/main/src/main/java/com/org/repo/core/internal/impl/Main.java",
    "/org/org/blob/master/org/org.py",
    "/torvalds/linux/tree/master/drivers/net/ethernet/intel/ice",
    "/project/project/project/index.html",
    "/en/en/us/us/",
    "/questions/11227809/why-is-processing-a-sorted-array-faster?page=2&tab=votes",
    "/r/programming/comments/abc123/title_of_post/def456/?context=3",
    "/dp/B08N5WRWNW/ref=sr_1_3?crid=2M096C61O4MLT&keywords=usb&qid=1650000000&sprefix=usb%2Caps%2C200&sr=8-3",
    "/s?k=laptop&rh=n%3A565108%2Cp_89%3ADell&dc&qid=1650000000&rnid=2528832011&ref=sr_nr_p_89_1",
    "/search?q=a+a+a+a&hl=en&start=90",
    "/search?facet[]=red&facet[]=blue&facet[]=green&facet[]=black",
    "/shop?color=red&color=blue&color=green&size=m&size=l",
    "/filter?tag=1&tag=2&tag=3&tag=4&tag=5&tag=6",
    "/map?lat=0&lng=0&zoom=0",
    "/compare?a=1&b=1&c=1",
    "/compare?a=1&b=2&a=1",
    "/compare?a=1&b=2&a=1&b=2",
    "/viewtopic.php?f=3&t=12345&start=150",
    "/viewtopic.php?t=9&sid=42",
    "/forum/showthread.php?12345-Some-title-here/page12",
    "/cgi-bin/bugzilla/buglist.cgi?" + "&".join(f"field{n}-0-0=x{n}" for n in range(36)),
    "/news/article?id=123456&lang=en&print=1",
    "/calendar?year=2024&month=5",
    "/events/2024/05/17/",
    "/product/12345/reviews/67890",
    "/a/a/a",
    "/docs/x/docs/y/docs/z/docs/w",
    "/x/a/x/b/x/c/x/d/x",
    "/10/a/10/b/10/c/10/d/10",
    "/www.example.com/www.example.com/www.example.com/",
    "/a/b/a/b",
    "/a/b/a/b/a",
    "/docs/v1/docs/v1/",
    "/static/js/../js/app.js?v=123",
    "/download/file.tar.gz?expires=1700000000&signature=abc~def-_&key=K",
    "/login?next=%2Faccount%2Fsettings%2F%3Ftab%3Dmail",
    "/redirect?url=https%3A%2F%2Fexample.com%2Fa%2Fa%2Fa%2Fa",
    "/doi/10.1000/182",
    "/abs/2101.00001v2",
    "/pub/debian/pool/main/p/python3.11/python3.11_3.11.2-6_amd64.deb",
    "/~user/papers/2004/",
    "/%E6%97%A5%E6%9C%AC/%E6%97%A5%E6%9C%AC/",
    "/path//with///empty/segments",
    "/?",
    "/??",
    "/?&&&",
    "/?a&b&c",
    "/;v=1/x;w=2",
    "/page;jsessionid=" + SID,
    "/index.php?PHPSESSID=" + SID,
    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y",
    "/hotels/gb/london/london/london-marriott.html?aid=1&label=x&sid=abc&dest_id=-2601889&dest_type=city",
    "/maven2/org/eclipse/jetty/jetty-server/11.0.0/jetty-server-11.0.0.pom",
    "/gp/new-york/new-york/hotels/",
    "/index.php/component/content/article/2-uncategorised/1-home?Itemid=101",
    "/12/12/12/12-o-clock",
    "/fr/fr/produits/produits-laitiers/",
]


@pytest.mark.parametrize(("target", "reason"), TRAPS)
def test_what_looks_like_a_trap_has_a_reason(target: str, reason: str) -> None:
    url = "http://www.example.com" + target
    assert trap_of(url, CONFIG) == f"trap: {reason}"
    scope = Scope(CONFIG, [url])
    assert scope.judge(url, depth=1) == f"trap: {reason}"
    assert scope.judge(url, depth=0, seed=SeedMark.YES) is None


@pytest.mark.parametrize("target", HONEST)
def test_honest_urls_pass(target: str) -> None:
    assert trap_of("https://www.example.com" + target, CONFIG) is None


def test_options_move_the_lines_and_take_the_rules_away() -> None:
    assert trap_of("http://a.test/1/2/3", ScopeConfig(max_path_segments=2)) == "trap: path segments"
    assert trap_of("http://a.test/1/2", ScopeConfig(max_path_segments=2)) is None
    assert trap_of("http://a.test/?a&b", ScopeConfig(max_query_params=1)) == "trap: query parameters"
    assert trap_of("http://a.test/?a", ScopeConfig(max_query_params=1)) is None
    lenient = ScopeConfig(trap_rules=False, max_path_segments=99)
    assert trap_of("http://a.test" + "/a/b" * 9 + "?a=1&a=1&a=1", lenient) is None


@given(
    st.lists(st.text("abc012", max_size=2), max_size=3),
    st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=8),
    st.lists(st.text("abc012", max_size=2), max_size=2),
)
def test_whatever_repeats_itself_often_enough_is_seen(before: list[str], group: list[str], after: list[str]) -> None:
    segments = before + group * (4 if len(group) == 1 else 3) + after
    config = ScopeConfig(max_path_segments=99)
    assert trap_of("http://a.test/" + "/".join(segments), config) == "trap: repeated path segments"


@given(st.lists(st.text("abcdefgh0123/=&;?%", max_size=12), max_size=30).map("/".join))
def test_urls_whose_segments_differ_are_no_traps(text: str) -> None:
    path, _, query = text.partition("?")
    distinct = "/".join(dict.fromkeys(path.split("/")[:20]))
    parts = "&".join(dict.fromkeys(query.split("&")[:20]))
    assert trap_of(f"http://a.test/{distinct}?{parts}", CONFIG) is None


SESSIONS = [
    (f"/page;jsessionid={SID}", SID),
    (f"/page;JSESSIONID={SID}.node-1?x=1", f"{SID}.node-1"),
    (f"/index.php?PHPSESSID={SID}&x=1", SID),
    (f"/index.php?x=1&sid={SID}", SID),
    (f"/?ASPSESSIONIDQQBCDDAA={SID.upper()}", SID.upper()),
    ("/(S(lit3py55t21z5v55vlm25s55))/orders.aspx", "lit3py55t21z5v55vlm25s55"),
    ("/viewtopic.php?t=9&sid=42", None),
    (f"/?insid={SID}", None),
    (f"/wiki/sid={SID}", None),
    (f"/{SID}", None),
    ("/?session=12", None),
]


@pytest.mark.parametrize(("target", "session"), SESSIONS)
def test_session_ids(target: str, session: str | None) -> None:
    assert session_of("http://a.test" + target) == session


PATTERNS = [
    ("/", "/"),
    ("/page17", "/"),
    ("/blog/2024/05/title", "/blog/#/"),
    ("/calendar?year=2031&month=5", "/calendar?month&year"),
    ("/calendar?month=6&year=2031", "/calendar?month&year"),
    ("/calendar/2031/5", "/calendar/#/"),
    ("/item/0a1b2c3d4e5f/x", "/item/#/"),
    ("/deadbeef/x", "/deadbeef/"),
    (f"/list;jsessionid={SID}?p1=a", "/list?p#"),
    ("/shop/12/list/all?x=1", "/shop/#/list?x"),
    ("/list?x=a=1", "/list?x"),
    ("/form?a&b&c&d&e&f&g&h&i&j", "/form?a&b&c&d&e&f&g&h"),
]


@pytest.mark.parametrize(("target", "pattern"), PATTERNS)
def test_patterns(target: str, pattern: str) -> None:
    assert pattern_of("http://a.test" + target) == pattern


MONTHS = tuple("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())  # noqa: SIM905 - easier to read


def a_page(url: str, title: str | None, text: str, **more: Any) -> Page:
    return Page(url=url, title=title, text=text, **more)


def month(number: int) -> tuple[str, str]:
    """Title and text of a page of an empty calendar."""
    name, days = MONTHS[number % 12], " ".join(map(str, range(1, 29 + number % 4)))
    return f"{name} {2000 + number // 12}", f"Events of {name}. Mo Tu We Th Fr Sa Su {days} Previous Next"


def test_endless_calendar_alone_is_closed() -> None:
    """An endless calendar is closed, and nothing else of its host."""
    detector = RepetitionDetector()
    pages = [(f"http://a.test/calendar?m={number}", *month(number)) for number in range(2 * ALIKE_PAGES)]
    closed = [name for page in pages if (name := detector.note(a_page(*page)))]
    assert closed == ["/calendar?m"]
    assert detector.closed("http://a.test/calendar?m=99999", "a.test") == "/calendar?m"
    assert detector.closed("http://a.test/calendar", "a.test") is None
    assert detector.closed("http://b.test/calendar?m=1", "b.test") is None


def test_so_many_pages_must_be_alike() -> None:
    detector = RepetitionDetector()
    pages = [(f"http://a.test/{number}", "Not found", "Sorry.") for number in range(ALIKE_PAGES + 2)]
    assert [detector.note(a_page(*page)) for page in pages] == [None] * (ALIKE_PAGES + 1) + ["/"]


@pytest.mark.parametrize(("one_new_in", "closed"), [(10, []), (11, ["/"])])
def test_one_new_page_in_ten_keeps_a_place_open(one_new_in: int, closed: list[str]) -> None:
    detector = RepetitionDetector()
    names = []
    for number in range(12 * ALIKE_PAGES):
        text = "alike" if number % one_new_in else "new " + "".join(chr(97 + int(digit)) for digit in str(number))
        names.append(detector.note(a_page(f"http://a.test/{number}", None, text)))
    assert [name for name in names if name] == closed


@pytest.mark.parametrize(("menus", "footers"), [(50, 50), (500, 400), (700, 257)])
def test_pages_with_one_title_differ_by_text(menus: int, footers: int) -> None:
    """Pages that only share their title are told apart by the middle of their texts."""
    detector = RepetitionDetector()
    for number in range(2 * ALIKE_PAGES):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        text = "menu " * menus + f"about {word} " + "footer " * footers
        assert detector.note(a_page(f"http://a.test/{number}", "Our site", text)) is None


def test_pages_with_one_text_differ_by_title() -> None:
    detector = RepetitionDetector()
    for number in range(2 * ALIKE_PAGES):
        title = "".join(chr(97 + int(digit)) for digit in str(number))
        assert detector.note(a_page(f"http://a.test/{number}", title, "Out of stock")) is None


def test_the_last_texts_are_remembered() -> None:
    """A place that has said much, and then says a hundred things in turn, is closed."""
    detector = RepetitionDetector()
    words = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(300)]
    for word in words:
        assert detector.note(a_page("http://a.test/x", None, word)) is None
    assert "/" in {detector.note(a_page("http://a.test/x", None, word)) for word in words[150:250] * 3}


def test_maze_of_random_folders() -> None:
    """A maze of random folders is closed as a whole, but not the places known before."""
    detector = RepetitionDetector()
    detector.note(a_page("http://a.test/docs/x", "Docs", "honest"))
    names = {
        detector.note(a_page(f"http://a.test/m{'x' * number}/p", "Maze", "lost")) for number in range(2 * ALIKE_PAGES)
    }
    assert names == {None, ELSEWHERE}
    assert detector.closed("http://a.test/other/p", "a.test") == ELSEWHERE
    assert detector.closed("http://a.test/docs/y", "a.test") is None


def test_a_closed_place_stays_so_on_a_host_of_many_places() -> None:
    detector = RepetitionDetector()
    detector.close("a.test", "/calendar/")
    for number in range(100):
        detector.note(a_page(f"http://a.test/m{'x' * number}/p", "Maze", "lost"))
    assert detector.closed("http://a.test/calendar/x", "a.test") == "/calendar/"


def test_what_is_remembered_is_bounded() -> None:
    detector = RepetitionDetector()
    for number in range(40_000):
        detector.note(a_page(f"http://h{number % 10_000}.test/{'a' * (number // 10_000)}/x?q", "T", "t"))
    assert len(detector._places) <= 16_384
    assert sum(detector._per_host.values()) == len(detector._places)
    assert all(detector._per_host.values())


def test_a_place_whose_pages_come_now_and_then_is_not_forgotten() -> None:
    """As are those from which no page has come for longest."""
    detector = RepetitionDetector()
    closed = []
    for number in range(27_000):
        detector.note(a_page(f"http://h{number}.test/?q", "T", "t"))
        if not number % 200:
            closed.append(detector.note(a_page("http://slow.test/?q", "Calendar", "No events")))
    assert "/?q" in closed
