"""Empty crawl databases for tests."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from crawler.storage.postgres.views import renew_views
from tests.postgres.sql import execute

PARTS = 16  # few: a test has few hosts, and claims all of them


def create_crawl(url: str, parts: int) -> None:
    """Make an empty crawl with so many partitions in an empty database."""
    execute(url, files("crawler.storage.postgres").joinpath("schema.sql").read_text(encoding="utf-8"))
    execute(url, renew_views())
    execute(url, "INSERT INTO meta (id, schema, parts, program) VALUES (1, 1, ?, ?)", parts, version("crawler"))
    execute(url, "INSERT INTO parts (part) SELECT generate_series(0, ?::int - 1)", parts)
