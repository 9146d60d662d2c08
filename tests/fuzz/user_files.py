"""What holds of what the user writes: cookies, seeds, notes for a running crawl, crawl files."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import typer

from crawler.cli.commands import app
from crawler.cli.seeds import read_seeds
from crawler.errors import UsageError
from crawler.network.cookies import read_cookies
from crawler.seeds import Seed, parse_seeds
from crawler.storage.interface import Note
from crawler.storage.sqlite.inbox import FolderInbox, inbox_of, leave_note
from crawler.urls import authority_of
from tests.fuzz.documents import check_url, expect_one_line

_COMMAND: Any = typer.main.get_command(app)  # made once: that takes longer than all it does here


def check_cookies(data: bytes, folder: Path, url: str) -> None:
    """A header that can be sent, made of pairs that stand in the file; or one line that says what is wrong."""
    file = folder / "cookies.txt"
    header = _cookies(file, data, url)
    assert header == _cookies(file, b"\xef\xbb\xbf" + b"\r\n# a comment\r\n".join(_lines(data)) + b"\r\n", url)
    if header is not None:
        assert header.isprintable()
        named = [line.decode().split("\t")[5:] for line in _lines(data)]
        pairs = {"=".join([name, *value]) if name else "".join(value) for name, *value in filter(None, named)}
        assert pairs | {f"{pair}=" for pair in pairs} >= set(header.split("; "))


def _cookies(file: Path, data: bytes, url: str) -> str | None:
    file.write_bytes(data)
    try:
        return read_cookies(file).header(url)
    except UsageError as error:
        expect_one_line(str(error))
        return None


def check_seeds(data: bytes, folder: Path) -> None:
    """Seeds that can be crawled, the same in a file that says them otherwise; or one line that says what is wrong."""
    file = folder / "seeds.txt"
    seeds = _seeds(file, data)
    noted = b"\r\n".join(line + b" # comment\r\n" for line in _lines(data))
    assert _seeds(file, b"\xef\xbb\xbf" + noted) == seeds
    assert _seeds(file, b"\n".join([b"", *_lines(data)])) == seeds
    for seed in seeds:
        assert not re.search(r"\s", seed.url)
        check_url(seed.url, None)
        assert "@" not in authority_of(seed.url)


def _seeds(file: Path, data: bytes) -> list[Seed]:
    file.write_bytes(data)
    return _asked_for(str(file))


def _asked_for(argument: str) -> list[Seed]:
    try:
        return read_seeds([argument])
    except UsageError as error:
        expect_one_line(str(error))
        return []


def check_seed(argument: str) -> None:
    """An argument that names no file is one seed as written, or refused in one line."""
    seeds = _asked_for(argument)
    assert not seeds or argument.count(":") > 1 or seeds == parse_seeds([argument])


def check_note(data: bytes, folder: Path) -> None:
    """What `crawler add` left is read as it was meant; what it did not is told in one line each."""
    told: list[str] = []
    seeds = _noted(folder / "one.db", data, told)
    for line in told:
        expect_one_line(line)
    distinct: dict[str, Seed] = {}
    for seed in seeds:
        distinct.setdefault(seed.url, seed)
    if not distinct:
        return
    texts = [seed.url.removeprefix("https://") if seed.bare else seed.url for seed in seeds]
    again = folder / "two.db"
    assert leave_note(again, texts) == len(distinct)
    (note,) = _notes(again, told)
    Path(note.name).unlink()
    assert [(seed.url, seed.bare) for seed in note.seeds] == [(seed.url, seed.bare) for seed in distinct.values()]


def _noted(db: Path, data: bytes, told: list[str]) -> list[Seed]:
    inbox_of(db).mkdir(exist_ok=True)
    (inbox_of(db) / "1.urls").write_bytes(data)
    return [seed for note in _notes(db, told) for seed in note.seeds]


def _notes(db: Path, told: list[str]) -> list[Note]:
    async def read() -> list[Note]:
        return [note async for note in FolderInbox(db, told.append).notes()]

    return asyncio.run(read())


def check_crawl_file(data: bytes, folder: Path) -> None:
    """With a seed that is refused, the crawl is refused in one line, whatever the file says; and nothing is made."""
    file = folder / "crawl.toml"
    file.write_bytes(data)
    before = sorted(folder.iterdir())
    try:
        status = _COMMAND.main(["crawl", "--config", str(file), "."], standalone_mode=False)
        assert status == 2  # told already, as JSON
    except (UsageError, typer.TyperException) as error:
        told = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        expect_one_line(" ".join(told.split()))
    assert sorted(folder.iterdir()) == before


def _lines(data: bytes) -> list[bytes]:
    return data.removeprefix(b"\xef\xbb\xbf").splitlines()
