"""What stands beside a SQLite file: its derived file (derived.py), as one reader of the crawl asks it.

Invariant: whatever happens to the derived file, no question fails; without it the answer takes longer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.archive.answers import SearchResults
from crawler.archive.attached import Attached
from crawler.archive.derived import discard, is_damage
from crawler.archive.deriving import DERIVE_S, Deriver, PageDerivation
from crawler.archive.filters import Condition
from crawler.archive.indexes import Index
from crawler.archive.lookup import Candidates, Lookup
from crawler.archive.reading import stream
from crawler.archive.search import Search
from crawler.content.markdown import Content
from crawler.errors import DatabaseFailedError
from crawler.storage.sqlite.database import explained

_ROWS_AT_ONCE = 64  # of a view: somebody may be waiting for the first


class Beside:
    """The derived file of `db`, for whoever reads that through this connection."""

    def __init__(self, db: Path, connection: aiosqlite.Connection, notify: Callable[[str], None]) -> None:
        self._db = db
        self._connection = connection
        self._notify = notify
        self._attached = Attached(db, connection)
        self._deriver = Deriver(self._attached, connection, notify)
        self._lookup = Lookup(self._attached, notify)
        self._search = Search(self._attached, self._deriver)

    async def candidates(self, index: Index, key: int, limit: int | None = None) -> Candidates | None:
        """See `Lookup.candidates`."""
        return await self._lookup.candidates(index, key, limit)

    async def search(
        self, query: str, *, host: str | None, language: str | None, limit: int, content: Content, update_s: float
    ) -> SearchResults:
        """See `Archive.search`."""
        with explained(self._db):
            return await self._search.ask(
                query, host=host, language=language, limit=limit, content=content, update_s=update_s
            )

    async def rows(
        self, source: PageDerivation, statement: Condition, limit_s: float = DERIVE_S
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """The rows of a view that is derived. A file that turns out to be damaged is made anew."""
        for is_second in (False, True):
            begun = False
            try:
                async with AsyncExitStack() as stack:
                    with explained(self._db):
                        async with self._attached.turn:
                            used = await stack.enter_async_context(self._deriver.brought_up_to_date(source, limit_s))
                            behind = await self._deriver.behind(used, source)
                    if behind:
                        self._notify(f"{source.doing} {behind:,} page versions is left for the next time")
                    async for rows in stream(self._db, self._connection, *statement, _ROWS_AT_ONCE):
                        begun = True
                        yield rows
                return
            except DatabaseFailedError as error:
                if is_second or begun or not is_damage(error.__cause__):
                    raise
            await discard(self._db)
