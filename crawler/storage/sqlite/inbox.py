"""URLs left for a crawl in a folder beside its database: only the crawl writes to that, so others leave notes.

Invariant: a note appears whole (written aside, then renamed), is removed only after its URLs are committed, and may be
read twice, since adding a URL twice changes nothing. Whatever else lies in the folder is left alone.
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
from crawler.storage.sqlite.beside import beside

_SUFFIX = ".urls"
_MAX_URLS = 10_000  # a note
_MAX_BYTES = 32 * 1024 * 1024  # more than so many URLs need; what is longer is no note of ours
_COARSE_S = 2.0  # a folder's time of change may be that coarse


def inbox_of(db: Path) -> Path:
    """The folder in which notes for the crawl into `db` are left."""
    return beside(db, ".inbox")


def leave_note(db: Path, texts: Iterable[str | Seed]) -> int:
    """Leave seeds for the crawl into `db`; returns how many. Raises `UsageError`, and leaves none, for a bad one.

    Seeds with credentials are refused: those are stored nowhere, and a note is a file.
    """
    seeds = parse_seeds(texts)
    for seed in seeds:
        if seed.credentials:
            raise UsageError(
                f"{seed.url} has a user and password, which are stored nowhere; name it to `crawler crawl`"
            )
    folder = inbox_of(db)
    try:
        folder.mkdir(exist_ok=True)
        for start in range(0, len(seeds), _MAX_URLS):
            _write(folder, f"{time.time_ns()}-{os.getpid()}-{start}{_SUFFIX}", seeds[start : start + _MAX_URLS])
    except OSError as error:
        raise UsageError(f"cannot leave URLs in {folder}: {error.strerror}") from error
    return len(seeds)


class FolderInbox:
    """The crawl's side. `notify` is told of what is no note although it looks like one."""

    def __init__(self, db: Path, notify: Callable[[str], None]) -> None:
        self._folder = inbox_of(db)
        self._notify = notify
        self._unchanged_since: float | None = None
        self._left_alone: set[str] = set()

    async def notes(self) -> AsyncIterator[Note]:
        """The notes, oldest first, with their seeds; `remove` each once it is committed."""
        for name in self._names():
            file = self._folder / name
            try:
                seeds = self._read(file)
            except (OSError, ValueError) as error:
                self._leave_alone(file, error)
            else:
                yield Note(name=str(file), seeds=seeds)

    async def remove(self, note: Note) -> None:
        """The note's URLs are committed."""
        self._unlink(Path(note.name))

    def _names(self) -> list[str]:
        """One look at the folder's time of change (2 us) where nothing has changed: this is asked each second."""
        try:
            changed_at = self._folder.stat().st_mtime
            if changed_at == self._unchanged_since:
                return []
            names = [entry.name for entry in self._folder.iterdir()]
        except OSError:  # there is none, as a rule
            return []
        if time.time() - changed_at > _COARSE_S:
            self._unchanged_since = changed_at
        return sorted(name for name in names if _is_note(name) and name not in self._left_alone)

    def _read(self, note: Path) -> list[Seed]:
        lines = _content(note).decode().splitlines()
        seeds, bad = [], []
        for line in filter(None, map(str.strip, lines)):
            try:
                seeds += parse_seeds([line])
            except UsageError:
                bad.append(line)
        if bad:
            self._notify(f"{note}: {len(bad)} lines are no URLs, such as {bad[0][:60]!r}")
        return seeds

    def _unlink(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            self._leave_alone(file, error)

    def _leave_alone(self, note: Path, error: Exception) -> None:
        self._left_alone.add(note.name)
        self._notify(f"{note} is left alone: {error}")


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
    """Nothing but a regular file of a sane size is read: no link leads elsewhere, no pipe makes the crawl wait."""
    descriptor = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise ValueError("it is no list of URLs")
        return file.read(_MAX_BYTES)
