"""HTML pages: what is read out of a document's bytes."""

from __future__ import annotations

import string
from html import escape
from urllib.parse import urljoin

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.charsets.encoder import encode
from crawler.content.html import MAX_FIELD_CHARS, MAX_JSON_LD_CHARS, read_page
from crawler.content.hyperlinks import MAX_DETAILS, MAX_FRAGMENT_CHARS, MAX_LINKS
from crawler.content.open_graph import MAX_OPEN_GRAPH
from crawler.content.robots_meta import robots_directives
from crawler.content.visible_text import MAX_BLOCKS, MAX_LABEL_CHARS
from crawler.content.walk import MAX_HEADINGS
from crawler.records import Link, LinkDetail, Page
from tests.fuzz.documents import check_joined_by_folder, check_page
from tests.fuzz.walks import read_both

URL = "http://example.com/dir/page.html"


def page_of(html: str) -> Page:
    return read_both(html.encode(), URL, "text/html; charset=utf-8")


def urls_of(html: str) -> list[str]:
    return [link.url for link in page_of(html).links]


def link_of(html: str) -> Link:
    (link,) = page_of(html).links
    return link


# Text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("J<b>o</b>hn", "John"),
        ("<p>a</p><p>b</p>", "a\nb"),
        ("<p>a<p>b", "a\nb"),
        ("<b>a</b> <i>b</i>", "a b"),
        ("<b>a</b>\n<i>b</i>", "a b"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("a<hr>b", "a\nb"),
        ("a<div></div>b", "a\nb"),
        ("<div>a</div>b<span>c</span>", "a\nbc"),
        ("<div>a<div>b</div>c</div>d", "a\nb\nc\nd"),
        ("<span>a<p>b</p>c</span>d", "a\nb\ncd"),
        ("<b><p>a</p></b>b", "a\nb"),
        ("<ul><li>1<li>2<ul><li>3</ul>4</ul>5", "1\n2\n3\n4\n5"),
        ("<table><tr><td>a<td>b<tr><td>c</table>d", "a\tb\nc\nd"),
        ("<dl><dt>t<dd>d</dl>", "t\nd"),
        ("  a \n\t b\xa0\u3000c  ", "a b c"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("a<!-- x -->b <!-- y --> c", "ab c"),
        ("a<wbr>b<img alt=x>c", "abc"),
        ("<my-element>a</my-element>b", "ab"),
        ("a<h1>b</h1>c", "a\nb\nc"),
        ("<title>t</title><p>a", "a"),
        ("a<script>x</script>b<style>y</style>c", "abc"),
        ("a<template><p>x</template>b", "ab"),
        ("a<svg><title>t</title><text>x</text></svg>b", "ab"),
        ("a<textarea>x</textarea><select><option>y</select>b", "ab"),
        ("a<iframe>x</iframe><noembed>y</noembed><noframes>z</noframes>b", "ab"),
        ("a<video>x</video><audio>y</audio><canvas>z</canvas>b", "ab"),
        ("a<noscript>x<p>y</p></noscript>b", "ax\ny\nb"),
        ("<head><noscript><img src=x></noscript><title>t</title></head>a", "a"),
        ("&lt;b&gt; &amp; &eacute;", "<b> & é"),
        ("a&#0;b&#xD800;c", "a\ufffdb\ufffdc"),
        ("a\0b", "a\ufffdb"),
        ("1 \x1e 2", "1 2"),
        ("", ""),
        ("<p> </p>\n<p>&nbsp;</p>", ""),
    ],
)
def test_visible_text(html: str, text: str) -> None:
    assert page_of(html).text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<table><tr><th>a<td>b c</table>", "a\tb c"),
        ("<table>\n<tr>\n<td>\n<p>a</p>\n</td>\n<td>\n<p>b</p>\n</td>\n</tr>\n<tr><td>c</table>", "a\tb\nc"),
        ("<table><tr><td>a<td><td>b<td></table>", "a\t\tb"),
        ("<table><tr><td>a<tr><td><td>b</table>", "a\n\tb"),
        ("<table><tr><td>a<p>b<td>c<br>d</table>", "a\nb\tc\nd"),
        ("<table><tr><td> <td> </table>x", "x"),
        (
            "<table><caption>t</caption><thead><tr><th>h</thead><tbody><tr><td>a</tbody><tfoot><tr><td>f</table>",
            "t\nh\na\nf",
        ),
        ("x<table><tr><td>a<td><table><tr><td>b<td>c</table><td>d</table>y", "x\na\nb\tc\n\td\ny"),
        ("<table><tr><td>a<td><pre>b\n c</pre><td>d</table>", "a\tb\n c\td"),
        ("<table><tr><td>a&#31;b</table>", "a\tb"),
        ("<table>out<tr><td>a</table>", "out\na"),
    ],
)
def test_cells_of_a_row_stay_on_a_line(html: str, text: str) -> None:
    assert page_of(html).text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>x  y<pre>\n\n  a  b \n\n\tc\n\n</pre>z  z", "x y\n  a  b\n\n\tc\nz z"),
        ("<pre>a<br>b<br><br>c</pre>", "a\nb\n\nc"),
        ("<pre><div>a</div>\n<div> b</div></pre>", "a\n b"),
        ("<pre><div>a</div><div> b</div></pre>", "a\n b"),
        ("<pre>  a<b>  b</b>  c</pre>", "  a  b  c"),
        ("<pre>&nbsp;&nbsp;a&#12288;b</pre>", "  a\u3000b"),
        ("<pre>a\n <pre>b\n c</pre>d\n e</pre>f  g", "a\nb\n c\nd\n e\nf g"),
        ("<listing>\n a\n  b</listing>", " a\n  b"),
        ("<xmp>\n <p>\n</xmp>x", " <p>\nx"),
        ("<p>x<plaintext>a\n  </p>", "x\na\n  </p>"),
        ("<pre> </pre>x", "x"),
        ("<pre>a &#28; b &#11; c</pre>  d  e", None),
    ],
)
def test_preformatted_text_keeps_its_lines_and_indentation(html: str, text: str | None) -> None:
    page = page_of(html)
    if text is not None:
        assert page.text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<div hidden>x</div>b", "a\nb"),
        ("a<b HIDDEN=''>x</b>b", "ab"),
        ("a<b\nhidden/>x</b>b", "ab"),
        ("a<b title=x hidden=hidden>x</b>b", "ab"),
        ("a<p hidden=Until-Found>x</p>b", "a\nx\nb"),
        ("a<b aria-hidden=true>x</b><b class=hidden>y</b><i data-hidden>z</i>b hidden c", "axyzb hidden c"),
        ("<html hidden><body hidden>a", "a"),
        ("a<div popover>x</div><div popover=manual>y</div>b", "a\nb"),
        ("a<dialog>x</dialog><dialog open>y</dialog>b", "a\ny\nb"),
        ("<math><semantics><mi>x</mi><annotation encoding=application/x-tex>\\x</annotation></semantics></math>", "x"),
        ("<math><semantics><mi>x</mi><annotation-xml encoding=text/html><p>y</annotation-xml></semantics></math>", "x"),
        ("<p hidden>x<p hidden>y<b hidden>z</b></p>a", "a"),
    ],
)
def test_what_markup_hides_is_no_text(html: str, text: str) -> None:
    assert page_of(html).text == text


def test_links_and_headings_that_markup_hides_are_still_links_and_headings() -> None:
    page = page_of("<div hidden><a href=a>A</a><h2>H</h2></div><dialog><a href=b>B</a></dialog><a href=c hidden>C</a>")
    assert [(link.url[-1], link.anchor) for link in page.links] == [("a", "A"), ("b", "B"), ("c", "C")]
    assert (page.text, page.headings) == ("", ((2, "H"),))


def test_an_invisible_operator_parts_no_formula() -> None:
    formula = "<math><mn>2</mn><mo>&InvisibleTimes;</mo><mi>x</mi></math>"
    page = page_of(f"{formula}<h1>{formula}</h1>")
    assert (page.text, page.headings) == ("2x\n2x", ((1, "2x"),))


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("hy&shy;phen&shy;ated", "hyphenated"),
        ("zero\u200bwidth a\u2060b \ufeffc d \u200b e", "zerowidth ab c d e"),
        ("Auf\u200clage fi\u200dx", "Auflage fix"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष र्\u200cक", "क्\u200dष र्\u200cक"),
        ("👩\u200d💻 ❤\ufe0f\u200d🔥", "👩\u200d💻 ❤\ufe0f\u200d🔥"),
        ("ไป\u200bโรงเรียน 日\u200b本", "ไป\u200bโรงเรียน 日本"),
        ("<pre>a\u200bb\n \xadc</pre>", "ab\n c"),
    ],
)
def test_characters_that_nobody_sees_part_no_word(html: str, text: str) -> None:
    page = page_of(f"<title>{html}</title><meta name=description content='{html}'><h1>{html}</h1><a href=x>{html}</a>")
    line = " ".join(text.split()).removeprefix("<pre>").removesuffix("</pre>")
    assert page_of(html).text == text
    if "<" not in html:
        assert (page.title, page.description, page.headings, page.links[0].anchor) == (line, line, ((1, line),), line)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>は", "漢字 かんじ は"),
        ("<ruby>東<rt>とう</ruby>", "東 とう"),
        ("<a href=x>a</a><a href=y>b</a>", "a b"),
        ("<button>a</button><button>b</button><label>c</label><a>d</a>", "a b c d"),
        ("<option>a</option><option>b</option>", "a b"),
        ("<span><a>a</a></span><span><b><a>b</a></b></span>", "a b"),
        ("<a>a</a><!-- x --><wbr><a>b</a>", "a b"),
        ("<a>a</a>-<a>b</a>", "a-b"),
        ("<a>a</a>b <a>c</a>d", "ab cd"),
        ("a<a name=x></a><a>b</a>", "ab"),
        ("<div><a>a</a></div><a>b</a>", "a\nb"),
        ("<pre>  <a>a</a><a>b</a></pre>", "  ab"),
        ("<table><tr><td><a>a</a><td><a>b</a></table>", "a\tb"),
    ],
)
def test_readings_and_what_one_clicks_stand_apart(html: str, text: str) -> None:
    assert page_of(html).text == text


def test_a_heading_parts_the_links_in_it() -> None:
    assert page_of("<h1><a href=x>a</a><a href=y>b</a></h1>").headings == ((1, "a b"),)


@pytest.mark.parametrize(
    ("html", "text", "urls"),
    [
        ("a<x-y><template shadowrootmode=open><p>b<a href=l>c</a></template>d</x-y>", "a\nbc\nd", ["l"]),
        (
            "<x-y><template shadowrootmode=CLOSED>a<x-z><template shadowrootmode=open>b<a href=l></a></template></x-z>"
            "</template></x-y>c",
            "abc",
            ["l"],
        ),
        ("a<template shadowrootmode=none>x<a href=l></a></template><template>y</template>b", "ab", []),
        ("a<template shadowrootmode=open><base href=/z/><a href=l>b</a></template><a href=m>c</a>", "ab c", ["l", "m"]),
        ("a<iframe srcdoc='<title>t</title><p>b<a href=l>c</a>'></iframe>d", "a\nbc\nd", ["l"]),
        ("a<iframe srcdoc='<base href=/z/><p>b<a href=l>c</a>'></iframe>d<a href=m></a>", "a\nbc\nd", ["m"]),
        ("<iframe srcdoc='<base target=_top><a href=l>c</a>' src=s></iframe>", "c", ["s", "l"]),
        ("<iframe srcdoc='<pre>a\n b</pre><b hidden>x</b>'></iframe>", "a\n b", []),
        ("a<iframe srcdoc></iframe>b", "ab", []),
    ],
)
def test_what_a_document_carries_within_itself_is_part_of_it(html: str, text: str, urls: list[str]) -> None:
    page = page_of(html)
    assert (page.text, [link.url.rpartition("/")[2] for link in page.links]) == (text, urls)


def test_an_inline_document_says_nothing_of_the_page() -> None:
    page = page_of(
        "<iframe srcdoc='<title>t</title><meta name=robots content=noindex><link rel=canonical href=c>'></iframe>"
        "<div><template shadowrootmode=open><title>t</title><meta name=description content=d></template></div>"
    )
    assert (page.title, page.description, page.canonical_url, page.noindex) == (None, None, None, False)


def test_inline_documents_within_each_other_do_not_multiply_the_work() -> None:
    html = ""
    for level in range(100, 0, -1):
        html = f'{level}<iframe srcdoc="{escape(html)}"></iframe>'
    assert page_of(html).text.split("\n")[:3] == ["1", "2", "3"]
    assert len(page_of(html).text.split("\n")) < 10


def test_a_page_of_endless_blocks_still_gives_its_words_apart() -> None:
    blocks = "<p>a<b>b</b>" * (MAX_BLOCKS + 10)
    assert page_of(blocks).text == "\n".join("ab" * (MAX_BLOCKS + 10))
    assert page_of(blocks[: 12 * MAX_BLOCKS]).text == "\n".join(["ab"] * MAX_BLOCKS)


def test_text_is_decoded_by_what_the_document_declares() -> None:
    page = read_page("<meta charset=shift_jis><title>日本</title>語".encode("cp932"), URL)
    assert (page.encoding, page.title, page.text) == ("shift_jis", "日本", "語")


def test_header_charset_wins_over_the_document() -> None:
    page = read_page("<meta charset=utf-8>Привет".encode("cp1251"), URL, "text/html; charset=windows-1251")
    assert (page.encoding, page.text) == ("windows-1251", "Привет")


# Metadata


@pytest.mark.parametrize(
    ("html", "title"),
    [
        ("<title> A\n <b>B &amp; </title>", "A <b>B &"),
        ("<title>A</title><title>B</title>", "A"),
        ("<svg><title>no</title></svg><title>A</title>", "A"),
        ("<body><svg><g><title>no</title></g></svg>", None),
        ("<body><p>x<title>late</title>", "late"),
        ("<title> </title>", None),
        ("<title></title>", None),
        ("<title> </title><title>&shy;</title><title>B</title>", "B"),
        ("<title> </title><body><svg><title>no</title></svg><p><title>late</title>", "late"),
        ("x", None),
        ("<title>a&#0;b</title>", "a\ufffdb"),
    ],
)
def test_title(html: str, title: str | None) -> None:
    assert page_of(html).title == title


@pytest.mark.parametrize(
    ("html", "description"),
    [
        ('<meta name=description content=" a\n b ">', "a b"),
        ('<META NAME=" Description " CONTENT=a>', "a"),
        ("<meta name=description content=a><meta name=description content=b>", "a"),
        ("<body><p><meta name=description content=late>", "late"),
        ('<meta name=description content="  ">', None),
        ('<meta name=description content="  "><meta name=description content><meta name=description content=b>', "b"),
        ("<meta name=description>", None),
        ("<meta name content=x>", None),
    ],
)
def test_description(html: str, description: str | None) -> None:
    assert page_of(html).description == description


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ("<html lang=de-AT>", "de-AT"),
        ('<html lang=" en ">', "en"),
        ('<html lang=""><meta http-equiv=content-language content=fr>', "fr"),
        ("<meta http-equiv=Content-Language content=' fr  x'>", "fr"),
        ("<meta http-equiv=content-language content='fr, de'>", None),
        ("<html lang>", None),
        (
            "<html lang=' '><meta http-equiv=content-language content=' '>"
            "<meta http-equiv=content-language content=fr>",
            "fr",
        ),
        ("<html xml:lang=de>", "de"),
        ("<html lang=en xml:lang=de>", "en"),
        ("<p lang=de>", None),
    ],
)
def test_language(html: str, language: str | None) -> None:
    assert page_of(html).language == language


@pytest.mark.parametrize(
    ("html", "canonical_url"),
    [
        ("<link rel=canonical href='../a#f'>", "http://example.com/a"),
        ("<link rel='Shortlink CANONICAL' href=HTTPS://EXAMPLE.com>", "https://example.com/"),
        ("<base href=http://b.example/x/><link rel=canonical href=y>", "http://b.example/x/y"),
        ("<link rel=canonical href=/a><link rel=canonical href=/b>", "http://example.com/a"),
        ("<link rel=canonical><link rel=canonical href=/b>", "http://example.com/b"),
        ("<link rel=canonical href=mailto:x>", None),
        (
            "<link rel=canonical href=mailto:x><link rel=canonical href=' '><link rel=canonical href=/b>",
            "http://example.com/b",
        ),
        ("<link rel=stylesheet href=/a><link href=/b>", None),
    ],
)
def test_canonical_url(html: str, canonical_url: str | None) -> None:
    assert page_of(html).canonical_url == canonical_url


_VOCABULARIES = ("article", "product", "book", "profile", "video", "music")


@pytest.mark.parametrize(
    ("html", "open_graph"),
    [
        (
            "<meta property=og:title content=' a  b '><meta property=OG:Type content=x>"
            "<meta property=og:empty><meta content=no><meta property=fb:app_id content=no><meta name=og content=no>",
            {"og:title": "a b", "og:type": "x", "og:empty": ""},
        ),
        (
            "<meta property=og:image content=a><meta property=og:image content=b><meta property=og:image content=a>",
            {"og:image": ["a", "b", "a"]},
        ),
        (
            "<meta property=og:title content=' '><meta property=og:title content=a><meta property=og:title content>",
            {"og:title": "a"},
        ),
        ("<meta property=' og:title\n twitter:title ' content=a>", {"og:title": "a", "twitter:title": "a"}),
        ("<meta name=twitter:card property=twitter:card content=a>", {"twitter:card": "a"}),
        ("<meta name=og:title content=a><meta name=description property=og:description content=b>",
         {"og:title": "a", "og:description": "b"}),
        (
            "".join(f"<meta property={word}:x content=y>" for word in _VOCABULARIES),
            {f"{word}:x": "y" for word in _VOCABULARIES},
        ),
    ],
)  # fmt: skip
def test_open_graph(html: str, open_graph: dict[str, str | list[str]]) -> None:
    assert page_of(html).open_graph == open_graph


def test_open_graph_is_capped() -> None:
    html = "".join(f"<meta property=og:{number} content=x>" for number in range(MAX_OPEN_GRAPH + 5))
    assert len(page_of(html).open_graph) == MAX_OPEN_GRAPH
    html = "<meta property=og:x content=y>" * (MAX_OPEN_GRAPH + 5)
    assert page_of(html).open_graph == {"og:x": ["y"] * MAX_OPEN_GRAPH}


def test_json_ld_is_kept_as_it_stands() -> None:
    html = (
        '<script type="application/ld+json">\n{"a": "&lt;"}</script>'
        "<script>no</script><script type=text/json>no</script>"
        '<script type="APPLICATION/LD+JSON; charset=utf-8">[]</script><script type=application/ld+json> </script>'
    )
    assert page_of(html).json_ld == ('\n{"a": "&lt;"}', "[]")


@pytest.mark.parametrize("depth", [100, 200, 249, 250, 251, 252, 253, 254, 255, 900, 1100])
@pytest.mark.parametrize("level", ["[]", '{"a":}'])
def test_json_ld_may_be_nested_however_deeply(depth: int, level: str) -> None:
    script = level[:-1] * depth + "1" + level[-1] * depth
    assert page_of(f"<script type=application/ld+json>{script}</script>").json_ld == (script,)


def test_json_ld_that_does_not_fit_is_dropped_whole() -> None:
    scripts = ["1" * (MAX_JSON_LD_CHARS - 10), "2" * 20, "3" * 10]
    html = "".join(f"<script type=application/ld+json>{script}</script>" for script in scripts)
    assert page_of(html).json_ld == (scripts[0], scripts[2])


def test_headings_come_in_document_order_with_their_levels() -> None:
    html = "<h2>He<em>a</em>d</h2><div><h1><a href=x>One</a><br>line</h1></div><h6> </h6><h3><img alt=pic></h3>"
    assert page_of(html).headings == ((2, "Head"), (1, "One line"), (3, "pic"))


def test_a_heading_of_nothing_but_a_hidden_line_break_is_none() -> None:
    page = page_of("<h1><br hidden></h1><a href=x><br hidden></a>")
    assert page.headings == ()
    assert page.links[0].anchor == ""


def test_headings_are_capped() -> None:
    assert len(page_of("<h1>x</h1>" * (MAX_HEADINGS + 5)).headings) == MAX_HEADINGS


def test_fields_are_capped() -> None:
    page = page_of(f"<title>{'t ' * MAX_FIELD_CHARS}</title><h1>{'h' * 5_000}</h1><a href=x>{'<b>x</b> ' * 5_000}</a>")
    assert page.title is not None
    assert MAX_FIELD_CHARS - 2 <= len(page.title) <= MAX_FIELD_CHARS
    assert len(page.headings[0][1]) == MAX_LABEL_CHARS
    assert 0 < len(page.links[0].anchor) <= MAX_LABEL_CHARS


# Links


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("<a href=a>", ["http://example.com/dir/a"]),
        ("<a href='\n ../x y \t'>", ["http://example.com/x%20y"]),
        ("<a href='/a\nb'>", ["http://example.com/ab"]),
        ("<a href=//other.example>", ["http://other.example/"]),
        ("<a href=?q#f>", ["http://example.com/dir/page.html?q"]),
        ("<a href=page.html#part>", [URL]),
        ("<a href='#top'><a href=' #'><a href=''><a href><a>", []),
        ("<a href=mailto:a@b><a href=javascript:x><a href=ftp://x/><a href=http://[><a href=data:,x>", []),
        ("<a href='#top'><a href=mailto:a@b><a href=a>", ["http://example.com/dir/a"]),
        ("<a href=b><a href=a><a href=./b><a href=b#x>", ["http://example.com/dir/b", "http://example.com/dir/a"]),
        ("<map><area href=a></map>", ["http://example.com/dir/a"]),
        ("<iframe src=a></iframe><iframe srcdoc=x></iframe>", ["http://example.com/dir/a"]),
        ("<iframe src=about:blank></iframe>", []),
        ("<frameset><frame src=a><frame src=b></frameset>", ["http://example.com/dir/a", "http://example.com/dir/b"]),
        ("<link rel=next href=2><link rel='x PREV' href=0>", ["http://example.com/dir/2", "http://example.com/dir/0"]),
        ("<link rel=alternate href=a><link rel=stylesheet href=b><link href=c>", []),
        ("<noscript><a href=a></a></noscript>", ["http://example.com/dir/a"]),
        ("<template><a href=a></a></template><!-- <a href=b> --><script>'<a href=c>'</script>", []),
        ("<svg><a href=a /><a xlink:href=b /></svg>", ["http://example.com/dir/a", "http://example.com/dir/b"]),
        ("<a href='a&amp;b&#0;'>", ["http://example.com/dir/a&b%EF%BF%BD"]),
        ("<p href=a><img src=b>", []),
    ],
)
def test_what_is_a_link(html: str, urls: list[str]) -> None:
    assert urls_of(html) == urls


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ("<base href=http://b.example/x/><a href=y>", "http://b.example/x/y"),
        ("<base href=/x/><base href=/z/><a href=y>", "http://example.com/x/y"),
        ("<base target=_top><base href=/x/><a href=y>", "http://example.com/x/y"),
        ("<base href=http://[><base href=/z/><a href=y>", "http://example.com/dir/y"),
        ("<base href=data:,x><a href=y>", "http://example.com/dir/y"),
        ("<base href><a href=y>", "http://example.com/dir/y"),
        ("<a href=y><base href=/x/>", "http://example.com/x/y"),
        ("<svg><base href=/x/></svg><a href=y>", "http://example.com/dir/y"),
        (
            "<svg><g><base href=/x/></g></svg><math><base href=/v/></math><base href=/z/><a href=y>",
            "http://example.com/z/y",
        ),
        ("<svg><foreignObject><p><base href=/x/></foreignObject></svg><a href=y>", "http://example.com/x/y"),
        ("<template><base href=/x/></template><a href=y>", "http://example.com/dir/y"),
    ],
)
def test_links_are_resolved_against_the_base(html: str, url: str) -> None:
    assert urls_of(html) == [url]


_FAR = "<p>" + "x" * 20_000 + "</p>"
_LATE = _FAR + "<meta charset=koi8-r>"


@pytest.mark.parametrize(
    ("html", "content_type", "encoding", "source"),
    [
        (_LATE + "да", None, "koi8-r", "meta"),
        (_LATE, None, "koi8-r", "meta"),  # though the bytes are UTF-8
        (_FAR + "<meta http-equiv=Content-Type content='text/html; charset=KOI8-R'>да", None, "koi8-r", "meta"),
        (_FAR + "<MeTa a=b cHaRsEt = 'cskoi8r' >да", None, "koi8-r", "meta"),
        (_FAR + "<meta charset=nonsense><meta name=x content=charset=gbk>" + _LATE + "да", None, "koi8-r", "meta"),
        (_LATE + "<meta charset=gbk>да", None, "koi8-r", "meta"),
        (_LATE + "да", "text/html; charset=windows-1251", "windows-1251", "header"),
        ("<meta charset=windows-1251>" + _LATE + "да", None, "windows-1251", "meta"),
        (_FAR + "<meta charset=utf-16>x", None, "utf-8", "meta"),
        (_FAR + "<meta charset=x-user-defined>x", None, "windows-1252", "meta"),
        (_FAR + "<!-- <meta charset=koi8-r> -->x", None, "utf-8", "utf-8"),
        (_FAR + "<script>'<meta charset=koi8-r>'</script>x", None, "utf-8", "utf-8"),
        (_FAR + "<p title='<meta charset=koi8-r>'>x", None, "utf-8", "utf-8"),
        (_FAR + "<textarea><meta charset=koi8-r></textarea>x", None, "utf-8", "utf-8"),
        (_FAR + "<meta name=charset content=koi8-r>x", None, "utf-8", "utf-8"),
        # The prescan takes it for one, and the parser does not.
        ("<title><meta charset=gbk></title><meta charset=koi8-r>да", None, "koi8-r", "meta"),
        ("<?xml version='1.0' encoding='gbk'?>" + _LATE + "да", None, "koi8-r", "meta"),
    ],
)
def test_a_declaration_counts_wherever_the_parser_meets_it(
    html: str, content_type: str | None, encoding: str, source: str
) -> None:
    body = encode(html, "windows-1251" if encoding == "windows-1251" else "koi8-r")
    page = read_page(body, URL, content_type)
    assert (page.encoding, page.encoding_source) == (encoding, source)
    assert page.text.endswith("да" if "да" in html else "x")


def test_a_byte_order_mark_holds_against_a_late_declaration() -> None:
    page = read_page(b"\xef\xbb\xbf" + f"{_LATE}да".encode(), URL)
    assert (page.encoding, page.encoding_source, page.text[-2:]) == ("utf-8", "bom", "да")


def test_a_late_declaration_counts_for_the_whole_page() -> None:
    html = f"<title>Да</title><a href='?q=да'>нет</a>{_LATE}"
    page = read_page(encode(html, "koi8-r"), URL)
    assert page.title == "Да"
    assert [(link.url, link.anchor) for link in page.links] == [(f"{URL}?q=%C4%C1", "нет")]


@pytest.mark.parametrize("before", ["", _FAR])
def test_xhtml_has_its_encoding_from_xml(before: str) -> None:
    """There, a `<meta>` declares nothing; where the document is not well-formed and so read as HTML, it does."""
    html = f"<html xmlns='http://www.w3.org/1999/xhtml'><body>{before}<meta charset='koi8-r'/><p>да</p></body></html>"
    page = read_page(html.encode(), URL, "application/xhtml+xml")
    assert (page.encoding, page.encoding_source, page.text[-2:]) == ("utf-8", "utf-8", "да")
    page = read_page(encode(html + "<br>", "koi8-r"), URL, "application/xhtml+xml")
    assert (page.encoding, page.encoding_source, page.text[-2:]) == ("koi8-r", "meta", "да")


def test_queries_are_in_the_encoding_of_the_page() -> None:
    """All that the page names: the base, links, frames, the canonical URL, the refresh. Paths are in UTF-8."""
    html = (
        "<meta charset=windows-1251><base href='/да/?б'><meta http-equiv=refresh content='9;url=?д=р'>"
        "<link rel=canonical href='к?д=к'><a href='а?д=а'>1</a><a href=''>2</a><a href='?д=日#д'>3</a>"
        "<iframe src='в?д=в'></iframe><link rel=next href='/?д=г'><a href='д'>4</a><a href='x?y=1'>5</a>"
    )
    page = read_page(encode(html, "windows-1251"), URL)
    folder = "http://example.com/%D0%B4%D0%B0/"
    assert page.canonical_url == f"{folder}%D0%BA?%E4=%EA"
    assert page.refresh_url == f"{folder}?%E4=%F0"
    assert [link.url for link in page.links] == [
        "http://example.com/?%E4=%E3",
        f"{folder}%D0%B0?%E4=%E0",
        f"{folder}?%E1",
        f"{folder}?%E4=%26%2326085%3B",
        f"{folder}%D0%B2?%E4=%E2",
        f"{folder}%D0%B4",
        f"{folder}x?y=1",
    ]
    assert {type(link.url) for link in page.links} == {str}


@pytest.mark.parametrize(
    ("encoding", "query"),
    [
        ("utf-8", "%D0%B4%E6%97%A5"),
        ("koi8-r", "%C4%26%2326085%3B"),
        ("gb2312", "%A7%D5%C8%D5"),
        ("big5", "%C8Y%A4%E9"),
        ("euc-jp", "%A7%D5%C6%FC"),
        ("shift_jis", "%84t%93%FA"),
        ("iso-2022-jp", "%1B$B%27UF|%1B(B"),
        ("euc-kr", "%AC%D5%EC%ED"),
        ("iso-8859-1", "%26%231076%3B%26%2326085%3B"),
    ],
)
def test_a_query_is_encoded_whatever_names_the_encoding(encoding: str, query: str) -> None:
    page = read_page(b"<a href='?&#x434;&#x65e5;'>x</a>", URL, f"text/html; charset={encoding}")
    assert [link.url for link in page.links] == [f"{URL}?{query}"]


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("<base href=/app/><a href>", ["http://example.com/app/"]),
        ("<base href=/app/><a href='#part'>", ["http://example.com/app/"]),
        ("<base href='/app/?q=1#top'><a href=' '>", ["http://example.com/app/?q=1"]),
        ("<a href=''><base href=/app/>", ["http://example.com/app/"]),
        ("<base href=/app/><base href=/other/><area href='#part'>", ["http://example.com/app/"]),
        ("<base target=_top><base href=/app/><a href=''>", ["http://example.com/app/"]),
        ("<base href=/app/><a href=''>one</a><a href='#b'>two</a><a href=/app/>three</a>", ["http://example.com/app/"]),
        ("<base href=page.html><a href=''><a href='#part'>", []),  # the page itself
        ("<base href=http://[><a href=''>", []),
        ("<base href=data:,x><a href=''>", []),
        ("<base href=''><a href=''>", []),
        ("<base href=/app/><a>", []),
        ("<base href=/app/><iframe src=''></iframe><iframe src></iframe>", []),  # about:blank
        ("<base href=/app/><iframe src='#part'></iframe>", ["http://example.com/app/"]),
        ("<base href=/app/><link rel=next href=''>", []),
        ("<base href=/app/><svg><a xlink:href='#part'></a></svg>", ["http://example.com/app/"]),
    ],
)
def test_an_empty_href_leads_to_the_base(html: str, urls: list[str]) -> None:
    """And so does one that is only a fragment (WHATWG HTML, "encoding-parsing a URL"); to the page itself no link
    does.
    """
    assert urls_of(html) == urls


@pytest.mark.parametrize(
    ("html", "anchor"),
    [
        ("<a href=x> J<b>o</b>hn\n Doe </a>", "John Doe"),
        ("<a href=x></a>", ""),
        ("<a href=x><h3>Title</h3><p>Text</p></a>", "Title Text"),
        ("<a href=x><img alt=' a  picture '></a>", "a picture"),
        ("<a href=x><img alt=''><span><img alt=second></span></a>", "second"),
        ("<a href=x><img alt=no>yes</a>", "yes"),
        ("<a href=x><b alt=no></b></a>", ""),
        ("<a href=x><script>no</script><style>no</style><svg><title>no</title></svg>yes</a>", "yes"),
        ("<a href=x><!-- no -->yes</a>", "yes"),
        ("<a href=x><!-- no --></a>", ""),
        ("<area href=x alt=' an  area '>", "an area"),
        ("<a href=x>first</a><a href=x>second</a>", "first"),
        ("<a href=x> </a><a href=x>second</a><a href=x>third</a>", "second"),
        ("<a href=x><img alt=logo></a><a href=x title=tip>text</a>", "text"),
        ("<a href=x aria-label=' a  label ' title=tip><img alt=picture></a>", "a label"),
        ("<a href=x aria-label=' ' title=tip><img alt=picture></a>", "tip"),
        ("<a href=x aria-label=no>yes</a>", "yes"),
        ("<a href=x></a><a href=x title=second></a><a href=x title=third></a>", "second"),
        ("<area href=x alt='' title=tip>", "tip"),
        ("<iframe src=x title='a map'></iframe>", "a map"),
        ("<link rel=next href=x title='page 2'>", "page 2"),
        ("<a href=x>a&#0;</a>", "a\ufffd"),
    ],
)
def test_anchor(html: str, anchor: str) -> None:
    assert link_of(html).anchor == anchor


@pytest.mark.parametrize(
    ("html", "rel", "nofollow"),
    [
        ("<a href=x>", "", False),
        ("<a href=x rel>", "", False),
        ("<a href=x rel=' UGC\n NoFollow '>", "ugc nofollow", True),
        ("<a href=x rel=nofollowing>", "nofollowing", False),
        ("<a href=x rel='ugc,nofollow'>", "ugc,nofollow", True),
        ("<a href=x rel='NOFOLLOW , ugc'>", "nofollow , ugc", True),
        ("<a href=x rel=nofollow,><a href=x rel=',nofollow'>", "nofollow,", True),
        ("<a href=x rel=nofollow><a href=x rel='ugc,nofollow'>", "nofollow", True),
        ("<a href=x rel='ugc,nofollow'><a href=x rel='ugc,nofollowing'>", "ugc,nofollow", False),
        ("<area href=x rel=nofollow>", "nofollow", True),
        ("<a href=x rel=nofollow><a href=x>", "nofollow", False),
        ("<a href=x rel=nofollow><a href=./x#y rel=next>", "nofollow", False),
        ("<a href=x><a href=x rel=nofollow>", "", False),
        ("<a href=x rel=nofollow><a href=x rel=nofollow>", "nofollow", True),
    ],
)
def test_rel(html: str, rel: str, nofollow: bool) -> None:
    link = link_of(html)
    assert (link.rel, link.nofollow) == (rel, nofollow)


def test_links_are_capped_but_counted() -> None:
    html = "".join(f"<a href={number}>x</a>" for number in range(MAX_LINKS + 7)) + f"<a href={MAX_LINKS + 1}#x>x</a>"
    page = page_of(html)
    assert (len(page.links), page.links_total) == (MAX_LINKS, MAX_LINKS + 7)
    assert page.links[-1].url == f"http://example.com/dir/{MAX_LINKS - 1}"


def test_a_repeat_beyond_the_cap_still_lifts_nofollow() -> None:
    html = "<a rel=nofollow href=0></a>" + "".join(f"<a href={number}></a>" for number in range(1, MAX_LINKS + 3))
    assert page_of(html).links[0].nofollow
    assert not page_of(html + "<a href=0>").links[0].nofollow


def test_links_total_is_the_number_of_links_where_all_are_kept() -> None:
    assert page_of("<a href=a><a href=b><a href=a>").links_total == 2


# Directives


@pytest.mark.parametrize(
    ("html", "noindex", "nofollow"),
    [
        ("", False, False),
        ("<meta name=robots content='index, follow'>", False, False),
        ("<meta name=robots content=noindex>", True, False),
        ("<meta name=ROBOTS content=' NoFollow '>", False, True),
        ("<meta name=robots content='noindex,nofollow'>", True, True),
        ("<meta name=robots content='noindex nofollow'>", True, True),
        ("<meta name=robots content=none>", True, True),
        ("<meta name=robots content=all><meta name=robots content=noindex>", True, False),
        ("<meta name=onefile-crawler content=noindex>", True, False),
        ("<meta name=OneFile-Crawler content=none><meta name=robots content=all>", True, True),
        ("<meta name=otherbot content=noindex>", False, False),
        ("<meta name=crawler content=noindex>", False, False),
        ("<meta name=robots content=noindexing>", False, False),
        ("<meta name=robots content='max-snippet:-1, noindex'>", True, False),
        ("<meta property=robots content=noindex>", False, False),
    ],
)
def test_meta_robots(html: str, noindex: bool, nofollow: bool) -> None:
    page = page_of(html)
    assert (page.noindex, page.nofollow) == (noindex, nofollow)


def test_meta_robots_speaks_to_the_name_that_the_crawler_goes_by() -> None:
    body = b"<meta name=mybot content=noindex>"
    assert read_page(body, URL, product_token="MyBot").noindex
    assert not read_page(body, URL).noindex


@pytest.mark.parametrize(
    ("name", "html", "noindex"),
    [
        ("my2bot", "<meta name=my2bot content=noindex>", True),
        ("My2Bot/1.0 (+https://me.example)", "<meta name=my2BOT content=noindex>", True),
        ("my2bot", "<meta name=my content=noindex>", True),  # its token by RFC 9309
        ("my2bot", "<meta name=my content=noindex><meta name=my2bot content=all>", False),
        ("my2bot", "<meta name=my2 content=noindex>", False),
        ("my", "<meta name=my2bot content=noindex>", False),
        ("360bot", "<meta name=360bot content=noindex>", True),
        ("360bot", "<meta name=360 content=noindex><meta name='' content=noindex><meta name=' ' content=none>", False),
    ],
)
def test_meta_robots_by_the_exact_name_then_by_the_token(name: str, html: str, noindex: bool) -> None:
    assert read_page(html.encode(), URL, product_token=name).noindex is noindex


@pytest.mark.parametrize(
    ("name", "tags", "noindex"),
    [
        ("my2bot", ["my2bot: noindex"], True),
        ("my2bot", ["my: noindex"], True),
        ("my2bot", ["my: noindex", "my2bot: nofollow"], False),
        ("my2bot", ["my: noindex, my2bot: nofollow"], False),
        ("my", ["my2bot: noindex"], False),
        ("360bot", ["360bot: noindex"], True),
        ("360bot", ["otherbot: nofollow, 360bot: noindex"], True),
        ("360bot", ["unavailable_after: Wed, 25-Jun-2010T15:00:00, noindex"], True),
        ("15", ["otherbot: unavailable_after: 2010 15:00, noindex"], False),
    ],
)
def test_robots_directives_by_the_exact_name_then_by_the_token(name: str, tags: list[str], noindex: bool) -> None:
    assert robots_directives(tags, name)[0] is noindex


@pytest.mark.parametrize(
    ("tags", "directives"),
    [
        ([], (False, False)),
        (["noindex"], (True, False)),
        (["NOINDEX, nofollow"], (True, True)),
        (["none"], (True, True)),
        (["noarchive", "nofollow"], (False, True)),
        (["noindex", "nofollow", "all"], (True, True)),
        (["robots: noindex"], (True, False)),
        (["mybot: noindex"], (True, False)),
        (["MyBot: noindex, nofollow"], (True, True)),
        (["otherbot: noindex, nofollow"], (False, False)),
        (["nofollow, otherbot: noindex"], (False, True)),
        (["otherbot: noindex, mybot: nofollow"], (False, True)),
        (["otherbot: noindex", "nofollow"], (False, True)),
        (["mybots: noindex"], (False, False)),
        (["*: noindex"], (True, False)),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], (False, False)),
        (["unavailable_after: Wed, 25 Jun 2010 15:00:00 GMT, noindex"], (True, False)),
        (["unavailable_after: Wed, June 25 15:00:00, noindex"], (True, False)),
        (["otherbot: unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], (False, False)),
        (["mybot: max-snippet: 5, noindex"], (True, False)),
        (["max-image-preview:large,nofollow"], (False, True)),
        ([":", ",", "::,", " : noindex"], (False, False)),
    ],
)
def test_robots_directives(tags: list[str], directives: tuple[bool, bool]) -> None:
    assert robots_directives(tags, "mybot") == directives


@pytest.mark.parametrize(
    ("content", "refresh_url"),
    [
        ("5; url=/next", "http://example.com/next"),
        ("0;URL='/next'", "http://example.com/next"),
        ('0;url="/next" trailing', "http://example.com/next"),
        ("0; url = /next ", "http://example.com/next"),
        ("0,url=/next", "http://example.com/next"),
        ("0 url=/next", "http://example.com/next"),
        ("0 ; /next", "http://example.com/next"),
        ("0;'/next'", "http://example.com/next"),
        ("0;'/next", "http://example.com/next"),
        (" 1.5.2;url=/next", "http://example.com/next"),
        (".5;url=/next", "http://example.com/next"),
        ("0;url", "http://example.com/dir/url"),
        ("0;unknown", "http://example.com/dir/unknown"),
        ("0;uRl/next", "http://example.com/dir/uRl/next"),
        ("0;url=/next#part", "http://example.com/next"),
        ("0;;url=/next", "http://example.com/dir/;url=/next"),
        ("5", None),
        ("5;", None),
        ("5; url=", None),
        ("5; url=''", None),
        ("5url=/next", None),
        ("url=/next", None),
        ("-1;url=/next", None),
        ("", None),
        ("0;url=page.html#part", None),
        ("0;url=javascript:x", None),
    ],
)
def test_refresh_url(content: str, refresh_url: str | None) -> None:
    assert (
        page_of(f'<meta http-equiv=Refresh content="{content.replace(chr(34), "&quot;")}">').refresh_url == refresh_url
    )


def test_first_refresh_counts_against_the_base() -> None:
    """A refresh is resolved against the base URL, and the first valid one counts."""
    html = "<base href=/x/>" + "".join(
        f"<meta http-equiv=refresh content='{c}'>" for c in ("bad", "0;url=a", "0;url=b")
    )
    assert page_of(html).refresh_url == "http://example.com/x/a"


def test_an_empty_refresh_leads_to_the_base() -> None:
    """One that names no URL reloads the page, whatever the base."""
    base = "<base href=/app/>"
    assert page_of(f"{base}<meta http-equiv=refresh content='0; url='>").refresh_url == "http://example.com/app/"
    assert page_of(f"{base}<meta http-equiv=refresh content='0; url=\"\"'>").refresh_url == "http://example.com/app/"
    assert page_of(f"{base}<meta http-equiv=refresh content='0;'>").refresh_url is None


def test_a_refresh_that_leads_nowhere_does_not_hide_the_next() -> None:
    html = "<meta http-equiv=refresh content='0;url=http://['><meta http-equiv=refresh content='0;url=/b'>"
    assert page_of(html).refresh_url == "http://example.com/b"


@pytest.mark.parametrize(
    ("html", "refresh_url", "is_redirect"),
    [
        ("<meta http-equiv=refresh content='0;url=/a'>", "/a", True),
        ("<meta http-equiv=refresh content='30.9;url=/a'>", "/a", True),
        ("<meta http-equiv=refresh content='.5;url=/a'>", "/a", True),
        ("<meta http-equiv=refresh content='00000000000000030;url=/a'>", "/a", True),
        ("<meta http-equiv=refresh content='31;url=/a'>", "/a", False),
        (f"<meta http-equiv=refresh content='{'9' * 6000};url=/a'>", "/a", False),
        ("<meta http-equiv=refresh content='31;url=/a'><meta http-equiv=refresh content='0;url=/b'>", "/a", False),
        ("<noscript><meta http-equiv=refresh content='0;url=/a'></noscript>", "/a", False),
        ("<body><noscript><p><b><meta http-equiv=refresh content='0;url=/a'></b></noscript>", "/a", False),
        (
            "<noscript><meta http-equiv=refresh content='0;url=/a'></noscript>"
            "<meta http-equiv=' Refresh ' content='0;url=/b'>",
            "/b",
            True,
        ),
        (
            "<noscript><meta http-equiv=refresh content='0;url=/a'><meta http-equiv=refresh content='0;url=/b'>",
            "/a",
            False,
        ),
        ("<template><meta http-equiv=refresh content='0;url=/a'></template>", None, False),
        ("<noscript></noscript><meta http-equiv=refresh content='0'>", None, True),
    ],
)
def test_a_refresh_is_a_redirect_where_browsers_follow_it_soon(
    html: str, refresh_url: str | None, is_redirect: bool
) -> None:
    page = page_of(html)
    expected = None if refresh_url is None else f"http://example.com{refresh_url}"
    assert (page.refresh_url, page.refresh_is_redirect) == (expected, is_redirect)


# Details of links


def test_fragments_and_further_anchors() -> None:
    html = """<link rel=next href=/2><a href=x>first</a><a href=x>again</a><a href="x#top">To the <b>top</b></a>
        <a href=y#>y</a><a href="/x#top">elsewhere</a><a href=x#top>once more</a><a href="#own">own</a>
        <a href=mailto:x>m</a><a href=/folder/x><img alt=pic></a><map><area href="y#a b" alt=area></map>"""
    page = read_page(html.encode(), "http://a.test/folder/page", "text/html")
    assert [link.url for link in page.links] == [f"http://a.test/{path}" for path in ("2", "folder/x", "folder/y", "x")]
    assert page.link_details == (
        LinkDetail(1, 3, "To the top", "top"),
        LinkDetail(2, 4, "y", ""),
        LinkDetail(3, 5, "elsewhere", "top"),
        LinkDetail(1, 9, "pic", None),
        LinkDetail(2, 10, "area", "a b"),
    )


def test_details_of_links_are_bounded() -> None:
    many = "".join(f"<a href='x#{number}'>{number}</a>" for number in range(MAX_DETAILS + 5))
    page = page_of(f"<a href='x#{'y' * 9_000}'>x</a>{many}")
    assert len(page.link_details) == MAX_DETAILS
    assert page.link_details[0].fragment == "y" * MAX_FRAGMENT_CHARS


# Hash


def test_content_hash_is_stable() -> None:
    html = "<title>t</title><p>a<a href=x>b</a>"
    assert page_of(html).content_hash.hex() == "bf7db41a598b8a080acdb3fcd09622e1"
    assert page_of(html.replace("<p>", "<p class=other>\n ")).content_hash == page_of(html).content_hash


@pytest.mark.parametrize(
    "other",
    [
        "<title>u</title><p>a<a href=x>b</a>",
        "<title>t</title><p>a<a href=y>b</a>",
        "<title>t</title><p>a<a href=x>c</a>",
        "<title>t</title><p>a <a href=x>b</a>",
        "<title>t</title><p>ab",
        "<title>t</title><p>a<a href=x>b</a><a href=y></a>",
    ],
)
def test_content_hash_covers_title_text_and_links(other: str) -> None:
    assert page_of(other).content_hash != page_of("<title>t</title><p>a<a href=x>b</a>").content_hash


# Whatever the bytes

_PIECES = [
    *(
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<a href=x>",
        "<a href='#f'>",
        "</a>",
        "<div>",
        "</div>",
        "<br>",
        "text",
        " ",
        "\n",
    ),
    *(
        "<svg>",
        "</svg>",
        "<title>",
        "</title>",
        "<template>",
        "</template>",
        "<script>",
        "</script>",
        "<select>",
        "<option>",
    ),
    *("<table>", "<tr>", "<td>", "</table>", "<frameset>", "<frame src=y>", "<head>", "</head>", "<body>", "</body>"),
    *(
        "<base href='http://b/'>",
        "<base href=http://[>",
        "<meta name=robots content=none>",
        "<math>",
        "<mi>",
        "<plaintext>",
    ),
    *(
        "<meta http-equiv=refresh content='0;url=z'>",
        "<link rel=canonical href=c>",
        "<link rel=next href=n>",
        "<h1>",
        "</h1>",
    ),
    *(
        "<img alt=i>",
        "<noscript>",
        "</noscript>",
        "<!--",
        "-->",
        "<![CDATA[",
        "&#0;",
        "&#xD800;",
        "\0",
        "<html lang=x>",
    ),
    *(
        "<pre>",
        "</pre>",
        "<td>",
        "<b hidden>",
        "<div popover>",
        "<dialog>",
        "</dialog>",
        "<ruby>",
        "<rt>",
        "<rp>",
        "<button>",
        "</button>",
        "<template shadowrootmode=open>",
        "<iframe srcdoc='<pre>a<a href=k>'>",
        "<semantics>",
        "<annotation>",
        "&shy;",
        "\u200b",
        "\x1c",
        "\x1f",
        "\x0b",
        "\x02",
        "\x06",
    ),
    *(
        "<area href=//h alt=q>",
        "<iframe src=i>",
        "</iframe>",
        "<li>",
        "</ul>",
        "<form>",
        "<caption>",
        "<col>",
        "<a rel=nofollow",
    ),
]

_URL_PIECES = ["http:", "https:", "//", "/", "\\", ".", "..", "?", "x", ":", "@", "\1", "\t", "%2e", "\xa0"]
_BASES = ["http://a/b/c", "http://a/b/c?d/e", "http://a", "https://u:p@a:1/b//", "http://a/b;c/d/?"]


@settings(deadline=None)  # chardet is loaded when it is first needed
@given(st.binary(max_size=300), st.sampled_from([None, "text/html", "text/html; charset=utf-16le", "x; charset=gbk"]))
def test_no_bytes_make_reading_fail(body: bytes, content_type: str | None) -> None:
    check_page(body, content_type)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(_PIECES), max_size=40))
@example(["<a href=x>", " ", "text", "\n", "<b>", "text", " "])
def test_no_markup_makes_reading_fail(pieces: list[str]) -> None:
    check_page("".join(pieces).encode(), "text/html; charset=utf-8")


@given(st.text(max_size=60))
def test_no_href_makes_reading_fail(href: str) -> None:
    quoted = href.encode("utf-8", "replace").decode().replace("&", "&amp;").replace('"', "&quot;")
    check_page(f'<base href="{quoted}"><a href="{quoted}">x</a>'.encode())


_INVISIBLE = "\xad\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff"
_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters=_INVISIBLE)
_WORDS = st.text(_CHARACTERS, min_size=1, max_size=8)
_TEXTS = st.lists(_WORDS, min_size=1, max_size=3).map(" ".join)


@given(_TEXTS, _TEXTS, st.lists(st.tuples(st.text(string.ascii_letters, min_size=1), _TEXTS), max_size=5))
def test_what_is_written_is_read(title: str, text: str, links: list[tuple[str, str]]) -> None:
    anchors = "".join(f"<p><a href='{escape(path)}'>{escape(label)}</a>" for path, label in links)
    page = page_of(f"<title>{escape(title)}</title><p>{escape(text)}{anchors}")
    assert page.title == title
    assert page.text.split("\n") == [text, *(label for _path, label in links)]
    first = dict(reversed(links))
    assert {link.url: link.anchor for link in page.links} == {urljoin(URL, path): first[path] for path in first}


@given(st.text(max_size=6) | st.lists(st.sampled_from(_URL_PIECES), max_size=5).map("".join), st.sampled_from(_BASES))
@example("\1?x", "http://a/b/c")  # a control character before it counts for nothing (WHATWG URL, 4.4)
@example("http:", "http://a/b/c")
@example("http:?x", "http://a/b/c?d")
def test_links_joined_by_folder(href: str, base: str) -> None:
    """Joining by folder finds what plain joining does, also for links that depend on the page itself."""
    check_joined_by_folder(href, base)


@pytest.mark.parametrize(
    "opening", ["<div>", "<b>", "<a href=x>", "<p><a href=x>", "<svg>", "<h1><div>", "<table><td>"]
)
def test_deep_nesting_is_read(opening: str) -> None:
    check_page((opening * 2_000 + "text<a href=end>").encode())


def test_nested_labels_do_not_multiply_the_work() -> None:
    page = page_of("<a href=x><table><td>text" * 1_500)
    assert len(page.links) == 1
    headings = page_of("<h1>text<div>" * 1_500).headings
    assert len(headings) == MAX_HEADINGS
    assert all(len(text) <= MAX_LABEL_CHARS for _level, text in headings)


def test_the_hash_of_the_images_tells_where_they_come_from_and_nothing_else() -> None:
    def images(markup: str) -> bytes:
        return read_page(markup.encode(), "http://a.test/").images_hash

    assert images("<p>none</p><img alt=x>") == b""
    assert len({images(f"<p>{number}</p><img src=/1.png alt={number}>") for number in range(3)}) == 1
    assert len({images(f"<img src=/logo.png><p><img src=/{number}.png>") for number in range(3)}) == 3
    assert images("<img src=/a><img src=/b>") != images("<img src=/b><img src=/a>")
    late = [f"<img src='data:image/gif;base64,R0' data-src=/{number}.png>" for number in range(3)]
    assert {images(markup) for markup in late} == {images(f"<img src=/{number}.png>") for number in range(3)}
