"""What a transaction stores of the WARC files that were written for its results: where they end, and what is new."""

from __future__ import annotations

from crawler.storage.interface import Archived
from crawler.storage.sqlite.columns import Execute

_SET_FILE = """
INSERT INTO warc_files (name, folder, bytes, index_bytes) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET folder = ?2, bytes = ?3, index_bytes = ?4
"""
_ADD_PAYLOAD = """
INSERT INTO warc_payloads (key, digest, record_id, url, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SET_URL = "INSERT OR REPLACE INTO warc_urls (url_id, key) VALUES (?, ?)"


async def store_archived(archived: Archived, execute: Execute) -> None:
    """In the transaction of the results that it was written for."""
    for file in archived.files:
        await execute(_SET_FILE, file.name, file.folder, file.size, file.index_size)
    for one in archived.payloads:
        await execute(_ADD_PAYLOAD, one.key, one.digest, one.record_id, one.url, one.at)
    for url_id, key in archived.payload_of:
        await execute(_SET_URL, url_id, key)
