"""What wget2 has saved, read and stored: `python store_files.py FOLDER DATABASE`, with a process for each core.

Of each HTML file: title, text and the compressed body, and a row for each link with its URL and label, in SQLite.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from ada_url import join_url
from selectolax.lexbor import LexborHTMLParser

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Page: TypeAlias = tuple[str, str, str, bytes]  # URL, title, text, body
Links: TypeAlias = list[tuple[str, str]]  # URL and label

_BATCH = 100
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE pages (id INTEGER PRIMARY KEY, url TEXT NOT NULL, title TEXT, text TEXT, body BLOB);
CREATE TABLE links (page_id INTEGER NOT NULL, url TEXT NOT NULL, label TEXT);
"""


def main() -> None:
    """Read all, and print how long that took."""
    folder, database = Path(sys.argv[1]), sys.argv[2]
    started = time.monotonic()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection, ProcessPoolExecutor() as pool:
        connection.executescript(_SCHEMA)
        for number, batch in enumerate(pool.map(partial(_read, str(folder)), _batches(folder))):
            _store(connection, number * _BATCH + 1, batch)
    print(json.dumps({"elapsed_s": time.monotonic() - started}))


def _batches(folder: Path) -> Iterator[list[str]]:
    files = (
        f"{place}/{name}"
        for place, _folders, names in os.walk(folder)
        for name in names
        if name.endswith((".html", ".htm"))
    )
    while batch := list(islice(files, _BATCH)):
        yield batch


def _read(folder: str, paths: list[str]) -> list[tuple[Page, Links]]:
    """wget2 has a folder for each host."""
    return [_parsed(f"http:/{path.removeprefix(folder)}", Path(path).read_bytes()) for path in paths]


def _parsed(url: str, body: bytes) -> tuple[Page, Links]:
    tree = LexborHTMLParser(body)
    title = tree.css_first("title")
    links = list(_links(url, tree))
    tree.strip_tags(["script", "style"])
    text = tree.body.text(separator=" ", strip=True) if tree.body is not None else ""
    return (url, "" if title is None else title.text(), text, zstd.compress(body)), links


def _links(url: str, tree: LexborHTMLParser) -> Iterator[tuple[str, str]]:
    for anchor in tree.css("a[href]"):
        with suppress(ValueError):
            yield join_url(url, anchor.attributes["href"] or ""), anchor.text()


def _store(connection: sqlite3.Connection, first: int, batch: list[tuple[Page, Links]]) -> None:
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO pages VALUES (?, ?, ?, ?, ?)", ((page_id, *page) for page_id, (page, _) in enumerate(batch, first))
    )
    connection.executemany(
        "INSERT INTO links VALUES (?, ?, ?)",
        ((page_id, *link) for page_id, (_, links) in enumerate(batch, first) for link in links),
    )
    connection.execute("COMMIT")


if __name__ == "__main__":
    main()
