"""Two versions of a page, as lines: what it says of itself, its text, its links, and what extraction rules have found,
so that both can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import orjson

from crawler.archive.moments import Moment
from crawler.errors import UsageError
from crawler.statically_frozen import dataclass
from crawler.storage.sqlite.database import explained
from crawler.storage.values import as_json

FIELDS = ("title", "description", "language", "canonical_url", "author", "noindex", "nofollow")
_VERSION = f"""
SELECT p.id, f.run_id, f.started_at, p.text, {", ".join(f"p.{name}" for name in FIELDS)}
FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id
"""  # noqa: S608 - our own names
_LINKS = """
SELECT t.url, l.anchor FROM links AS l JOIN urls AS t ON t.id = l.target_id WHERE l.page_id = ? ORDER BY t.url
"""
_EXTRACTS = "SELECT rule, n, data FROM extracts WHERE page_id = ? ORDER BY rule, n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A version of a page: `lines` are its title and metadata, an empty line, its text, another one, its links, a third
    one, and what extraction rules have found.

    `seen_at` is when that version was fetched first (Unix seconds), by the run `run_id`.
    """

    page_id: int
    run_id: int
    seen_at: float
    lines: Sequence[str]


async def revisions(
    path: Path, connection: aiosqlite.Connection, url: str, moments: tuple[Moment, Moment] | None
) -> tuple[Revision | None, Revision | None]:
    """The versions of the page that were stored at two moments, None where there was none; without moments, the newest
    one, and the one before it. Raises `UsageError` for a URL of which no version is stored.
    """
    with explained(path):
        found = list(await connection.execute_fetchall("SELECT id FROM urls WHERE url = ? AND page_id > 0", (url,)))
        if not found:
            raise UsageError(f"no version of {url} is stored in {path}")
        if moments is None:
            sql, parameters = f"{_VERSION} WHERE p.url_id = ? ORDER BY p.id DESC LIMIT 2", found[0]
            newest = [await _revision(connection, row) for row in await connection.execute_fetchall(sql, parameters)]
            return newest[1] if len(newest) > 1 else None, newest[0]
        before, after = [await _at(connection, found[0][0], moment) for moment in moments]
        return before, after


async def _at(connection: aiosqlite.Connection, url_id: int, moment: Moment) -> Revision | None:
    sql = f"{_VERSION} WHERE p.url_id = ? AND f.{moment.column} <= ? ORDER BY p.id DESC LIMIT 1"
    rows = list(await connection.execute_fetchall(sql, (url_id, moment.value)))
    return await _revision(connection, rows[0]) if rows else None


async def _revision(connection: aiosqlite.Connection, row: Sequence[Any]) -> Revision:
    page_id, run_id, seen_at, text, *values = row
    links = [(url, anchor) for url, anchor in await connection.execute_fetchall(_LINKS, (page_id,))]
    found = await connection.execute_fetchall(_EXTRACTS, (page_id,))
    rows = [(rule, number, orjson.loads(data)) for rule, number, data in found]
    return Revision(page_id=page_id, run_id=run_id, seen_at=seen_at, lines=lines_of(values, text, links, rows))


def lines_of(
    values: Iterable[Any],
    text: str,
    links: Iterable[tuple[str, str]],
    rows: Iterable[tuple[str, int, Mapping[str, Any]]],
) -> list[str]:
    """The lines of a version that has these values of `FIELDS`, links with their anchors, and rows of extraction rules
    with their numbers, in their order.
    """
    said = [f"{name}: {value}" for name, value in zip(FIELDS, values, strict=True) if value]
    named = [f"link: {url}  {anchor}" for url, anchor in links]
    found = [
        f"{rule}[{number}].{field}: {as_json(value)}" for rule, number, row in rows for field, value in row.items()
    ]
    return [*said, "", *text.splitlines(), *(["", *named] if named else []), *(["", *found] if found else [])]
