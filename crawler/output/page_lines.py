"""A page as a line of JSON, the same wherever pages are written as such: `crawl --jsonl` and `export jsonl`."""

from __future__ import annotations

from crawler.records import Page
from crawler.storage.values import as_json


def page_line(page: Page) -> bytes:
    """`Page.asdict` as UTF-8, with a line feed at its end and none within."""
    return f"{as_json(page.asdict())}\n".encode()
