"""Sitemaps and feeds of every format, and what is done to them in the wild: each way in which they are damaged."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ENTRIES = 6
TRUE_URL = re.compile(r"http://example\.com/(?:(?:page|more)/(\d)\?a=\1&b=%C3%A9|id/\d)")


@dataclass(frozen=True)
class Document:
    name: str
    text: str
    is_feed: bool


def documents() -> Iterator[Document]:
    """Each format, whole, then damaged in each way, then in two at a time."""
    for format_name, make, is_feed in FORMATS:
        whole = make()
        yield Document(format_name, whole, is_feed)
        for name, damage in DAMAGE.items():
            yield Document(f"{format_name}: {name}", damage(whole), is_feed)
        for first, second in random.Random(1).sample([(a, b) for a in DAMAGE for b in DAMAGE if a != b], 60):
            yield Document(f"{format_name}: {first}, {second}", DAMAGE[second](DAMAGE[first](whole)), is_feed)


def _urls(number: int) -> str:
    return f"http://example.com/page/{number}?a={number}&amp;b=%C3%A9"


def urlset() -> str:
    entries = "\n".join(
        f"  <url>\n    <loc>{_urls(n)}</loc>\n    <lastmod>2024-05-0{n}T10:00:00+02:00</lastmod>\n"
        f"    <priority>0.{n}</priority>\n    <image:image><image:loc>http://example.com/{n}.png</image:loc></image:image>"
        f"\n  </url>"
        for n in range(1, ENTRIES)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!-- made by hand -->\n'
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        f' xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">\n{entries}\n</urlset>\n'
    )


def index() -> str:
    entries = "".join(f"<sitemap><loc>{_urls(n)}</loc><lastmod>2024-05-0{n}</lastmod></sitemap>\n" for n in range(1, 6))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</sitemapindex>\n'
    )


def rss() -> str:
    items = "\n".join(
        f"<item><title>Title {n} &amp; more</title><link>{_urls(n)}</link>"
        f'<guid isPermaLink="false">id-{n}</guid><pubDate>Mon, 0{n} Apr 2024 10:00:00 GMT</pubDate>'
        f"<description><![CDATA[<p>Text & <a href='http://example.com/other'>a link</a>]]></description></item>"
        for n in range(1, ENTRIES)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">'
        "<channel><title>News</title><link>http://example.com/</link><description>All</description>\n"
        f'<atom:link href="http://example.com/feed" rel="self"/>\n{items}\n</channel></rss>\n'
    )


def rss_of_guids() -> str:
    return re.sub("<link>[^<]*page[^<]*</link>", "", rss()).replace(
        'isPermaLink="false">id-', ">http://example.com/id/"
    )


def rss1() -> str:
    items = "\n".join(
        f'<item rdf:about="{_urls(n)}"><title>Title {n}</title><link>{_urls(n)}</link><dc:date>2024-05-0{n}</dc:date>'
        "</item>"
        for n in range(1, ENTRIES)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f'<channel rdf:about="http://example.com/"><title>x</title><link>http://example.com/</link></channel>\n{items}\n'
        "</rdf:RDF>\n"
    )


def atom() -> str:
    entries = "\n".join(
        f'<entry><title>Title {n}</title><id>tag:example.com,2024:{n}</id><link rel="alternate" href="{_urls(n)}"/>'
        f"<updated>2024-05-0{n}T10:00:00Z</updated><content type='html'>&lt;p&gt;x</content></entry>"
        for n in range(1, ENTRIES)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title>'
        f'<id>tag:x</id><link href="http://example.com/"/><updated>2024-05-01T10:00:00Z</updated>\n{entries}\n</feed>\n'
    )


FORMATS: list[tuple[str, Callable[[], str], bool]] = [
    ("urlset", urlset, False),
    ("index", index, False),
    ("rss", rss, True),
    ("rss of guids", rss_of_guids, True),
    ("rss 1.0", rss1, True),
    ("atom", atom, True),
]


def _nth(pattern: str, replacement: str, number: int = 2) -> Callable[[str], str]:
    """Replace the `number`th match."""

    def damage(text: str) -> str:
        found = list(re.finditer(pattern, text, re.DOTALL))
        if len(found) < number:
            return text
        match = found[number - 1]
        return text[: match.start()] + match.expand(replacement) + text[match.end() :]

    return damage


def _before(text: str) -> Callable[[str], str]:
    return lambda document: text + document


_URL_END = r"(=%C3%A9)"
DAMAGE: dict[str, Callable[[str], str]] = {
    "bare ampersands": lambda text: text.replace("&amp;", "&"),
    "bare ampersand in a title": _nth("<title>", "<title>Q & A"),
    "a blank line first": _before("\n\n"),
    "a comment first": _before("<!-- cached by a plugin -->\n"),
    "a notice first": _before(
        "<br />\n<b>Warning</b>:  Undefined index: x in <b>/a/b.php</b> on line <b>3</b><br />\n"
    ),
    "a plain notice first": _before("Warning: Undefined index: x in /a/b.php on line 3\n"),
    "a byte order mark twice": _before("\ufeff\ufeff"),
    "an unknown entity": _nth("<title>", "<title>&nbsp;&eacute;&hellip;"),
    "an unknown entity in a URL": _nth(_URL_END, r"\1&nbsp;x"),
    "a declared entity": lambda text: text.replace("?>", '?><!DOCTYPE x [<!ENTITY e "text">]>', 1),
    "a control character": _nth("<title>|<priority>", "\\g<0>\x03"),
    "a control character in a URL": _nth(_URL_END, "\\1\x03x"),
    "a vertical tab": _nth("\n", "\x0b"),
    "a NUL": _nth("<title>|<priority>", "\\g<0>\0"),
    "dashes in a comment": _nth("\n", "<!-- a -- b --->"),
    "an end tag is missing": _nth("</(?:title|lastmod|priority)>", ""),
    "the end of a URL is missing": _nth("</(?:loc|link)>", ""),
    "the end of an entry is missing": _nth("</(?:url|sitemap|item|entry)>", ""),
    "a wrong end tag": _nth("</(?:title|lastmod|priority)>", "</wrong>"),
    "an end tag too many": _nth("</(?:title|lastmod|priority)>", r"\g<0></b>"),
    "less than in text": _nth("<title>", "<title>1 < 2, a<b"),
    "a heart": _nth("<title>", "<title><3"),
    "xmlns twice": _nth(r' xmlns="([^"]*)"', r' xmlns="\1" xmlns="\1"', 1),
    "an undeclared prefix": _nth("<(url|sitemap|item|entry)>", r"<\1><foo:bar>x</foo:bar>"),
    "an attribute without quotes": _nth(r' rel="([^"]*)"', r" rel=\1"),
    "an attribute without a value": _nth("<(url|sitemap|item|entry)", r"<\1 new"),
    "two documents": lambda text: text + text.replace("/page/", "/more/"),
    "text behind it": lambda text: text + "<!-- 0.3 s -->\n0.3 s",
    "HTML behind it": lambda text: text + "<script>var x = '<a href=\"http://example.com/no\">';</script>",
    "upper case": lambda text: re.sub("</?(?:url|loc|item|link|entry|sitemap)\\b", lambda m: m[0].upper(), text),
    "CDATA": lambda text: re.sub("<(loc|link)>([^<]*)</", r"<\1><![CDATA[\2]]></", text).replace("&amp;", "&"),
    "cut off": lambda text: text[: int(len(text) * 0.8)],
    "no declaration": lambda text: text.split("\n", 1)[1],
    "half a declaration": lambda text: text.replace("?>", ">", 1),
    "version 1.1": lambda text: text.replace('version="1.0"', 'version="1.1"', 1),
}
