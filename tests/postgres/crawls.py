"""Empty crawl databases for tests."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files

from crawler.storage.postgres.views import renew_views
from tests.postgres.sql import execute

PARTS = 16  # few: a test has few hosts, and claims all of them


def create_crawl(url: str, parts: int, *, is_partitioned: bool = False) -> None:
    """Make an empty crawl with so many partitions in an empty database; `is_partitioned`: a table for each of them."""
    schema = files("crawler.storage.postgres").joinpath("schema.sql").read_text(encoding="utf-8")
    execute(url, _partitioned(schema, parts) if is_partitioned else schema)
    execute(url, renew_views())
    execute(url, "INSERT INTO meta (id, schema, parts, program) VALUES (1, 1, ?, ?)", parts, version("crawler"))
    execute(url, "INSERT INTO parts (part) SELECT generate_series(0, ?::int - 1)", parts)


def _partitioned(schema: str, parts: int) -> str:
    """The same tables, but those of control; a partitioned one has no settings of its own."""

    def declared(table: re.Match[str]) -> str:
        name, columns = table[1], table[2]
        if name in ("parts", "tallies"):
            return table[0]
        each = "".join(
            f"CREATE TABLE {name}_p{part} PARTITION OF {name} FOR VALUES IN ({part});\n" for part in range(parts)
        )
        return f"CREATE TABLE {name} (\n{columns}\n) PARTITION BY LIST (part);\n{each}"

    table = r"^CREATE TABLE (\w+) \(\n(    part int.*?)\n\)(?: WITH \([^)]*\))?;$"
    return re.sub(table, declared, schema, flags=re.DOTALL | re.MULTILINE)
