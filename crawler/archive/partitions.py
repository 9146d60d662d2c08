"""The partitions of a crawl in PostgreSQL, each of which can be read by itself."""

from __future__ import annotations

from typing import NamedTuple

from crawler.archive.reading import open_database
from crawler.location import DatabaseUrl

PART = "part"  # the column

_PARTITIONS = """
SELECT p.part, json_build_array(
    (SELECT id FROM fetches AS f WHERE f.part = p.part ORDER BY id DESC LIMIT 1),
    (SELECT id FROM change_log AS c WHERE c.part = p.part ORDER BY id DESC LIMIT 1),
    (SELECT json_agg(json_build_array(rule, read_upto, unread_upto) ORDER BY rule)
        FROM extraction_reads AS r WHERE r.part = p.part),
    (SELECT json_agg(definition ORDER BY name) FROM extraction_rules)
)::text
FROM parts AS p WHERE EXISTS (SELECT 1 FROM pages WHERE pages.part = p.part) ORDER BY p.part
"""


class Partition(NamedTuple):
    """A partition that has pages. Its `state` is another one once any of them has been visited or read again."""

    part: int
    state: str


async def partitions(db: DatabaseUrl) -> list[Partition]:
    """Those that have pages. Raises `DatabaseFailedError` if there is no crawl database."""
    async with open_database(db) as reader:
        return [Partition(*row) for row in await reader.fetch(_PARTITIONS)]
