"""What a transaction stores of the WARC files that were written for its results: where they end, and what is new."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter

from crawler.storage.interface import Archived
from crawler.storage.sqlite.columns import Execute
from crawler.storage.sqlite.rows import INSERT_ONCE, REPLACE, insert_flat

_SET_FILE = """
INSERT INTO warc_files (name, folder, bytes, index_bytes) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET folder = ?2, bytes = ?3, index_bytes = ?4
"""
_PAYLOAD = ("key", "digest", "record_id", "url", "at")  # columns, and fields of `WarcPayload`
_values_of = attrgetter(*_PAYLOAD)


async def store_archived(archived: Archived, execute: Execute) -> None:
    """In the transaction of the results that it was written for."""
    for file in archived.files:
        await execute(_SET_FILE, file.name, file.folder, file.size, file.index_size)
    payloads = [*chain.from_iterable(map(_values_of, archived.payloads))]
    await insert_flat("warc_payloads", ", ".join(_PAYLOAD), payloads, execute, INSERT_ONCE)
    await insert_flat("warc_urls", "url_id, key", [*chain.from_iterable(archived.payload_of)], execute, REPLACE)
