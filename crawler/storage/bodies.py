"""Bodies: compressed with zstd, keyed by the hash of their bytes, so that equal bytes are kept once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from crawler.records import Visit

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBody:
    """`size` counts the bytes before compression."""

    size: int
    zstd: bytes


def body_hash(body: bytes) -> bytes:
    """What keys a body: BLAKE2b of its decoded bytes, 16 bytes long."""
    return blake2b(body, digest_size=16).digest()


async def compress(visits: Sequence[Visit]) -> tuple[list[bytes | None], dict[bytes, StoredBody]]:
    """Each visit's body hash (None: no body to keep), and the bodies by hash, each once.

    Done in a thread: BLAKE2 and zstd work without the GIL.
    """
    if all(visit.body is None for visit in visits):
        return [None] * len(visits), {}
    return await asyncio.to_thread(_compress, [visit.body for visit in visits])


def _compress(bodies: Sequence[bytes | None]) -> tuple[list[bytes | None], dict[bytes, StoredBody]]:
    hashes: list[bytes | None] = []
    stored: dict[bytes, StoredBody] = {}
    for body in bodies:
        digest = None if body is None else body_hash(body)
        hashes.append(digest)
        if body is not None and digest is not None and digest not in stored:
            stored[digest] = StoredBody(size=len(body), zstd=zstd.compress(body, _LEVEL))
    return hashes, stored


def decompress(data: bytes) -> bytes:
    """The body as it was received, Content-Encoding undone."""
    return zstd.decompress(data)
