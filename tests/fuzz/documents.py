"""What holds of what is read from the web's documents: URLs, encodings, HTML, sitemaps, robots.txt.

The unit tests try Hypothesis' examples, `tests.fuzz` atheris'. It is more than 'does not raise': a second way to the
same answer (a library's, or the parser's own from the same thing said otherwise), bounds, and nothing in the result
that cannot be stored.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from crawler.bodies import compress, is_packed
from crawler.charsets.decoder import decode_pieces
from crawler.charsets.encoder import encode
from crawler.charsets.labels import NAMES
from crawler.content import encoding, hyperlinks, sitemap, xhtml
from crawler.content.encoding import scalar_text
from crawler.content.html import MAX_FIELD_CHARS, MAX_JSON_LD_CHARS, read_page
from crawler.content.link_header import with_link_header
from crawler.content.listing_type import listing_kind
from crawler.content.metadata import HASH_BYTES, MAX_ALTERNATES, MAX_METAS
from crawler.content.open_graph import MAX_OPEN_GRAPH
from crawler.content.pdf import MAX_TEXT_CHARS, read_pdf
from crawler.content.plain_text import read_text
from crawler.content.resources import MAX_RESOURCES
from crawler.content.visible_text import MAX_LABEL_CHARS
from crawler.content.walk import MAX_HEADINGS
from crawler.parsing.wire import decode_content, encode_content
from crawler.policy.robots import MAX_RULE_TEXT, RobotsRules
from crawler.records import LISTINGS, LOOK_BYTES, Page
from crawler.urls import (
    authority_of,
    credentials_of,
    document_base,
    host_of,
    normalize,
    origin_of,
    port_of,
    scheme_of,
    target_of,
    without_credentials,
)
from tests.fuzz.walks import read_both

SITE = "http://example.com/folder/page?query"
ENCODINGS = sorted(NAMES)
CODECS = {  # of the standard's names: Python's codec that decodes alike, as far as it decodes at all
    **{name: name for name in ("utf-8", "koi8-r", "utf-16le", "utf-16be")},
    **{f"windows-125{digit}": f"cp125{digit}" for digit in range(9)},
    "euc-kr": "cp949",
    "ibm866": "cp866",
}
OUTPUT = dict.fromkeys(("utf-16le", "utf-16be", "replacement"), "utf-8")  # what they are written as
# What the encoders of the standard write as something else: Japanese currency, overlines, minus and half-width letters,
# iso-2022-jp's shifts, and what gb18030 had before 2022.
REWRITTEN = {*"¥‾−\x0e\x0f\x1b", *map(chr, range(0xFF61, 0xFFA0)), *map(chr, range(0xE78D, 0xE865))}


def is_storable(text: str) -> bool:
    """Whether SQLite and JSON take it as it is: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def expect_one_line(text: str) -> None:
    """It may be told to the user."""
    assert text.isprintable()
    assert text == text.strip() != ""


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces, some of them empty."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


# --- URLs


def check_query(href: str, encoding: str) -> None:
    """In a document of any encoding, an href leads to a normal URL that differs from UTF-8's in its query alone."""
    href = scalar_text(href)  # as all text of documents is
    url, plain = normalize(href, document_base(SITE, encoding)), normalize(href, SITE)
    assert (url is None) == (plain is None)
    if url is None or plain is None:
        return
    assert normalize(url) == url
    assert url.isascii()
    assert url.partition("?")[0] == plain.partition("?")[0]


def check_url(href: str, base: str | None) -> None:
    """A normal URL stays as it is, is plain ASCII, and is the sum of its parts."""
    url = normalize(href, base)
    if url is None:
        return
    assert normalize(url) == normalize(url, base) == normalize("", url) == url
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set(" #<>")
    assert url.startswith(("http://", "https://"))
    assert f"{scheme_of(url)}://{authority_of(url)}{target_of(url)}" == url
    bare = without_credentials(url)
    assert origin_of(url) + target_of(url) == bare == normalize(bare)
    assert credentials_of(bare) is None
    assert target_of(url).startswith("/")
    assert host_of(url) == host_of(url).lower() != ""
    assert normalize(origin_of(url)) == origin_of(url) + "/"
    parts = urlsplit(url)  # Python's reading of what is unambiguous by now
    assert (parts.hostname or "").rstrip(".") == host_of(url).strip("[]").rstrip(".")
    assert (parts.port or {"http": 80, "https": 443}[parts.scheme]) == port_of(url) or parts.port == 0


def check_joined_by_folder(href: str, base: str) -> None:
    """The way of joining that keeps answers for other pages of the folder finds what the plain one does."""
    if (page := normalize(base)) is not None and (href := href.partition("#")[0].strip("\t\n\f\r ")):
        assert hyperlinks.resolve(href, page) == normalize(href, page)


# --- documents

_KEEPS_WHITESPACE = re.compile("<(?:pre|listing|xmp|plaintext|table)|srcdoc", re.IGNORECASE)


def check_encoding(body: bytes, content_type: str | None, name: str) -> None:
    """What is decoded can be stored, is no longer than its bytes, and is what Python's codec reads without errors. In
    pieces it is the same, and written again as well.
    """
    assert encoding.sniff(body, content_type) in ENCODINGS
    text = encoding.decode(body, name)
    assert is_storable(text)
    assert len(text) <= len(body)
    assert encoding.scalar_text(text) is text
    for pieces in (cut(body, [len(body) // 3, len(body) // 2]), cut(body, range(len(body)))):
        assert "".join(decode_pieces(pieces, name)) == text
    check_encoder(text, name)
    if name in CODECS:
        try:
            strict = body.decode(CODECS[name])
        except UnicodeDecodeError:
            return
        assert text == strict.removeprefix("\ufeff" if name.startswith("utf") else "").replace("\0", "\ufffd")


def check_encoder(text: str, name: str) -> None:
    """What can be written is read as it was."""
    written = "".join(char for char in text if char not in REWRITTEN and encode(char, name, reference=""))
    assert encoding.decode(encode(f"x{written}", name), OUTPUT.get(name, name)) == f"x{written}"


def check_page(body: bytes, content_type: str | None = None, url: str = SITE) -> Page:
    """All in it can be stored and is bounded, the same by either walk and a second time, and comes through the parser
    process as it is.
    """
    page = read_both(body, url, content_type)
    assert page == read_page(body, url, content_type)
    assert page == decode_content(encode_content(page), url)
    labels = [text for _level, text in page.headings]
    labels += [text for link in page.links for text in (link.anchor, link.rel)]
    previews = [text for value in page.open_graph.values() for text in ([value] if isinstance(value, str) else value)]
    names = [page.title or "", page.description or "", page.language or "", *previews]
    assert all(map(is_storable, (page.text, *page.json_ld, *labels, *names, *page.open_graph)))
    assert max(map(len, labels), default=0) <= MAX_LABEL_CHARS
    assert max(map(len, names)) <= MAX_FIELD_CHARS
    assert all(" ".join(text.split()) == text for text in (*labels, *names))
    assert len(page.headings) <= MAX_HEADINGS
    assert len(previews) <= MAX_OPEN_GRAPH
    assert sum(map(len, page.json_ld)) <= MAX_JSON_LD_CHARS
    check_details(page)
    for found in [link.url for link in page.links] + [page.canonical_url, page.refresh_url]:
        assert found is None or normalize(found) == found
    assert len({link.url for link in page.links}) == len(page.links) == page.links_total <= hyperlinks.MAX_LINKS
    lines = page.text.split("\n") if page.text else []
    assert all(line == line.rstrip() for line in lines)
    assert not lines or (lines[0] and lines[-1])
    assert not re.search("[\xad\u2060\ufeff]", " ".join([page.text, *labels, *names]))
    if not _KEEPS_WHITESPACE.search(encoding.decode(body, page.encoding)):
        assert all(line == " ".join(line.split()) != "" for line in lines)
    return page


def check_text(body: bytes, content_type: str | None = None) -> None:
    """All in it can be stored, twice the same, with no line that ends in a blank; and comes through as it is."""
    page = read_text(body, SITE, content_type)
    assert page == read_text(body, SITE, content_type)
    if page is not None:
        assert page == decode_content(encode_content(page), SITE)
        assert is_storable(page.text)
        assert all(line == line.rstrip() for line in page.text.split("\n"))


def check_pdf(body: bytes) -> None:
    """A page that can be stored, or none; a process that dies ends the search."""
    page = read_pdf(body, SITE)
    if page is not None:
        assert page == decode_content(encode_content(page), SITE)
        assert all(map(is_storable, (page.title or "", page.author or "", page.text)))
        assert len(page.text) <= MAX_TEXT_CHARS
        assert all(line == " ".join(line.split()) != "" for line in page.text.split("\n") if page.text)


def check_details(page: Page) -> None:
    """What a page says of itself and of what belongs to it can be stored, is bounded, and its URLs are normalized."""
    texts = [text for named in (page.alternates, page.resources, page.link_details) for one in named for text in one]
    texts += [page.author, page.site_name, *page.metas]
    texts += [text for value in page.metas.values() for text in ([value] if isinstance(value, str) else value)]
    assert all(is_storable(text) for text in texts if isinstance(text, str))
    assert max((len(text) for text in texts if isinstance(text, str)), default=0) <= MAX_FIELD_CHARS
    urls = [one.url for named in (page.alternates, page.resources) for one in named]
    for url in (*urls, page.next_url, page.prev_url, page.icon_url):
        assert url is None or normalize(url) == url
    assert all(date is None or math.isfinite(date) for date in (page.published_at, page.modified_at))
    assert all(detail.link < len(page.links) for detail in page.link_details)
    bounds = {"metas": MAX_METAS, "alternates": MAX_ALTERNATES, "resources": MAX_RESOURCES}
    assert all(len(getattr(page, name)) <= most for name, most in bounds.items())
    assert len(page.link_details) <= hyperlinks.MAX_DETAILS
    assert len(page.metadata_hash) == HASH_BYTES


def check_link_header(field: str) -> None:
    """It adds what can be stored, and never takes anything away."""
    page = read_page(b"<title>T</title><link rel=canonical href=/c>", SITE)
    said = with_link_header(page, [field])
    check_details(said)
    assert (said.title, said.canonical_url, said.content_hash) == (page.title, page.canonical_url, page.content_hash)


def check_xhtml(body: bytes) -> None:
    """What a library takes for XML is read by the rules of XML, and all of its text is there."""
    check_page(body, "application/xhtml+xml; charset=utf-8")
    text = encoding.decode(body, "utf-8").lstrip()
    html = xhtml.as_html(text)
    if "<!DOCTYPE" in text or xhtml._REFERENCE.search(text):
        return
    try:
        root = ET.fromstring(text)
    except ET.ParseError:
        assert html is None
        return
    assert html is not None
    if all(element.tag in _PLAIN_ELEMENTS and not element.attrib for element in root.iter()):
        page = read_page(text.encode(), SITE, "application/xhtml+xml; charset=utf-8")
        assert _letters(page.text) == _letters("".join(root.itertext()))


_PLAIN_ELEMENTS = frozenset(
    f"{{http://www.w3.org/1999/xhtml}}{tag}" for tag in ("html", "body", "p", "b", "div", "pre")
)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def check_sitemap(body: bytes, places: Sequence[int] = ()) -> None:
    """Bounded, normalized and storable; the same when packed, in any number of members; what an XML library finds in
    it; and what comes back from a parser process.
    """
    listing = sitemap.read_listing(body, SITE)
    entries = sitemap.read_sitemap(body, SITE)
    assert list(listing.entries) == entries
    assert len(entries) <= sitemap.MAX_ENTRIES
    for entry in entries:
        assert normalize(entry.url) == entry.url
        assert entry.lastmod is None or (entry.lastmod >= 0 and math.isfinite(entry.lastmod))
        assert entry.facts is None or _is_sound(json.loads(entry.facts))
    assert decode_content(encode_content(listing), SITE) == listing
    assert listing_kind(body[:LOOK_BYTES]) in {None, *LISTINGS}
    if not is_packed(body):
        assert sitemap.read_sitemap(compress(body), SITE) == entries
    if not body.startswith(b"\x1f\x8b"):
        assert sitemap.read_sitemap(gzip.compress(body, 1, mtime=0), SITE) == entries
        members = b"".join(gzip.compress(piece, 0, mtime=0) for piece in cut(body, places))
        assert sitemap.read_sitemap(members, SITE) == entries
    if (locations := _locations(body)) is not None:
        assert [entry.url for entry in entries] == locations


def _is_sound(facts: dict[str, Any]) -> bool:
    images, alternates = facts.get("images", []), facts.get("alternates", [])
    urls = [*images, *(url for _language, url in alternates)]
    texts = [facts.get("title", ""), facts.get("changefreq", ""), *(language for language, _url in alternates)]
    return (
        all(normalize(url) == url for url in urls)
        and all(map(is_storable, texts))
        and 0 <= facts.get("priority", 0) <= 1
        and max(len(images), len(alternates)) <= 100
    )


def _locations(body: bytes) -> list[str] | None:
    """Of a plain `<urlset>` of shallow `<url>` elements, by ElementTree; None where the document is something else."""
    if b"<!DOCTYPE" in body or b"encoding" in body or len(body) > 10_000:
        return None
    try:
        root = ET.fromstring(body.decode().lstrip(" \t\r\n\ufeff"))
    except (ET.ParseError, UnicodeDecodeError, ValueError):
        return None
    if _name(root) != "urlset" or any(_name(child) != "url" for child in root):
        return None
    found = (_first_location(child) for child in root)
    return [url for text in found if text and (url := normalize(text, SITE))]


def _first_location(entry: ET.Element) -> str:
    fields = [field for field in entry if _name(field) == "loc"]
    texts = ("".join([field.text or "", *(child.tail or "" for child in field)]).strip() for field in fields)
    return next(filter(None, texts), "")


def _name(element: ET.Element) -> str:
    return re.split("[}:]", element.tag)[-1].lower()


def check_robots(body: bytes, agent: str, urls: Iterable[str]) -> None:
    """The decision names a line of the file, and is the same when the file says the same in another way."""
    lines = body.removeprefix(b"\xef\xbb\xbf").splitlines()
    rules = RobotsRules.parse(body)
    others = [
        RobotsRules.parse(b"\xef\xbb\xbf" + b"\r\n".join(lines)),
        RobotsRules.parse(b"".join(b"X-Other: x\r# a comment\r\n" + line + b" # more\r\n" for line in lines)),
        RobotsRules.parse(b"\n".join([*lines, b"Allow:", b"User-agent: nobody-else", b"Disallow: /", *lines])),
    ]
    for other in others:
        assert other.crawl_delay(agent) == rules.crawl_delay(agent)
        assert other.sitemaps == rules.sitemaps
    assert all(normalize(url) == url for url in rules.sitemaps)
    assert rules.crawl_delay(agent) is None or 0 <= (rules.crawl_delay(agent) or 0) < math.inf
    for url in urls:
        verdict = rules.deciding_rule(agent, url)
        assert rules.allows(agent, url) is (verdict is None or verdict.allowed)
        assert all(other.allows(agent, url) is rules.allows(agent, url) for other in others)
        absolute = normalize(url, "http://localhost/")
        if absolute is not None and not target_of(absolute).startswith("//"):  # alone, it would name a host
            assert rules.deciding_rule(agent, absolute) == rules.deciding_rule(agent, target_of(absolute)) == verdict
        if verdict is not None:
            assert 1 <= verdict.line <= len(lines)
            expect_one_line(verdict.text)
            assert len(verdict.text) <= MAX_RULE_TEXT
            assert others[1].deciding_rule(agent, url).line == verdict.line * 3  # type: ignore[union-attr]
