"""The two walks over a document's tree find the same: `python -m tests.fuzz.walks COUNT [SEED] [FOLDER]`.

Documents are made up of the elements, attributes and characters that a rule of either walk is about, put together
without sense; or they are those of a folder, of which bits are changed, doubled, taken out and exchanged.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

from crawler.content.accelerated import comparable, fastest_walk, walk_in_c
from crawler.content.encoding import decode
from crawler.content.html import read_page
from crawler.content.walk import walk
from crawler.records import Page

URL = "http://example.com/folder/page?query"
_TAGS = (  # noqa: SIM905
    "a a a a area b base body br button canvas caption dd dialog div div dl dt em embed figure font foreignObject form"
    " frame frameset h1 h2 h6 head hr html i iframe img img input label li link listing main math annotation"
    " annotation-xml mi semantics mn meta my-own noembed noframes noscript object ol option p p picture plaintext pre"
    " pre rp rt rtc ruby script search section select source span style summary svg table table tbody td td td template"
    " textarea th time title tr tr tr ul use video xmp"
).split()
_THEMES = [  # what one rule is about
    themed.split()
    for themed in (
        "table table tr tr td td td th p div br pre",
        "table tr td svg td tr a",
        "a a a button label option b i br rt div p",
        "a a label button svg td tr b",
        "pre pre pre p br table tr td",
        "math semantics semantics annotation annotation annotation-xml my-own svg p",
        "video audio picture source source object svg div",
        "svg math foreignObject base base g div a",
        "noscript meta meta svg div p",
        "h1 h2 a img img b svg p br",
        "ruby rt rtc a b p td",
        "dialog div p a span template svg",
    )
]
_SPACES = [" ", "\n", "\t", "\r", "\f", "\xa0", "\x85", "\u2003", "\u3000", "\u2028", "\u1680", "\u205f", "\u202f"]
_INVISIBLE = [  # and what stays
    "\xad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u2060",
    "\u2061",
    "\u2063",
    "\ufeff",
    "&shy;",
    "&zwj;",
    "&#x200b;",
]
_CONTROLS = ["\x01", "\x02", "\x06", "\x0b", "\x1b", "\x1c", "\x1d", "\x1e", "\x1f", "\x7f", "&#2;", "&#x1f;", "&#x1c;"]
_WORDS = ["a", "word", "Été", "日本", "ก", "س", "😀", "1", ".", "&amp;", "&nbsp;", "&lt;b&gt;", "\u0300", "ſ", "İ"]
_HREFS = [
    "",
    "#",
    "#f",
    "a",
    "a#f",
    "a#g",
    "/b?c",
    "http://other.example/",
    "mailto:x",
    "javascript:0",
    " a ",
    "?q",
    "é",
    "%zz",
    "../a",
    "../../../b/c.d?e=/f:%20#g",
    "/",
    "//b/c",
    "./a",
    "a/./b/..",
    "a//b",
    "a:b",
    "a?",
    "..a/.b",
    "a/~b/c;d=e?f g",
]
_ATTRIBUTES: dict[str, Sequence[str]] = {
    "href": _HREFS,
    "src": [*_HREFS, "data:x"],
    "xlink:href": _HREFS,
    "rel": [
        "nofollow",
        "NoFollow ugc",
        "next",
        "prev nofollow",
        "canonical",
        "alternate",
        "stylesheet",
        "icon",
        " me\xa0",
    ],
    "alt": ["", " ", "an image", "\xad", "x\u2003y"],
    "aria-label": ["", "called", " so\n"],
    "title": ["", "titled", "\u200b"],
    "hidden": ["", "hidden", "until-found", "UNTIL-FOUND"],
    "popover": ["", "auto"],
    "open": [""],
    "shadowrootmode": ["open", "CLOSED", "none"],
    "srcdoc": ["", "&lt;p>in&lt;/p>", "x"],
    "type": [
        "application/ld+json",
        "Application/LD+JSON; charset=x",
        " application/ld+json",
        "text/javascript",
        "a/b+ld+json",
    ],
    "http-equiv": ["refresh", " Refresh\xa0", "content-language", "content-type"],
    "content": ["0; url=a", "5", "3;url=b", "de", "text/html; charset=utf-8", ""],
    "name": ["description", "robots", "og:title", "author"],
    "property": ["og:title", "article:published_time"],
    "itemprop": ["datePublished", "author", "name"],
    "datetime": ["2020-01-01", "x"],
    "class": ["x", "published"],
    "lang": ["de", ""],
    "data": ["a"],
    "poster": ["p"],
    "srcset": ["s 1x, t 2x"],
    "data-src": ["d"],
    "charset": ["utf-8"],
    "as": ["font"],
    "encoding": ["text/html"],
}


def made_up(chance: random.Random) -> bytes:
    """A document of up to a hundred pieces."""
    kinds = (_opening, _closing, _text)
    weights = chance.choice([(5, 3, 4), (5, 1, 3), (5, 0, 5), (4, 2, 6), (3, 3, 1), (8, 8, 1)])
    tags = chance.choice(_THEMES) if chance.random() < 0.6 else chance.choices(_TAGS, k=chance.choice([4, 8, 30]))
    pieces = [kind(chance, tags) for kind in chance.choices(kinds, weights, k=chance.choice([5, 15, 40, 100]))]
    return "".join(pieces).encode()


def _opening(chance: random.Random, tags: Sequence[str]) -> str:
    names = chance.choices(list(_ATTRIBUTES), k=chance.choice([0, 0, 0, 1, 1, 2, 5]))
    if chance.random() < 0.1:
        names.append(chance.choice(["hidden", "href", "alt", "http-equiv"]))
    written = "".join(f' {name}="{chance.choice(_ATTRIBUTES[name])}"' for name in names)
    return f"<{chance.choice(tags)}{written}{chance.choice(['', '', '', '/'])}>"


def _closing(chance: random.Random, tags: Sequence[str]) -> str:
    return f"</{chance.choice(tags)}>"


def _text(chance: random.Random, _tags: Sequence[str]) -> str:
    kinds = (_WORDS, _SPACES, _INVISIBLE, _CONTROLS, ["<!-- c -->", "<![CDATA[x]]>", "\0"])
    if chance.random() < 0.005:
        return "long " * chance.choice([30, 300])
    weights = chance.choice([(8, 4, 0, 0, 1), (8, 4, 1, 1, 1)])
    return "".join(chance.choice(kind) for kind in chance.choices(kinds, weights, k=chance.choice([1, 1, 3, 8])))


def mutated(document: bytes, other: bytes, chance: random.Random) -> bytes:
    """A part of `document` with some bits that are not its own."""
    start = chance.randrange(max(1, len(document) - 4_000))
    body = bytearray(document[start : start + chance.choice([500, 4_000])] if chance.random() < 0.9 else document)
    for _ in range(chance.choice([1, 3, 10])):
        at = chance.randrange(len(body) + 1)
        length = chance.choice([0, 1, 5, 50])
        source = chance.choice([body, other])
        taken = chance.randrange(len(source) + 1)
        new = (
            made_up(chance)[:200],
            bytes(source[taken : taken + chance.choice([1, 10, 200])]),
            bytes([chance.randrange(256)]),
            b"",
        )
        body[at : at + length] = chance.choice(new)
    return bytes(body)


def documents(count: int, seed: int, folder: Path | None = None) -> Iterator[bytes]:
    """`count` documents, the same for each seed."""
    chance = random.Random(seed)
    real = sorted(path for path in folder.rglob("*.htm*") if path.is_file()) if folder else []
    for _ in range(count):
        if real and chance.random() < 0.5:
            yield mutated(chance.choice(real).read_bytes(), chance.choice(real).read_bytes(), chance)
        else:
            yield made_up(chance)


def expect_equal_walks(body: bytes) -> None:
    """Fails where the walks differ. Several times as fast as `read_both`, which also reads what they find."""
    markup = decode(body, "utf-8")
    assert comparable(walk_in_c(LexborHTMLParser(markup))) == comparable(walk(LexborHTMLParser(markup))), body


def read_both(body: bytes, url: str, content_type: str | None = None) -> Page:
    """The page as either walk reads it, which is equal. Where there is only one walk, it is that one's."""
    page = read_page(body, url, content_type)
    if _is_there():
        other = read_page(body, url, content_type, walk=walk_in_c)
        differing = [name for name in _FIELDS if getattr(page, name) != getattr(other, name)]
        assert not differing, f"{_difference(page, other, differing[0])} in {body!r}"
    return page


@cache
def _is_there() -> bool:
    return fastest_walk()[1] == "C"


def _difference(page: Page, other: Page, name: str) -> str:
    """The first, with a little of what stands around it."""
    one, two = repr(getattr(page, name)), repr(getattr(other, name))
    at = next((place for place, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), 0)
    return f"{name}: {one[max(0, at - 60) : at + 60]} and in C {two[max(0, at - 60) : at + 60]}"


_FIELDS = [field.name for field in fields(Page)]


def main() -> None:
    """Try so many documents."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    _walk, its_name = fastest_walk()
    if its_name != "C":
        sys.exit(its_name)
    for body in documents(count, seed, folder):
        expect_equal_walks(body)
    print(f"{count} documents, seed {seed}: equal")


if __name__ == "__main__":
    main()
