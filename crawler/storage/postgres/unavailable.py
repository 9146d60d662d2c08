"""What a crawl in PostgreSQL cannot do yet: checks (`--check`), and WARC files (`--warc`).

`crawler crawl` refuses both before anything is opened; this is for programs that ask the store itself.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from crawler.config import CheckKind
from crawler.errors import UsageError
from crawler.storage.interface import Cursor, DueQueue, WarcFile, WarcPayloads
from crawler.storage.postgres.session import Session


class Unavailable(Session):
    """The operations of `interface.Checks` and `interface.WarcLog`. Each raises `UsageError`."""

    async def note_checks(self, kind: CheckKind, after: Cursor | None) -> Cursor | None:
        """Of `Checks`."""
        _refuse("--check")

    async def plan_checks(
        self, kinds: Collection[CheckKind], now: float, *, good_before: float, others_before: float, noted: bool
    ) -> None:
        """Of `Checks`."""
        _refuse("--check")

    def due_checks(self) -> DueQueue:
        """Of `Checks`."""
        _refuse("--check")

    def due_pages_and_checks(self) -> DueQueue:
        """Of `Checks`."""
        _refuse("--check")

    async def check_tally(self) -> dict[str, int]:
        """Of `Checks`."""
        _refuse("--check")

    async def warc_files(self) -> list[WarcFile]:
        """Of `WarcLog`."""
        _refuse("--warc")

    async def warc_payloads(self, keys: Collection[bytes], url_ids: Collection[int]) -> WarcPayloads:
        """Of `WarcLog`."""
        _refuse("--warc")

    async def close_warc_file(self, name: str) -> None:
        """Of `WarcLog`."""
        _refuse("--warc")

    async def first_run_at(self) -> float:
        """Of `WarcLog`."""
        _refuse("--warc")


def _refuse(option: str) -> NoReturn:
    raise UsageError(f"{option} does not work with a crawl in PostgreSQL yet; crawl into a file for that")
