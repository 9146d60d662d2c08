"""A database without a log of changes gets one that says what its view `changes` has said."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.storage.sqlite.database import APPLICATION_ID, open_writer

SCRIPTS = sorted((Path(__file__).parents[2] / "crawler/storage/sqlite/migrations").glob("*.sql"))
BEFORE = [script for script in SCRIPTS if script.name < "0016"]
URLS, FETCHES = 8, 90

# The view as it was before there was a log.
OLD_CHANGES = """
SELECT
    u.url, coalesce((
        SELECT iif(o.content_hash = p.content_hash AND o.truncated = p.truncated, 'metadata', 'changed')
        FROM pages AS o WHERE o.url_id = p.url_id AND o.id < p.id ORDER BY o.id DESC LIMIT 1
    ), 'new') AS change,
    f.run_id, f.started_at AS at, p.id AS page_id
FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id JOIN urls AS u ON u.id = p.url_id
WHERE NOT EXISTS (
    SELECT 1 FROM pages AS o WHERE o.id = (SELECT max(id) FROM pages WHERE url_id = p.url_id AND id < p.id)
        AND o.body_hash IS NULL AND o.reader_version IS NOT p.reader_version
)
UNION ALL
SELECT u.url, CASE a.answer WHEN 'page' THEN 'back' ELSE a.answer END, a.run_id, a.started_at, NULL
FROM (
    SELECT
        url_id, run_id, started_at, answer, lag(answer) OVER earlier AS answer_before,
        max(answer = 'page') OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS was_page
    FROM (
        SELECT
            id, url_id, run_id, started_at,
            CASE WHEN status_code IN (404, 410) THEN 'gone' WHEN redirect_url IS NOT NULL THEN 'moved'
                WHEN status_code BETWEEN 200 AND 299 OR status_code = 304 THEN 'page' END AS answer
        FROM fetches
    ) WHERE answer IS NOT NULL
    WINDOW earlier AS (PARTITION BY url_id ORDER BY id)
) AS a JOIN urls AS u ON u.id = a.url_id
WHERE a.answer <> a.answer_before AND a.was_page AND u.kind = 'page'
"""


def grown(path: Path, seed: int) -> None:
    """A database of the schema before, with a history in which anything may have happened."""
    chance = random.Random(seed)
    with closing(sqlite3.connect(path)) as connection:
        for script in BEFORE:
            connection.executescript(script.read_text())
        connection.executescript(
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(BEFORE)};"
            "INSERT INTO hosts (name) VALUES ('a.test');"
        )
        connection.executemany("INSERT INTO runs (id, started_at, options) VALUES (?, ?, '{}')", [(1, 0.0), (2, 50.0)])
        for url_id in range(1, URLS + 1):
            insert = "INSERT INTO urls (id, url, host_id, kind, status, depth, discovered_at)"
            connection.execute(
                f"{insert} VALUES (?, ?, 1, 'page', 'pending', 0, 0)", (url_id, f"http://a.test/{url_id}")
            )
        for fetch_id in range(1, FETCHES + 1):
            _visit(connection, fetch_id, chance)
        connection.commit()


def _visit(connection: sqlite3.Connection, fetch_id: int, chance: random.Random) -> None:
    url_id = chance.randint(1, URLS)
    status, answer = chance.choice(
        [(200, "fetched"), (200, "fetched"), (304, "fetched"), (404, "gone"), (301, "redirected")]
    )
    connection.execute(
        "INSERT INTO fetches (id, url_id, run_id, started_at, elapsed_s, status_code, redirect_url)"
        " VALUES (?, ?, ?, ?, 0, ?, ?)",
        (
            fetch_id,
            url_id,
            1 + (fetch_id > FETCHES // 2),
            float(fetch_id),
            status,
            "http://a.test/" if status == 301 else None,
        ),
    )
    connection.execute("UPDATE urls SET status = ?, fetched_at = ? WHERE id = ?", (answer, float(fetch_id), url_id))
    has_page = connection.execute("SELECT page_id FROM urls WHERE id = ?", (url_id,)).fetchone()[0] is not None
    is_unchanged = has_page and chance.random() < 0.3
    if not has_page if status == 304 else status == 200 and not is_unchanged:
        columns = (
            "url_id, fetch_id, text, encoding, headings, open_graph, json_ld, content_hash, body_hash, reader_version"
        )
        values = (url_id, fetch_id, chance.choice([b"a", b"b"]), chance.choice([None, b"body"]), chance.choice([1, 2]))
        page = f"INSERT INTO pages ({columns}) VALUES (?, ?, '', 'utf-8', '[]', '{{}}', '[]', ?, ?, ?)"
        page_id = connection.execute(page, values).lastrowid
        connection.execute("UPDATE urls SET page_id = ? WHERE id = ?", (page_id, url_id))


def rows(path: Path, sql: str) -> Iterator[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.execute(sql).fetchall()


@pytest.mark.parametrize("seed", range(5))
async def test_what_the_view_has_said_the_log_says_in_the_order_of_attempts(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "crawl.db"
    grown(path, seed)
    before = sorted(rows(path, OLD_CHANGES), key=repr)
    pages = "SELECT url FROM urls WHERE page_id IS NULL"
    others = {row[0] for row in rows(path, pages)}  # documents that were no pages: nothing is told of those
    async with open_writer(path):
        pass
    found = list(rows(path, "SELECT url, change, run_id, at, page_id FROM changes ORDER BY change_id"))
    assert sorted(found, key=repr) == [row for row in before if row[0] not in others]
    assert [row[3] for row in found] == sorted(row[3] for row in found), "in the order in which it was noticed"
    assert len({row[1] for row in found}) == 6


async def test_where_urls_stand_is_told_though_their_attempts_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    grown(path, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "DELETE FROM fetches WHERE id NOT IN (SELECT fetch_id FROM pages);"
            "UPDATE urls SET status = 'gone' WHERE id = 1; UPDATE urls SET status = 'redirected' WHERE id = 2;"
            "UPDATE urls SET status = 'excluded', reason = 'exclude' WHERE id = 3;"
            "UPDATE urls SET status = 'failed', reason = 'timeout' WHERE id = 4;"
            "UPDATE urls SET status = 'gone', page_id = NULL WHERE id = 5; DELETE FROM pages WHERE url_id = 5;"
            "UPDATE urls SET status = 'fetched' WHERE id > 5;"
        )
    async with open_writer(path):
        pass
    told = "SELECT url_id, change, detail FROM change_feed WHERE page_id IS NULL ORDER BY url_id"
    assert list(rows(path, told)) == [
        (1, "gone", "http 404 or 410"),
        (2, "moved", None),
        (3, "withdrawn", "exclude"),
        (4, "broken", "timeout"),
        (5, "broken", "http 404 or 410"),
    ]
    runs = [row[0] for row in rows(path, "SELECT run_id FROM change_log ORDER BY id")]
    assert runs == sorted(runs)


async def test_what_has_failed_for_long_is_not_told_as_if_it_had_failed_in_the_last_run(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    grown(path, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "DELETE FROM pages WHERE url_id IN (1, 2, 3); DELETE FROM fetches WHERE url_id IN (1, 2, 3);"
            "UPDATE urls SET page_id = NULL, status = 'failed', reason = 'http 503' WHERE id IN (1, 2);"
            "UPDATE urls SET page_id = NULL, status = 'gone' WHERE id = 3;"
            "INSERT INTO fetches (id, url_id, run_id, started_at, elapsed_s, status_code) VALUES"
            " (1001, 1, 1, 7.0, 0, 503), (1002, 1, 2, 51.0, 0, 503),"
            " (1003, 3, 2, 52.0, 0, 404), (1004, 3, 2, 60.0, 0, 404);"
            "UPDATE urls SET failing_since = 51.0 WHERE id = 1;"  # it was answered in between
        )
    async with open_writer(path):
        pass
    told = "SELECT url_id, change, run_id, at, detail FROM change_feed WHERE url_id < 4 ORDER BY change_id"
    assert list(rows(path, told)) == [
        (2, "broken", 1, 0.0, "http 503"),  # with its origin
        (1, "broken", 2, 51.0, "http 503"),
        (3, "broken", 2, 52.0, "http 404"),
    ]
