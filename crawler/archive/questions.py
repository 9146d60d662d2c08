"""The questions of `Archive` in SQL: about one URL, by its text or its key (`Reader.key_of`), or about all pages."""

from __future__ import annotations

from crawler.archive.answers import Attempt, OutLink, UrlState, Version
from crawler.archive.dialect import Sql
from crawler.archive.pages import ANY_VERSION, NEWEST_VERSION, OF_ATTEMPT, PAGE_COLUMNS
from crawler.archive.selecting import select

_AT_URL = Sql("url = ?", "(part, host_id, id) = (?, ?, ?) AND url = ?")
_OF_URL = Sql("u.url = ?", "(u.part, u.host_id, u.id) = (?, ?, ?) AND u.url = ?")
_IN_VIEW = Sql("url = ?", "(part, host_id, url_id) = (?, ?, ?) AND url = ?")


def _pages(rest: str) -> Sql:
    """`rest` is what follows the columns."""
    return Sql.same(f"SELECT {{columns}} {rest}").format(
        columns=PAGE_COLUMNS, newest=NEWEST_VERSION, any=ANY_VERSION, attempt=OF_ATTEMPT, at_url=_OF_URL
    )


ALL_PAGES = _pages("FROM urls AS u {newest} {attempt}") + Sql(" ORDER BY u.id", " ORDER BY u.part, u.host_id, u.id")
PAGE = _pages("FROM urls AS u {newest} {attempt} WHERE {at_url}")
VERSION = _pages("FROM urls AS u {any} {attempt} WHERE {at_url} ORDER BY p.id LIMIT 1 OFFSET ?")
ALL_VERSIONS = Sql(
    "SELECT {columns} FROM pages AS p JOIN urls AS u ON u.id = p.url_id {attempt}{which} ORDER BY p.id",
    "SELECT {columns} FROM pages AS p JOIN urls AS u ON (u.part, u.host_id, u.id) = (p.part, p.host_id, p.url_id)"
    " {attempt}{which} ORDER BY p.part, p.id",
)
LAST_BEFORE_RUN = """
SELECT p.id FROM pages AS p CROSS JOIN fetches AS f ON f.id = p.fetch_id
WHERE f.run_id < ? ORDER BY p.id DESC LIMIT 1
"""

BODY = Sql(
    """
SELECT b.zstd FROM urls AS u JOIN bodies AS b ON b.hash = coalesce(
    (SELECT body_hash FROM pages WHERE id = u.page_id),
    (SELECT body_hash FROM fetches WHERE url_id = u.id AND body_hash IS NOT NULL ORDER BY id DESC LIMIT 1)
) WHERE {at_url}
""",
    """
SELECT b.zstd FROM urls AS u JOIN bodies AS b ON b.part = u.part AND b.hash = coalesce(
    (SELECT p.body_hash FROM pages AS p WHERE (p.part, p.id) = (u.part, u.page_id)),
    (
        SELECT f.body_hash FROM fetches AS f WHERE (f.part, f.url_id) = (u.part, u.id) AND f.body_hash IS NOT NULL
        ORDER BY f.id DESC LIMIT 1
    )
) WHERE {at_url}
""",
).format(at_url=_OF_URL)
BODY_OF_VERSION = Sql(
    """
SELECT b.zstd FROM bodies AS b
WHERE b.hash = (SELECT p.body_hash FROM urls AS u {any} WHERE {at_url} ORDER BY p.id LIMIT 1 OFFSET ?)
""",
    """
SELECT b.zstd FROM bodies AS b
WHERE (b.part, b.hash) = (SELECT p.part, p.body_hash FROM urls AS u {any} WHERE {at_url} ORDER BY p.id LIMIT 1 OFFSET ?)
""",
).format(any=ANY_VERSION, at_url=_OF_URL)

ID = Sql.same("SELECT id FROM urls WHERE {at_url}").format(at_url=_AT_URL)
STATE = select(UrlState, Sql.same("urls WHERE {at_url}").format(at_url=_AT_URL))
HISTORY = select(Version, Sql.same("page_versions WHERE {at_url} ORDER BY page_id").format(at_url=_IN_VIEW))
LINKS_FROM = select(
    OutLink, Sql("outlinks WHERE page_url = ?", "outlinks WHERE (part, host_id, url_id) = (?, ?, ?) AND page_url = ?")
)

# By the URL's row alone: its id, or in PostgreSQL its key.
ATTEMPTS = select(
    Attempt,
    Sql("attempts WHERE url_id = ?", "attempts WHERE (part, host_id, url_id) = (?, ?, ?)") + " ORDER BY fetch_id",
)
ATTEMPTS_AMONG = select(
    Attempt,
    """
attempts WHERE url_id = ?1 AND fetch_id IN (
    SELECT value FROM json_each(?2) UNION SELECT id FROM fetches WHERE id > ?3 AND url_id = ?1
) ORDER BY fetch_id
""",
)

_HEADERS = "SELECT name, value FROM response_headers WHERE {which} ORDER BY place"
HEADERS_OF_ATTEMPT = Sql.same(_HEADERS).format(
    which=Sql("fetch_id = ?", "(part, host_id, url_id) = (?, ?, ?) AND fetch_id = ?")
)
HEADERS_OF_VERSION = Sql.same(_HEADERS).format(
    which=Sql(
        "fetch_id = (SELECT fetch_id FROM pages WHERE id = ?)",
        "(part, host_id, url_id) = (?, ?, ?)"
        " AND fetch_id = (SELECT p.fetch_id FROM pages AS p WHERE (p.part, p.id) = (response_headers.part, ?))",
    )
)
SITEMAPS = Sql.same("SELECT sitemap_url FROM sitemap_urls WHERE {at_url} ORDER BY sitemap_url").format(at_url=_IN_VIEW)
