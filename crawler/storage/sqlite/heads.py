"""The rows of `heads`, and what of a head stands with its attempt. Part of the writer's transaction.

Invariant: a template has one row, whichever runs and transactions have met it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeAlias

from crawler.records import Result
from crawler.storage.heads import Heads, Template, head_of
from crawler.storage.sqlite.columns import Execute
from crawler.storage.values import as_json

_HASH_BYTES = 16
_MAX_IDS = 4096  # that are remembered

_ADD = "INSERT INTO heads (hash, fields) VALUES (?, ?) ON CONFLICT DO NOTHING"
_ID = "SELECT id FROM heads WHERE hash = ?"

HeadColumns: TypeAlias = tuple[int | None, str | None]  # the row of its template; its own values
_NONE = None, None


async def head_columns(results: Sequence[Result], heads: Heads, execute: Execute) -> list[HeadColumns]:
    """What stands in the attempt of each result, in their order; templates that are new get their rows."""
    parted = [heads.part(fields) if (fields := head_of(result)) else None for result in results]
    if len(heads.ids) > _MAX_IDS:
        heads.forget()
    new = {head.template for head in parted if head is not None and head.template not in heads.ids}
    if new:
        await _add(new, heads, execute)
    return [_NONE if head is None else (heads.ids[head.template], as_json(head.values)) for head in parted]


async def _add(templates: Iterable[Template], heads: Heads, execute: Execute) -> None:
    for template in templates:
        fields = as_json(template)
        digest = blake2b(fields.encode(), digest_size=_HASH_BYTES).digest()
        await execute(_ADD, digest, fields)
        heads.ids[template] = (await execute(_ID, digest))[0][0]
