"""Parquet of a crawl in PostgreSQL, a file for each of its partitions, written by several processes at a time.

Each file says what it was made of: of which state of its partition, which pages and columns. So an export that was
killed goes on where it was, and a later one writes only what has changed since. Invariants: a file is whole or is not
there, and is of one moment; a partition is in no file twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import aclosing, contextmanager
from dataclasses import replace
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

from pyarrow import ArrowInvalid
from pyarrow.parquet import read_metadata

from crawler.archive.filters import PageFilter
from crawler.archive.partitions import PART, Partition, partitions
from crawler.archive.stored_pages import open_pages
from crawler.errors import DatabaseFailedError
from crawler.location import DatabaseUrl
from crawler.output.exports.columns import NEEDS_BODY, values_of
from crawler.output.exports.folder import Entry, open_folder
from crawler.output.exports.parquet import OF_HIVE, open_table, schema_of
from crawler.output.exports.target import FLAG
from crawler.output.files import explained
from crawler.statically_frozen import dataclass

_VERSION = 1  # of what these files hold: greater once the same pages make other ones
_TEMPORARY = ".crawler-export-part-"
_MARK = b"crawler"  # what a file was made of, in its metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsExport:
    """What is to be written, and where to. `processes`: so many partitions at a time."""

    db: DatabaseUrl
    folder: Path
    pages: PageFilter
    columns: tuple[str, ...]
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Pages that were written, and partitions; `kept` were up to date."""

    pages: int = 0
    partitions: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One partition, for a process."""

    export: PartitionsExport
    part: int
    path: Path
    mark: bytes


async def write_partitions(
    export: PartitionsExport, tell: Callable[[int, int], None] = lambda _done, _total: None
) -> Written:
    """Write the partitions that are not there yet as they are now. `tell` is told how many are done, of how many.

    Raises `UsageError` for a folder that cannot be used, `DatabaseFailedError` if the crawl cannot be read.
    """
    found = await partitions(export.db)
    with open_folder(export.folder) as folder, _without_leftovers(export.folder):
        marks = {_file(one.part): _mark(export, one) for one in found}
        rows = {
            file: number for file, mark in marks.items() if (number := _kept(export.folder / file, mark)) is not None
        }
        kept = len(rows)
        jobs = [
            _Job(
                export=export,
                part=one.part,
                path=export.folder / f"{_TEMPORARY}{one.part}",
                mark=marks[_file(one.part)],
            )
            for one in found
            if _file(one.part) not in rows
        ]
        pages = 0
        async for job, number in _done(jobs, export.processes):
            folder.adopt({"file": _file(job.part), "rows": number}, job.path)
            rows[_file(job.part)] = number
            pages += number
            tell(len(rows) - kept, len(jobs))
        for entry in folder.known():
            if OF_HIVE.fullmatch(entry["file"]) and entry["file"] not in rows:
                folder.remove(entry["file"])
        await folder.finish(_entries(rows.items()))
    return Written(pages=pages, partitions=len(jobs), kept=kept)


def _file(part: int) -> str:
    return f"{PART}={part:04}/part-0.parquet"


def _mark(export: PartitionsExport, partition: Partition) -> bytes:
    made_of = (_VERSION, export.columns, export.pages, partition.state)
    return blake2b(repr(made_of).encode(), digest_size=16).hexdigest().encode()


def _kept(path: Path, mark: bytes) -> int | None:
    """The rows of the file, if it was made of just that; else None."""
    try:
        found = read_metadata(path)
    except (OSError, ArrowInvalid):
        return None
    return found.num_rows if (found.metadata or {}).get(_MARK) == mark else None


async def _entries(rows: Iterable[tuple[str, int]]) -> AsyncIterator[Entry]:
    for file, number in sorted(rows):
        yield {"file": file, "rows": number}


@contextmanager
def _without_leftovers(folder: Path) -> Iterator[None]:
    """No half files of this export or of one that was killed."""
    try:
        yield
    finally:
        for path in folder.glob(f"{_TEMPORARY}*"):
            path.unlink(missing_ok=True)


# --- a process for each partition that is under way -------------------------------------------------------------------


async def _done(jobs: Sequence[_Job], processes: int) -> AsyncIterator[tuple[_Job, int]]:
    """Each partition that has been written, and its pages, in the order in which they get done."""
    if processes == 1:
        for job in jobs:
            yield job, await _write(job)
        return
    with ProcessPoolExecutor(min(processes, len(jobs) or 1), get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        running = {asyncio.wrap_future(pool.submit(_run, job), loop=loop): job for job in jobs}
        try:
            while running:
                ready, _rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in ready:
                    yield running.pop(one), one.result()
        except BrokenProcessPool:
            message = "a process that wrote a partition was killed; run the same command again, which goes on from here"
            raise DatabaseFailedError(message) from None
        finally:
            for one in running:
                one.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            await asyncio.gather(*running, return_exceptions=True)  # so that nobody misses what has become of them


def _run(job: _Job) -> int:
    return asyncio.run(_write(job))


async def _write(job: _Job) -> int:
    """Write a partition into its temporary file; returns the number of pages."""
    names, pages = job.export.columns, 0
    schema = schema_of(names).with_metadata({_MARK: job.mark})
    async with open_pages(job.export.db, replace(job.export.pages, part=job.part)) as reader:
        with explained(FLAG, job.path), job.path.open("wb") as file, open_table(file, schema) as table:
            async with aclosing(reader.pages(names, with_bodies=NEEDS_BODY in names)) as found:
                async for page in found:
                    table.add(values_of(page, names))
                    pages += 1
    return pages
