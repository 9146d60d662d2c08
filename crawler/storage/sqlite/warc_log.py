"""What the database remembers of the WARC files that are written beside it; see `interface.WarcLog`."""

from __future__ import annotations

from collections.abc import Collection

from crawler.storage.interface import WarcFile, WarcPayload, WarcPayloads
from crawler.storage.sqlite.session import Session
from crawler.storage.values import as_json

_FILES = """
SELECT name, folder, bytes, index_bytes, is_closed FROM warc_files
WHERE is_closed = 0 OR id = (SELECT max(id) FROM warc_files) ORDER BY id
"""
_CLOSE_FILE = "UPDATE warc_files SET is_closed = 1 WHERE name = ?"
_FIRST_RUN_AT = "SELECT min(started_at) FROM runs"
_KEYS = "SELECT url_id, key FROM warc_urls WHERE url_id IN (SELECT value FROM json_each(?))"
_PAYLOADS = "SELECT key, digest, record_id, url, at FROM warc_payloads WHERE key IN "


class WarcLog(Session):
    """The slice of the store for WARC files."""

    async def warc_files(self) -> list[WarcFile]:
        """Those that are not closed, and the newest one, in the order in which they were made."""
        return [
            WarcFile(name=name, folder=folder, size=size, index_size=index_size, is_closed=bool(is_closed))
            for name, folder, size, index_size, is_closed in await self._read(_FILES)
        ]

    async def warc_payloads(self, keys: Collection[bytes], url_ids: Collection[int]) -> WarcPayloads:
        """Those of these keys, and those that these URLs had last."""
        key_of: dict[int, bytes] = dict(await self._read(_KEYS, (as_json(sorted(url_ids)),))) if url_ids else {}
        wanted = tuple({*keys, *key_of.values()})  # a few for each result of a batch
        rows = await self._read(f"{_PAYLOADS} ({', '.join('?' * len(wanted))})", wanted) if wanted else []
        known = {
            key: WarcPayload(key=key, digest=digest, record_id=record_id, url=url, at=at)
            for key, digest, record_id, url, at in rows
        }
        by_url = {url_id: known[key] for url_id, key in key_of.items() if key in known}
        return WarcPayloads(by_key=known, by_url=by_url)

    async def close_warc_file(self, name: str) -> None:
        """Nothing more will be written to it."""
        async with self._writing:  # beside commits
            await self._write(_CLOSE_FILE, (name,))

    async def first_run_at(self) -> float:
        """When the first run in the database started."""
        return float((await self._read(_FIRST_RUN_AT))[0][0])
