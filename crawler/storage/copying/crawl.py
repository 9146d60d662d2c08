"""What copying asks of a crawl database in either store, as the source or as the target."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from crawler.statically_frozen import dataclass
from crawler.storage.copying.tables import Row, Table
from crawler.storage.copying.tally import EMPTY, Tally

MAX_ROWS, MAX_SIZE = 5000, 4 * 1024 * 1024  # of a chunk, in rows and in about as many bytes


class Chunk(NamedTuple):
    """Some rows of a table in the common form, each led by its partition; and the key of the last one."""

    rows: list[Row]
    upto: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much of a table has been copied: up to the row of this key (None: nothing), which are so many."""

    upto: Row | None = None
    tally: Tally = EMPTY
    is_whole: bool = False


class Source(Protocol):
    """A crawl, of which one state is read."""

    async def fingerprint(self) -> str:
        """A mark of that state: it changes when the crawl goes on."""

    async def columns(self, table: Table) -> list[str]:
        """The names of the table's columns in this store."""

    async def count(self, table: Table) -> int:
        """About how many rows it has, for the progress that is shown."""

    def chunks(self, table: Table, columns: Sequence[str], after: Row | None) -> AsyncIterator[Chunk]:
        """All rows behind this key, in its order."""


class Target(Protocol):
    """A database that is being filled; what is stored comes with how far that is, in one transaction."""

    async def progress(self, table: Table) -> Progress:
        """As it was stored last."""

    async def store(self, table: Table, columns: Sequence[str], rows: Sequence[Row], progress: Progress) -> None:
        """Add rows."""

    async def columns(self, table: Table) -> list[str]:
        """Of the table, as it is in this store."""

    async def begin(self, table: Table) -> None:
        """Prepare for the rows of a table, once all before it are whole."""

    async def forget(self) -> None:
        """What was copied is of no use: the next try begins anew."""

    def stored(self, table: Table, columns: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        """All rows, read again."""
