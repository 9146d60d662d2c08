"""What pages say: their versions, with their bodies and links. A part of the writer's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from operator import pos
from typing import Any

from crawler.records import Difference, Result, columns_of
from crawler.storage.page_fields import page_values, updated_values
from crawler.storage.sqlite.columns import Execute
from crawler.storage.sqlite.rows import INSERT_ONCE, execute_storable, insert, insert_flat, named_values, next_id_of
from crawler.storage.values import as_json

_LINK_COLUMNS = "page_id, target_id, anchor, rel, nofollow"
_PLAIN_LINK = "?, ?, ?, '', 0"  # where no link of a page has a rel: what is no parameter is not copied

# Found by this page: the link's target was added by this very transaction.
_SET_NEW_LINKS = """
UPDATE urls SET new_links = (new_links + (
    SELECT count(*) FROM links AS l JOIN urls AS t ON t.id = l.target_id
    WHERE l.page_id = ?2 AND t.discovered_at = ?3 AND t.status = 'pending'
)) / 2 WHERE id = ?1
"""

_FORGET_LINKS = "DELETE FROM links WHERE page_id IN (SELECT value FROM json_each(?))"

_PAGES_OF = "SELECT id, page_id FROM urls WHERE id IN (SELECT value FROM json_each(?))"

_SET_BODY = """
UPDATE pages SET body_hash = ?2 WHERE id = (SELECT page_id FROM urls WHERE id = ?1) AND body_hash IS NULL
"""


async def add_bodies(results: Sequence[Result], execute: Execute) -> None:
    """Store the bodies, equal bytes once."""
    bodies = {result.body.digest: result.body for result in results if result.body is not None}
    rows = [{"hash": digest, "size": body.size, "zstd": body.zstd} for digest, body in bodies.items()]
    await insert("bodies", rows, execute, INSERT_ONCE)


async def add_pages(
    results: Sequence[Result],
    ids: Sequence[int],
    fetch_ids: Sequence[int | None],
    target_ids: Sequence[Sequence[int | None]],
    execute: Execute,
) -> list[int | None]:
    """Store new versions; returns their rows, None for each result that has none."""
    rows: list[dict[str, Any]] = []
    page_ids: list[int | None] = []
    next_id = await next_id_of("pages", execute)
    for result, url_id, fetch_id, linked in zip(results, ids, fetch_ids, target_ids, strict=True):
        if result.page is None:
            page_ids.append(None)
            continue
        page_ids.append(next_id)
        own = {"id": next_id, "url_id": url_id, "fetch_id": fetch_id}
        rows.append(own | page_values(result, result.page, linked))
        next_id += 1
    await insert("pages", rows, execute)
    return page_ids


async def stored_versions(results: Sequence[Result], ids: Sequence[int], execute: Execute) -> list[int | None]:
    """The versions of what was read again and says the same; None for all else."""
    reread = [url_id for result, url_id in zip(results, ids, strict=True) if result.reread is not None]
    rows = await execute(_PAGES_OF, as_json(reread)) if reread else []
    stored = {row[0]: row[1] for row in rows}
    return [
        stored.get(url_id) if result.reread is not None else None for result, url_id in zip(results, ids, strict=True)
    ]


async def add_links(
    results: Sequence[Result],
    page_ids: Sequence[int | None],
    target_ids: Sequence[Sequence[int | None]],
    execute: Execute,
) -> None:
    """Store the links of the versions, instead of those that an older reader has read there."""
    replaced = [
        page_id
        for result, page_id in zip(results, page_ids, strict=True)
        if result.difference is Difference.READER and page_id is not None
    ]
    if replaced:
        await execute(_FORGET_LINKS, as_json(replaced))
    plain: list[Any] = []  # rows, one after the other: there are a hundred a page
    others: list[Any] = []
    for result, page_id, linked in zip(results, page_ids, target_ids, strict=True):
        page = result.page or result.reread
        if page is None or not linked:
            continue
        links = columns_of(page.links)
        columns: list[Iterable[Any]] = [repeat(page_id, len(linked)), linked, links.anchors]
        has_rels = any(links.rels) or True in links.nofollows
        if has_rels:
            columns += links.rels, map(pos, links.nofollows)  # sqlite3 binds an int in a tenth of the time of a bool
        rows = zip(*columns, strict=True)
        flat = chain.from_iterable(rows if all(linked) else (row for row in rows if row[1] is not None))
        (others if has_rels else plain).extend(flat)
    await insert_flat("links", _LINK_COLUMNS, plain, execute, INSERT_ONCE, _PLAIN_LINK)
    await insert_flat("links", _LINK_COLUMNS, others, execute, INSERT_ONCE)


async def update_pages(
    results: Sequence[Result],
    stored: Sequence[int | None],
    target_ids: Sequence[Sequence[int | None]],
    execute: Execute,
) -> None:
    """What makes no version is kept of the newest visit; nothing is written where it is what it was."""
    rows = [
        {"id": page_id} | updated_values(result, result.reread, linked)
        for result, page_id, linked in zip(results, stored, target_ids, strict=True)
        if result.reread is not None and page_id is not None
    ]
    by_names: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:  # where the reader has changed, all of a page is new, and of others less
        by_names[tuple(row)].append(row)
    for some in by_names.values():
        await _update(some, execute)


async def _update(rows: Sequence[dict[str, Any]], execute: Execute) -> None:
    for columns, values, parameters in named_values(rows):
        names = [name for name in columns if name != "id"]
        new = {name: f"v.{name}" for name in names} | {"link_details": "coalesce(v.link_details, p.link_details)"}
        await execute_storable(
            f"WITH v ({', '.join(columns)}) AS ({values})"  # noqa: S608 - our own names
            f" UPDATE pages AS p SET {', '.join(f'{name} = {new[name]}' for name in names)} FROM v"
            f" WHERE p.id = v.id AND ({', '.join(f'p.{name}' for name in names)})"
            f" IS NOT ({', '.join(map(new.__getitem__, names))})",
            parameters,
            execute,
        )


async def complete_pages(
    results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], now: float, execute: Execute
) -> None:
    """What a second visit adds: a body to a version stored without, how many new links came."""
    for result, url_id, page_id in zip(results, ids, page_ids, strict=True):
        if result.claim.previous is None:
            continue
        if page_id is not None:
            await execute(_SET_NEW_LINKS, url_id, page_id, now)
        elif result.body is not None:
            await execute(_SET_BODY, url_id, result.body.digest)
