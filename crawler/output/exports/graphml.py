"""The graph of links as GraphML (http://graphml.graphdrawing.org), for networkx, Gephi, igraph and the like.

A node is a URL: a page that was chosen, or what such a page links to; an edge is a link, one for each page and target.
Invariant: a node stands once, before its edges; all that is held of the graph is a bit for each URL of the crawl, or at
most 24 bytes for each URL of the graph where URLs have hashes for numbers.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any
from xml.sax.saxutils import escape

from crawler.archive.stored_pages import StoredPage
from crawler.output.exports.export import Export

_NODE = {
    "url": "string",
    "chosen": "boolean",
    "url_status": "string",
    "status": "int",
    "title": "string",
    "depth": "int",
}
_EDGE = {"anchor": "string", "rel": "string", "nofollow": "boolean"}
_ILL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # not in XML 1.0, however it is written
_BEGIN = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
{keys}<graph id="crawl" edgedefault="directed">
"""
_END = b"</graph>\n</graphml>\n"
_AT_ONCE = 256  # pages whose links are read together


async def write(export: Export) -> None:
    """Write the nodes of the chosen pages, then the links, each behind the node that it leads to."""
    seen = _SeenHashes() if export.reader.has_hashes else _Seen()
    with export.target.stream() as file:
        file.write(_BEGIN.format(keys=_keys("node", _NODE) + _keys("edge", _EDGE)).encode())
        async with aclosing(export.reader.pages(())) as pages:
            async for page in pages:
                seen.add(page.url_id)
                file.write(_node(page.url_id, _values(page)))
        async for links in export.links(_AT_ONCE):
            for link in links:
                if seen.add(link.target_id):
                    file.write(_node(link.target_id, {"url": link.url, "chosen": False, "url_status": link.url_status}))
                values = {"anchor": link.anchor, "rel": link.rel, "nofollow": bool(link.nofollow)}
                file.write(_edge(link.page_url_id, link.target_id, values))
        file.write(_END)


class _Seen:
    """Which URLs have a node, by their rows in `urls`."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, url_id: int) -> bool:
        """Whether it is new."""
        place, bit = url_id >> 3, 1 << (url_id & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(max(place + 1 - len(self._bits), len(self._bits))))
        is_new = not self._bits[place] & bit
        self._bits[place] |= bit
        return is_new


class _SeenHashes:
    """The same, by hashes, of which none is 0: each stands at the place that its last bits say, or soon behind it."""

    def __init__(self) -> None:
        self._table = array("q", bytes(8 * 1024))
        self._number = 0

    def add(self, url_id: int) -> bool:
        """Whether it is new."""
        if self._number * 3 > len(self._table) * 2:
            self._grow()
        place = self._place(url_id)
        if self._table[place]:
            return False
        self._table[place] = url_id
        self._number += 1
        return True

    def _place(self, url_id: int) -> int:
        last = len(self._table) - 1  # a power of two, less one
        place = url_id & last
        while self._table[place] not in (0, url_id):
            place = place + 1 & last
        return place

    def _grow(self) -> None:
        known, self._table = self._table, array("q", bytes(16 * len(self._table)))
        for url_id in known:
            if url_id:
                self._table[self._place(url_id)] = url_id


def _values(page: StoredPage) -> dict[str, Any]:
    said = page.page
    return {
        "url": said.url,
        "chosen": True,
        "url_status": page.url_status,
        "status": said.status,
        "title": said.title,
        "depth": said.depth,
    }


def _keys(of: str, names: Mapping[str, str]) -> str:
    keys = (f'<key id="{name}" for="{of}" attr.name="{name}" attr.type="{kind}"/>' for name, kind in names.items())
    return "".join(f"{key}\n" for key in keys)


def _node(url_id: int, values: Mapping[str, Any]) -> bytes:
    return f'<node id="u{url_id}">{_data(values)}</node>\n'.encode()


def _edge(source: int, target: int, values: Mapping[str, Any]) -> bytes:
    return f'<edge source="u{source}" target="u{target}">{_data(values)}</edge>\n'.encode()


def _data(values: Mapping[str, Any]) -> str:
    """What is not known has no element."""
    return "".join(f'<data key="{name}">{_text(value)}</data>' for name, value in values.items() if value is not None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return str(value).lower()  # a flag is true or false
    if value.isalnum():
        return value
    return escape(_ILL.sub("\ufffd", value)).replace("\r", "&#13;")
