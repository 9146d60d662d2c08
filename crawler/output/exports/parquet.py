"""Parquet: a table with types, for DuckDB, pandas, Spark, Ray Data and the like. Needs pyarrow.

Times are timestamps in UTC, lists of links and the like are lists of structs, and what has no shape that one can know
beforehand (header fields, metas) is JSON. Parted by columns, rows stand in folders as Hive has them, a file in each,
such as host=a.test/date=2026-11-28; the columns are then read from these names. In an increment, the column `removed`
says why a page is to be taken away. Invariant: no more rows are held than make a row group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, BinaryIO
from urllib.parse import quote

import pyarrow as pa
from pyarrow.parquet import ParquetWriter, read_schema

from crawler.archive.stored_pages import StoredPage
from crawler.errors import UsageError
from crawler.output.exports.columns import NEEDS_BODY, REMOVED, kind_of, values_of
from crawler.output.exports.export import Export
from crawler.output.exports.folder import Entry, Folder, open_folder
from crawler.output.exports.target import FLAG
from crawler.output.tables import Kind
from crawler.storage.values import as_json

_MAX_ROWS, _MAX_BYTES = 10_000, 32 * 1024 * 1024  # of a row group; the bytes are those of texts and lists
_STRUCT_BYTES = 200  # of a link, say
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_800  # seconds: the years 1 and 10,000, beyond which no calendar goes
_NOTHING = "__HIVE_DEFAULT_PARTITION__"  # as Hive calls the folder of what has no value
_MAX_VALUE = 150  # characters in the name of a folder
OF_HIVE = re.compile(r"([a-z_]+=[^/]+/)+part-[0-9]+\.parquet")

_TEXT = pa.string()
_TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: pa.int64(),
    Kind.SIZE: pa.int64(),
    Kind.TIME: pa.timestamp("us", tz="UTC"),
    Kind.DURATION: pa.float64(),
    Kind.FLAG: pa.bool_(),
}  # any other is text


def _structs(**fields: Any) -> Any:
    return pa.list_(pa.struct(list(fields.items())))


_NESTED: Mapping[str, Any] = {
    "links": _structs(url=_TEXT, anchor=_TEXT, rel=_TEXT, nofollow=pa.bool_()),
    "headings": _structs(level=pa.int64(), text=_TEXT),
    "link_details": _structs(link=pa.int64(), position=pa.int64(), anchor=_TEXT, fragment=_TEXT),
    "alternates": _structs(url=_TEXT, kind=_TEXT, language=_TEXT, media_type=_TEXT, title=_TEXT),
    "resources": _structs(kind=_TEXT, url=_TEXT, alt=_TEXT, width=_TEXT, height=_TEXT),
    "json_ld": pa.list_(_TEXT),
}


async def write(export: Export) -> None:
    """Write one file, or one for each partition."""
    names = export.options.columns
    pages = export.pages([*names, *export.options.by], with_bodies=NEEDS_BODY in names)
    if export.options.by:
        with open_folder(export.target.folder) as folder:
            await _write_partitions(export, folder, pages)
        return
    schema = schema_of([*names, *([REMOVED] if export.is_increment else [])])
    with export.target.stream() as file, open_table(file, schema) as table:
        async for removed in export.removed():
            table.add({"url": removed.url, REMOVED: removed.why})
        async for page in pages:
            table.add(values_of(page, names))


async def _write_partitions(export: Export, folder: Folder, pages: AsyncIterator[StoredPage]) -> None:
    """The pages come partition by partition; two that differ for SQLite may share a folder, and have a file each.

    An increment brings the partitions of the hosts up to date on which anything has changed, and leaves others alone.
    """
    by, names = export.options.by, [name for name in export.options.columns if name not in export.options.by]
    schema, written, parts = schema_of(names), dict[str, int](), Counter[str]()
    kept = await _kept(export, folder, schema) if export.is_increment else {}
    page = await anext(pages, None)
    while page is not None:
        partition, rows = _partition(page, by), 0
        file = f"{partition}/part-{parts[partition]}.parquet"
        with folder.temporary({"file": file}) as path, path.open("wb") as stream, open_table(stream, schema) as table:
            while page is not None and _partition(page, by) == partition:
                table.add(values_of(page, names))
                rows += 1
                page = await anext(pages, None)
        written[file] = rows
        parts[partition] += 1
    for entry in folder.known():
        if OF_HIVE.fullmatch(entry["file"]) and not (entry["file"] in written or entry["file"] in kept):
            folder.remove(entry["file"])
    await folder.finish(_entries(kept | written))


async def _kept(export: Export, folder: Folder, schema: Any) -> dict[str, int]:
    """The partitions that an increment leaves alone, and their rows. Raises `UsageError` where it cannot go on."""
    path = export.target.folder
    if not folder.is_complete:
        raise UsageError(f"{FLAG} {path} has no export to bring up to date; leave out --since first")
    async for _removed in export.removed():
        pass  # they are counted; their hosts are written anew
    changed = {f"host={_folder_name(host)}" for host in await export.reader.changed_hosts()}
    kept = {}
    for entry in folder.known():
        *partition, _file = entry["file"].split("/")
        if not OF_HIVE.fullmatch(entry["file"]) or not folder.holds(entry["file"]):
            continue
        if [part.partition("=")[0] for part in partition] != list(export.options.by):
            raise UsageError(f"{FLAG} {path} is not parted by {','.join(export.options.by)}; leave out --since")
        if read_schema(path / entry["file"]).names != schema.names:
            raise UsageError(f"{FLAG} {path} has other columns; leave out --since to write it anew")
        if changed.isdisjoint(partition):
            kept[entry["file"]] = int(entry.get("rows", 0))
    return kept


async def _entries(written: Mapping[str, int]) -> AsyncIterator[Entry]:
    for file, rows in written.items():
        yield {"file": file, "rows": rows}


def _partition(page: StoredPage, by: Sequence[str]) -> str:
    """host=a.test/date=2026-11-28."""
    return "/".join(f"{name}={_folder_name(value)}" for name, value in values_of(page, by).items())


def _folder_name(value: Any) -> str:
    """Escaped, as Hive does it, in small letters; a long one is cut, and told from others by a hash."""
    text = quote(str("" if value is None else value).strip().lower().replace("_", "-"), safe="")
    if len(text) > _MAX_VALUE:
        text = f"{text[: _MAX_VALUE // 2]}~{blake2b(text.encode(), digest_size=10).hexdigest()}"
    return text.rstrip(".") + "%2E" * (len(text) - len(text.rstrip("."))) or _NOTHING


def schema_of(names: Iterable[str]) -> Any:
    """The types of these columns."""
    return pa.schema([(name, _NESTED.get(name) or _TYPES.get(kind_of(name), _TEXT)) for name in names])


@contextmanager
def open_table(file: BinaryIO, schema: Any) -> Iterator[Table]:
    """Write a table to an open file; it is complete once the block has ended."""
    with ParquetWriter(pa.PythonFile(_Sink(file), mode="w"), schema, compression="zstd") as writer:
        table = Table(writer, schema)
        yield table
        table.flush()


class Table:
    """Rows on their way into a file, a row group at a time."""

    def __init__(self, writer: ParquetWriter, schema: Any) -> None:
        self._writer, self._schema = writer, schema
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def add(self, values: Mapping[str, Any]) -> None:
        """One more row; what is missing in it is null."""
        self._rows.append(values)
        self._bytes += sum(map(_weight, values.values()))
        if len(self._rows) >= _MAX_ROWS or self._bytes >= _MAX_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if self._rows:
            columns = [_array(field.type, [row.get(field.name) for row in self._rows]) for field in self._schema]
            self._rows, self._bytes = [], 0
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))


def _weight(value: Any) -> int:
    """About the bytes that it takes."""
    kind = type(value)
    return len(value) if kind is str else _STRUCT_BYTES * len(value) if kind is list else 0


def _array(kind: Any, values: list[Any]) -> Any:
    if pa.types.is_timestamp(kind):
        values = [_microseconds(value) for value in values]
    elif kind == _TEXT:
        values = [as_json(value) if isinstance(value, list | dict) else value for value in values]
    return pa.array(values, type=kind)


def _microseconds(at: float | None) -> int | None:
    return None if at is None or not _EARLIEST <= at < _LATEST else round(at * 1e6)


class _Sink:
    """A file for pyarrow, which wants to know where it is: a pipe does not."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._place = file, 0

    def write(self, data: Any) -> int:
        """All of it."""
        self._file.write(data)
        self._place += memoryview(data).nbytes
        return memoryview(data).nbytes

    def tell(self) -> int:
        """The bytes so far."""
        return self._place

    def flush(self) -> None:
        """Whoever opened the file flushes it."""

    def close(self) -> None:
        """And closes it."""
