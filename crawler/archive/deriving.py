"""Brings what is derived from the current pages up to date, for a reader that is about to use it.

Invariant: whatever happens to the derived file (derived.py), no question fails; without it the answer takes longer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import aiosqlite

from crawler.archive.attached import Attached
from crawler.archive.current import NEWEST, STATE
from crawler.archive.derived import Derivation, UnavailableError, bring_up_to_date

DERIVE_S = 60.0  # for bringing something up to date, before a question is answered from what is there

_MANY = 5_000  # page versions that take a second or more


class PageDerivation(Derivation, Protocol):
    """One that comes from page versions. In its table `NAME_state`, `checked` is the `STATE` that it is right for."""

    @property
    def doing(self) -> str:
        """What it does with page versions, in a word for people: indexing, comparing."""


class Deriver:
    """For a reader of a crawl's file. `notify` is told, a line for people each time, why an answer takes longer."""

    def __init__(self, attached: Attached, connection: aiosqlite.Connection, notify: Callable[[str], None]) -> None:
        self._attached = attached
        self._connection = connection
        self._notify = notify

    @asynccontextmanager
    async def brought_up_to_date(self, derivation: PageDerivation, limit_s: float) -> AsyncIterator[Attached]:
        """The derived file, as far as `limit_s` seconds bring it; where it cannot be written, a temporary one.

        The caller holds `Attached.turn`.
        """
        refused = await self._bring_up_to_date(derivation, limit_s)
        if await self._attached.upto(derivation) is not None:
            yield self._attached
            return
        self._notify(f"{refused}; using a temporary file, which is made anew each time")
        await self._attached.release()
        with TemporaryDirectory(prefix="crawler-") as folder:
            temporary = Attached(self._attached.db, self._connection, Path(folder) / "derived")
            await bring_up_to_date(self._attached.db, derivation, limit_s=limit_s, path=temporary.path)
            try:
                yield temporary
            finally:
                await temporary.release()

    async def behind(self, index: Attached, derivation: PageDerivation) -> int:
        """How many page versions it may lack."""
        return max(0, await self._newest() - (await index.upto(derivation) or 0))

    async def stale(self, derivation: PageDerivation) -> int:
        """How many page versions it may lack; 1 where only pages may have come or gone."""
        newest = await self._newest()
        try:
            upto = await self._attached.upto(derivation)
            if upto is None or upto < newest:
                return max(1, newest - (upto or 0))
            checked = await self._attached.fetch(f"SELECT checked FROM derived.{derivation.name}_state")  # noqa: S608
            return int(checked != await self._attached.fetch(STATE))
        except sqlite3.Error:
            return max(1, newest)  # whoever updates the file finds out why, and repairs it

    async def _bring_up_to_date(self, derivation: PageDerivation, limit_s: float) -> UnavailableError | None:
        """Why that was impossible."""
        behind = await self.stale(derivation)
        if not behind:
            return None
        if behind >= _MANY:
            self._notify(f"{derivation.doing} {behind:,} page versions; later answers will be quick")
        try:
            await bring_up_to_date(self._attached.db, derivation, patience_s=limit_s, limit_s=limit_s)
        except UnavailableError as error:
            return error
        return None

    async def _newest(self) -> int:
        return int((await self._attached.fetch(NEWEST))[0][0] or 0)
