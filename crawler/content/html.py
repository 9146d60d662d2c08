"""HTML: a document's bytes in, a `Page` out.

Invariant: any bytes give a `Page`, equal for equal input. Its URLs have passed through `normalize`, its text holds
Unicode scalar values only, and everything that a hostile page could inflate is capped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

from crawler.content.authorship import Sources, authorship, microdata_of
from crawler.content.encoding import Sniffed, declared_by, decode, found_by, sniffed
from crawler.content.hyperlinks import read_links, series_elements
from crawler.content.media_type import HTML, XML_TYPES, essence
from crawler.content.metadata import (
    Attributes,
    Metadata,
    Relations,
    icon_url,
    metadata_hash,
    named_metas,
    parsed_json_ld,
    read_alternates,
    relations_of,
    url_of,
)
from crawler.content.open_graph import read_open_graph
from crawler.content.refresh import Refresh, read_refresh
from crawler.content.resources import read_resources, source_of
from crawler.content.robots_meta import robots_directives
from crawler.content.visible_text import collapse, tag_ids
from crawler.content.walk import Walk, Walked, walk
from crawler.partly_decoded import EncodedText
from crawler.records import Links, Page
from crawler.urls import document_base, normalize
from crawler.user_agent import DEFAULT_PRODUCT_TOKEN, named_in

# Raise it with every change that makes an unchanged document read differently in what is compared between versions
# (title, text, links, metadata): a recrawl then reads the stored body again before it says that a page has changed.
READER_VERSION: int = 2  # 1 is what 0.1.0 wrote

MAX_FIELD_CHARS = 10_000  # title, description
MAX_EMPTY_TITLES = 10
MAX_JSON_LD_CHARS = 1024 * 1024  # of all scripts together; one that does not fit is dropped: cut, it is not JSON
MAX_IMAGES = 500
CONTENT_HASH_BYTES = 16
IMAGES_HASH_BYTES = 8

_PARSER_OPTIONS = int(LexborDocumentOptions.WO_EVENTS)  # the tree as the source has it, and a little quicker
_TITLE_TAG = next(iter(tag_ids("title")))
_Contents: TypeAlias = dict[str, list[str]]  # of `<meta>` elements, by what they are of in lower case
_NO_REFRESH = Refresh(url=None, delay_s=0)


def read_page(
    body: bytes,
    url: str,
    content_type: str | None = None,
    *,
    product_token: str = DEFAULT_PRODUCT_TOKEN,
    walk: Walk = walk,
) -> Page:
    """Read the HTML document `body`, which was fetched from `url` (normalized) with the header `content_type`.

    `product_token` is the name by which `<meta name=...>` addresses this crawler, besides `robots`. URLs are resolved
    against the first `<base href>` if it is valid, otherwise against `url`. Titles and other fields have their
    whitespace collapsed, and are None if empty. XHTML is read by the rules of XML where it is sent as XML and is
    well-formed, otherwise by those of HTML. `walk` is what takes from the document's tree what is read; whichever it
    is, the page is the same.
    """
    document, (encoding, encoding_source) = _read_document(body, content_type, walk)
    tree, title, found, _read_as = document
    metas = found.metas
    base = base_url(found.base_href, url, encoding)
    names, pragmas, properties = _contents(metas)
    relations = relations_of(found.relations)
    elements = chain(series_elements(found.relations, relations), found.links)
    links, links_total, link_details = read_links(elements, base, url, found.group)
    refresh, is_redirect = _refresh(found.refreshes, base, url)
    directives = names.get("robots", []) + (names[own] if (own := named_in(names, product_token)) else [])
    noindex, nofollow = robots_directives(directives, product_token)
    page = Page(
        url=url,
        text="",
        encoding=encoding,
        encoding_source=encoding_source,
        headings=tuple(found.headings),
        links=links,
        links_total=links_total,
        link_details=link_details,
        refresh_url=refresh.url,
        refresh_is_redirect=is_redirect,
        noindex=noindex,
        nofollow=nofollow,
        images_hash=_images_hash(found.images),
        content_hash=_content_hash(title, found.text, links, noindex=noindex, nofollow=nofollow),
        reader_version=READER_VERSION,
        content_type=document.read_as,
        **_described(document, _language(tree, pragmas), names, properties, relations, base),
    )
    page.leave_encoded(EncodedText(found.text))
    return page


class _Document(NamedTuple):
    tree: LexborHTMLParser
    title: str | None
    found: Walked
    read_as: str


def _read_document(body: bytes, content_type: str | None, walk: Walk) -> tuple[_Document, Sniffed]:
    """The parsed document and its encoding. Any `<meta>` may name it, unless the header or a byte-order mark does."""
    encoding = sniffed(body, content_type)
    document = _parse(body, encoding.name, content_type, walk)
    if encoding.is_certain or document.read_as != HTML or (declared := declared_by(document.found.metas)) is None:
        return document, encoding
    if declared != encoding.name:
        document = _parse(body, declared, content_type, walk)
    return document, found_by(declared, "meta")


def _parse(body: bytes, encoding: str, content_type: str | None, walk: Walk) -> _Document:
    tree, read_as = parsed(body, encoding, content_type)
    title = _title(tree)
    return _Document(tree, title, walk(tree), read_as)


def parsed(body: bytes, encoding: str, content_type: str | None) -> tuple[LexborHTMLParser, str]:
    """The tree of a document, and the media type that it was read as."""
    if encoding == "utf-8" and body.isascii() and 0 not in body and essence(content_type) not in XML_TYPES:
        return LexborHTMLParser(body, options=_PARSER_OPTIONS), HTML  # what is decoded here is encoded again there
    markup, read_as = markup_of(decode(body, encoding), content_type)
    return LexborHTMLParser(markup, options=_PARSER_OPTIONS), read_as


def _described(
    document: _Document, language: str | None, names: _Contents, properties: _Contents, relations: Relations, base: str
) -> dict[str, Any]:
    """The fields of `Page` that say what it is, who made it, and what belongs to it.

    `names` and `properties` are the contents of `<meta>` elements by name and itemprop.
    """
    found = document.found
    json_ld = _json_ld(found.scripts_of_type)
    parsed = parsed_json_ld(json_ld)
    open_graph = read_open_graph(found.metas)
    previewed = {name: [value] if isinstance(value, str) else value for name, value in open_graph.items()}
    said = {**names, **previewed, **properties}
    sources = Sources(said, parsed, found.times, microdata_of(found.with_itemprop, found.metas, found.times))
    published_at, modified_at, author = authorship(sources)
    metadata: dict[str, Any] = {
        "title": document.title,
        "description": _first(names, "description"),
        "language": language,
        "canonical_url": url_of("canonical", relations, base),
        "open_graph": open_graph,
        "alternates": read_alternates(relations, base),
        "published_at": published_at,
        "modified_at": modified_at,
        "author": author,
    }
    return {
        **metadata,
        "json_ld": json_ld,
        "metadata_hash": metadata_hash(Metadata(**metadata), parsed, names.get("robots", [])),
        "metas": named_metas(names),
        "next_url": url_of("next", relations, base),
        "prev_url": url_of("prev", relations, base),
        "site_name": _first(previewed, "og:site_name") or _first(names, "application-name"),
        "icon_url": icon_url(relations, base),
        "resources": read_resources(found.images, found.scripts, relations, found.media, base),
    }


def markup_of(text: str, content_type: str | None) -> tuple[str, str]:
    """The document as HTML, and the media type that it was read as."""
    sent_as = essence(content_type)
    if sent_as in XML_TYPES:
        from crawler.content.xhtml import as_html  # few processes ever read any

        if markup := as_html(text):
            return markup, sent_as
    return text, HTML


def base_url(href: str | None, url: str, encoding: str) -> str:
    """What URLs are resolved against: the `<base href>`, or the page's own URL if that one is invalid."""
    base = document_base(url, encoding)
    named = normalize(href, base) if href else None
    return document_base(named, encoding) if named else base


def _contents(metas: Sequence[Attributes]) -> tuple[_Contents, _Contents, _Contents]:
    """The contents of the `<meta>` elements by name, http-equiv and itemprop, each list in document order."""
    names: _Contents = {}
    pragmas: _Contents = {}
    properties: _Contents = {}
    contents = (("name", names), ("http-equiv", pragmas), ("itemprop", properties))
    for meta in metas:
        if content := meta.get("content"):
            for attribute, found in contents:
                if key := meta.get(attribute):
                    found.setdefault(key.strip().lower(), []).append(content)
    return names, pragmas, properties


def _first(contents: Mapping[str, list[str]], name: str) -> str | None:
    """The first that is not blank."""
    return next(filter(None, map(_field, contents[name])), None) if name in contents else None


def _field(text: str | None) -> str | None:
    return collapse(text, MAX_FIELD_CHARS) or None


def _title(tree: LexborHTMLParser) -> str | None:
    """The first that is not empty; of SVG, where it names a part of a drawing, none.

    The head is looked through first, without a selector, which takes a tenth of the time. Empty ones are taken out.
    """
    node = tree.head.first_child if tree.head else None
    while node is not None:
        if node.tag_id == _TITLE_TAG and (title := _field(node.text())):
            return title
        node = node.next
    for _ in range(MAX_EMPTY_TITLES):
        first = tree.css_first("title:not(svg title)")
        if first is None or (title := _field(first.text())):
            return title if first else None
        first.decompose(recursive=False)
    return None


def _language(tree: LexborHTMLParser, pragmas: dict[str, list[str]]) -> str | None:
    """The `lang` of `<html>`, otherwise the Content-Language pragma, which counts only if it names one language, or
    else `xml:lang`, which is not HTML, but is written where somebody meant XHTML.
    """
    attributes = tree.root.attributes if tree.root else {}
    of_one = (_field(content) for content in pragmas.get("content-language", []) if "," not in content)
    pragma = next(filter(None, of_one), None)
    declared = _field(attributes.get("lang")) or pragma or _field(attributes.get("xml:lang"))
    return declared.partition(" ")[0] if declared else None


def _json_ld(scripts: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The texts of the JSON-LD scripts, unparsed, as far as they fit."""
    texts: list[str] = []
    room = MAX_JSON_LD_CHARS
    for media_type, text in scripts:
        if media_type.partition(";")[0].strip().lower() != "application/ld+json":
            continue
        if text.strip() and len(text) <= room:
            texts.append(text)
            room -= len(text)
    return tuple(texts)


def _refresh(refreshes: Iterable[tuple[str, bool]], base: str, url: str) -> tuple[Refresh, bool]:
    """The first `<meta http-equiv=refresh>` that is one, and whether it is a redirect. One in a `<noscript>`, which
    browsers never see, is none, and counts only where there is no other.
    """
    of_the_scriptless = None
    for content, is_for_scriptless in refreshes:
        refresh = read_refresh(content, base, url)
        if refresh is None:
            continue
        if not is_for_scriptless:
            return refresh, refresh.is_redirect
        of_the_scriptless = of_the_scriptless or refresh
    return of_the_scriptless or _NO_REFRESH, False


def _images_hash(images: Sequence[Attributes]) -> bytes:
    """BLAKE2b over where the images come from, as written; of those that a script loads later, from where it will.

    Empty where there are none.
    """
    if not images:
        return b""  # most pages of a manual have none
    sources = [source_of(attributes) for attributes in images[:MAX_IMAGES]]
    return blake2b("\0".join(sources).encode(), digest_size=IMAGES_HASH_BYTES).digest() if any(sources) else b""


def _content_hash(title: str | None, text: bytes, links: Links, *, noindex: bool, nofollow: bool) -> bytes:
    """BLAKE2b over the page's title, text, links and robots directives, separated by NUL, which none of them holds."""
    targets = links.urls
    if True in links.nofollows:  # no URL has a space
        targets = [f"{link.url} nofollow" if link.nofollow else link.url for link in links]
    others = [*targets, *(["noindex"] * noindex), *(["nofollow"] * nofollow)]
    content = [(title or "").encode(), text, *(["\0".join(others).encode()] if others else [])]
    return blake2b(b"\0".join(content), digest_size=CONTENT_HASH_BYTES).digest()
