"""What a page says of itself beside its text: alternates, dates, authors, resources, and what of it makes a version."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.content.authorship import MAX_NODES, date_of
from crawler.content.html import READER_VERSION
from crawler.content.link_header import with_link_header
from crawler.content.metadata import MAX_ALTERNATES, MAX_META_CHARS, MAX_METAS, MAX_VALUES
from crawler.content.resources import MAX_RESOURCES
from crawler.records import PRICES_AND_DATES_BYTES, Alternate, Page, Resource
from tests.fuzz.documents import check_link_header, check_page
from tests.fuzz.walks import read_both

URL = "http://a.test/folder/page"


def page_of(html: str) -> Page:
    return read_both(html.encode(), URL, "text/html; charset=utf-8")


def at(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


def script(*what: object) -> str:
    return "".join(f'<script type="application/ld+json">{json.dumps(one)}</script>' for one in what)


def test_a_page_names_its_reader_and_what_it_was_read_as() -> None:
    page = page_of("")
    assert (page.reader_version, page.content_type) == (READER_VERSION, "text/html")
    assert len(page.metadata_hash) == 16


def test_metas_by_name() -> None:
    html = "<meta name=Keywords content='a, b'><meta name=' twitter:card ' content=summary><meta name=x content=1>"
    html += "<meta name=x content=''><meta name=X content=2><meta name=robots content='noindex, max-snippet:5'>"
    assert page_of(html + "<meta property=og:x content=y><meta content=z>").metas == {
        "keywords": "a, b",
        "twitter:card": "summary",
        "x": ["1", "2"],
        "robots": "noindex, max-snippet:5",
    }


def test_metas_are_bounded() -> None:
    many = page_of("".join(f"<meta name=n{number} content={'v' * 9_000}>" for number in range(MAX_METAS + 5))).metas
    assert len(many) == MAX_METAS
    assert max(map(len, many.values())) == MAX_META_CHARS
    assert len(page_of("<meta name=n content=v>" * (MAX_METAS + 5)).metas["n"]) == MAX_METAS


# --- relations --------------------------------------------------------------------------------------------------------


def test_alternates() -> None:
    html = """<link rel=alternate hreflang=DE-at href=/de><link rel='alternate' hreflang=x-default href=/>
        <link rel=Alternate type='application/rss+xml; charset=x' title=' The  feed ' href=feed#x>
        <link rel=alternate type=application/atom+xml href=/atom><link rel=amphtml href=/amp>
        <link rel=alternate media=print type=application/pdf href=/pdf><link rel='alternate stylesheet' href=/css>
        <link rel=alternate hreflang=fr><link rel=alternate hreflang=it href=mailto:x><link rel=amphtml href=/amp>"""
    assert page_of(html).alternates == (
        Alternate("http://a.test/amp", "amphtml"),
        Alternate("http://a.test/de", "hreflang", "de-at"),
        Alternate("http://a.test/", "hreflang", "x-default"),
        Alternate("http://a.test/folder/feed", "feed", None, "application/rss+xml", "The feed"),
        Alternate("http://a.test/atom", "feed", None, "application/atom+xml"),
        Alternate("http://a.test/pdf", "alternate", None, "application/pdf"),
    )
    many = "".join(f"<link rel=alternate hreflang=de href=/{number}>" for number in range(MAX_ALTERNATES + 5))
    assert len(page_of(many).alternates) == MAX_ALTERNATES


def test_series_icon_and_name_of_the_site() -> None:
    html = """<base href=/b/><link rel=next href=mailto:x><link rel='x NEXT' href=2><link rel=prev href=0>
        <link rel=apple-touch-icon href=touch.png><link rel='shortcut icon' href=i.ico#x><link rel=icon href=other.png>
        <meta property=og:site_name content=' '><meta name=application-name content='The  Site'>"""
    page = page_of(html)
    assert (page.next_url, page.prev_url) == ("http://a.test/b/2", "http://a.test/b/0")
    assert (page.icon_url, page.site_name) == ("http://a.test/b/i.ico", "The Site")
    assert page_of("<link rel=apple-touch-icon href=t.png>").icon_url == "http://a.test/folder/t.png"
    assert page_of("<meta property=og:site_name content=O><meta name=application-name content=N>").site_name == "O"


def test_a_canonical_url_that_leads_nowhere_hides_no_later_one() -> None:
    html = "<link rel=canonical href=mailto:x><link rel=canonical><link rel='canonical' href=/c>"
    assert page_of(html + "<link rel=canonical href=/d>").canonical_url == "http://a.test/c"


def linked(*fields: str, html: str = "<title>T</title>") -> Page:
    return with_link_header(page_of(html), fields)


def test_link_header() -> None:
    page = linked(
        '</c?a=1,2;x>; rel="x canonical"; rel=next, <2>;REL=next ,<http://b.test/>; rel=prev; title="a \\"b\\", <c>"',
        '</de>; rel="alternate"; hreflang="DE", <feed>; rel=alternate; type=application/atom+xml; title="F, G"',
    )
    assert page.canonical_url == "http://a.test/c?a=1,2;x"
    assert (page.next_url, page.prev_url) == ("http://a.test/folder/2", "http://b.test/")
    assert page.alternates == (
        Alternate("http://a.test/de", "hreflang", "de"),
        Alternate("http://a.test/folder/feed", "feed", None, "application/atom+xml", "F, G"),
    )
    assert page.metadata_hash != page_of("<title>T</title>").metadata_hash
    assert linked('</c>; rel="canonical"').metadata_hash != page.metadata_hash


def test_the_page_itself_is_believed_before_its_header() -> None:
    html = "<link rel=canonical href=/own><link rel=alternate hreflang=de href=/de>"
    page = linked('</c>; rel=canonical, </de>; rel=alternate; hreflang=de, </x>; rel="stylesheet"', html=html)
    assert page == page_of(html)


@pytest.mark.parametrize(
    "field",
    ["", "nonsense", "</c>", "</c>; rel", "<>; rel=canonical", "</c>; rel=canonical; anchor=/other", "<" * 99_999,
     "<mailto:x>; rel=canonical", '</c>; rel="' + 'x' * 99_999, "<a>" + ';a="' * 30_000, "</c; rel=canonical>"],
)  # fmt: skip
def test_a_link_header_that_says_nothing(field: str) -> None:
    assert linked(field) == page_of("<title>T</title>")


FIELD_PARTS = ["<", ">", "/a", ";", ",", "=", '"', "\\", "rel", "next", "alternate", "hreflang", " ", "é"]


@given(st.lists(st.sampled_from(FIELD_PARTS)))
def test_any_link_header(parts: list[str]) -> None:
    check_link_header("".join(parts))


WORDS = [
    *("<p>", "<time datetime=", "<meta name=author content=", "<link rel=alternate href=", "<img src=", "'", ">", "x"),
    *(" itemprop=author", " itemprop=datePublished", "2024-02-03", "\0", "\ud800", "é", "<a href=x#", "</a>", "&#0;"),
    *('<script type="application/ld+json">', '{"author":', '"a\\u0000"', "[", "]", "}", "</script>"),
    *("<video poster=", "<source src="),
]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_metadata(words: list[str]) -> None:
    check_page("".join(words).encode("utf-8", "surrogatepass"), "text/html; charset=utf-8")


# --- dates and authors ------------------------------------------------------------------------------------------------

PUBLISHED = [
    "<meta property=article:published_time content=2024-02-03T04:05:06Z>",
    "<meta property=article:published_time content=''><meta name=DC.date content=x><meta name=date content='"
    + "2024-02-03T04:05:06Z'>",
    "<meta itemprop=datePublished content=2024-02-03T05:05:06+01:00>",
    script({"@type": "NewsArticle", "datePublished": "2024-02-03 04:05:06"}),
    script({"@graph": [{"@type": "Org"}, {"@type": ["BlogPosting", "x"], "datePublished": "2024-02-03T04:05:06Z"}]}),
    script([{"datePublished": "2001-01-01"}, {"@type": "Article", "datePublished": "2024-02-03T04:05:06Z"}]),
    script("no json {", {"@type": "Article", "datePublished": 5}, {"datePublished": "Sat, 3 Feb 2024 04:05:06 GMT"}),
    "<p><time itemprop=datePublished datetime=2024-02-03T04:05:06Z>then</time><time datetime=2020-01-01>x</time>",
    "<time datetime=2020-01-01>x</time><span itemprop='x datePublished' content=2024-02-03T04:05:06Z>",
    "<time datetime=2020-01-01>x</time><time class='meta Entry-Date' datetime=2024-02-03T04:05:06Z>x</time>",
    "<time datetime=2020-01-01>x</time><time pubdate datetime=2024-02-03T04:05:06Z>x</time>",
    "<p>Written on <time datetime=2024-02-03T04:05:06Z>a Saturday</time>",
]  # fmt: skip


@pytest.mark.parametrize("html", PUBLISHED)
def test_published_at(html: str) -> None:
    assert page_of(html).published_at == at(2024, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    "html", ["", "<time datetime=2020-01-01>x</time><time datetime=2020-01-02>y</time>", "<time>x"]
)
def test_no_date_is_guessed(html: str) -> None:
    page = page_of(f"{html}<p>3 February 2024, 2024-02-03")
    assert (page.published_at, page.modified_at, page.author) == (None, None, None)


def test_modified_at() -> None:
    assert page_of("<meta property=article:modified_time content=2024-02-03>").modified_at == at(2024, 2, 3)
    assert page_of(script({"dateModified": "2024-02-03"})).modified_at == at(2024, 2, 3)
    marked = page_of("<time datetime=2020-01-01 pubdate>x</time><time class=updated datetime=2024-02-03>y</time>")
    assert (marked.published_at, marked.modified_at) == (at(2020, 1, 1), at(2024, 2, 3))


@pytest.mark.parametrize(
    ("html", "author"),
    [
        ("<meta name=author content=' '><meta name=author content=' Ada  L. '>", "Ada L."),
        ("<meta property=article:author content=https://x.test/ada><meta name=dc.creator content=Ada>", "Ada"),
        ("<meta name=citation_author content=A><meta name=citation_author content=B>", "A, B"),
        (script({"author": "Ada"}), "Ada"),
        (script({"author": [{"name": "Ada"}, {"@type": "Person", "name": ""}, "Bob", {"name": "Ada"}]}), "Ada, Bob"),
        (script({"@graph": [{"@type": "Article", "author": {"@id": "#p"}}, {"@id": "#p", "name": "Ada"}]}), "Ada"),
        (script({"author": {"@id": "#nobody"}}), None),
        (script({"author": "A\0B"}), "A\ufffdB"),
        ("<p itemprop=author itemscope>by <b itemprop=name>Ada</b></p><time datetime=2024>x</time>", "Ada"),
        ("<p itemprop=author>Ada <b>L.</b></p><time datetime=2024>x</time>", "Ada L."),
    ],
)
def test_author(html: str, author: str | None) -> None:
    assert page_of(html).author == author


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-02-03", at(2024, 2, 3)),
        (" 2024/02/03 04:05 ", at(2024, 2, 3, 4, 5)),
        ("20240203", at(2024, 2, 3)),
        ("2024-02-03T04:05:06.5-0200", at(2024, 2, 3, 6, 5, 6) + 0.5),
        ("1965-01-01", at(1965, 1, 1)),
        ("Sat, 03 Feb 2024 04:05:06 +0100", at(2024, 2, 3, 3, 5, 6)),
        ("0001-01-01T00:00:00+23:00", None),
        ("2024-02-30", None),
        ("now", None),
        ("x" * 100, None),
        ("", None),
        (None, None),
    ],
)
def test_dates(text: str | None, seconds: float | None) -> None:
    assert date_of(text) == seconds


def test_a_hostile_page_is_read_in_bounds() -> None:
    graph = script({"@graph": [{"@type": "Article", "author": [[]] * 50}] * (MAX_NODES * 5)})
    page = page_of(graph + "<p itemprop=author>" * (MAX_NODES * 5) + "<time datetime=x>" + script([[[]]], 5, None))
    assert (page.author, page.published_at) == (None, None)


# --- resources --------------------------------------------------------------------------------------------------------


def test_resources() -> None:
    html = """<link rel=stylesheet href=/s.css><link rel=preload as=font href=f.woff2><link rel=preload as=image href=p>
        <script src=a.js></script><script>inline</script><link rel=modulepreload href=m.js>
        <img src=i.png#x alt=' The  image ' width=10 height=50%><img src=data:image/gif,x data-src=lazy.png alt=''>
        <img srcset='s1.png 1x, s2.png 2x'><img src=data:x><img alt=none>
        <picture><source srcset=other.webp><img src=in.png></picture>
        <video src=v.mp4 poster=p.jpg><source src=v.webm><track src=t.vtt></video><audio><source src=a.mp3></audio>
        <embed src=e.swf><object data=o.pdf></object><img src=mailto:x>"""
    folder = "http://a.test/folder/"
    assert page_of(html).resources == (
        Resource("image", f"{folder}i.png", "The image", "10", "50%"),
        Resource("image", f"{folder}lazy.png", ""),
        Resource("image", f"{folder}s1.png"),
        Resource("image", f"{folder}in.png"),
        Resource("script", f"{folder}a.js"),
        Resource("script", f"{folder}m.js"),
        Resource("stylesheet", "http://a.test/s.css"),
        Resource("font", f"{folder}f.woff2"),
        Resource("video", f"{folder}v.mp4"),
        Resource("image", f"{folder}p.jpg"),
        Resource("video", f"{folder}v.webm"),
        Resource("track", f"{folder}t.vtt"),
        Resource("audio", f"{folder}a.mp3"),
        Resource("embed", f"{folder}e.swf"),
        Resource("embed", f"{folder}o.pdf"),
    )


def test_resources_are_bounded() -> None:
    many = page_of("<img src=x width=" + "9" * 99 + ">" + "<img src=y>" * MAX_RESOURCES + "<script src=z></script>")
    assert len(many.resources) == MAX_RESOURCES
    assert many.resources[0].width == "9" * 20


# --- what makes a version ---------------------------------------------------------------------------------------------

HTML = "<title>T</title><meta name=description content=D><p>text <a href=x>x</a>" + script(
    {"a": 1, "offers": {"price": 5}}
)


def test_the_order_of_keys_nonces_and_resources_make_no_version() -> None:
    same = HTML.replace(script({"a": 1, "offers": {"price": 5}}), script({"offers": {"price": 5}, "a": 1}))
    more = "<meta name=csrf-token content=5f3><script src=app.5f3.js></script><link rel=icon href=5f3.png>"
    more += "<link rel=alternate type=application/rss+xml href=/feed><meta name=generator content=x>"
    assert page_of(same + more).metadata_hash == page_of(HTML).metadata_hash
    assert page_of(same + more).content_hash == page_of(HTML).content_hash


@pytest.mark.parametrize(
    "more",
    [
        script({"offers": {"price": 6}}),
        "<link rel=canonical href=/c>",
        "<link rel=alternate hreflang=de href=/de>",
        "<meta name=robots content=max-snippet:5>",
        "<meta property=og:title content=O>",
        "<meta property=article:published_time content=2024-02-03>",
        "<meta name=author content=Ada>",
        "<meta http-equiv=content-language content=de>",
    ],
)
def test_metadata_makes_a_version_and_its_text_stays(more: str) -> None:
    assert page_of(HTML + more).metadata_hash != page_of(HTML).metadata_hash
    assert page_of(HTML + more).content_hash == page_of(HTML).content_hash


def test_another_title_or_description_makes_a_version() -> None:
    assert page_of(HTML.replace("D", "E")).metadata_hash != page_of(HTML).metadata_hash
    assert page_of(HTML.replace(">T<", ">U<")).metadata_hash != page_of(HTML).metadata_hash


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        (script({"offers": [{"price": "6"}]}), True),
        (script({"@graph": [[{"x": {"lowPrice": 1.5}}]]}), True),
        ("<meta property=og:price:amount content=6>", True),
        ("<meta property=article:modified_time content=2024-02-03>", True),
        ("<meta name=description content=E>", False),
        (script({"rating": 6}), False),
    ],
)
def test_prices_and_dates_are_told_apart(more: str, counts: bool) -> None:
    """What was said before, in another order and by another script, is nothing new."""
    bare = HTML.replace("<meta name=description content=D>", "")
    before, after = (page_of(html).metadata_hash for html in (bare, bare + more))
    assert before != after
    assert (before[-PRICES_AND_DATES_BYTES:] != after[-PRICES_AND_DATES_BYTES:]) is counts


def test_many_prices_are_read_in_bounds() -> None:
    nested: list[object] = []
    for _ in range(MAX_VALUES // 10):
        nested = [nested] * 2 + [{"price": 1}]
        if len(json.dumps(nested)) > 100_000:
            break
    assert page_of(script(nested, [[]] * MAX_VALUES, {str(key): key for key in range(MAX_VALUES)})).metadata_hash


def test_the_hash_of_the_metadata_is_stable() -> None:
    assert page_of(HTML).metadata_hash.hex() == "f9389504d866d698797489aa8e206d85"
