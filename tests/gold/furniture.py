"""An experiment: what most pages of a host repeat is furniture, which the extractor need not find out for itself.

It is left out of the program, because on pages that we did not write it gains nothing; see the manual's page. A block
is furniture if its words, all of them in their order, stand on more than half of a host's pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser

from crawler.content.markdown import Content, markdown_of
from tests.gold.documents import Document, own_documents, rendered_in
from tests.gold.packages import PACKAGES, package_documents, package_pages
from tests.gold.scoring import Score, text_of_html, text_of_markdown, words_score

_LEARNT_FROM = 25  # pages of a host
_SHARE = 0.5
_PER_HOST = 8  # documents that are measured
_BLOCKS = "p, li, td, th, h1, h2, h3, h4, dt, dd, pre, div, a, span"


class Host(NamedTuple):
    """Pages to learn from, and those whose truth is known."""

    pages: Sequence[str]
    documents: Sequence[Document]


def hosts_of_our_own() -> Iterator[Host]:
    """Each layout is a host, with all articles as its pages."""
    for layout in sorted({one.layout for one in own_documents()}):
        documents = [one for one in own_documents() if one.layout == layout]
        yield Host(list(rendered_in(layout)), documents)


def hosts_of_packages(folder: Path) -> Iterator[Host]:
    """Each package is a host."""
    for package in PACKAGES:
        if documents := list(package_documents(folder, [package]))[:_PER_HOST]:
            pages = package_pages(folder, package)
            step = max(1, len(pages) // _LEARNT_FROM)
            yield Host([page.read_text(errors="replace") for page in pages[::step][:_LEARNT_FROM]], documents)


def compared(hosts: Iterable[Host]) -> tuple[list[Score], list[Score]]:
    """The extractor alone, and after what is furniture was taken out."""
    alone, helped = [], []
    for host in hosts:
        furniture = _learnt(host.pages)
        for one in host.documents:
            alone.append(_score(one, one.html))
            helped.append(_score(one, _without(furniture, one.html)))
    return alone, helped


def _score(document: Document, html: str) -> Score:
    found = text_of_markdown(markdown_of(html, document.url, Content.MAIN).text)
    return words_score(found, text_of_html(document.main) if document.is_markup else document.main, document.title)


def _learnt(pages: Sequence[str]) -> set[str]:
    seen: Counter[str] = Counter()
    for page in pages:
        seen.update({text for node in LexborHTMLParser(page).css(_BLOCKS) if (text := _squeezed(node.text()))})
    return {text for text, number in seen.items() if number > _SHARE * len(pages)}


def _without(furniture: set[str], html: str) -> str:
    tree = LexborHTMLParser(html)
    for node in reversed(tree.css(_BLOCKS)):
        if _squeezed(node.text()) in furniture:
            node.decompose()
    return tree.html or ""


def _squeezed(text: str) -> str:
    return " ".join(text.split())
