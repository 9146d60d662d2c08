"""XHTML that is sent as such is read by the rules of XML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.content.html import read_page
from crawler.content.xhtml import as_html
from crawler.records import Page
from tests.fuzz.documents import check_xhtml

URL = "http://example.com/dir/page.html"
XHTML = "application/xhtml+xml"
NAMESPACE = "http://www.w3.org/1999/xhtml"


def page_of(body: str, content_type: str = XHTML) -> Page:
    return read_page(
        f'<html xmlns="{NAMESPACE}" xmlns:x="http://www.w3.org/1999/xlink">{body}</html>'.encode(), URL, content_type
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<head><script src='a.js'/><title/></head><body><p>a</p></body>", "a"),
        ("<body><div/>a<div>b<span/>c</div></body>", "a\nbc"),
        ("<body><iframe src='x'/><textarea/><style/><noscript/>a</body>", "a"),
        ("<body>a<br></br>b<hr/>c<br>d</br>e</body>", "a\nb\nc\nde"),
        (
            "<body>&lt;b> &#233; &eacute;&nbsp;&amp;&apos; <![CDATA[<p>&amp; &nbsp;]]></body>",
            "<b> é é &' <p>&amp; &nbsp;",
        ),
        ("<body><!-- &nosuch; --><script>if (a &lt; b) {}</script>a</body>", "a"),
        ("<body><script><![CDATA[<!-- <script> </script>]]></script>a</body>", "a"),
        ("<body><style><p>x</p></style><iframe><p>x</p></iframe><noframes><b>x</b></noframes>a</body>", "a"),
        ("<body><plaintext>a</plaintext><xmp> b<b>c</b></xmp>d</body>", "a\n b c\nd".replace(" b c", " bc")),
        ("<body><pre>\n\n a</pre></body>", " a"),
        ("<body xmlns:o='urn:o'>a<o:p>b</o:p><o:title>c</o:title>d</body>", "abcd"),
        ("<body><svg xmlns='http://www.w3.org/2000/svg'><title>no</title><a>x</a></svg>a</body>", "a"),
        ("<body><math xmlns='http://www.w3.org/1998/Math/MathML'><mi>x</mi><none/><mi>y</mi></math></body>", "xy"),
    ],
)
def test_the_text_of_xhtml(body: str, text: str) -> None:
    assert page_of(body).text == text


def test_what_xhtml_says_of_itself() -> None:
    page = page_of(
        "<head><title>a &lt;b/> &amp; c<i/></title><meta name='description' content='&quot;d&quot; &nbsp;e'/>"
        '<script type=\'application/ld+json\'>{"a": "&lt;/script>"}</script></head>'
        "<body><a href='?a=1&amp;b=&#50;'>l</a><a x:href='y' rel='nofollow'/>"
        "<svg xmlns='http://www.w3.org/2000/svg'><a x:href='z'/></svg></body>"
    )
    assert (page.title, page.description) == ("a <b/> & c", '"d" e')
    assert page.json_ld == ('{"a": "\\u003c/script>"}',)
    assert [link.url.rpartition("/")[2] for link in page.links] == ["page.html?a=1&b=2", "y", "z"]


def test_elements_may_have_a_prefix() -> None:
    body = f'<?xml version="1.0"?><h:html xmlns:h="{NAMESPACE}"><h:body><h:script/><h:p>a</h:p>b</h:body></h:html>'
    assert read_page(body.encode(), URL, "application/xml").text == "a\nb"


@pytest.mark.parametrize(
    ("attributes", "language"), [("xml:lang='de'", "de"), ("lang='en' xml:lang='de'", "de"), ("lang='en'", "en")]
)
def test_the_language_of_xhtml(attributes: str, language: str) -> None:
    body = f'<html xmlns="{NAMESPACE}" {attributes}/>'.encode()
    assert read_page(body, URL, XHTML).language == language


@pytest.mark.parametrize("content_type", [XHTML, "application/xml", "text/xml", "Application/XHTML+XML; charset=utf-8"])
def test_each_type_of_xml_is_read_by_the_rules_of_xml(content_type: str) -> None:
    page = page_of("<body><script/>a</body>", content_type)
    assert (page.text, page.content_type) == ("a", content_type.partition(";")[0].lower())


@pytest.mark.parametrize("content_type", [None, "text/html", "application/xml+x, text/html"])
def test_any_other_type_is_read_by_those_of_html(content_type: str | None) -> None:
    assert read_page(b"<script/><p>a</p></script>b", URL, content_type).text == "b"


@pytest.mark.parametrize(
    "body",
    [
        "<p>a<br>b",
        "<p>a</p><br>b",
        "<p title=x>a</p><br/>b",
        "<p>a&</p>b",
        "<p>a</p>b&nosuch;",
        "<o:p>a</o:p><br/>b",
        "<p>a</p>\1b",
        "<html><p>a</p></html>b",
    ],
)
def test_what_is_not_well_formed_is_read_by_the_rules_of_html(body: str) -> None:
    page = read_page(body.encode(), URL, XHTML)
    assert page == read_page(body.encode(), URL, "text/html")
    assert page.text.startswith("a")


def test_a_document_that_declares_entities_is_read_by_the_rules_of_html() -> None:
    entities = "<!ENTITY a 'aaaaaaaaaa'>" + "".join(
        f"<!ENTITY {name} '{f'&{other};' * 10}'>" for other, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for declarations in (entities, "<!ENTITY i SYSTEM 'file:///etc/hostname'>", "<!ATTLIST p title CDATA 'x'>"):
        body = f'<!DOCTYPE html [{declarations}]><html xmlns="{NAMESPACE}"><p>a&i;</p></html>'
        assert as_html(body) is None
        assert read_page(body.encode(), URL, XHTML) == read_page(body.encode(), URL, "text/html")


def test_nesting_is_no_danger() -> None:
    depth = 100_000
    html = as_html(f'<html xmlns="{NAMESPACE}">{"<b>" * depth}a{"</b>" * depth}</html>')
    assert html is not None
    assert html.count("<b>") == depth


_NAMES = st.sampled_from(
    [
        *("p", "div", "b", "a", "script", "style", "title", "textarea", "pre", "table", "tr", "td", "br", "img"),
        *("ruby", "svg", "template", "iframe", "select", "option", "noscript", "plaintext", "xmp", "math", "frameset"),
    ]
)
_TREES = st.recursive(
    st.text("ab <&>\n\"'é\u00a0]", max_size=8),
    lambda trees: st.tuples(_NAMES, st.lists(trees, max_size=4)),
    max_leaves=20,
)


def _xml(tree: str | tuple[str, list[object]]) -> str:
    if isinstance(tree, str):
        return tree.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    name, children = tree
    return f"<{name}>{''.join(map(_xml, children))}</{name}>"  # type: ignore[arg-type]


_PIECES = [
    *(
        "<html xmlns='http://www.w3.org/1999/xhtml'>",
        "</html>",
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<br/>",
        "<pre>",
        "</pre>",
    ),
    *(
        "<script>",
        "</script>",
        "<title>",
        "</title>",
        "<x:p xmlns:x='urn:x'>",
        "</x:p>",
        "<svg>",
        "</svg>",
        "<iframe/>",
    ),
    *("a", " ", "\n", "&amp;", "&nbsp;", "&x;", "<![CDATA[", "]]>", "<!--", "-->", "<?x ?>", "<!DOCTYPE html>", "\xad"),
]


@given(st.lists(st.sampled_from(_PIECES), max_size=20).map("".join))
def test_no_xhtml_makes_reading_fail(body: str) -> None:
    check_xhtml(body.encode())
    check_xhtml(f'<html xmlns="{NAMESPACE}">{body}</html>'.encode())


@given(_TREES)
def test_any_tree_comes_through(tree: str | tuple[str, list[object]]) -> None:
    """All of it is read: nothing that an element of it holds swallows what follows."""
    page = page_of(f"<body>{_xml(tree)}<p>end</p></body>")
    assert page.text.rpartition("\n")[2] == "end"
