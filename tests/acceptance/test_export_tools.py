"""What `crawler export` writes, read by other people's tools, is the database, row by row.

Needs the extra `examples`; run by .ci/run. The crawl of a real manual is there where Debian's postgresql-doc-15 is.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler import open_crawl
from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import COMMAND, LOOPBACK
from tests.acceptance.known_web import crawl_known_web
from tests.acceptance.test_search import MANUAL
from tests.benchmarks.servers import nginx
from tests.frontier.crawls import DAY_S, NIGHT, crawled

pytestmark = pytest.mark.system

TIMES = {"fetched_at", "published_at", "modified_at"}
NESTED = {"links", "headings", "link_details", "alternates", "resources", "json_ld"}
AS_JSON = {"headers", "open_graph", "metas", "extracts", "fields"}


@pytest.fixture(
    scope="module",
    params=[
        "known",
        "demo",
        "manual",  # of PostgreSQL, in Debian's postgresql-doc-15
    ],
)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `crawl.db`, and an export of each format."""
    made = tmp_path_factory.mktemp(request.param)
    db = made / "crawl.db"
    if request.param == "known":
        crawl_known_web(db)
    elif request.param == "demo":
        run("demo", "--db", str(db))
    else:
        made.chmod(0o755)
        with nginx(made / "nginx", f"root {MANUAL}; index index.html;") as server:
            run("crawl", f"http://127.0.0.1:{server.port}/", *LOOPBACK, "--delay", "0", "--quiet", "--db", str(db))
    for form, file in (
        ("jsonl", "pages.jsonl"), ("csv", "pages.csv"), ("parquet", "pages.parquet"), ("sitemap", "sitemap.xml"),
        ("graphml", "links.graphml"), ("text", "texts"),
    ):  # fmt: skip
        run("export", form, str(made / file), "--db", str(db))
    run("export", "parquet", str(made / "parted"), "--by", "host,date", "--db", str(db))
    return made


def run(*arguments: str) -> None:
    subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=150)


@pytest.fixture(scope="module")
def stored(folder: Path) -> list[dict[str, Any]]:
    """The current pages as the library reads them."""

    async def read() -> list[dict[str, Any]]:
        async with open_crawl(folder / "crawl.db") as archive:
            current = {row["url"] async for row in archive.rows("current_pages", columns=["url"])}
            return [page.asdict() async for page in archive.pages() if page.url in current]

    pages = asyncio.run(read())
    assert len(pages) > 5
    return pages


def test_pandas_and_duckdb_read_the_lines(folder: Path, stored: list[dict[str, Any]]) -> None:
    import duckdb  # type: ignore[import-not-found,unused-ignore]
    import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with (folder / "pages.jsonl").open(encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == stored
    frame = pd.read_json(folder / "pages.jsonl", lines=True, dtype=False)
    assert list(frame["url"]) == [page["url"] for page in stored]
    assert list(frame["text"]) == [page["text"] for page in stored]
    assert [len(links) for links in frame["links"]] == [len(page["links"]) for page in stored]
    rows = duckdb.sql(f"SELECT url, text, len(links) FROM read_json('{folder}/pages.jsonl')").fetchall()
    assert rows == [(page["url"], page["text"], len(page["links"])) for page in stored]


def test_pandas_and_duckdb_read_the_table(folder: Path, stored: list[dict[str, Any]]) -> None:
    import duckdb
    import pandas as pd

    frame = pd.read_csv(folder / "pages.csv", keep_default_na=False, dtype=str)
    found = duckdb.sql(f"FROM read_csv('{folder}/pages.csv', all_varchar=true)")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert len(frame) == len(rows) == len(stored)
    for page, row, other in zip(stored, frame.to_dict("records"), rows, strict=True):
        expected = {name: as_csv(page[name]) for name in frame.columns}
        assert {name: value.removeprefix("'") for name, value in row.items()} == expected
        assert {name: (value or "").removeprefix("'") for name, value in other.items()} == expected


def as_csv(value: Any) -> str:
    """As the manual says."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return "".join("\ufffd" if char in "\x1b\x9b\u202e" else char for char in text)


def test_pyarrow_reads_the_table_with_its_types(folder: Path, stored: list[dict[str, Any]]) -> None:
    from pyarrow.parquet import read_table

    rows = read_table(folder / "pages.parquet").to_pylist()
    assert [plain(row) for row in rows] == [rounded(page) for page in stored]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as `Page.asdict` has it."""
    values = {name: value.timestamp() if name in TIMES and value else value for name, value in row.items()}
    return {name: json.loads(value) if name in AS_JSON and value else value for name, value in values.items()}


def rounded(page: dict[str, Any]) -> dict[str, Any]:
    """To the microsecond."""
    return {name: round(value * 1e6) / 1e6 if name in TIMES and value else value for name, value in page.items()}


def test_duckdb_and_pandas_read_the_partitions(folder: Path, stored: list[dict[str, Any]]) -> None:
    import duckdb
    import pandas as pd
    from pyarrow.dataset import dataset

    expected = sorted((page["url"], page["text"], page["depth"], page["links_total"]) for page in stored)
    names = ["url", "text", "depth", "links_total"]
    found = duckdb.sql(f"SELECT {', '.join(names)} FROM '{folder}/parted/**/*.parquet'").fetchall()
    assert sorted(found) == expected
    frame = pd.read_parquet(folder / "parted")
    assert sorted(frame[names].itertuples(index=False, name=None)) == expected
    by_date = duckdb.sql(f"SELECT url, host, strftime(date, '%Y-%m-%d') FROM '{folder}/parted/**/*.parquet'").fetchall()
    with closing(sqlite3.connect(folder / "crawl.db")) as connection:
        dated = "SELECT url, host, date(CAST(seen_at AS INTEGER), 'unixepoch') FROM current_pages"
        assert sorted(by_date) == sorted(connection.execute(dated).fetchall())
    assert dataset(folder / "parted", partitioning="hive").count_rows() == len(stored)


def test_partitions_are_brought_up_to_date_host_by_host(tmp_path: Path) -> None:
    import duckdb

    db, folder, web = tmp_path / "crawl.db", tmp_path / "parted", FakeWeb()
    for name in ("a.test", "b.test", "c.test"):
        web.host(name).page("/", title="first", links=[f"http://{other}.test/" for other in "abc"])
    arguments = ["parquet", str(folder), "--by", "host,date", "--db", str(db), "--cursor", str(tmp_path / "cursor")]
    crawled(web, db, *(f"http://{other}.test/" for other in "abc"), retries=0)
    run("export", *arguments)
    kept = (folder / "host=c.test/date=2023-11-14/part-0.parquet").stat().st_ino
    web.sites["a.test"].page("/", title="second")
    web.sites["b.test"].status("/", 410)
    crawled(web, db, at=NIGHT + DAY_S, max_age_s=0, retries=0)
    run("export", *arguments)
    found = duckdb.sql(f"SELECT url, title, strftime(date, '%d') FROM '{folder}/**/*.parquet' ORDER BY url").fetchall()
    assert found == [("http://a.test/", "second", "15"), ("http://c.test/", "first", "14")]
    with (folder / "_manifest.jsonl").open() as lines:
        files = {json.loads(line)["file"] for line in lines}
    assert files == {str(file.relative_to(folder)) for file in folder.rglob("*.parquet")}
    assert (folder / "host=c.test/date=2023-11-14/part-0.parquet").stat().st_ino == kept


def test_lxml_reads_the_sitemap(folder: Path, stored: list[dict[str, Any]]) -> None:
    from lxml import etree  # type: ignore[import-untyped,import-not-found,unused-ignore]

    listed = {page["url"] for page in stored if not page["noindex"] and page["canonical_url"] in (None, page["url"])}
    tree = etree.parse(folder / "sitemap.xml", etree.XMLParser(resolve_entities=False))
    assert set(tree.xpath("//*[local-name() = 'loc']/text()")) == listed


def test_networkx_reads_the_graph(folder: Path, stored: list[dict[str, Any]]) -> None:
    import networkx as nx  # type: ignore[import-untyped,import-not-found,unused-ignore]

    graph = nx.read_graphml(folder / "links.graphml")
    url_of = nx.get_node_attributes(graph, "url")
    assert len(set(url_of.values())) == len(url_of)
    found = [
        (url_of[source], url_of[target], data["anchor"] or "", data["rel"] or "", data["nofollow"])
        for source, target, data in graph.edges(data=True)
    ]
    ill = str.maketrans({"\x1b": "\ufffd"})
    links = [
        (page["url"], link["url"], link["anchor"].translate(ill), link["rel"], link["nofollow"])
        for page in stored
        for link in page["links"]
    ]
    assert sorted(found) == sorted(links)
    chosen = {data["url"]: data for _node, data in graph.nodes(data=True) if data["chosen"]}
    assert set(chosen) == {page["url"] for page in stored}
    assert {url: data["depth"] for url, data in chosen.items()} == {page["url"]: page["depth"] for page in stored}


def test_each_text_stands_where_the_manifest_says(folder: Path, stored: list[dict[str, Any]]) -> None:
    with (folder / "texts/_manifest.jsonl").open() as lines:
        files = {line["url"]: folder / "texts" / line["file"] for line in map(json.loads, lines)}
    assert {url: file.read_text() for url, file in files.items()} == {
        page["url"]: f"{page['text']}\n".replace("\f", " ") for page in stored
    }


def test_the_examples_of_the_manual_run(folder: Path) -> None:
    page = Path(__file__).parents[2] / "crawler/manual/export.md"
    examples = list(_examples(page.read_text(encoding="utf-8")))
    assert len(examples) == 3
    for code in examples:
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _examples(text: str) -> Iterator[str]:
    """Those for which the tool is there: Ray and Spark are large. That of partitions needs a PostgreSQL database."""
    for part in text.split("```python\n")[1:]:
        code = part.partition("```")[0]
        if not any(word in code for word in ("ray", "spark", "parts/*")):
            yield code
