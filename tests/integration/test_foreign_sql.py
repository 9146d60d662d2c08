"""SQL that a stranger wrote reads this one database, for a while, and does nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.archive.foreign_sql import Rows, run_foreign_sql
from crawler.errors import DatabaseFailedError, UsageError
from tests.contract.results import NOW, a_store, a_target

URLS = [f"http://a.test/{number}" for number in range(300)]


@pytest.fixture
async def db(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.db"
    async with a_store(path) as store:
        await store.add([a_target(url) for url in URLS], NOW)
    return path


async def run(db: Path, sql: str, *, max_rows: int = 1000, max_bytes: int = 100_000, max_s: float = 20) -> Rows:
    return await run_foreign_sql(db, sql, max_rows=max_rows, max_bytes=max_bytes, max_s=max_s)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT url FROM urls WHERE kind = 'page' ORDER BY id",
        "WITH found AS (SELECT url, id FROM urls WHERE kind = 'page') SELECT url FROM found ORDER BY id;",
        "SELECT j.value AS url FROM json_each((SELECT json_group_array(url) FROM urls WHERE kind = 'page')) AS j",
        "SELECT page_url FROM outlinks UNION ALL SELECT url FROM urls WHERE kind = 'page'",
    ],
)
async def test_tables_views_and_functions_can_be_read(db: Path, sql: str) -> None:
    found = await run(db, sql)
    assert [row[0] for row in found.rows] == URLS
    assert not found.cut


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM urls",
        "UPDATE urls SET status = 'gone'",
        "DROP TABLE urls",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE TEMP VIEW v AS SELECT 1",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('x')",
        "BEGIN IMMEDIATE",
        "REINDEX",
        "ANALYZE",
    ],
)
async def test_nothing_else_is_allowed(db: Path, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = db.read_bytes()
    with pytest.raises(UsageError, match="only reading is allowed"):
        await run(db, sql)
    assert db.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"crawl.db", "crawl.db-wal", "crawl.db-shm", "crawl.db.lock"}


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEKT 1", "syntax error"),
        ("SELECT no_such FROM urls", "no such column"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("", "no statement"),
        ("-- only a comment", "no statement"),
        ("SELECT \0", "null character"),
        ("SELECT zeroblob(100000000)", "too big"),
        ("SELECT replace(hex(zeroblob(8000000)), '0', 'xxxx')", "too big"),
        (" UNION ALL ".join(["SELECT 1"] * 60), "too many terms"),
        (f"SELECT '{'x' * 200_000}'", "too large"),
    ],
)
async def test_what_is_wrong_is_said_in_a_line(db: Path, sql: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        await run(db, sql)


async def test_a_statement_that_never_ends_is_ended(db: Path) -> None:
    forever = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(UsageError, match=r"longer than 0\.2 s"):
        await run(db, forever, max_s=0.2)


async def test_rows_and_bytes_are_bounded(db: Path) -> None:
    few = await run(db, "SELECT url FROM urls WHERE kind = 'page' ORDER BY id", max_rows=7)
    assert ([row[0] for row in few.rows], few.cut) == (URLS[:7], True)
    exactly = await run(db, "SELECT url FROM urls WHERE kind = 'page'", max_rows=300)
    assert (len(exactly.rows), exactly.cut) == (300, False)
    small = await run(db, "SELECT printf('%1000d', id) AS text FROM urls", max_bytes=5_500)
    assert (small.columns, len(small.rows), small.cut) == (["text"], 5, True)


async def test_without_a_crawl_the_error_is_that_of_every_command(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFailedError, match="there is no crawl"):
        await run(tmp_path / "none.db", "SELECT 1")
