"""What sitemaps and feeds name and say. A part of the writer's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.records import Result
from crawler.storage.sqlite.columns import Execute, JsonStatement
from crawler.storage.sqlite.intake import Intake
from crawler.storage.sqlite.rows import INSERT_ONCE, insert_flat
from crawler.storage.values import as_json

_FORGET_LISTED = "DELETE FROM sitemap_entries WHERE sitemap_id = ?"
_LISTED_COLUMNS = "sitemap_id, url_id, lastmod, data"

# A sitemap is believed where what it said of this host was right at least every second time, and at first.
_HINT = JsonStatement(
    """
UPDATE urls SET revisit_at = fetched_at, hinted = 1
FROM json_each(?1) AS v
WHERE urls.url = {url} AND urls.status = 'fetched' AND urls.fetched_at < {lastmod} AND {lastmod} <= ?2
    AND urls.next_fetch_at IS NULL AND (SELECT hints_wrong <= hints_right + 5 FROM hosts WHERE id = urls.host_id)
""",
    "url",
    "lastmod",
)


async def add_listed(
    results: Sequence[Result], ids: Sequence[int], now: float, intake: Intake, execute: Execute
) -> None:
    """What sitemaps and feeds name and say. Their dates are hints for pages that may be known by now: those of the
    first reading are not.
    """
    listed = {one.target.url for result in results for one in result.listed}
    target_ids = await intake.ids_of(listed - intake.unstored)
    for result, sitemap_id in zip(results, ids, strict=True):
        if result.forgets_listed:
            await execute(_FORGET_LISTED, sitemap_id)
        if not result.listed:
            continue
        flat = [
            value
            for target, entry in result.listed
            if target.url in target_ids
            for value in (sitemap_id, target_ids[target.url], entry.lastmod, entry.facts)
        ]
        await insert_flat("sitemap_entries", _LISTED_COLUMNS, flat, execute, INSERT_ONCE)
        if result.claim.previous is not None:
            lastmods = [(one.target.url, one.entry.lastmod) for one in result.listed if one.entry.lastmod is not None]
            await execute(_HINT.sql, as_json(lastmods), now)
