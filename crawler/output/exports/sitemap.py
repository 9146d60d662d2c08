"""A sitemap (https://www.sitemaps.org/protocol.html) of the pages that search engines may list.

Those are the pages that do not forbid it, and name no other URL as their canonical one; `lastmod` is when the page was
modified, as it says, else when the crawler saw that it had changed. What one file cannot hold is parted into
`sitemap-1.xml` and so on, beside `sitemap.xml`, which is their index then. Invariant: files get their names once all of
them are whole, the index last; and no part of an earlier export stays that it does not name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote
from xml.sax.saxutils import escape

from crawler.errors import UsageError
from crawler.output.exports.export import Export
from crawler.output.exports.target import FLAG, Target, compressed, decompressed
from crawler.output.files import PREFIX, explained, replacing, takes_the_place_of_a_file, written
from crawler.records import Page
from crawler.temporary import temporary_file
from crawler.urls import origin_of

MAX_URLS, MAX_BYTES = 50_000, 50 * 1024 * 1024  # of a file, before it is compressed, as the protocol has them
_MAX_URL = 2_047  # characters
_FIELDS = ("noindex", "canonical_url", "modified_at", "fetched_at")
_SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
_MARK = "<!-- written by crawler export -->"  # by which a part is known to be ours
_HEAD = f'<?xml version="1.0" encoding="UTF-8"?>\n{_MARK}\n'
_BEGIN, _END = f"{_HEAD}<urlset {_SPACE}>\n".encode(), b"</urlset>\n"


async def write(export: Export) -> None:
    """Write the sitemap, and its index where it is parted. Raises `UsageError` if that is more than one file can take,
    and there is only standard output.
    """
    with _Sitemap(export.target) as sitemap:
        async for page in export.pages(_FIELDS):
            if why := _reason_against(page.page):
                export.leave_out(why)
            else:
                sitemap.add(page.page)
        sitemap.publish(export.options.base_url)


def _reason_against(page: Page) -> str | None:
    if page.noindex:
        return "noindex"
    if page.canonical_url is not None and page.canonical_url != page.url:
        return "another URL is canonical"
    return "the URL is too long for a sitemap" if len(page.url) > _MAX_URL else None


class _Sitemap:
    """The files, one after the other. The locks of all of them are held until they are published: 20 of a million URLs.

    Where a file takes no other's place (standard output, a pipe), there can be only one.
    """

    def __init__(self, target: Target) -> None:
        is_file = target.path is not None and takes_the_place_of_a_file(target.path)
        self._target, self._path = target, target.path if is_file else None
        self._open = ExitStack()
        self._parts: list[_Part] = []
        self._origin: str | None = None  # of the first URL

    def __enter__(self) -> Self:
        self._begin_part()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def add(self, page: Page) -> None:
        """One more URL."""
        lastmod = _date(page.fetched_at if page.modified_at is None else page.modified_at)
        entry = _entry("url", page.url, lastmod)
        if not self._parts[-1].has_room(entry):
            self._parts[-1].end()
            self._begin_part()
        self._origin = self._origin or origin_of(page.url)
        self._parts[-1].write(entry, lastmod)

    def publish(self, base_url: str | None) -> None:
        """There are no more: give the files their names. `base_url` None: they will be served at the origin's root."""
        self._parts[-1].end()
        if self._path is None:
            return
        with explained(FLAG, self._path):
            if len(self._parts) == 1:
                self._parts[0].publish(self._path)
                _remove_older(self._path, 1)
                return
            for number, part in enumerate(self._parts, start=1):
                part.publish(_numbered(self._path, number))
            _write_index(self._path, base_url or f"{self._origin}/", [part.newest for part in self._parts])
            _remove_older(self._path, len(self._parts) + 1)

    def _begin_part(self) -> None:
        if self._path is not None:
            with explained(FLAG, self._path):
                temporary = self._open.enter_context(temporary_file(self._path.parent, PREFIX))
                self._parts.append(_Part(_compressed_file(temporary, self._path.suffix), temporary))
        elif self._parts:
            raise UsageError(
                "this sitemap needs several files; name the first of them: crawler export sitemap sitemap.xml"
            )
        else:
            self._parts.append(_Part(self._target.stream()))
        self._open.callback(self._parts[-1].close)


class _Part:
    """A file on its way. `temporary`: its name until it is published; None: it goes where it belongs at once."""

    def __init__(self, opening: AbstractContextManager[BinaryIO], temporary: Path | None = None) -> None:
        self._closing, self._temporary = ExitStack(), temporary
        self._stream = self._closing.enter_context(opening)
        self._urls = self._bytes = 0
        self.newest: str | None = None  # lastmod

    def has_room(self, entry: bytes) -> bool:
        """Whether the protocol allows for one more."""
        return self._urls < MAX_URLS and len(_BEGIN) + self._bytes + len(entry) + len(_END) <= MAX_BYTES

    def write(self, entry: bytes, lastmod: str | None) -> None:
        """One more URL."""
        self._stream.write(entry if self._urls else _BEGIN + entry)
        self._urls += 1
        self._bytes += len(entry)
        self.newest = max(filter(None, (self.newest, lastmod)), default=None)

    def end(self) -> None:
        """There are no more: it is whole."""
        self._stream.write(_END if self._urls else _BEGIN + _END)
        self.close()

    def close(self) -> None:
        """Close the file, whole or not."""
        self._closing.close()

    def publish(self, path: Path) -> None:
        """Give it its name."""
        if self._temporary is not None:
            self._temporary.replace(path)


@contextmanager
def _compressed_file(path: Path, suffix: str) -> Iterator[BinaryIO]:
    with written(path) as file, compressed(file, suffix) as stream:
        yield stream


def _entry(kind: str, url: str, lastmod: str | None) -> bytes:
    dated = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    return f"<{kind}><loc>{escape(url)}</loc>{dated}</{kind}>\n".encode()


def _date(at: float | None) -> str | None:
    """As the protocol has it (W3C Datetime); None for a time that no calendar has."""
    try:
        return None if at is None else datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


def _write_index(path: Path, base_url: str, newest: Sequence[str | None]) -> None:
    with replacing(FLAG, path) as file, compressed(file, path.suffix) as index:
        index.write(f"{_HEAD}<sitemapindex {_SPACE}>\n".encode())
        for number, lastmod in enumerate(newest, start=1):
            index.write(_entry("sitemap", f"{base_url}{quote(_numbered(path, number).name)}", lastmod))
        index.write(b"</sitemapindex>\n")


def _numbered(path: Path, number: int) -> Path:
    """sitemap.xml.gz -> sitemap-1.xml.gz."""
    stem, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{stem}-{number}{dot}{suffixes}")


def _remove_older(path: Path, number: int) -> None:
    """The parts from that one on, which no index names any more."""
    while _is_ours(part := _numbered(path, number)):
        part.unlink()
        number += 1


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file, decompressed(file, path.suffix) as stream:
            return _MARK.encode() in stream.read(len(_HEAD))
    except (OSError, EOFError, ValueError):
        return False
