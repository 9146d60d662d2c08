"""A large crawl that nobody had to crawl: `python -m tests.benchmarks.million /tmp/million/crawl.db`.

A million pages with ten links each (`--pages` makes smaller ones), written straight into the tables. It has one of each
thing that a crawl comes upon: redirects in chains and loops, pages that are gone, failed, failing or excluded for every
reason, older versions, three runs, header fields, sitemaps, fragments that lead somewhere and nowhere, titles that
repeat. The same number of pages makes the same database. Texts are sentences of a vocabulary in which a few words are
in nearly every page and most are rare (Zipf's law); the word `needle` is in one page of 100,000, `rareword` in one of
a hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from itertools import accumulate, islice
from pathlib import Path
from random import Random
from typing import Any

from crawler.bodies import HASH_BYTES, body_hash, compress
from crawler.config import CrawlConfig
from crawler.storage.sqlite.database import open_writer

HOSTS = 200  # the first has three tenths of the pages
LINKS = 10  # a page: three of them of a menu, one to what is no page
MENU = 20  # pages of each host that its menu leads to
BEGAN = 1_790_000_000.0
DAY_S = 86_400.0
_BATCH = 10_000
_RUNS = 3
_VOCABULARY = 100_000
_SENTENCES = 20_000
_SENTENCES_A_PAGE = 12
_ROBOTS = (
    b"User-agent: *\nDisallow: /private/\nDisallow: /*.json$\nAllow: /\nSitemap: https://www.example.test/sitemap.xml\n"
)

# What is no page: how much of it, and what is known of it. Failed and excluded URLs have a cause and a detail.
_OTHERS: tuple[tuple[int, str, str | None, str | None], ...] = (
    (3, "redirected", None, None),
    (3, "gone", None, None),
    (1, "failed", "http", "403"),
    (1, "failed", "timeout", None),
    (1, "failed", "dns", None),
    (18, "excluded", "scope", None),
    (4, "excluded", "robots", "line 2: Disallow: /private/"),
    (2, "excluded", "trap: session ids", None),
    (2, "excluded", "trap: pages alike in", "/calendar/#/"),
    (2, "excluded", "exclude", None),
    (2, "excluded", "depth", None),
    (1, "excluded", "nofollow", None),
    (10, "pending", None, None),
)
# What checks have shown: the verdict, its cause, the status, the verdicts of the last runs.
_VERDICTS: tuple[tuple[str, str | None, int | None, str], ...] = (
    *[("good", None, 200, "+")] * 7,
    ("gone", "http 404", 404, "+-"),
    ("unreachable", "dns", None, "-"),
    ("blocked", "http 403", 403, "+-+-"),
)
_WHAT = [what for weight, *what in _OTHERS for _ in range(weight)]


class Making:
    """The rows of a crawl of so many pages, by what `random` says."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.others = max(len(_WHAT), pages // 2)
        self._random = Random(pages)
        self._words = [_word(number) for number in range(_VOCABULARY)]
        weights = list(accumulate(1 / (rank + 1) for rank in range(_VOCABULARY)))
        self._sentences = [
            " ".join(self._random.choices(self._words, cum_weights=weights, k=12)).capitalize() + "."
            for _ in range(_SENTENCES if pages > 10_000 else 500)
        ]

    def host_id(self, number: int) -> int:
        """Of URL number `number`, from 0."""
        return 1 if number % 10 < 3 else 2 + number % (HOSTS - 1)

    def url(self, number: int) -> str:
        """The pages come first, then what is none."""
        host = f"https://h{self.host_id(number)}.example.test"
        if number < MENU * HOSTS:
            return f"{host}/menu/{number}"
        if number < self.pages:
            return f"{host}/{self._words[number % 97]}/{self._words[number % 9973]}-{number}.html"
        status, cause = self.what(number)[:2]
        folder = "private" if cause == "robots" else (cause or status).removeprefix("trap: ").replace(" ", "-")
        return f"{host if cause != 'scope' else 'https://elsewhere.test'}/{folder}/{number}"

    def what(self, number: int) -> list[Any]:
        """Status, cause and detail of what is no page."""
        return _WHAT[number % len(_WHAT)]

    def urls(self) -> Iterator[tuple[Any, ...]]:
        """In the order of the columns that `_fill` names."""
        for number in range(self.pages):
            versions = 2 if _has_older(number) else 1
            fails = number % 1009 == 7
            yield (
                number + 1, self.url(number), self.host_id(number), "page", "fetched", None, None, None,
                1 + number % 7, BEGAN + number / 1000, BEGAN + DAY_S * versions + number / 1000, None,
                self.version_id(number, newest=True), None if number < HOSTS else 1 + number % max(1, number // 3),
                "seed" if number < HOSTS else "link", 2 if number < HOSTS else 0,
                BEGAN + 2 * DAY_S if fails else None, "http 503" if fails else None,
            )  # fmt: skip
        for number in range(self.pages, self.pages + self.others):
            status, cause, detail = self.what(number)
            between = ": " if cause == "robots" else " "
            reason = cause if detail is None or cause is None else f"{cause}{between}{detail}"
            answered = status in ("redirected", "gone")
            yield (
                number + 1, self.url(number), HOSTS + 1 if cause == "scope" else self.host_id(number), "page", status,
                reason, cause, detail, 2 + number % 7, BEGAN + number / 1000, BEGAN + DAY_S if answered else None,
                BEGAN + 3 * DAY_S if status == "pending" else None, None, 1 + number % self.pages, "link", 0,
                BEGAN if status == "failed" else None, None,
            )  # fmt: skip

    def checks(self) -> Iterator[tuple[Any, ...]]:
        """Of what leaves the scope, by `--check external`; every tenth redirects. And of the scripts."""
        at = BEGAN + 3 * DAY_S
        outside = [n for n in range(self.pages, self.pages + self.others) if self.what(n)[1] == "scope"]
        for place, number in enumerate(outside):
            verdict, cause, status, recent = _VERDICTS[place % len(_VERDICTS)]
            url, onward = self.url(number), self.url(outside[place - 1]) if place % 10 == 9 else None
            if onward is not None:
                verdict, cause, status, recent = "redirected", None, 301, "+"
            yield url, HOSTS + 1, _RUNS, None, _RUNS, at, verdict, cause, status, onward, recent
        for number in range(9, self.pages, 1000):
            url = f"https://cdn.test/{number}.js"
            yield url, HOSTS + 2, None, _RUNS, _RUNS, at, "gone", "http 404", 404, None, "-"

    def version_id(self, number: int, *, newest: bool) -> int:
        """Page versions have the ids of their attempts: those of the first run come first."""
        return 1 + number if not (newest and _has_older(number)) else 1 + self.pages + number // 20

    def attempts(self) -> Iterator[tuple[Any, ...]]:
        """One for each page in run 1; of what changed in run 2; of what is no page in run 1; and failures in run 3."""
        ids = iter(range(1, 1 << 62))
        for number in range(self.pages):
            yield next(ids), *self._response(number, 1)
        for number in range(0, self.pages, 20):
            yield next(ids), *self._response(number, 2)
        for number in range(self.pages, self.pages + self.others):
            status, cause, detail = self.what(number)
            at = BEGAN + DAY_S + number / 1000
            if status == "redirected":
                yield next(ids), number + 1, 1, at, 0.02, 301, None, None, 0, self._redirected(number), 1, "[]"
            elif status == "gone":
                yield next(ids), number + 1, 1, at, 0.03, 404, None, "text/html", 500, None, 1, "[]"
            elif status == "failed":
                failure = None if cause == "http" else cause
                yield next(ids), number + 1, 1, at, 30.0, detail, failure, None, None, None, None, None
        for number in range(7, self.pages, 1009):
            yield next(ids), number + 1, 3, BEGAN + 2 * DAY_S, 0.5, 503, None, "text/html", 100, None, 1, "[]"

    def _response(self, number: int, run: int) -> tuple[Any, ...]:
        at = BEGAN + DAY_S * run + number / 1000
        values = json.dumps([f"Mon, 21 Sep 2026 {number % 24:02}:{number % 60:02}:00 GMT", f'"{number:x}"'])
        took_s = 0.02 + (number % 1000) / 400  # every second or third is slow
        length = 5000 if number % 3000 else 2_000_000
        return number + 1, run, at, took_s, 200, None, "text/html; charset=utf-8", length, None, 1, values

    def _redirected(self, number: int) -> str:
        """To a page; every tenth to another redirect, every hundredth to itself."""
        if number % 100 == 0:
            return self.url(number)
        chained = number + len(_WHAT)
        return self.url(chained if number % 10 == 0 and chained < self.pages + self.others else number % self.pages)

    def versions(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], list[tuple[Any, ...]]]]:
        """Of each: its row in pages, in bodies, and in links."""
        for number in range(self.pages):
            yield self._version(number, newest=False)
        for number in range(0, self.pages, 20):
            yield self._version(number, newest=True)

    def _version(self, number: int, *, newest: bool) -> tuple[tuple[Any, ...], tuple[Any, ...], list[tuple[Any, ...]]]:
        version_id = self.version_id(number, newest=newest)
        title = None if number % 500 == 1 else self._title(number)
        text = self._text(number if number % 1000 != 3 else 3)  # a thousandth of all pages are alike
        headings = [[1, title or "Untitled"], [2, self._sentences[number % len(self._sentences)]]]
        links = self._links(number, version_id)
        fragments = (
            [[links[0][1], 11, "A section", "top-2" if number % 50 == 0 else "details"]] if number % 3 == 0 else []
        )
        body = _body(title, text, self.url(number), links)
        says = b"alike" if number % 1000 == 3 else f"{text}{links}".encode()
        row = (
            version_id, number + 1, version_id, title, None if number % 4 == 0 else f"About {title}",
            "en" if number % 5 else "de", self.url(number) if number % 2 else None, text, "utf-8",
            json.dumps(headings), '{"og:type": "article"}', "[]", int(number % 300 == 5), 0, len(links),
            body_hash(body), _hash(says), 1, _hash((title or "").encode()), "text/html", "header",
            '{"viewport": "width"}',
            json.dumps(_resources(number)), json.dumps(fragments), "[]",
        )  # fmt: skip
        return row, (body_hash(body), len(body), compress(body)), links

    def _title(self, number: int) -> str:
        """Every fortieth page has one in common with others."""
        words = f"{self._words[number % 9973].capitalize()} {self._words[number % 1999]}"
        return f"{words} {number}" if number % 40 else self._words[number % 31].capitalize()

    def _text(self, number: int) -> str:
        chosen = Random(number).choices(self._sentences, k=_SENTENCES_A_PAGE)
        words = [
            f"page{number}",
            *(["rareword"] if number % 100 == 11 else []),
            *(["needle"] if number % 100_000 == 77 else []),
        ]
        return "\n".join([*chosen, " ".join(words)])

    def _links(self, number: int, version_id: int) -> list[tuple[Any, ...]]:
        host = number % HOSTS
        near = [(host + HOSTS * ((number + n) % MENU)) % self.pages for n in range(3)]
        far = [(number * 7919 + n * n * 104_729 + 13) % self.pages for n in range(LINKS - 4)]
        other = self.pages + (number * 31 + 7) % self.others
        targets = dict.fromkeys((*near, *far, other))
        return [
            (version_id, target + 1, f"{self._words[target % 9973]} {self._words[target % 211]}", "", 0)
            for target in targets
        ]


def _resources(number: int) -> list[list[Any]]:
    """A logo; and on every thousandth page a script that is not there."""
    missing = [["script", f"https://cdn.test/{number}.js", None, None, None]] if number % 1000 == 9 else []
    return [["image", "https://h1.example.test/logo.png", None, None, None], *missing]


def _has_older(number: int) -> bool:
    return number % 20 == 0


def _word(number: int) -> str:
    """A word that can be spoken: syllables for digits."""
    syllables = ("ka", "lo", "mi", "ne", "ru", "sa", "to", "vi", "be", "du", "fa", "go", "hi", "jo", "pe", "wa")
    word = syllables[number % 16]
    while number := number // 16:
        word += syllables[number % 16]
    return word


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=HASH_BYTES).digest()


def _body(title: str | None, text: str, url: str, links: list[tuple[Any, ...]]) -> bytes:
    heading = f"<title>{title}</title>" if title else ""
    items = "".join(f'<li><a href="/{target}">{anchor}</a>' for _page, target, anchor, *_rest in links)
    return (
        f"<!doctype html><html><head>{heading}<link rel=canonical href='{url}'></head><body><h1 id=top>{title}</h1>"
        f"<h2 id=details>Details</h2><p>{text}</p><ul>{items}</ul></body></html>"
    ).encode()


_RUN = """
INSERT INTO runs (id, started_at, ended_at, end_reason, pages, requests, options, summary)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_URLS = """
INSERT INTO urls (id, url, host_id, kind, status, reason, cause, detail, depth, discovered_at, fetched_at,
    next_fetch_at, page_id, found_on, found_by, seed, failing_since, failing_reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ATTEMPTS = """
INSERT INTO fetches (id, url_id, run_id, started_at, elapsed_s, status_code, failure, content_type, bytes, redirect_url,
    head_id, head_values)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CHECKS = """
INSERT INTO checks (url, host_id, link_run, resource_run, run_id, checked_at, verdict, cause, status_code, redirect_url,
    recent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_PAGES = """
INSERT INTO pages (id, url_id, fetch_id, title, description, language, canonical_url, text, encoding, headings,
    open_graph, json_ld, noindex, nofollow, links_total, body_hash, content_hash, reader_version, metadata_hash,
    content_type, encoding_source, metas, resources, link_details, alternates)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CHANGES = """
INSERT INTO change_log (url_id, run_id, at, change, page_id)
SELECT p.url_id, f.run_id, f.started_at, iif(f.run_id = 1, 'new', 'changed'), p.id
FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id ORDER BY p.id;
INSERT INTO change_log (url_id, run_id, at, change, detail)
SELECT u.id, f.run_id, f.started_at, 'broken', coalesce(f.failure, 'http ' || f.status_code)
FROM fetches AS f JOIN urls AS u ON u.id = f.url_id WHERE u.status IN ('failed', 'gone') ORDER BY f.id;
"""
_FIELDS = [["Content-Type", "text/html; charset=utf-8"], ["Date", 0], ["ETag", 1], ["Server", "nginx"]]


async def make(path: Path, pages: int) -> None:
    """A finished crawl of so many pages in a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    async with open_writer(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;")
        _fill(connection, Making(pages))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill(connection: sqlite3.Connection, making: Making) -> None:
    options = json.dumps(CrawlConfig().storable())
    for run in range(1, _RUNS + 1):
        began = BEGAN + DAY_S * run
        row = (run, began, began + 3600, "complete", making.pages if run == 1 else 0, making.pages, options, "{}")
        connection.execute(_RUN, row)
    for number in range(1, HOSTS + 3):
        name = f"h{number}.example.test" if number <= HOSTS else ("elsewhere.test", "cdn.test")[number - HOSTS - 1]
        connection.execute("INSERT INTO hosts (id, name) VALUES (?, ?)", (number, name))
        connection.execute(
            "INSERT INTO origins (host_id, origin, robots_status, robots_body, robots_fetched_at)"
            " VALUES (?, ?, 200, ?, ?)",
            (number, f"https://{name}", _ROBOTS, BEGAN),
        )
    connection.execute(
        "INSERT INTO heads (hash, fields) VALUES (?, ?)",
        (_hash(b""), json.dumps(_FIELDS)),
    )
    _insert(connection, _URLS, making.urls())
    _insert(connection, _ATTEMPTS, making.attempts())
    _insert(connection, _CHECKS, making.checks())
    versions = making.versions()
    while batch := list(islice(versions, _BATCH)):
        connection.execute("BEGIN")
        connection.executemany(_PAGES, (page for page, _body, _links in batch))
        connection.executemany("INSERT OR IGNORE INTO bodies VALUES (?, ?, ?)", (body for _page, body, _links in batch))
        connection.executemany(
            "INSERT INTO links VALUES (?, ?, ?, ?, ?)", (link for _page, _body, links in batch for link in links)
        )
        connection.execute("COMMIT")
    connection.executescript(f"BEGIN; {_CHANGES} COMMIT;")


def _insert(connection: sqlite3.Connection, sql: str, rows: Iterator[tuple[Any, ...]]) -> None:
    while batch := list(islice(rows, _BATCH)):
        connection.execute("BEGIN")
        connection.executemany(sql, batch)
        connection.execute("COMMIT")


def main() -> None:
    """Make it, unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--pages", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.path.exists():
        parser.error(f"{options.path} exists; remove it first")
    began = time.perf_counter()
    asyncio.run(make(options.path, options.pages))
    took_s, size = time.perf_counter() - began, options.path.stat().st_size
    print(f"{options.path}: {options.pages:,} pages, {size / 1e9:.2f} GB, made in {took_s:.0f} s")


if __name__ == "__main__":
    main()
