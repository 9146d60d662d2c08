"""What an audit shows of what is derived: pages that are alike, and the best linked ones.

A small crawl has it brought up to date, in `crawl.db.derived`, which takes seconds. A large one that is not up to date
goes without: `crawler list` takes the time for it.
Invariant: whatever happens to that file, the audit has all the rest.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import aiosqlite

from crawler.archive.attached import Attached
from crawler.archive.current import NEWEST
from crawler.archive.derived import UnavailableError
from crawler.archive.derived_views import NEAR_DUPLICATES, RANKS
from crawler.archive.deriving import Deriver, PageDerivation

BEST = 100  # pages
_PATIENCE_S = 15.0
_MANY_VERSIONS = 20_000  # whose texts would have to be compared: 10 s of CPU
_MANY_PAGES = 200_000  # whose links would have to be followed: 8 s of CPU

_TABLES = """
CREATE TABLE scratch.derived (view TEXT);
CREATE TABLE scratch.near_duplicate_pages (url, first_url, distance, copies, words, canonical_url);
CREATE TABLE scratch.best_linked (url, rank, inlinks, title, place);
"""
_KEEP = {
    "near_duplicate_pages": "SELECT url, first_url, distance, copies, words, canonical_url FROM near_duplicate_pages",
    "best_linked": f"SELECT url, rank, inlinks, title, place FROM best_linked WHERE place <= {BEST}",  # noqa: S608
}


async def keep_derived(db: Path, connection: aiosqlite.Connection) -> None:
    """Leave it in tables of `scratch`, and in `scratch.derived` the names of those that are answers."""
    await connection.executescript(_TABLES)
    attached = Attached(db, connection)
    try:
        await _keep(attached, connection, "near_duplicate_pages", NEAR_DUPLICATES, _MANY_VERSIONS)
        await _keep(attached, connection, "best_linked", RANKS, _MANY_PAGES)
    finally:
        await attached.release()


async def _keep(
    attached: Attached, connection: aiosqlite.Connection, view: str, derivation: PageDerivation, many: int
) -> None:
    deriver = Deriver(attached, connection, lambda _message: None)
    stale = await deriver.stale(derivation)
    newest = (await attached.fetch(NEWEST))[0][0] or 0
    if stale > many or (stale and newest > _MANY_PAGES):
        return
    try:
        async with attached.turn, deriver.brought_up_to_date(derivation, _PATIENCE_S) as used:
            if not await deriver.behind(used, derivation):
                await connection.execute(f"INSERT INTO scratch.{view} {_KEEP[view]}")
                await connection.execute("INSERT INTO scratch.derived VALUES (?)", (view,))
    except (UnavailableError, sqlite3.Error):
        return
