"""What is read of real pages beside what independent readers find in them: html5lib for the text, lxml for XHTML,
extruct for Open Graph.

    pip install -e '.[bench]' && python -m tests.benchmarks.readers /usr/share/doc [NUMBER]

Takes up to NUMBER (20) pages of each folder below, and says of each page whether the letters of its text are the same
in the same order, whether each row of a table that holds nothing but cells of plain text is a line, whether
preformatted text is there as it is, and whether nothing that extruct finds is missing. Ends with status 1 where that is
not so.
"""

from __future__ import annotations

import itertools
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import extruct  # type: ignore[import-untyped,import-not-found,unused-ignore]
import html5lib  # type: ignore[import-untyped,import-not-found,unused-ignore]
from lxml import etree  # type: ignore[import-untyped,import-not-found,unused-ignore]

from crawler.content.encoding import decode, sniff
from crawler.content.html import read_page
from crawler.records import Page

URL = "http://localhost/folder/page.html"
NAMESPACE = "{http://www.w3.org/1999/xhtml}"
HIDDEN = frozenset(
    {
        *("head", "script", "style", "template", "svg", "audio", "video", "canvas", "iframe", "noembed", "noframes"),
        *("select", "datalist", "textarea", "rp", "title", "annotation", "annotation-xml"),
    }
)
PLAIN = frozenset(
    {"a", "abbr", "b", "code", "em", "i", "kbd", "samp", "span", "strong", "sub", "sup", "tt", "var", "td", "th"}
)
INVISIBLE = dict.fromkeys(map(ord, "\xad\u200b\u2060\ufeff"))


def main() -> int:
    """Compare, print, and return the exit status."""
    warnings.simplefilter("ignore")
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    pages = different = 0
    for path in _sample(Path(sys.argv[1]), number):
        body = path.read_bytes()
        pages += 1
        for difference in _differences(body):
            different += 1
            print(f"{path}: {difference}")
    print(f"{pages} pages, {different} differences")
    return different > 0


def _sample(folder: Path, number: int) -> Iterator[Path]:
    """Up to so many pages of each folder below, always the same ones, none of which html5lib would take minutes for."""
    for below in sorted(folder.iterdir()):
        found = sorted({path.resolve() for path in below.rglob("*.html")}) if below.is_dir() else []
        sound = [path for path in found if path.is_file() and path.stat().st_size < 300_000]
        yield from random.Random(1).sample(sound, min(number, len(sound)))


def _differences(body: bytes) -> Iterator[str]:
    markup = decode(body, sniff(body))
    page = read_page(body, URL, "text/html")
    root = html5lib.parse(markup, treebuilder="lxml").getroot()
    yield from _text_differences("html5lib", page, root)
    lines = {tuple(map(_letters, line.split("\t"))) for line in page.text.split("\n")}
    for cells in _plain_rows(root):
        if cells not in lines:
            yield f"no line is the row {cells}"
    for text in _preformatted(root):
        if text not in page.text:
            yield f"preformatted text is missing: {text[:80]!r}"
    yield from _open_graph_differences(page, markup)
    try:
        xml = etree.fromstring(
            markup.encode(), etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False)
        )
    except (etree.XMLSyntaxError, ValueError):
        return
    if etree.QName(xml).localname == "html":
        yield from _text_differences("lxml", read_page(body, URL, "application/xhtml+xml"), xml)


def _text_differences(name: str, page: Page, root: Any) -> Iterator[str]:
    ours, theirs = _letters(page.text), _letters("".join(_shown(root)))
    if ours != theirs:
        at = next(place for place, (a, b) in enumerate(itertools.zip_longest(ours, theirs)) if a != b)
        yield f"{name} reads {theirs[max(0, at - 20) : at + 40]!r}, we {ours[max(0, at - 20) : at + 40]!r}"


def _shown(root: Any) -> Iterator[str]:
    """The text that the elements show, by a walk that knows nothing of ours."""
    hidden = 0
    for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event in ("comment", "pi"):
            yield "" if hidden else element.tail or ""
            continue
        is_hidden = _is_hidden(element)
        if event == "start":
            hidden += is_hidden
            yield "" if hidden else element.text or ""
        else:
            hidden -= is_hidden
            yield "" if hidden or element is root else element.tail or ""


def _is_hidden(element: Any) -> bool:
    name = etree.QName(element).localname
    if name in HIDDEN or (name == "dialog" and "open" not in element.attrib) or "popover" in element.attrib:
        return True
    return "hidden" in element.attrib and element.attrib["hidden"].lower() != "until-found"


def _plain_rows(root: Any) -> Iterator[tuple[str, ...]]:
    for row in root.iter(f"{NAMESPACE}tr"):
        elements = [element for element in row.iterdescendants() if isinstance(element.tag, str)]
        if all(
            etree.QName(element).localname in PLAIN and not element.attrib.has_key("hidden") for element in elements
        ):
            cells = [_letters("".join(cell.itertext())) for cell in row if isinstance(cell.tag, str)]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield tuple(cells)


def _preformatted(root: Any) -> Iterator[str]:
    for element in root.iter(f"{NAMESPACE}pre"):
        below = [one for one in element.iterdescendants() if isinstance(one.tag, str)]
        if all(etree.QName(one).localname in PLAIN for one in below) and not any(
            map(_is_hidden, element.iterancestors())
        ):
            text = "".join(element.itertext()).translate({0xA0: " ", **INVISIBLE})
            yield "\n".join([line.rstrip() for line in text.split("\n")]).strip("\n")


def _open_graph_differences(page: Page, markup: str) -> Iterator[str]:
    for item in extruct.extract(markup.encode(), encoding="utf-8", syntaxes=["opengraph"])["opengraph"]:
        for name, value in item["properties"]:
            ours = page.open_graph.get(name.lower(), [])
            if " ".join(value.split()) not in ([ours] if isinstance(ours, str) else ours):
                yield f"extruct has {name} = {value!r}"


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.translate(INVISIBLE)))


if __name__ == "__main__":
    sys.exit(main())
