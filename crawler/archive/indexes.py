"""The indexes in the derived file (derived.py): each lets one question be answered without reading a whole table.

An index names *candidates*: all rows that may answer, and perhaps some that no longer do. Whoever asks looks each of
them up in the crawl's file, so that an index need never forget: neither a new version of a page nor `crawler prune`
makes an answer wrong. What is newer than the index has to be looked through besides (`Candidates.after`).

Names without a schema are tables of the crawl's file, whatever it is attached as.
"""

from __future__ import annotations

from dataclasses import dataclass

_BATCH = 1_000_000  # rows taken in by one transaction: 1 s or so, and 40 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index: a table of (key, candidate), filled in the order of the ids of a source table.

    `name` is its table; another `version` than the file's has it built anew. `newest` is the highest id of the source,
    `bound` the id up to which one batch after ?1 goes, `mark` what tells row ?1 of the source from any other that may
    ever have its id. `take_in` inserts what the rows after ?1, up to ?2, add.
    """

    name: str
    version: int
    columns: tuple[str, str]
    newest: str
    bound: str
    mark: str
    take_in: str


# The newest version of a page stays when old ones are pruned, so that the highest id is never given twice.
LINK_SOURCES = Index(
    name="link_sources",
    version=1,
    columns=("target_id", "url_id"),
    newest="SELECT max(id) FROM pages",
    bound=f"""
        SELECT max(id) FROM pages WHERE id < coalesce(
            (SELECT page_id FROM links WHERE page_id > ?1 ORDER BY page_id LIMIT 1 OFFSET {_BATCH}), 1 << 62
        )
    """,  # noqa: S608 - our own number
    mark="""
        SELECT p.url_id || ' ' || f.started_at FROM pages AS p JOIN fetches AS f ON f.id = p.fetch_id WHERE p.id = ?1
    """,
    take_in="""
        INSERT OR IGNORE INTO link_sources SELECT l.target_id, u.id
        FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id
            CROSS JOIN links AS l ON l.page_id = p.id
        WHERE p.id > ?1 AND p.id <= ?2 ORDER BY l.target_id, u.id
    """,
)

# `prune --older-than` may remove the newest attempts, whose ids are given again then: the mark tells.
ATTEMPTS_OF_URL = Index(
    name="attempts_of_url",
    version=1,
    columns=("url_id", "fetch_id"),
    newest="SELECT max(id) FROM fetches",
    bound=f"SELECT max(id) FROM (SELECT id FROM fetches WHERE id > ?1 ORDER BY id LIMIT {_BATCH})",  # noqa: S608
    mark="SELECT url_id || ' ' || started_at FROM fetches WHERE id = ?1",
    take_in="""
        INSERT OR IGNORE INTO attempts_of_url SELECT url_id, id FROM fetches
        WHERE id > ?1 AND id <= ?2 ORDER BY url_id, id
    """,
)
