"""The WARC files on the disk: cut to what is committed, moved, lost, shortened, held by another crawl, full."""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.errors import ArchiveFailedError, UsageError
from crawler.storage.interface import WarcFile
from crawler.warc.capture import Indexed
from crawler.warc.files import Group, WarcFiles
from crawler.warc.record import WARC_FIELDS, Record
from crawler.warc.warcinfo import About

ID = "crawl-20261128140501-3f2a5c"
FIRST = f"{ID}-00001.warc.gz"
SECOND = f"{ID}-00002.warc.gz"
MANY_BYTES = 1 << 30


def opened(folder: Path, max_bytes: int = MANY_BYTES) -> WarcFiles:
    files = WarcFiles(folder, max_bytes, About(user_agent="test/1", robots="obey").record)
    files.crawl_id = ID
    return files


def group(number: int, size: int = 10) -> Group:
    """A record that tells its number; of so many bytes that hardly shrink."""
    block = b"number: %d\r\n" % number + os.urandom(size).hex().encode()
    fields = (("WARC-Type", "metadata"), ("WARC-Record-ID", f"<urn:x:{number}>"), ("Content-Type", WARC_FIELDS))
    indexed = Indexed(url=f"http://a.test/{number}", at=1.0, mime="text/html", status="200", digest=bytes(20))
    return [(Record(fields=fields, block=block), indexed)]


def written(files: WarcFiles, *numbers: int, size: int = 10) -> list[WarcFile]:
    return files.write([group(number, size) for number in numbers])


def numbers_in(path: Path) -> list[int]:
    lines = gzip.decompress(path.read_bytes()).splitlines()
    return [int(line.removeprefix(b"number: ")) for line in lines if line.startswith(b"number: ")]


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, list[WarcFile]]:
    """A folder that a killed crawl has left: of the numbers 1 to 4, the last two were not committed."""
    folder, copy = tmp_path / "crawling", tmp_path / "killed"
    folder.mkdir()
    files = opened(folder)
    states = written(files, 2, 1)
    files.committed()
    written(files, 3, 4)
    shutil.copytree(folder, copy)
    files.abandon()
    return copy, [replace(state, folder=str(copy)) for state in states]


def test_the_next_run_cuts_off_what_was_not_committed_and_goes_on(killed: tuple[Path, list[WarcFile]]) -> None:
    folder, states = killed
    files = opened(folder)
    assert files.resume(states) == ([], [])
    written(files, 5)
    files.committed()
    assert files.close() == [FIRST]
    assert numbers_in(folder / FIRST) == [2, 1, 5]
    lines = (folder / FIRST.replace(".warc.gz", ".cdxj")).read_text().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["test,a)/1", "test,a)/2", "test,a)/5"]
    assert len(list(folder.iterdir())) == 2


def test_a_run_that_fails_leaves_what_is_committed_for_the_next_one(tmp_path: Path) -> None:
    files = opened(tmp_path)
    states = written(files, 1)
    files.committed()
    written(files, 2)
    files.abandon()
    assert numbers_in(tmp_path / f"{FIRST}.open") == [1]
    assert (tmp_path / f"{FIRST}.open").stat().st_size == states[0].size


def test_a_run_that_fails_before_its_first_commit_leaves_nothing(tmp_path: Path) -> None:
    files = opened(tmp_path)
    written(files, 1)
    files.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_full_is_closed_once_it_is_committed(tmp_path: Path) -> None:
    files = opened(tmp_path, max_bytes=20_000)
    states = written(files, 1, 2, 3, size=30_000)
    assert [state.name for state in states] == [FIRST, SECOND, f"{ID}-00003.warc.gz"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".open"] * 6
    assert files.committed() == [FIRST, SECOND]
    assert files.close() == [f"{ID}-00003.warc.gz"]
    assert [numbers_in(path) for path in sorted(tmp_path.glob("*.gz"))] == [[1], [2], [3]]


def test_what_a_kill_left_of_a_file_that_was_never_committed_is_written_over(tmp_path: Path) -> None:
    (tmp_path / f"{FIRST}.open").write_bytes(b"half a record")
    files = opened(tmp_path)
    written(files, 1)
    files.committed()
    files.close()
    assert numbers_in(tmp_path / FIRST) == [1]


def test_the_next_run_writes_another_file_and_closes_those_before_it(tmp_path: Path) -> None:
    files = opened(tmp_path)
    states = written(files, 1)
    files.committed()
    files.close()
    files = opened(tmp_path)
    assert files.resume([replace(states[0], is_closed=True)]) == ([], [])
    written(files, 2)
    files.committed()
    assert files.close() == [SECOND]


def test_a_kill_between_closing_a_file_and_saying_so_is_made_good(tmp_path: Path) -> None:
    files = opened(tmp_path)
    states = written(files, 1)
    files.committed()
    files.close()
    (tmp_path / FIRST.replace(".warc.gz", ".cdxj.open")).touch()
    assert opened(tmp_path).resume(states) == ([FIRST], [])
    assert numbers_in(tmp_path / FIRST) == [1]
    assert {path.suffix for path in tmp_path.iterdir()} == {".gz", ".cdxj"}


def test_the_folder_may_have_moved(killed: tuple[Path, list[WarcFile]], tmp_path: Path) -> None:
    folder, states = killed
    moved = folder.rename(tmp_path / "moved")
    files = opened(moved)
    assert files.resume(states) == ([], [])
    assert files.close() == [FIRST]
    assert numbers_in(moved / FIRST) == [2, 1]


def test_another_folder_may_be_named_and_what_was_open_is_closed_where_it_is(
    killed: tuple[Path, list[WarcFile]], tmp_path: Path
) -> None:
    folder, states = killed
    other = tmp_path / "other"
    other.mkdir()
    files = opened(other)
    assert files.resume(states) == ([FIRST], [])
    assert numbers_in(folder / FIRST) == [2, 1]
    written(files, 5)
    files.committed()
    assert files.close() == [SECOND]
    assert numbers_in(other / SECOND) == [5]


def test_a_file_that_is_missing_ends_the_run_unless_a_new_folder_is_named(
    killed: tuple[Path, list[WarcFile]], tmp_path: Path
) -> None:
    folder, states = killed
    (folder / f"{FIRST}.open").unlink()
    with pytest.raises(ArchiveFailedError, match=rf"^--warc .*killed: {FIRST}\.open, which .* is not there; move it"):
        opened(folder).resume(states)
    moved_without_it = tmp_path / "moved"
    moved_without_it.mkdir()
    (moved_without_it / f"{ID}-00000.warc.gz").touch()
    with pytest.raises(ArchiveFailedError, match="is not there"):
        opened(moved_without_it).resume(states)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert opened(empty).resume(states) == ([], [FIRST])


def test_a_file_that_is_shorter_than_what_was_committed_ends_the_run_untouched(
    killed: tuple[Path, list[WarcFile]],
) -> None:
    folder, states = killed
    os.truncate(folder / f"{FIRST}.open", 100)
    with pytest.raises(ArchiveFailedError, match=r"has 100 bytes, but \d+ were committed; restore it from a copy"):
        opened(folder).resume(states)
    assert (folder / f"{FIRST}.open").stat().st_size == 100


def test_a_copy_of_the_database_cannot_write_to_the_same_file(tmp_path: Path) -> None:
    files = opened(tmp_path)
    states = written(files, 1)
    files.committed()
    with pytest.raises(UsageError, match=r"another crawl is writing to .*\.open; name another folder"):
        opened(tmp_path).resume(states)
    files.close()
