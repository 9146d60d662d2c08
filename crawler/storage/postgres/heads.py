"""The rows of `heads`, and what of a head stands with its attempt.

Invariant: a template has one row in each partition that has met it, and the same id in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from crawler.storage.heads import Heads, Template, head_of
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import insert
from crawler.storage.postgres.ids import head_id_of
from crawler.storage.postgres.transactions import Execute
from crawler.storage.values import as_json

_HASH_BYTES = 16
_MAX_REMEMBERED = 65_536  # rows that are there

_NONE = {"head_id": None, "head_values": None}


class HeadRows:
    """Remembers which rows are there."""

    def __init__(self) -> None:
        self._heads = Heads()
        self._stored: set[tuple[int, Template]] = set()

    async def columns(self, batch: Sequence[Placed], execute: Execute) -> list[dict[str, Any]]:
        """What stands in the attempt of each result, in their order; templates that are new get their rows."""
        parted = [self._heads.part(fields) if (fields := head_of(one.result)) else None for one in batch]
        heads = list(zip(batch, parted, strict=True))
        await self._add({(one.part, head.template) for one, head in heads if head is not None}, execute)
        return [
            _NONE if head is None else {"head_id": self._id(head.template), "head_values": as_json(head.values)}
            for head in parted
        ]

    def forget(self) -> None:
        """What was remembered may not be there: a transaction was rolled back."""
        self._stored.clear()

    async def _add(self, templates: set[tuple[int, Template]], execute: Execute) -> None:
        if len(self._stored) > _MAX_REMEMBERED:
            self._stored.clear()
            self._heads.forget()
        new = templates - self._stored
        rows = sorted((_row(part, template) for part, template in new), key=_key_of)
        await insert("heads", rows, execute, "ON CONFLICT DO NOTHING")
        self._stored |= new

    def _id(self, template: Template) -> int:
        known = self._heads.ids.get(template)
        if known is None:
            known = self._heads.ids[template] = head_id_of(_hash(as_json(template)))
        return known


def _row(part: int, template: Template) -> dict[str, Any]:
    fields = as_json(template)
    digest = _hash(fields)
    return {"part": part, "id": head_id_of(digest), "hash": digest, "fields": fields}


def _key_of(row: dict[str, Any]) -> tuple[int, int]:
    return row["part"], row["id"]


def _hash(fields: str) -> bytes:
    return blake2b(fields.encode(), digest_size=_HASH_BYTES).digest()
