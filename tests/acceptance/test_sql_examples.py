"""Every SQL example of the README, the manual and the demo, on a database that was crawled again after much had gone.

What a page said before is still stored: an example that joins old versions lists what is not there any more.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from crawler.demo.crawl import next_steps
from crawler.fakeweb import FakeWeb
from tests.frontier.crawls import DAY_S, NIGHT, crawled

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "crawler/manual").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SHELL_BLOCKS = "".join(re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
QUERIES = [
    *re.findall(r'^sqlite3 [^"]*"([^"]+)"', SHELL_BLOCKS, re.MULTILINE),
    *(query for _shows, command in next_steps(Path("demo.db"), "crawler") for query in re.findall('"(.+)"', command)),
]
Rows: TypeAlias = set[tuple[Any, ...]]

HOME, LIGHT, MANY = "https://example.com/", "https://example.com/light", "https://example.com/many"
SHAKY = "https://example.com/shaky"
BROKEN: Rows = {
    (HOME, "new", "https://example.com/new-dead", "http 404"),
    (HOME, "light", "https://example.com/old-dead", "http 403"),
}

# By what each query begins with, after the second night.
EXPECTED: dict[str, Rows] = {
    "SELECT url, title FROM": {(HOME, "two"), (LIGHT, "light"), (MANY, "many"), (SHAKY, "shaky")},
    "SELECT page_url, anchor": BROKEN,
    "SELECT page_url, target_url": {
        (HOME, "https://example.com/new-dead", "gone", "http 404", "link"),
        (HOME, "https://example.com/old-dead", "failed", "http 403", "link"),
    },
    "SELECT url, links_total": {(MANY, 10_001)},
    "SELECT datetime(": {("2023-11-14 22:13:20", "one"), ("2023-11-15 22:13:20", "two")},
    "SELECT reason, count(*)": {("robots: line 2: Disallow: /private", 2), ("scope", 10_000)},
    "SELECT domain, count(*)": {("example.com", 1)},
    "SELECT title, description": {("light", "far out")},
    "SELECT url, status, failing_since": {(SHAKY, "fetched", NIGHT + DAY_S, "http 500")},  # a 403 settles it
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights; `old-dead` is linked from two pages on the first one and from another one on the second."""
    db = tmp_path_factory.mktemp("sql") / "crawl.db"
    web = FakeWeb()
    site = web.host("example.com", tls=True)
    site.robots("User-agent: *\nDisallow: /private\n")
    site.status("/old-dead", 403)
    site.page("/light", title="light", text="no lighthouse", head='<meta name="description" content="far out">')
    site.page("/away", title="away", text="a lighthouse", links=[("/old-dead", "away")])
    site.page("/many", title="many", links=[f"https://x.test/{number}" for number in range(10_001)])
    site.page("/", title="one", links=[("/old-dead", "old"), "/light", "/away", "/private/1", "/many", "/shaky"])
    site.page("/shaky", title="shaky")
    options: dict[str, Any] = {"scope": "domain", "retries": 0}
    assert crawled(web, db, HOME, **options).status_of("https://example.com/old-dead") == "failed"
    site.page(
        "/",
        title="two",
        links=[("/new-dead", "new"), ("/old-dead", "light"), "/light", "/private/2", "/many", "/shaky"],
    )
    site.page("/light", title="light", text="the lighthouse", head='<meta name="description" content="far out">')
    site.status("/away", 404)
    site.status("/shaky", 500)
    crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0, **options)
    return db


def test_there_is_a_right_answer_to_each_example() -> None:
    assert len(QUERIES) >= 10
    unknown = [query for query in QUERIES if sum(query.startswith(begin) for begin in EXPECTED) != 1]
    assert unknown == []
    assert len({begin for begin in EXPECTED for query in QUERIES if query.startswith(begin)}) == len(EXPECTED)


@pytest.mark.parametrize("query", sorted(set(QUERIES)))
def test_an_example_says_what_is_true_after_a_recrawl(database: Path, query: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(query).fetchall()
    (expected,) = (rows for begin, rows in EXPECTED.items() if query.startswith(begin))
    assert len(found) == len(set(found))
    assert set(found) == expected
