"""The indexes in the derived file (derived.py): each answers one kind of question without a pass over a whole table.

An index lists *candidates*: every row that may be an answer, and perhaps some that no longer are. Whoever asks looks
them up in the crawl's file. So an index never has to forget anything, and neither a new version of a page nor
`crawler prune` makes an answer wrong. Rows that are newer than the index have to be read besides (`Candidates.after`).
"""

from __future__ import annotations

import time

import aiosqlite

from crawler.archive.current import NEWEST, PAGE_MARK
from crawler.archive.derived import Progress
from crawler.statically_frozen import dataclass

_BATCH = 1_000_000  # rows taken in by one transaction: 1 s or so, and 40 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index: a table of (key, candidate), filled from a source table in the order of its ids.

    `name` is that of its table; a new `version` has it rebuilt. `newest` gives the highest id of the source, `bound`
    the last id of the batch after id ?1, and `mark` what tells row ?1 of the source from any other that may get the
    same id. `rows` selects what the rows after ?1 and up to ?2 add. The SQL names tables of the crawl's file without
    a schema, since that is attached here and the main one there.
    """

    name: str
    version: int
    columns: tuple[str, str]
    newest: str
    bound: str
    mark: str
    rows: str

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """See `Derivation`."""
        key, candidate = self.columns
        await connection.execute(f"DROP TABLE IF EXISTS main.{self.name}")
        await connection.execute(
            f"CREATE TABLE main.{self.name} ({key} INTEGER NOT NULL, {candidate} INTEGER NOT NULL,"
            f" PRIMARY KEY ({key}, {candidate})) WITHOUT ROWID"
        )

    async def take_in(self, progress: Progress, until: float) -> None:
        """See `Derivation`."""
        upto: int | None = await progress.upto()
        newest = await progress.value(self.newest) or 0  # what is there now: a crawl may go on as fast as we do
        while upto is not None and upto < newest and time.monotonic() < until:
            upto = await self._take_in_batch(progress, upto)

    async def _take_in_batch(self, progress: Progress, after: int) -> int | None:
        """How far that brings it; None if a prune left nothing to take in."""
        async with progress.transaction():
            upto: int | None = await progress.value(self.bound, after)
            if upto is None or upto <= after:
                return None
            await progress.connection.execute(f"INSERT OR IGNORE INTO main.{self.name} {self.rows}", (after, upto))
            await progress.come_to(upto)
        return upto


LINK_SOURCES = Index(
    name="link_sources",
    version=1,
    columns=("target_id", "url_id"),
    newest=NEWEST,
    bound=f"""
        SELECT max(id) FROM pages WHERE id < coalesce(
            (SELECT page_id FROM links WHERE page_id > ?1 ORDER BY page_id LIMIT 1 OFFSET {_BATCH}), 1 << 62
        )
    """,  # noqa: S608 - our own number
    mark=PAGE_MARK,
    rows="""
        SELECT l.target_id, u.id
        FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id
            CROSS JOIN links AS l ON l.page_id = p.id
        WHERE p.id > ?1 AND p.id <= ?2 ORDER BY l.target_id, u.id
    """,
)

# `prune --older-than` may remove the newest attempts, and their ids are used again; the mark reveals it.
ATTEMPTS_OF_URL = Index(
    name="attempts_of_url",
    version=1,
    columns=("url_id", "fetch_id"),
    newest="SELECT max(id) FROM fetches",
    bound=f"SELECT max(id) FROM (SELECT id FROM fetches WHERE id > ?1 ORDER BY id LIMIT {_BATCH})",  # noqa: S608
    mark="SELECT url_id || ' ' || started_at FROM fetches WHERE id = ?1",
    rows="""
        SELECT url_id, id FROM fetches
        WHERE id > ?1 AND id <= ?2 ORDER BY url_id, id
    """,
)
