"""What pages say: their versions, with their bodies and links. A part of the fenced transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from operator import pos
from typing import Any, TypeAlias

from crawler.records import Page, Target, columns_of
from crawler.storage.known import KnownUrls
from crawler.storage.page_fields import page_values, updated_values
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import arrays, insert, insertion, rows_of
from crawler.storage.postgres.ids import HostKeys, id_of
from crawler.storage.postgres.transactions import Execute
from crawler.storage.values import as_json

TargetIds: TypeAlias = Sequence[int | None]  # of a page's links; None: there was no room for a row

# Of what is read again, the links that had no room then may have some now; and an older reader may have read others.
_ADD_LINKS = insertion(
    "page_links", ("part", "page_id", "links"), "ON CONFLICT (part, page_id) DO UPDATE SET links = excluded.links"
)

_OF_KEY = ("part", "host_id", "url_id")
_PAGES_OF = f"""
SELECT u.part, u.host_id, u.id, u.page_id
FROM {rows_of(_OF_KEY)} JOIN urls AS u ON u.part = v.part AND u.host_id = v.host_id AND u.id = v.url_id
"""  # noqa: S608 - our own names

_OF_BODY = (*_OF_KEY, "body_hash")
_SET_BODIES = f"""
UPDATE pages AS p SET body_hash = v.body_hash
FROM {rows_of(_OF_BODY)} JOIN urls AS u ON u.part = v.part AND u.host_id = v.host_id AND u.id = v.url_id
WHERE p.part = u.part AND p.id = u.page_id AND p.body_hash IS NULL
"""  # noqa: S608 - our own names

_OF_NEW_LINKS = (*_OF_KEY, "n")
_SET_NEW_LINKS = f"""
UPDATE urls AS u SET new_links = (u.new_links + v.n) / 2 FROM {rows_of(_OF_NEW_LINKS)}
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.url_id
"""  # noqa: S608 - our own names


def target_ids(targets: Sequence[Target], known: KnownUrls, unstored: set[str]) -> TargetIds:
    """The ids of what a page links to."""
    get = known.id_of.get
    ids = [get(target.url) or id_of(target.url) for target in targets]
    if not unstored:
        return ids
    return [None if target.url in unstored else row_id for target, row_id in zip(targets, ids, strict=True)]


async def add_bodies(batch: Sequence[Placed], execute: Execute) -> None:
    """Store the bodies, equal bytes once a partition."""
    bodies = {(one.part, one.result.body.digest): one.result.body for one in batch if one.result.body is not None}
    rows = [
        {"part": part, "hash": digest, "size": body.size, "zstd": body.zstd}
        for (part, digest), body in sorted(bodies.items(), key=_first)
    ]
    await insert("bodies", rows, execute, "ON CONFLICT DO NOTHING")


async def add_pages(batch: Sequence[Placed], linked: Sequence[TargetIds], execute: Execute) -> None:
    """Store the new versions."""
    rows = [
        {"part": one.part, "id": one.page_id, "host_id": one.host_id, "url_id": one.url_id, "fetch_id": one.fetch_id}
        | _decoded(page_values(one.result, one.result.page, ids))
        for one, ids in zip(batch, linked, strict=True)
        if one.result.page is not None
    ]
    await insert("pages", rows, execute)


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    """The same values with the text as str, which the driver needs."""
    return values | {"text": values["text"].decode()} if "text" in values else values


async def stored_versions(batch: Sequence[Placed], execute: Execute) -> list[int | None]:
    """The versions of what was read again and says the same; None for all else."""
    reread = sorted({one.key for one in batch if one.result.reread is not None})
    rows = await execute(_PAGES_OF, *arrays(reread)) if reread else []
    stored = {tuple(row[:3]): row[3] for row in rows}
    return [stored.get(one.key) if one.result.reread is not None else None for one in batch]


async def add_links(
    batch: Sequence[Placed],
    page_ids: Sequence[int | None],
    linked: Sequence[TargetIds],
    hosts: HostKeys,
    execute: Execute,
) -> None:
    """Store the links of the versions: a row a version."""
    rows = {
        (one.part, page_id): _links(page, one.result.link_targets, ids, hosts)
        for one, page_id, ids in zip(batch, page_ids, linked, strict=True)
        if ids and page_id is not None and (page := one.read) is not None
    }
    if rows:
        await execute(_ADD_LINKS, *arrays((*key, links) for key, links in sorted(rows.items())))


def _links(page: Page, targets: Sequence[Target], ids: TargetIds, hosts: HostKeys) -> str:
    """The links of a page as JSON: one for each target, the first that leads there."""
    links = columns_of(page.links)
    host_ids = hosts.ids_of(target.host for target in targets)
    rows = list(zip(host_ids, ids, links.anchors, links.rels, map(pos, links.nofollows), strict=True))
    first: dict[int | None, Any] = {None: None}
    for row in rows if len(set(ids)) < len(ids) or None in ids else ():
        first.setdefault(row[1], row)
    return as_json([*first.values()][1:] or rows)


async def update_pages(
    batch: Sequence[Placed], stored: Sequence[int | None], linked: Sequence[TargetIds], execute: Execute
) -> None:
    """What makes no version is kept of the newest visit; nothing is written where it is what it was."""
    rows: defaultdict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for one, page_id, ids in zip(batch, stored, linked, strict=True):
        if one.result.reread is not None and page_id is not None:
            values = _decoded(updated_values(one.result, one.result.reread, ids))
            rows[tuple(values)].append({"part": one.part, "id": page_id} | values)
    for columns, some in rows.items():
        await execute(_update(columns), *([row[name] for row in some] for name in ("part", "id", *columns)))


@cache
def _update(columns: tuple[str, ...]) -> str:
    new = {name: f"v.{name}" for name in columns} | {"link_details": "coalesce(v.link_details, p.link_details)"}
    return (
        f"UPDATE pages AS p SET {', '.join(f'{name} = {new[name]}' for name in columns)}"  # noqa: S608 - our own names
        f" FROM {rows_of(('part', 'id', *columns))} WHERE p.part = v.part AND p.id = v.id"
        f" AND ({', '.join(f'p.{name}' for name in columns)})"
        f" IS DISTINCT FROM ({', '.join(map(new.__getitem__, columns))})"
    )


async def complete_pages(batch: Sequence[Placed], linked: Sequence[TargetIds], new: set[int], execute: Execute) -> None:
    """What a second visit adds: a body to a version stored without, how many new links came (their ids are `new`)."""
    again = [pair for pair in zip(batch, linked, strict=True) if pair[0].result.claim.previous is not None]
    counts = [(*one.key, len(new.intersection(ids))) for one, ids in again if one.page_id is not None]
    if counts:
        await execute(_SET_NEW_LINKS, *arrays(counts))
    bodies = [
        (*one.key, one.result.body.digest) for one, _ids in again if one.page_id is None and one.result.body is not None
    ]
    if bodies:
        await execute(_SET_BODIES, *arrays(bodies))


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]
