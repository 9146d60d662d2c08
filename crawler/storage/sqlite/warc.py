"""What the database remembers of the WARC files that are written beside it: their lengths, and what is in them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from crawler.storage.interface import Archived, WarcFile, WarcPayload, WarcPayloads
from crawler.storage.sqlite.columns import Execute
from crawler.storage.values import as_json

WARC_FILES = """
SELECT name, folder, bytes, index_bytes, is_closed FROM warc_files
WHERE is_closed = 0 OR id = (SELECT max(id) FROM warc_files) ORDER BY id
"""
CLOSE_FILE = "UPDATE warc_files SET is_closed = 1 WHERE name = ?"
FIRST_RUN_AT = "SELECT min(started_at) FROM runs"

_SET_FILE = """
INSERT INTO warc_files (name, folder, bytes, index_bytes) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET folder = ?2, bytes = ?3, index_bytes = ?4
"""
_PAYLOAD_COLUMNS = "key, digest, record_id, url, at"
_ADD_PAYLOAD = (
    "INSERT INTO warc_payloads (key, digest, record_id, url, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_SET_URL = "INSERT OR REPLACE INTO warc_urls (url_id, key) VALUES (?, ?)"
_PAYLOADS = f"SELECT {_PAYLOAD_COLUMNS} FROM warc_payloads WHERE key IN "  # noqa: S608 - our own names
_KEYS = "SELECT url_id, key FROM warc_urls WHERE url_id IN (SELECT value FROM json_each(?))"


class Read(Protocol):
    """A query on the connection that reads."""

    async def __call__(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Its rows."""


def warc_file(row: tuple[Any, ...]) -> WarcFile:
    """A row of `WARC_FILES`."""
    name, folder, size, index_size, is_closed = row
    return WarcFile(name=name, folder=folder, size=size, index_size=index_size, is_closed=bool(is_closed))


async def warc_payloads(keys: Collection[bytes], url_ids: Collection[int], read: Read) -> WarcPayloads:
    """See `WarcLog.warc_payloads`."""
    key_of: dict[int, bytes] = dict(await read(_KEYS, (as_json(sorted(url_ids)),))) if url_ids else {}
    wanted = tuple({*keys, *key_of.values()})  # at most a few for each result of a batch
    rows = await read(f"{_PAYLOADS} ({', '.join('?' * len(wanted))})", wanted) if wanted else []
    known = {row[0]: WarcPayload(key=row[0], digest=row[1], record_id=row[2], url=row[3], at=row[4]) for row in rows}
    by_url = {url_id: known[key] for url_id, key in key_of.items() if key in known}
    return WarcPayloads(by_key=known, by_url=by_url)


async def store_archived(archived: Archived, execute: Execute) -> None:
    """In the transaction of the results that it was written for."""
    for file in archived.files:
        await execute(_SET_FILE, file.name, file.folder, file.size, file.index_size)
    for one in archived.payloads:
        await execute(_ADD_PAYLOAD, one.key, one.digest, one.record_id, one.url, one.at)
    for url_id, key in archived.payload_of:
        await execute(_SET_URL, url_id, key)
