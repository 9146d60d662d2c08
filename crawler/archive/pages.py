"""Pages read whole: which columns make a `Page`, with where it is from, and which its links.

The SQL of a question is `SELECT` + `PAGE_COLUMNS` + its own FROM, with `urls AS u` and `pages AS p`, + `OF_ATTEMPT`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from crawler.archive.dialect import Dialect, Sql, Text, joined
from crawler.records import Extract, Link, Page
from crawler.storage.delivery import headers_by_name
from crawler.storage.page_fields import PAGE_FIELDS, page_of

if TYPE_CHECKING:
    from crawler.archive.reading import Reader

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
_EXTRACTS = Sql(
    "(SELECT json_group_array(json_array(e.rule, {columns})) FROM {table} AS e WHERE e.page_id = p.id)",
    "(SELECT coalesce(json_agg(json_build_array(e.rule, {columns})), '[]') FROM {table} AS e"
    " WHERE (e.part, e.page_id) = (p.part, p.id))",
)
_ROWS = _EXTRACTS.format(table="extracts", columns="e.n, e.data")
_MISSES = _EXTRACTS.format(table="extract_misses", columns="e.lacking, e.cut")
_PART = Sql("0", "p.part")  # by which its links are found

# A record's fields are the table's columns: a new one needs no word here, nor in a view.
_FIRST: tuple[Text, ...] = ("u.url", _PART, "heads.fields", "f.head_values", _ROWS, _MISSES)
_BEFORE = len(_FIRST)
_COLUMNS: list[Text] = [*_FIRST, *_OF_DELIVERY.values(), *(f"p.{name}" for name in PAGE_FIELDS)]
_LONG_FIELDS = ("text", "headings", "open_graph", "json_ld", "metas", "alternates", "resources", "link_details")
_LONG: dict[Text, str] = {
    "heads.fields": "headers",
    "f.head_values": "headers",
    _ROWS: "extracts",
    _MISSES: "extracts",
    **{f"p.{name}": name for name in _LONG_FIELDS},
}
OF_ATTEMPT = Sql(
    "LEFT JOIN fetches AS f ON f.id = p.fetch_id LEFT JOIN heads ON heads.id = f.head_id",
    "LEFT JOIN fetches AS f ON (f.part, f.id) = (p.part, p.fetch_id)"
    " LEFT JOIN heads ON (heads.part, heads.id) = (f.part, f.head_id)",
)

# The newest version of the URL `u`, and any of it.
NEWEST_VERSION = Sql("JOIN pages AS p ON p.id = u.page_id", "JOIN pages AS p ON (p.part, p.id) = (u.part, u.page_id)")
ANY_VERSION = Sql(
    "JOIN pages AS p ON p.url_id = u.id",
    "JOIN pages AS p ON (p.part, p.host_id, p.url_id) = (u.part, u.host_id, u.id)",
)

# Of SQLite, an array of versions; of PostgreSQL one of pairs, of their partitions and them.
_LINKS = Sql(
    """
SELECT l.page_id, l.target_id, u.url, l.anchor, l.rel, l.nofollow FROM json_each(?) AS wanted
CROSS JOIN links AS l ON l.page_id = wanted.value CROSS JOIN urls AS u ON u.id = l.target_id
""",
    """
SELECT l.page_id, l.target_id, u.url, l.anchor, l.rel, l.nofollow
FROM json_array_elements(?::json) WITH ORDINALITY AS wanted (key, place)
    JOIN links AS l ON (l.part, l.page_id) = ((wanted.key ->> 0)::int, (wanted.key ->> 1)::bigint)
    JOIN urls AS u ON u.part = (l.target_host_id & (SELECT parts - 1 FROM meta))::int
        AND (u.host_id, u.id) = (l.target_host_id, l.target_id)
""",
)


def page_columns(names: Collection[str] | None = None) -> Sql:
    """The columns that make a page, of which nobody reads more than these fields (None: all): what is long has its
    default in the others.
    """
    spared = set() if names is None else {column for column, name in _LONG.items() if name not in names}
    return joined(["NULL" if column in spared else column for column in _COLUMNS])


PAGE_COLUMNS = page_columns()


async def pages_of(rows: Sequence[Sequence[Any]], reader: Reader, *, with_links: bool = True) -> list[Page]:
    """From rows of `PAGE_COLUMNS`; their links are read together, by one statement."""
    known = [dict(zip(_OF_DELIVERY, row[_BEFORE:], strict=False)) for row in rows]
    links: dict[int, dict[int, Link]] = {one["page_id"]: {} for one in known}
    keys: list[Any] = list(links)
    if reader.dialect is Dialect.POSTGRES:
        keys = [(row[1], one["page_id"]) for row, one in zip(rows, known, strict=True)]
    wanted = orjson.dumps(keys).decode() if with_links else "[]"
    for page_id, target_id, url, anchor, rel, nofollow in await reader.fetch(_LINKS, wanted):
        links[page_id][target_id] = Link(url, anchor, rel, bool(nofollow))
    return [_page(row, one, links[one["page_id"]]) for row, one in zip(rows, known, strict=True)]


def _page(row: Sequence[Any], delivery: dict[str, Any], links: dict[int, Link]) -> Page:
    url, _part, head, head_values, rows, misses, *values = row
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
