"""`crawler export` is killed in the midst of its work: nothing that stood there is lost, and nothing broken stays."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import COMMAND, MAX_COMMAND_S, Cli
from tests.acceptance.test_export import files_of, manifest_of, texts_of
from tests.benchmarks.million import make
from tests.postgres.sql import rows

pytestmark = pytest.mark.thorough

PAGES = 4_000
OLD = b"what an earlier export has written"
KILLS = 10


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "crawl.db"
    asyncio.run(make(path, PAGES))
    return path


def killed(arguments: list[str], folder: Path, begun: Path | None = None) -> bool:
    """Kill an export once it has begun to write, and some time later; whether it had not ended by then.

    `begun` is what it writes first; None: a temporary file in the folder.
    """
    with subprocess.Popen([*COMMAND, "export", *arguments], cwd=folder, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (begun.exists() if begun else list(folder.glob(".crawler.*.tmp"))):
            time.sleep(0.001)
        time.sleep(next(DELAYS))
        process.send_signal(signal.SIGKILL)
        return process.wait(MAX_COMMAND_S) == -signal.SIGKILL


def _delays() -> Iterator[float]:
    """From the first moments on, to what a small export takes."""
    while True:
        yield from (0.0, 0.02, 0.3, 0.1, 0.6)


DELAYS = _delays()


@pytest.mark.parametrize(
    "form", ["jsonl", "csv", "sitemap", "graphml", "text", pytest.param("parquet", marks=pytest.mark.system)]
)
def test_a_file_is_the_old_one_or_the_new_one(cli: Cli, db: Path, form: str) -> None:
    file = cli.folder / "export.txt"
    cli.command("export", form, str(cli.folder / "whole.txt"), "--db", str(db))
    file.write_bytes(OLD)
    was_killed = [killed([form, str(file), "--db", str(db)], cli.folder) for _ in range(KILLS)]
    assert any(was_killed)
    whole = (cli.folder / "whole.txt").read_bytes()
    assert file.read_bytes() in (OLD, whole)
    cli.command("export", form, str(file), "--db", str(db))
    assert file.read_bytes() == whole
    assert sorted(path.name for path in cli.folder.iterdir()) == ["export.txt", "whole.txt"]


def test_a_folder_of_texts_is_completed_by_the_same_command(cli: Cli, db: Path) -> None:
    folder = cli.folder / "texts"
    arguments = ["text", str(folder), "--db", str(db)]
    was_killed = []
    for _ in range(KILLS):
        was_killed.append(killed(arguments, cli.folder, folder / "_unfinished.jsonl"))
        texts = texts_of(db)
        for name, text in files_of(folder).items():
            assert text == texts.get(name, text if name in HELPERS else None), name
    assert any(was_killed)
    gone = ["--where", "url_id % 2 = 0"]  # what an export that was killed has written, and nobody wants any more
    cli.command("export", *arguments, *gone)
    assert len(files_of(folder)) == len(manifest_of(folder)) < PAGES
    cli.command("export", *arguments)
    assert files_of(folder) == texts_of(db)
    assert set(manifest_of(folder)) == set(texts_of(db))


HELPERS = ("_unfinished.jsonl", ".crawler-export.tmp")


@pytest.mark.system  # needs pyarrow
def test_partitions_are_completed_by_the_same_command(cli: Cli, db: Path) -> None:
    folder = cli.folder / "parted"
    arguments = ["parquet", str(folder), "--by", "host,date", "--columns", "url,title", "--db", str(db)]
    was_killed = []
    for _ in range(KILLS):
        was_killed.append(killed(arguments, cli.folder, folder / "_unfinished.jsonl"))
        for file in folder.rglob("*.parquet"):
            assert file.read_bytes()[-4:] == b"PAR1", file
    assert any(was_killed)
    cli.command("export", *arguments)
    lines = [json.loads(line) for line in (folder / "_manifest.jsonl").read_text().splitlines()]
    assert sum(line["rows"] for line in lines) == PAGES
    assert {line["file"] for line in lines} == {str(one.relative_to(folder)) for one in folder.rglob("*.parquet")}
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"_manifest.jsonl"}
    cli.command("export", *arguments[:3], "host", "--columns", "url", "--db", str(db))
    assert not list(folder.glob("*/date=*"))


# --- and on the server ------------------------------------------------------------------------------------------------

FOR_HOURS = "url_id <> (SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d, pg_class e)"
RUNNING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND query LIKE '%pg_class e%' AND query NOT LIKE 'EXPLAIN%'
"""


def test_the_server_ends_the_statement_that_a_killed_export_leaves(cli: Cli, db: Path, crawl_database: str) -> None:
    cli.command("copy", str(db), crawl_database)
    command = [*COMMAND, "export", "jsonl", str(cli.folder / "x.jsonl"), "--db", crawl_database, "--where", FOR_HOURS]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not rows(crawl_database, f"{RUNNING} AND state = 'active'"):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + MAX_COMMAND_S
    while rows(crawl_database, RUNNING):
        assert time.monotonic() < deadline, "it runs on, for nobody"
        time.sleep(0.5)
