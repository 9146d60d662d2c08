"""The examples for other people's tools: they give what the views say. Needs the extra `examples`; run by .ci/run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.acceptance.known_web import SITE, crawl_known_web

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "crawler/manual/database.md"]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
PYTHON = re.findall(r"^python3 -c .*(?:pandas|duckdb).*$", TEXT, re.MULTILINE)
DATASETTE = re.findall(r"datasette example\.db --get \S+(?=`)", TEXT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `example.db`, and DuckDB's SQLite extension where DuckDB puts it once it has downloaded it."""
    folder = tmp_path_factory.mktemp("tools")
    crawl_known_web(folder / "example.db")
    spec = find_spec("duckdb_extension_sqlite_scanner")
    assert spec is not None
    assert spec.origin is not None
    (extension,) = Path(spec.origin).parent.rglob("*.duckdb_extension")
    import duckdb  # type: ignore[import-not-found,unused-ignore]

    platform = duckdb.sql("PRAGMA platform").fetchall()[0][0]
    place = folder / ".duckdb/extensions" / f"v{version('duckdb')}" / platform
    place.mkdir(parents=True)
    shutil.copy(extension, place)
    return folder


def printed(folder: Path, command: str) -> str:
    environment = {**os.environ, "HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_examples_to_look_at() -> None:
    assert sum("pandas" in line for line in PYTHON) == 1
    assert sum("duckdb" in line for line in PYTHON) == 2
    assert len(DATASETTE) == 1
    assert re.search(r"^datasette example\.db ", TEXT, re.MULTILINE)


def test_pandas_reads_a_view(folder: Path) -> None:
    (line,) = (line for line in PYTHON if "pandas" in line)
    assert f"{SITE}/forbidden" in printed(folder, line)


def test_duckdb_reads_a_view_with_its_own_sql_and_with_that_of_sqlite(folder: Path) -> None:
    lines = [line for line in PYTHON if "duckdb" in line]
    own = printed(folder, lines[0])
    assert "elapsed_s" in own or "0 rows" in own  # no page is slow
    assert f"{SITE}/dead" in printed(folder, lines[1])


def test_datasette_gives_a_view_as_json(folder: Path) -> None:
    found = json.loads(printed(folder, DATASETTE[0]))
    assert [row[0] for row in found["rows"]] == [f"{SITE}/forbidden"]
