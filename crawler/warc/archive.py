"""`--warc`: what the visits said and heard goes into WARC files before it is committed.

Invariant: the records of a result are on the disk before its transaction begins, and the transaction holds where they
end. So each committed result has its records exactly once, whenever the crawl is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from crawler.errors import ArchiveFailedError, UsageError
from crawler.exchange import Exchange, Lookup
from crawler.records import Result, UrlKind
from crawler.storage.interface import Archived, WarcLog, WarcPayload, WarcPayloads
from crawler.warc.capture import Capture, lookup_record, read_capture, records_of
from crawler.warc.files import Group, WarcFiles
from crawler.warc.warcinfo import About

_WITH_ROWS = frozenset(UrlKind) - {UrlKind.ROBOTS, UrlKind.CHECK}  # in `urls`, under the claim's id


class WarcArchive:
    """A `storage.interface.WarcWriter` over the files of one folder. `name_seed` tells crawls apart that start at the
    same moment.
    """

    def __init__(self, files: WarcFiles, log: WarcLog, name_seed: str) -> None:
        self._files = files
        self._log = log
        self._name_seed = name_seed
        self._lookups: list[Lookup] = []

    def note_lookup(self, lookup: Lookup) -> None:
        """Have it written with the next results."""
        self._lookups.append(lookup)

    async def write(self, results: Sequence[Result]) -> Archived:
        """Write and flush the exchanges of the results, and give their memory back."""
        exchanges = [(result, exchange) for result in results for exchange in result.exchanges]
        answered = [(result, exchange) for result, exchange in exchanges if exchange.response]
        lookups, self._lookups = self._lookups, []
        if not answered and not lookups:
            _give_back(exchanges)
            return Archived(files=(), payloads=(), payload_of=())
        if not self._files.crawl_id:
            self._files.crawl_id = _crawl_id(await self._log.first_run_at(), self._name_seed)
        captures = await asyncio.to_thread(lambda: [_capture(*one) for one in answered])
        known = await self._known(captures)
        batch = _Batch(captures, known)
        groups: Iterator[Group] = chain(([(lookup_record(one), None)] for one in lookups), batch.groups())
        files = await asyncio.to_thread(self._files.write, groups)
        _give_back(exchanges)
        return Archived(files=files, payloads=batch.payloads, payload_of=batch.payload_of)

    async def committed(self) -> None:
        """Close the files that are full."""
        for name in await asyncio.to_thread(self._files.committed):
            await self._log.close_warc_file(name)

    async def _known(self, captures: Sequence[Capture]) -> WarcPayloads:
        keys = {capture.key for capture in captures if capture.key is not None}
        unchanged = {capture.url_id for capture in captures if capture.message.status == 304}
        return await self._log.warc_payloads(keys, unchanged - {0})


class _Batch:
    """The captures of one transaction, of which later ones may repeat earlier ones. `payloads` are new in the archive,
    `payload_of` those that URLs have now; both are complete once the last of the `groups` was taken.
    """

    def __init__(self, captures: Sequence[Capture], known: WarcPayloads) -> None:
        self._captures = captures
        self._by_key = dict(known.by_key)
        self._by_url = dict(known.by_url)
        self.payloads: list[WarcPayload] = []
        self.payload_of: list[tuple[int, bytes]] = []

    def groups(self) -> Iterator[Group]:
        """The records of each capture."""
        for capture in self._captures:
            captured = records_of(capture, self._earlier(capture))
            if captured.payload is not None:
                self._by_key[captured.payload.key] = captured.payload
                self.payloads.append(captured.payload)
            if capture.key is not None and capture.url_id:
                self._by_url[capture.url_id] = self._by_key[capture.key]
                self.payload_of.append((capture.url_id, capture.key))
            yield captured.records

    def _earlier(self, capture: Capture) -> WarcPayload | None:
        if capture.message.status == 304:
            return self._by_url.get(capture.url_id)
        return None if capture.key is None else self._by_key.get(capture.key)


@asynccontextmanager
async def open_warc(
    folder: Path, max_bytes: int, log: WarcLog, about: About, name_seed: str, notify: Callable[[str], None]
) -> AsyncIterator[WarcArchive]:
    """The archive of a run, whose files are closed at its end; where the run fails, they wait for the next one.

    Raises `UsageError` where the folder cannot be made, and `ArchiveFailedError` where what an earlier run was writing
    is not what the database says of it.
    """
    files = WarcFiles(_made(folder), max_bytes, about.record)
    await _resume(files, log, notify)
    try:
        yield WarcArchive(files, log, name_seed)
    except BaseException:
        with suppress(ArchiveFailedError):  # the first error tells more
            files.abandon()
        raise
    for name in await asyncio.to_thread(files.close):
        await log.close_warc_file(name)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--warc {folder}: {error.strerror or error}; name another folder") from None
    return folder.absolute()


async def _resume(files: WarcFiles, log: WarcLog, notify: Callable[[str], None]) -> None:
    closed, lost = await asyncio.to_thread(files.resume, await log.warc_files())
    for name in lost:
        notify(f"--warc: {name} is neither where it was written nor here; going on without it")
    for name in (*closed, *lost):
        await log.close_warc_file(name)


def _capture(result: Result, exchange: Exchange) -> Capture:
    claim = result.claim
    url_id = claim.url_id if exchange.url == claim.url and claim.kind in _WITH_ROWS else 0
    return read_capture(exchange, url_id=url_id, depth=claim.depth)


def _give_back(exchanges: Sequence[tuple[Result, Exchange]]) -> None:
    for _result, exchange in exchanges:
        exchange.give_back()


def _crawl_id(first_run_at: float, name_seed: str) -> str:
    """'crawl-20261128140501-3f2a': what the names of the files begin with."""
    token = blake2b(f"{first_run_at!r} {name_seed}".encode(), digest_size=3).hexdigest()
    return f"crawl-{datetime.fromtimestamp(first_run_at, UTC):%Y%m%d%H%M%S}-{token}"
