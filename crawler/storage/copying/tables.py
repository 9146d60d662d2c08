"""The tables of a crawl, and the form in which both stores have their rows in common.

In that form a row names hosts, URLs and header fields by the ids that their texts make (see `postgres.ids`), which
either store can tell, and attempts, versions and changes by their numbers: SQLite's ids. So a row that was copied is
equal to what it was copied from, value by value, whatever ids it has in the store itself.

Which columns a table has, the databases say: what one of them has no place for is left out, and has its default in the
other. Only what differs in more than that is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

import orjson

from crawler.statically_frozen import dataclass

Row: TypeAlias = tuple[Any, ...]

# Ids of this process, in temporary tables of SQLite's connection: copied_hosts(id, made_id), copied_urls(id, made_id,
# host_id), copied_head_ids(id, made_id); where a URL is missing, its host is. And the partitions that refer to what is
# kept once in SQLite and once a partition in PostgreSQL: copied_heads(id, part), copied_bodies(id, part).
_OF_HOST = "CROSS JOIN temp.copied_hosts AS h ON h.id = t.host_id"
_OF_URL = "CROSS JOIN temp.copied_urls AS u ON u.id = t.url_id"
_HOST = "(SELECT id FROM temp.copied_hosts WHERE made_id = {host_id})"
_URL = "(SELECT id FROM temp.copied_urls WHERE made_id = {url_id} AND host_id = {host_id})"
_SITEMAP = "(SELECT id FROM temp.copied_urls WHERE made_id = {sitemap_id} AND host_id & {mask} = {part})"
_PART_OF_PAGE = """(
    SELECT u.host_id & {mask} FROM pages AS p CROSS JOIN temp.copied_urls AS u ON u.id = p.url_id WHERE p.id = t.page_id
)"""

# The details of links name their targets within JSON, without their hosts: of two URLs of one id, which there hardly
# ever are, either.
_DETAILS_READ = """CASE WHEN t.link_details IS NULL OR t.link_details = '[]' THEN t.link_details ELSE (
    SELECT json_group_array(json(json_set(d.value, '$[0]', v.made_id)))
    FROM json_each(t.link_details) AS d CROSS JOIN temp.copied_urls AS v ON v.id = json_extract(d.value, '$[0]')
) END"""
_DETAILS_WRITTEN = """CASE WHEN {link_details} IS NULL OR {link_details} = '[]' THEN {link_details} ELSE (
    SELECT json_group_array(json(json_set(d.value, '$[0]', (
        SELECT min(id) FROM temp.copied_urls WHERE made_id = json_extract(d.value, '$[0]')
    )))) FROM json_each({link_details}) AS d
) END"""

# When each was made, in an order that keeps the order of ids within a partition, though a clock may have been set back.
_MOMENT = "max(coalesce({at}, 0)) OVER (PARTITION BY x.part ORDER BY x.id) AS moment"
_FETCHES = f"(SELECT x.*, {_MOMENT.format(at='x.started_at')} FROM fetches AS x)"  # noqa: S608 - our own names
_PAGES = f"""(
    SELECT x.*, {_MOMENT.format(at="f.started_at")}
    FROM pages AS x LEFT JOIN fetches AS f ON f.part = x.part AND f.id = x.fetch_id
)"""  # noqa: S608 - our own names
_CHANGES = f"(SELECT x.*, {_MOMENT.format(at='x.at')} FROM change_log AS x)"  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table by its name in PostgreSQL; `t` stands for it in all SQL here.

    - `source`, `key`, `part`, `read`: how SQLite has it: FROM what, the columns that tell its rows apart, in the order
      of an index, the partition that a row belongs to, and expressions for columns by name. `groups`: a row of its own
      for each value of the key.
    - `written`: what goes into SQLite's columns, by name, of the row's values, {by_name}; None: no such column.
    - `origin`, `order`: how PostgreSQL has it, likewise.
    - `numbers`: columns with ids that are numbers in the common form, by whose they are.
    - `is_shared`: SQLite keeps a row once, PostgreSQL once in each partition that refers to it.
    """

    name: str
    source: str
    key: Sequence[str]
    part: str = "NULL"
    read: Mapping[str, str] = field(default_factory=dict)
    groups: bool = False
    written: Mapping[str, str | None] = field(default_factory=dict)
    origin: str = ""
    order: Sequence[str]
    numbers: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False


FETCHES, PAGES, CHANGES = "fetches", "pages", "change_log"  # whose numbers

# What others refer to comes first.
TABLES = (
    Table(name="runs", source="runs AS t", key=["t.id"], order=["t.id"]),
    Table(
        name="hosts",
        source="hosts AS t CROSS JOIN temp.copied_hosts AS h ON h.id = t.id",
        key=["t.id"],
        part="h.made_id & {mask}",
        read={"id": "h.made_id"},
        written={"id": _HOST.format(host_id="{id}")},
        order=["t.part", "t.id"],
    ),
    Table(
        name="origins",
        source=f"origins AS t {_OF_HOST}",
        key=["t.id"],
        part="h.made_id & {mask}",
        read={"host_id": "h.made_id"},
        written={"host_id": _HOST},
        order=["t.part", "t.host_id", "t.origin"],
    ),
    Table(
        name="urls",
        source="urls AS t CROSS JOIN temp.copied_urls AS u ON u.id = t.id"
        " LEFT JOIN temp.copied_urls AS f ON f.id = t.found_on",
        key=["t.id"],
        part="u.host_id & {mask}",
        read={"id": "u.made_id", "host_id": "u.host_id", "found_on": "f.made_id", "found_on_host": "f.host_id"},
        written={
            "id": _URL.format(url_id="{id}", host_id="{host_id}"),
            "host_id": _HOST,
            "found_on": _URL.format(url_id="{found_on}", host_id="{found_on_host}"),
            "found_on_host": None,
        },
        order=["t.discovered_at", "t.host_id", "t.id"],
        numbers={"page_id": PAGES},
    ),
    Table(
        name="places",
        source=f"places AS t {_OF_HOST}",
        key=["t.host_id", "t.place"],
        part="h.made_id & {mask}",
        read={"host_id": "h.made_id"},
        written={"host_id": _HOST},
        order=["t.part", "t.host_id", "t.place"],
    ),
    Table(
        name="heads",
        source="heads AS t CROSS JOIN temp.copied_head_ids AS i ON i.id = t.id",
        key=["t.id"],
        part="(SELECT json_group_array(part) FROM temp.copied_heads AS c WHERE c.id = t.id)",
        read={"id": "i.made_id"},
        written={"id": None},
        origin="(SELECT DISTINCT ON (hash) * FROM heads ORDER BY hash, part) AS t",
        order=["t.hash"],
        is_shared=True,
    ),
    Table(
        name="bodies",
        source="bodies AS t",
        key=["t.rowid"],
        part="(SELECT json_group_array(part) FROM temp.copied_bodies AS c WHERE c.id = t.rowid)",
        origin="(SELECT DISTINCT ON (hash) part, hash FROM bodies ORDER BY hash, part) AS d"
        " JOIN bodies AS t ON t.part = d.part AND t.hash = d.hash",
        order=["d.hash"],
        is_shared=True,
    ),
    Table(
        name="fetches",
        source=f"fetches AS t {_OF_URL} LEFT JOIN temp.copied_head_ids AS i ON i.id = t.head_id",
        key=["t.id"],
        part="u.host_id & {mask}",
        read={"host_id": "u.host_id", "url_id": "u.made_id", "head_id": "i.made_id"},
        written={
            "host_id": None,
            "url_id": _URL,
            "head_id": "(SELECT id FROM temp.copied_head_ids WHERE made_id = {head_id})",
        },
        origin=f"{_FETCHES} AS t",
        order=["t.moment", "t.id"],
        numbers={"id": FETCHES},
    ),
    Table(
        name="pages",
        source=f"pages AS t {_OF_URL}",
        key=["t.id"],
        part="u.host_id & {mask}",
        read={"host_id": "u.host_id", "url_id": "u.made_id", "link_details": _DETAILS_READ},
        written={"host_id": None, "url_id": _URL, "link_details": _DETAILS_WRITTEN},
        origin=f"{_PAGES} AS t",
        order=["t.moment", "t.id"],
        numbers={"id": PAGES, "fetch_id": FETCHES},
    ),
    Table(
        name="page_links",
        source="links AS t CROSS JOIN temp.copied_urls AS u ON u.id = t.target_id",
        key=["t.page_id"],
        part=_PART_OF_PAGE,
        read={"links": "json_group_array(json_array(u.host_id, u.made_id, t.anchor, t.rel, t.nofollow))"},
        groups=True,
        origin=f"page_links AS t JOIN {_PAGES} AS p ON p.part = t.part AND p.id = t.page_id",
        order=["p.moment", "p.id"],
        numbers={"page_id": PAGES},
    ),
    Table(
        name="sitemap_entries",
        source=f"sitemap_entries AS t {_OF_URL} CROSS JOIN temp.copied_urls AS s ON s.id = t.sitemap_id",
        key=["t.sitemap_id", "t.url_id"],
        part="s.host_id & {mask}",
        read={"sitemap_id": "s.made_id", "url_host_id": "u.host_id", "url_id": "u.made_id"},
        written={
            "sitemap_id": _SITEMAP,
            "url_host_id": None,
            "url_id": _URL.format(url_id="{url_id}", host_id="{url_host_id}"),
        },
        order=["t.part", "t.sitemap_id", "t.url_id"],
    ),
    Table(
        name="change_log",
        source=f"change_log AS t {_OF_URL}",
        key=["t.id"],
        part="u.host_id & {mask}",
        read={"host_id": "u.host_id", "url_id": "u.made_id"},
        written={"host_id": None, "url_id": _URL},
        origin=f"{_CHANGES} AS t",
        order=["t.moment", "t.id"],
        numbers={"id": CHANGES, "page_id": PAGES},
    ),
    Table(name="extraction_rules", source="extraction_rules AS t", key=["t.name"], order=["t.name"]),
    Table(
        name="extracts",
        source="extracts AS t",
        key=["t.page_id", "t.rule", "t.n"],
        part=_PART_OF_PAGE,
        order=["t.part", "t.page_id", "t.rule", "t.n"],
        numbers={"page_id": PAGES},
    ),
    Table(
        name="extract_misses",
        source="extract_misses AS t",
        key=["t.page_id", "t.rule"],
        part=_PART_OF_PAGE,
        order=["t.part", "t.page_id", "t.rule"],
        numbers={"page_id": PAGES},
    ),
)


def parser_of(columns: Sequence[str], first: int) -> Callable[[Row], Row]:
    """Makes lists of the JSON in rows whose columns begin at the place `first`, as the common form has them: so it does
    not matter how a store writes JSON, nor in which order it has the links of a page.
    """
    return _changer(columns, first, {"links": lambda text: sorted(orjson.loads(text)), "link_details": orjson.loads})


def dumper_of(columns: Sequence[str], first: int) -> Callable[[Row], Row]:
    """Makes JSON of these lists again."""
    return _changer(
        columns, first, dict.fromkeys(("links", "link_details"), lambda value: orjson.dumps(value).decode())
    )


def _changer(columns: Sequence[str], first: int, changes: Mapping[str, Callable[[Any], Any]]) -> Callable[[Row], Row]:
    places = [(first + place, changes[name]) for place, name in enumerate(columns) if name in changes]
    if not places:
        return lambda row: row

    def changed(row: Row) -> Row:
        values = list(row)
        for place, change in places:
            if values[place] is not None:
                values[place] = change(values[place])
        return tuple(values)

    return changed
