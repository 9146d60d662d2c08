"""Seeds that somebody leaves for a crawl, from wherever its database can be reached, in the table `notes`.

Invariant: a note is removed only after its URLs are committed. It may be taken up twice, since adding a URL twice
changes nothing: where the worker that took it died, another takes it once its lease would have ended.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

from crawler.errors import UsageError
from crawler.seeds import Seed, parse_seeds
from crawler.storage.interface import Note
from crawler.storage.postgres.connection import connect, explained
from crawler.storage.postgres.control import Control

_MAX_URLS = 10_000  # per note

_LEAVE = "INSERT INTO notes (id, seeds) VALUES ($1, $2)"
_TAKE = """
UPDATE notes SET taken_until = now() + $1::float8 * interval '1 second'
WHERE id = (SELECT id FROM notes WHERE taken_until < now() ORDER BY left_at, id LIMIT 1) AND taken_until < now()
RETURNING id, seeds
"""
_REMOVE = "DELETE FROM notes WHERE id = $1"


async def leave_note(db: str, texts: Iterable[str | Seed]) -> int:
    """Leave seeds for the crawl in a database; returns how many. Raises `UsageError` for a bad one, or one with
    credentials, which are never stored; then it leaves none. Raises `DatabaseFailedError`.
    """
    seeds = parse_seeds(texts)
    for seed in seeds:
        if seed.credentials:
            raise UsageError(
                f"{seed.url} has a user and password, which are never stored; pass it to `crawler crawl` instead"
            )
    with explained(db):
        connection = await connect(db)
        try:
            async with connection.transaction():
                for start in range(0, len(seeds), _MAX_URLS):
                    text = json.dumps([_as_given(seed) for seed in seeds[start : start + _MAX_URLS]])
                    await connection.execute(_LEAVE, secrets.randbits(62), text)
        finally:
            await connection.close()
    return len(seeds)


class TableInbox:
    """The crawl's side: see `interface.Inbox`."""

    def __init__(
        self, control: Control, lease_s: float, turn: asyncio.Lock, take_work: Callable[[], Awaitable[None]]
    ) -> None:
        """`turn` and `take_work`: see `ending`. What a note has brought may be work, and its row says so until then."""
        self._control = control
        self._lease_s = lease_s
        self._turn = turn
        self._take_work = take_work

    async def notes(self) -> AsyncIterator[Note]:
        """The notes, oldest first, each for one worker; `remove` each once it is committed."""
        while rows := await self._control.fetch(_TAKE, self._lease_s):
            yield Note(name=_name_of(rows[0]["id"]), seeds=_seeds(json.loads(rows[0]["seeds"])))

    async def remove(self, note: Note) -> None:
        """The note's URLs are committed."""
        async with self._turn:
            await self._take_work()
            await self._control.execute(_REMOVE, int(note.name.rpartition(" ")[2]))


def _name_of(note: int) -> str:
    return f"note {note}"


def _as_given(seed: Seed) -> str:
    """A bare seed stays bare."""
    return seed.url.removeprefix("https://") if seed.bare else seed.url


def _seeds(urls: Sequence[str]) -> list[Seed]:
    return parse_seeds(urls)
