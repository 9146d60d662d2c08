"""How much of a page's main content an extractor finds, and how much else: by words, and by structure.

Words are compared as multisets; those of the title do not count, which some extractors give apart. Structure is the
multiset of headings, list items, table rows, code blocks (with their language), links, images and quotations.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urljoin

from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser, LexborNode

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_ITEMS = "h2, h3, h4, h5, h6, li, tr, pre, a[href], img[src], blockquote"
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_LANGUAGE = re.compile(r"(?:language|lang|highlight|brush)[-:]\s*([\w+#-]+)")


@dataclass(frozen=True, slots=True)
class Score:
    """Of one page, or the mean of several: 0 to 1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def words_score(text: str, truth: str, title: str) -> Score:
    """Of the words of an extracted text."""
    found, wanted, neutral = (Counter(_WORD.findall(one.lower())) for one in (text, truth, title))
    return _score(found - neutral, wanted - neutral)


def structure_score(markdown: str, truth: str, url: str, title: str) -> Score:
    """Of the structure of extracted Markdown, where the truth is HTML."""
    rendered = _MARKDOWN.render(markdown)
    return _score(structure(rendered, url, title), structure(truth, url, title))


def structure(html: str, url: str, title: str = "") -> Counter[tuple[str, str]]:
    """What there is in HTML, by kind and content."""
    tree = LexborHTMLParser(html)
    found = Counter(_item(node, url) for node in tree.css(f"{_ITEMS}, h1"))
    own = _squeezed(title)
    return Counter({one: n for one, n in found.items() if one[1] and one != ("heading", own)})


def text_of_markdown(markdown: str) -> str:
    """As a reader sees it."""
    return text_of_html(_MARKDOWN.render(markdown))


def text_of_html(html: str) -> str:
    """As a reader sees it."""
    tree = LexborHTMLParser(html)
    for node in tree.css("script, style"):
        node.decompose()
    return tree.body.text(separator=" ") if tree.body else ""


def _item(node: LexborNode, url: str) -> tuple[str, str]:
    tag, attributes = node.tag or "", node.attributes
    if tag in _HEADINGS:
        return "heading", _squeezed(node.text().replace("¶", ""))
    if tag == "a":
        href = attributes.get("href") or ""
        return "link", "" if "headerlink" in (attributes.get("class") or "") else urljoin(url, href)
    if tag == "img":
        return "image", urljoin(url, attributes.get("src") or "")
    if tag == "pre":
        code = node.css_first("code")
        classes = " ".join(
            one.attributes.get("class") or ""
            for one in (node, code, node.parent, node.parent.parent if node.parent else None)
            if one is not None
        )
        language = _LANGUAGE.search(classes)
        return "code", f"{language[1] if language else ''}: {node.text().strip()}"
    return {"li": "item", "tr": "row", "blockquote": "quote"}[tag], _squeezed(node.text().replace("¶", ""))


def _squeezed(text: str) -> str:
    return "".join(_WORD.findall(text.lower()))


def _score(found: Counter[str] | Counter[tuple[str, str]], wanted: Counter[str] | Counter[tuple[str, str]]) -> Score:
    right = sum((found & wanted).values())  # type: ignore[operator]
    return Score(right / found.total() if found else float(not wanted), right / wanted.total() if wanted else 1.0)
