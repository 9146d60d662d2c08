"""Documents as Markdown, which a parser of Markdown reads back."""

from __future__ import annotations

import re
from html import escape
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from crawler.content.markdown import Content, Markdown, extractor, markdown_of, outline_of
from tests.gold.documents import own_documents
from tests.gold.scoring import structure_score, text_of_html, text_of_markdown, words_score

URL = "https://docs.example/guide/page.html"
READER = MarkdownIt("commonmark").enable("table")


def whole(html: str) -> str:
    return markdown_of(html, URL, Content.ALL).text


def read_back(markdown: str) -> str:
    return str(READER.render(markdown))


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h2>Two</h2><h4>Four</h4>", "## Two\n\n#### Four\n"),
        ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  * b\n- c\n"),
        ("<table><tr><th>a<th>b<tr><td>1<td>2|3</table>", "| a | b |\n| --- | --- |\n| 1 | 2\\|3 |\n"),
        ("<p><a href='../x?y#z'>x</a></p>", "[x](https://docs.example/x?y#z)\n"),
        ("<base href='https://other.example/b/'><a href=c>c</a>", "[c](https://other.example/b/c)\n"),
        ("<p><a href='javascript:alert(1)'>x</a> y</p>", "x y\n"),
        ("<img src=/i.png alt=tree><img src='data:image/png;base64,AA'>", "![tree](https://docs.example/i.png)\n"),
        ("<pre class='brush: Python'>a\n\n  b</pre>", "```python\na\n\n  b\n```\n"),
        ("<div class=highlight-c++><div><pre><b>a</b>;</pre></div></div>", "```c++\na;\n```\n"),
        ("<pre><code class=language-js>x<br>y</code></pre>", "```js\nx\ny\n```\n"),
        ("<pre class=language-none>x</pre>", "```\nx\n```\n"),
        ("<h2>A<a class=headerlink href=#a>¶</a></h2>", "## A\n"),
        ("<script>x</script><style>y</style><p hidden>z</p>", ""),
        ("", ""),
    ],
)
def test_a_document_is_written_as_markdown(html: str, markdown: str) -> None:
    assert whole(html) == markdown


def test_a_table_for_the_layout_is_no_table() -> None:
    html = "<table><tr><td><h2>A</h2><td><table><tr><th>b<th>c<tr><td>1<td>2</table></table>"
    assert whole(html) == "## A\n\n| b | c |\n| --- | --- |\n| 1 | 2 |\n"


@given(st.lists(st.text("ab1é *_`[]()<>&;\\#|~!-+=.:/", max_size=20), max_size=4))
def test_text_stays_text(paragraphs: list[str]) -> None:
    """Whatever a page says, it is no markup."""
    html = "".join(f"<p>{escape(one)}</p>" for one in paragraphs)
    shown = [re.sub(r"<[^>]*>", "", one) for one in read_back(whole(html)).split("</p>")]
    assert squeezed("".join(shown)) == squeezed(escape("".join(paragraphs)))


def squeezed(text: str) -> str:
    return "".join(text.replace("&quot;", '"').replace("&#x27;", "'").split())


@pytest.mark.parametrize("code", ["```\nx\n```", "~~~", "a`b", "    indented\n\n\ttab", "*not* _this_ \\n <b> &amp;"])
def test_code_stays_as_it_is(code: str) -> None:
    read = read_back(whole(f"<pre>\n{escape(code)}</pre>"))
    assert f"<code>{escape(code)}\n</code>" in read


def test_main_content_is_found_on_the_pages_of_the_gold_set() -> None:
    """As well as the manual says; the table is printed by `python -m tests.gold`."""
    words, structures = [], []
    for one in own_documents():
        found = markdown_of(one.html, one.url, Content.MAIN)
        words.append(words_score(text_of_markdown(found.text), text_of_html(one.main), one.title).f1)
        structures.append(structure_score(found.text, one.main, one.url, one.title).f1)
        assert not found.is_whole
    assert fmean(words) > 0.94
    assert fmean(structures) > 0.86


def test_where_no_main_content_is_found_the_whole_page_is_given() -> None:
    found = markdown_of("<a href=/a><img src=/i.png alt=A></a>", URL, Content.MAIN)
    assert found.is_whole
    assert found.text == "[![A](https://docs.example/i.png)](https://docs.example/a)\n"


def test_a_page_too_short_to_be_judged_has_the_main_content_that_it_declares() -> None:
    found = markdown_of("<nav><a href=/>Home</a></nav><main><p>Closed on Monday.</p></main>", URL, Content.MAIN)
    assert found == Markdown(text="Closed on Monday.\n", is_whole=False)


def test_equal_documents_give_equal_markdown() -> None:
    [one, *_] = own_documents()
    assert len({markdown_of(one.html, one.url, Content.MAIN).text for _ in range(3)}) == 1


def test_the_extractor_is_named_with_all_that_has_a_say() -> None:
    assert re.fullmatch(
        r"crawler \d+\.\d+, html-to-markdown [\d.]+, trafilatura [\d.]+, selectolax [\d.]+", extractor()
    )


def test_the_outline_of_markdown_is_its_headings_and_its_text() -> None:
    markdown = whole(
        "<h2>A <a href=/x(y)>link</a> &amp; *</h2><p>__b__ <img src=/i.png alt=tree> <b>bold</b> a|b"
        "<ul><li>one<ul><li>two</ul></ul><table><tr><th>h<th>i<tr><td>c<td>d</table><pre># no *heading*</pre>"
        "<blockquote>quoted</blockquote>"
    )
    headings, text = outline_of(markdown)
    assert headings == [(2, "A link & *")]
    assert text.splitlines() == [
        "A link & *",
        "__b__ tree bold a|b",
        "one",
        "two",
        "h \t i",
        "c \t d",
        "# no *heading*",
        "quoted",
    ]
