"""Seeds for a running crawl, left as files in a folder beside its database, which only the crawl itself writes to.

Invariant: a file (a note) appears whole, since it is written elsewhere and renamed. It is removed only after its URLs
are committed, and may be read twice, since adding a URL twice changes nothing. Other files in the folder are not
touched.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from crawler.errors import UsageError
from crawler.seeds import Seed, parse_seeds
from crawler.storage.interface import Note
from crawler.storage.sqlite.companions import companion

_SUFFIX = ".urls"
_MAX_URLS = 10_000  # per note
_MAX_BYTES = 32 * 1024 * 1024  # more than that many URLs need; a longer file is not one of ours
_COARSE_S = 2.0  # the coarsest resolution of a folder's modification time


def inbox_of(db: Path) -> Path:
    """The folder for notes to the crawl into `db`."""
    return companion(db, ".inbox")


def leave_note(db: Path, texts: Iterable[str | Seed]) -> int:
    """Leave seeds for the crawl into `db`; returns how many. Raises `UsageError` for a bad one, and then leaves none.

    Seeds with credentials are refused: credentials are never stored, and a note is a file.
    """
    seeds = parse_seeds(texts)
    for seed in seeds:
        if seed.credentials:
            raise UsageError(
                f"{seed.url} has a user and password, which are never stored; pass it to `crawler crawl` instead"
            )
    folder = inbox_of(db)
    try:
        folder.mkdir(exist_ok=True)
        for start in range(0, len(seeds), _MAX_URLS):
            _write(folder, f"{time.time_ns()}-{os.getpid()}-{start}{_SUFFIX}", seeds[start : start + _MAX_URLS])
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return len(seeds)


class FolderInbox:
    """The crawl's side. `notify` gets a line about each file that looks like a note but is none."""

    def __init__(self, db: Path, notify: Callable[[str], None]) -> None:
        self._folder = inbox_of(db)
        self._notify = notify
        self._unchanged_since: float | None = None
        self._skipped: set[str] = set()

    async def notes(self) -> AsyncIterator[Note]:
        """The notes, oldest first, with their seeds; `remove` each once it is committed."""
        for name in self._names():
            file = self._folder / name
            try:
                seeds = self._read(file)
            except (OSError, ValueError) as error:
                self._skip(file, error)
            else:
                yield Note(name=str(file), seeds=seeds)

    async def remove(self, note: Note) -> None:
        """The note's URLs are committed."""
        self._unlink(Path(note.name))

    def _names(self) -> list[str]:
        """Runs every second; while nothing has changed, it only looks at the folder's modification time (2 us)."""
        try:
            changed_at = self._folder.stat().st_mtime
            if changed_at == self._unchanged_since:
                return []
            names = [entry.name for entry in self._folder.iterdir()]
        except OSError:  # usually there is no folder
            return []
        if time.time() - changed_at > _COARSE_S:
            self._unchanged_since = changed_at
        return sorted(name for name in names if _is_note(name) and name not in self._skipped)

    def _read(self, note: Path) -> list[Seed]:
        lines = _content(note).decode().splitlines()
        seeds, bad = [], []
        for line in filter(None, map(str.strip, lines)):
            try:
                seeds += parse_seeds([line])
            except UsageError:
                bad.append(line)
        if bad:
            lines_are = "1 line is not a URL" if len(bad) == 1 else f"{len(bad)} lines are not URLs"
            self._notify(f"{note}: {lines_are}, such as {bad[0][:60]!r}")
        return seeds

    def _unlink(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            self._skip(file, error)

    def _skip(self, note: Path, error: Exception) -> None:
        self._skipped.add(note.name)
        self._notify(f"skipping {note}: {error}")


def _is_note(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _write(folder: Path, name: str, seeds: Sequence[Seed]) -> None:
    """A bare seed stays bare."""
    text = "".join(f"{seed.url.removeprefix('https://') if seed.bare else seed.url}\n" for seed in seeds)
    temporary = folder / f".{name}.tmp"
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _content(note: Path) -> bytes:
    """Only a regular file of a sane size is read: no link is followed, and no pipe makes the crawl wait."""
    descriptor = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise ValueError("not a list of URLs")
        return file.read(_MAX_BYTES)
