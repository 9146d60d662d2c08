"""Pages read whole: which columns make a `Page`, with where it is from, and which its links.

The SQL of a question is `SELECT` + `PAGE_COLUMNS` + its own FROM, with `urls AS u` and `pages AS p`, + `OF_ATTEMPT`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import lru_cache
from typing import Any

import orjson

from crawler.records import Extract, Link, Page
from crawler.storage.delivery import headers_by_name
from crawler.storage.values import PAGE_FIELDS, page_of

# A field of delivery: its column. An attempt may have been pruned.
_OF_DELIVERY = {
    "page_id": "p.id",
    "run_id": "f.run_id",
    "status": "f.status_code",
    "fetched_at": "f.started_at",
    "elapsed_s": "f.elapsed_s",
    "size_bytes": "f.bytes",
    "truncated": "p.truncated",
    "depth": "u.depth",
}
# A record's fields are the table's columns: a new one needs no word here, nor in a view.
_FIRST = (
    "u.url",
    "heads.fields",
    "f.head_values",
    "(SELECT json_group_array(json_array(e.rule, e.n, e.data)) FROM extracts AS e WHERE e.page_id = p.id)",
    "(SELECT json_group_array(json_array(e.rule, e.lacking, e.cut)) FROM extract_misses AS e WHERE e.page_id = p.id)",
)
_BEFORE = len(_FIRST)
_COLUMNS = [*_FIRST, *_OF_DELIVERY.values(), *(f"p.{name}" for name in PAGE_FIELDS)]
PAGE_COLUMNS = ", ".join(_COLUMNS)
_LONG = {"heads.fields": "headers", "f.head_values": "headers", _FIRST[3]: "extracts", _FIRST[4]: "extracts"} | {
    f"p.{name}": name
    for name in ("text", "headings", "open_graph", "json_ld", "metas", "alternates", "resources", "link_details")
}
OF_ATTEMPT = "LEFT JOIN fetches AS f ON f.id = p.fetch_id LEFT JOIN heads ON heads.id = f.head_id"

_LINKS = """
SELECT l.page_id, l.target_id, u.url, l.anchor, l.rel, l.nofollow FROM json_each(?) AS wanted
CROSS JOIN links AS l ON l.page_id = wanted.value CROSS JOIN urls AS u ON u.id = l.target_id
"""


def page_columns(names: Collection[str]) -> str:
    """`PAGE_COLUMNS` where nobody reads more than these fields: what is long has its default in the others."""
    spared = {column for column, name in _LONG.items() if name not in names}
    return ", ".join("NULL" if column in spared else column for column in _COLUMNS)


async def pages_of(
    rows: Sequence[Sequence[Any]], read: Callable[..., Awaitable[Sequence[Any]]], *, with_links: bool = True
) -> list[Page]:
    """From rows of `PAGE_COLUMNS`; their links are read together, by one statement."""
    known = [dict(zip(_OF_DELIVERY, row[_BEFORE:], strict=False)) for row in rows]
    links: dict[int, dict[int, Link]] = {one["page_id"]: {} for one in known}
    wanted = orjson.dumps(list(links)).decode() if with_links else "[]"
    for page_id, target_id, url, anchor, rel, nofollow in await read(_LINKS, wanted):
        links[page_id][target_id] = Link(url, anchor, rel, bool(nofollow))
    return [_page(row, one, links[one["page_id"]]) for row, one in zip(rows, known, strict=True)]


def _page(row: Sequence[Any], delivery: dict[str, Any], links: dict[int, Link]) -> Page:
    url, head, head_values, rows, misses, *values = row
    stored = dict(zip(PAGE_FIELDS, values[len(_OF_DELIVERY) :], strict=True))
    delivery["truncated"] = bool(delivery["truncated"])
    delivery |= {"headers": _headers(head, head_values), "extracts": _extracts(rows, misses)}
    return page_of(url, links, stored, **delivery)


def _extracts(rows: str | None, misses: str | None) -> tuple[Extract, ...]:
    """As `Page.extracts`, by rule; most pages have none. None: nobody asks."""
    if rows is None or misses is None or rows == misses == "[]":
        return ()
    short = {rule: (tuple(orjson.loads(lacking)), bool(cut)) for rule, lacking, cut in orjson.loads(misses)}
    data: dict[str, list[Any]] = {}
    for rule, _n, row in sorted(orjson.loads(rows)):
        data.setdefault(rule, []).append(orjson.loads(row))
    rules = sorted(short.keys() | data.keys())
    return tuple(Extract(rule, tuple(data.get(rule, ())), *short.get(rule, ((), False))) for rule in rules)


def _headers(head: str | None, values: str | None) -> dict[str, str | list[str]]:
    """What the heads' template and the attempt's own values say together; see `storage.heads`."""
    if head is None:
        return {}
    own = orjson.loads(values or "[]")
    return headers_by_name((name, own[value] if isinstance(value, int) else value) for name, value in _template(head))


@lru_cache(maxsize=4096)
def _template(head: str) -> list[tuple[str, str | int]]:
    return list(map(tuple, orjson.loads(head)))
