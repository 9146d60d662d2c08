"""What differs between two moments of a crawl, such as the ends of two runs: pages, URLs and links.

Net, and not step by step: what went and came back in between is no difference, nor is a page that says again what it
said. Where pages and URLs stood is read from the log of changes, what pages said from their versions. What is gathered
stands in temporary tables of the connection, which SQLite keeps on disk where they are large. Invariant: whoever takes
the moments and compares them within one `snapshot` gets an answer in which everything fits together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.archive.moments import Moment
from crawler.archive.reading import stream
from crawler.errors import UsageError
from crawler.records import STANDING, LoggedChange
from crawler.statically_frozen import dataclass
from crawler.storage.sqlite.database import explained

_ROWS = 1024  # of answers that are streamed


class Word(StrEnum):
    """What a row of a comparison says, in the order in which they are shown."""

    NEW = "new"
    CHANGED = "changed"
    METADATA = "metadata"
    GONE = "gone"
    MOVED = "moved"
    WITHDRAWN = "withdrawn"
    BACK = "back"
    BROKEN = "broken"
    HEALED = "healed"
    LINK_ADDED = "link added"
    LINK_REMOVED = "link removed"
    LINK_BROKEN = "link broken"
    LINK_HEALED = "link healed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row. `url` is the page with the link, where that is what it is about, and `target_url` where that leads; of a
    page that has moved, where to. `detail` is why, or a link's anchor. The versions are None where there is none.
    """

    change: Word
    url: str
    target_url: str | None
    detail: str | None
    before_page_id: int | None
    after_page_id: int | None


_PRUNED = "SELECT coalesce(max(upto), 0) FROM change_log_pruned"
_OLDEST_COMPARABLE = "SELECT run_id FROM change_log WHERE id >= ? ORDER BY id LIMIT 1"


_PLACES = ", ".join(f"'{change}'" for change in sorted(STANDING))
_LEFT = f"('{LoggedChange.GONE}', '{LoggedChange.MOVED}', '{LoggedChange.WITHDRAWN}')"


def _last(moment: str, *, of: str = "t.url_id", places: bool = False) -> str:
    """What the log said last, up to then, of where a URL stood; by change_log_states."""
    which = f" AND change IN ({_PLACES})" if places else ""
    return f"""(
        SELECT change FROM change_log WHERE url_id = {of} AND page_id IS NULL AND id <= {moment}{which}
        ORDER BY id DESC LIMIT 1
    )"""  # noqa: S608 - our own names


def _version(at: Moment, parameter: str, of: str = "t.url_id") -> str:
    """The version of a page that was stored then."""
    return f"""(
        SELECT p.id FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id
        WHERE p.url_id = {of} AND f.{at.column} <= {parameter} ORDER BY p.id DESC LIMIT 1
    )"""  # noqa: S608 - our own names


# ?1 and ?2: between which rows of the log; ?3 and ?4: the values of the two moments.
def _compared(before: Moment, after: Moment) -> str:
    return f"""
CREATE TEMP TABLE compared AS
WITH
    touched AS (
        SELECT
            url_id, max(change = 'new') AS is_new, max(change = 'changed') AS is_changed,
            max(change = 'metadata') AS is_metadata,
            NOT max(change = 'new') AND max(change NOT IN ('broken', 'healed')) AS was_page
        FROM change_log WHERE id > ?1 AND id <= ?2 GROUP BY url_id
    ),
    placed AS (
        SELECT
            t.*, {_last("?1", places=True)} AS place_before, {_last("?2", places=True)} AS place_after,
            coalesce({_last("?1")}, '') = 'broken' AS broken_before,
            coalesce({_last("?2")}, '') = 'broken' AS broken_after
        FROM touched AS t
    ),
    stood AS (
        SELECT
            *, was_page AND coalesce(place_before NOT IN {_LEFT}, 1) AS stood,
            (was_page OR is_new) AND coalesce(place_after NOT IN {_LEFT}, 1) AS stands,
            broken_before OR place_before IS 'gone' AS bad_before, broken_after OR place_after IS 'gone' AS bad_after
        FROM placed
    ),
    versions AS (
        SELECT
            t.*, iif(stood, {_version(before, "?3")}, NULL) AS before_id,
            iif(stands, {_version(after, "?4")}, NULL) AS after_id
        FROM stood AS t
    ),
    told AS (
        SELECT
            v.*,
            CASE
                WHEN NOT was_page THEN iif(stands, 'new', NULL)
                WHEN stood AND NOT stands THEN place_after
                WHEN stands AND NOT stood THEN 'back'
                WHEN NOT stood THEN nullif(place_after, place_before)
                WHEN NOT is_changed AND NOT is_metadata THEN NULL
                WHEN o.id IS NULL OR n.id IS NULL OR o.reader_version IS NOT n.reader_version
                    THEN iif(is_changed, 'changed', 'metadata')
                WHEN o.content_hash <> n.content_hash OR o.truncated <> n.truncated THEN 'changed'
                WHEN o.metadata_hash IS NOT n.metadata_hash THEN 'metadata'
            END AS page_change
        FROM versions AS v LEFT JOIN pages AS o ON o.id = v.before_id LEFT JOIN pages AS n ON n.id = v.after_id
    )
SELECT
    url_id, page_change, stood AND stands AS stays, before_id, after_id, bad_before, bad_after,
    CASE
        WHEN bad_after AND NOT bad_before AND page_change IS NOT 'gone' THEN 'broken'
        WHEN bad_before AND NOT bad_after AND page_change IS NOT 'back' THEN 'healed'
    END AS url_change
FROM told
"""  # noqa: S608 - our own names


# URLs that were bad before, and whether they still are: by the states alone, of which there are few.
_BAD_BEFORE = f"""
CREATE TEMP TABLE bad_before AS
SELECT t.url_id, c.url_id IS NULL OR c.bad_after AS still
FROM (SELECT DISTINCT url_id FROM change_log INDEXED BY change_log_states WHERE page_id IS NULL AND id <= ?1) AS t
    LEFT JOIN compared AS c ON c.url_id = t.url_id
WHERE {_last("?1")} = 'broken' OR {_last("?1", places=True)} = 'gone'
"""  # noqa: S608 - our own names

_INDEXES = """
CREATE UNIQUE INDEX compared_urls ON compared (url_id);
CREATE UNIQUE INDEX bad_urls ON bad_before (url_id);
"""

_CHANGED_LINKS = """
CREATE TEMP TABLE changed_links AS
SELECT 'link added' AS change, c.url_id, l.target_id, l.anchor, c.before_id, c.after_id
FROM compared AS c CROSS JOIN links AS l ON l.page_id = c.after_id
WHERE c.stays AND c.page_change = 'changed' AND c.before_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM links WHERE page_id = c.before_id AND target_id = l.target_id)
UNION ALL
SELECT 'link removed', c.url_id, l.target_id, l.anchor, c.before_id, c.after_id
FROM compared AS c CROSS JOIN links AS l ON l.page_id = c.before_id
WHERE c.stays AND c.page_change = 'changed' AND c.after_id IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM links WHERE page_id = c.after_id AND target_id = l.target_id)
"""

# One pass over all links of the pages that stand, only where some URL is bad now and was not, or the other way round.
_TURNED = "SELECT count(*) FROM compared WHERE bad_before <> bad_after"


def _links_to_turned(after: Moment) -> str:
    version = "s.page_id" if after.is_newest else _version(after, "?2", "s.id")
    return f"""
INSERT INTO changed_links
SELECT iif(t.bad_after, 'link broken', 'link healed'), s.id, l.target_id, l.anchor, c.before_id, l.page_id
FROM urls AS s CROSS JOIN links AS l ON l.page_id = {version} CROSS JOIN compared AS t ON t.url_id = l.target_id
    LEFT JOIN compared AS c ON c.url_id = s.id
WHERE s.page_id IS NOT NULL AND coalesce({_last("?1", of="s.id", places=True)} NOT IN {_LEFT}, 1)
    AND t.bad_before <> t.bad_after
    AND (t.bad_after OR c.url_id IS NULL OR c.page_change IS NULL OR EXISTS (
        SELECT 1 FROM links WHERE page_id = c.before_id AND target_id = l.target_id
    ))
"""  # noqa: S608 - our own names


# New links to what was bad before, and links to it that are no more.
_LINKS_TO_BAD = """
INSERT INTO changed_links
SELECT 'link broken', c.url_id, l.target_id, l.anchor, c.before_id, c.after_id
FROM compared AS c CROSS JOIN links AS l ON l.page_id = c.after_id CROSS JOIN bad_before AS b ON b.url_id = l.target_id
WHERE c.page_change IN ('new', 'changed', 'back') AND b.still
    AND NOT EXISTS (SELECT 1 FROM links WHERE page_id = c.before_id AND target_id = l.target_id)
UNION ALL
SELECT 'link healed', r.url_id, r.target_id, r.anchor, r.before_id, r.after_id
FROM changed_links AS r CROSS JOIN bad_before AS b ON b.url_id = r.target_id WHERE r.change = 'link removed'
"""

_COUNTS = """
SELECT page_change, count(*) FROM compared WHERE page_change IS NOT NULL GROUP BY page_change
UNION ALL SELECT url_change, count(*) FROM compared WHERE url_change IS NOT NULL GROUP BY url_change
UNION ALL SELECT change, count(*) FROM changed_links GROUP BY change
"""

# ?1: the word, ?2: how many, ?3: the last row of the log that counts.
_PAGE_ROWS = """
SELECT u.url, iif(?1 = 'moved', d.detail, NULL), iif(?1 = 'moved', NULL, d.detail), c.before_id, c.after_id
FROM compared AS c JOIN urls AS u ON u.id = c.url_id LEFT JOIN change_log AS d ON d.id = (
    SELECT max(id) FROM change_log
    WHERE url_id = c.url_id AND page_id IS NULL AND id <= ?3 AND change IN (?1, iif(?1 = 'broken', 'gone', ?1))
) WHERE c.{} = ?1 ORDER BY u.url LIMIT ?2
"""
_LINK_ROWS = """
SELECT s.url, t.url, l.anchor, l.before_id, l.after_id
FROM changed_links AS l JOIN urls AS s ON s.id = l.url_id JOIN urls AS t ON t.id = l.target_id
WHERE l.change = ? ORDER BY s.url, t.url LIMIT ?
"""


class Comparison:
    """What differs between two moments; made by `compare`."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, after: Moment, counts: dict[Word, int]) -> None:
        self._path = path
        self._connection = connection
        self._after = after
        self.counts = counts

    async def rows(self, limit: int | None = None) -> AsyncIterator[Difference]:
        """All differences by word, by URL; at most `limit` of each word."""
        most = -1 if limit is None else limit
        for word in self.counts:
            if word.startswith("link "):
                rows = self._read(_LINK_ROWS, word, most)
            else:
                rows = self._read(_PAGE_ROWS.format(_column_of(word)), word, most, self._after.change_id)
            async for url, target_url, detail, before_id, after_id in rows:
                yield Difference(
                    change=word,
                    url=url,
                    target_url=target_url,
                    detail=detail,
                    before_page_id=before_id,
                    after_page_id=after_id,
                )

    async def _read(self, sql: str, *parameters: Any) -> AsyncIterator[Any]:
        async for rows in stream(self._path, self._connection, sql, parameters, _ROWS):
            for row in rows:
                yield row


async def compare(path: Path, connection: aiosqlite.Connection, before: Moment, after: Moment) -> Comparison:
    """Compare two moments, within a `snapshot`. Reads all links where some URL has broken or healed.

    The rows can be read until the connection makes another comparison. Raises `UsageError` where `prune` has removed
    what happened after the first moment.
    """
    if after.change_id < before.change_id:
        raise UsageError("the first run has to be the older one")
    with explained(path):
        await _check(path, connection, before)
        await _gather(connection, before, after)
        counts = {row[0]: row[1] for row in await connection.execute_fetchall(_COUNTS)}
    return Comparison(path, connection, after, {word: counts[word] for word in Word if word in counts})


async def _check(path: Path, connection: aiosqlite.Connection, before: Moment) -> None:
    ((pruned,),) = await connection.execute_fetchall(_PRUNED)
    if not before.change_id or before.change_id >= pruned:
        return
    found = list(await connection.execute_fetchall(_OLDEST_COMPARABLE, (pruned,)))
    since = f"; compare with run {found[0][0]} or a later one" if found else ""
    raise UsageError(f"`crawler prune` has removed from {path} what happened after that{since}")


async def _gather(connection: aiosqlite.Connection, before: Moment, after: Moment) -> None:
    for table in ("compared", "bad_before", "changed_links"):
        await connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    span = (before.change_id, after.change_id)
    await connection.execute(_compared(before, after), (*span, before.value, after.value))
    await connection.execute(_BAD_BEFORE, span[:1])
    for statement in _INDEXES.strip().splitlines():
        await connection.execute(statement)
    await connection.execute(_CHANGED_LINKS)
    ((turned,),) = await connection.execute_fetchall(_TURNED)
    if turned:
        of_then = (after.change_id,) if after.is_newest else (after.change_id, after.value)
        await connection.execute(_links_to_turned(after), of_then)
    await connection.execute(_LINKS_TO_BAD)


def _column_of(word: Word) -> str:
    return "url_change" if word in (Word.BROKEN, Word.HEALED) else "page_change"
