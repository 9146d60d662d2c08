"""`crawler export parquet --by part`: all pages, each once, whatever was killed, and nothing is written twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import COMMAND, Cli
from tests.acceptance.known_web import crawl_known_web
from tests.benchmarks.million import make
from tests.postgres import sql
from tests.postgres.server import Server

pytestmark = pytest.mark.system  # they need pyarrow and duckdb
MANUAL = Path(__file__).parents[2] / "crawler/manual/export.md"


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory, postgres: Server, crawl_template: str) -> Iterator[str]:
    """The URL of a crawl of 500 pages on 200 hosts, in 16 partitions."""
    folder = tmp_path_factory.mktemp("crawl")
    asyncio.run(make(folder / "crawl.db", 500))
    with postgres.database(crawl_template) as url:
        Cli(folder).command("copy", str(folder / "crawl.db"), url)
        yield url


def rows_of(folder: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    import duckdb  # of the extra `examples`

    query = f"SELECT {columns} FROM read_parquet('{folder}/*/*.parquet', hive_partitioning = true) ORDER BY url"
    rows: list[tuple[Any, ...]] = duckdb.sql(query).fetchall()
    return rows


def export(cli: Cli, folder: Path, crawl: str, *more: str, status: int = 0) -> str:
    done = cli.command("export", "parquet", str(folder), "--by", "part", "--db", crawl, *more, status=status)
    return done.out + done.err


def written(folder: Path) -> dict[str, int]:
    """When each file was written, in nanoseconds."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}


def test_the_files_have_each_page_once_and_all_that_one_file_has(cli: Cli, crawl: str) -> None:
    parts, whole = cli.folder / "parts", cli.folder / "whole"
    assert "wrote" in export(cli, parts, crawl, "--processes", "2")
    (whole / "x=1").mkdir(parents=True)
    cli.command("export", "parquet", str(whole / "x=1" / "pages.parquet"), "--db", crawl)
    columns = "* EXCLUDE (part)"
    found = rows_of(parts, columns)
    assert found == rows_of(whole, "* EXCLUDE (x)")
    assert len(found) == 500
    assert [path.name for path in parts.iterdir() if not re.fullmatch(r"part=\d{4}", path.name)] == ["_manifest.jsonl"]
    manifest = [json.loads(line) for line in (parts / "_manifest.jsonl").read_text().splitlines()]
    assert {entry["file"] for entry in manifest} == written(parts).keys()
    assert sum(entry["rows"] for entry in manifest) == 500
    assert len(manifest) == 16


def test_only_what_has_been_visited_since_is_written_again(cli: Cli, crawl: str) -> None:
    parts = cli.folder / "parts"
    export(cli, parts, crawl, "--columns", "url,title")
    before = written(parts)
    assert "0 pages of 0 partitions" in (told := export(cli, parts, crawl, "--columns", "url,title"))
    assert f"{len(before)} partitions had not changed" in told
    assert written(parts) == before
    (part, page), *_others = sql.rows(crawl, "SELECT part, page_id FROM urls WHERE status = 'fetched' ORDER BY 1")
    columns = "part, {}, host_id, url_id, run_id, started_at, elapsed_s"
    visit = (
        f"INSERT INTO fetches ({columns.format('id')}) SELECT {columns.format('id + 1')} FROM fetches WHERE part = ?"
    )
    sql.execute(crawl, f"{visit} ORDER BY id DESC LIMIT 1", part)
    sql.execute(crawl, "UPDATE pages SET title = 'changed' WHERE part = ? AND id = ?", part, page)
    export(cli, parts, crawl, "--columns", "url,title")
    after = written(parts)
    assert [file for file in before if before[file] != after[file]] == [f"part={part:04}/part-0.parquet"]
    assert ("changed",) in rows_of(parts, "title")
    export(cli, parts, crawl, "--columns", "url")  # another export: all is written anew
    assert not set(after.values()) & set(written(parts).values())


@pytest.mark.parametrize("processes", ["1", "2"])
def test_killed_again_and_again_it_gets_done_and_keeps_what_it_has(cli: Cli, crawl: str, processes: str) -> None:
    parts, chance, kept, kills = cli.folder / "parts", random.Random(3), dict[str, int](), 0
    command = [*COMMAND, "export", "parquet", str(parts), "--by", "part", "--processes", processes, "--db", crawl]
    for attempt in range(1, 30):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.5, 1 + 2 * attempt))
            if process.poll() is None:
                os.killpg(process.pid, 9)  # the processes that it has begun, too
                kills += 1
        assert {file: at for file, at in written(parts).items() if file in kept} == kept
        kept = written(parts)
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert kills
    assert len(rows_of(parts)) == 500
    assert not list(parts.glob(".crawler-export*"))


def test_partitions_that_have_no_page_any_more_have_no_file(cli: Cli, tmp_path: Path, empty_database: str) -> None:
    crawl_known_web(tmp_path / "known.db")
    cli.command("copy", str(tmp_path / "known.db"), empty_database)
    parts = cli.folder / "parts"
    export(cli, parts, empty_database)
    (file,) = written(parts)
    sql.execute(empty_database, "DELETE FROM pages")
    export(cli, parts, empty_database)
    assert not written(parts)
    assert [path.name for path in parts.iterdir()] == ["_manifest.jsonl"], file


def test_what_cannot_be_done_is_said(cli: Cli, crawl: str) -> None:
    crawl_known_web(cli.folder / "known.db")
    parts = cli.folder / "parts"
    assert "--by part is for a crawl in PostgreSQL" in export(cli, parts, str(cli.folder / "known.db"), status=2)
    assert "--by takes host" in export(cli, parts, crawl, "--by", "part,host", status=2)
    assert "leave out --since and --cursor" in export(cli, parts, crawl, "--since", "now", status=2)
    told = cli.command("export", "parquet", "p.parquet", "--processes", "2", "--db", crawl, status=2).err
    assert "--processes goes with --by part" in told
    assert not parts.exists()


def test_the_example_of_the_manual_reads_them(cli: Cli, crawl: str) -> None:
    export(cli, cli.folder / "parts", crawl)
    examples = re.findall(r"^```python\n(.*?)^```", MANUAL.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (example,) = (one for one in examples if "parts/" in one)
    (cli.folder / "example.py").write_text(example)
    shown = cli.run([sys.executable, "example.py"]).out
    assert sum(int(number) for number in re.findall(r"│ +(\d+) │ +\d+ │", shown)) == 500, shown
