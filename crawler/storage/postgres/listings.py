"""What sitemaps and feeds name and say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crawler.records import Result
from crawler.storage.known import KnownUrls
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import arrays, insertion, rows_of
from crawler.storage.postgres.ids import HostKeys, id_of
from crawler.storage.postgres.transactions import Execute

_OF_SITEMAP = ("part", "sitemap_id")
_FORGET_LISTED = f"""
DELETE FROM sitemap_entries AS e USING {rows_of(_OF_SITEMAP)} WHERE e.part = v.part AND e.sitemap_id = v.sitemap_id
"""  # noqa: S608 - our own names
_COLUMNS = ("part", "sitemap_id", "url_host_id", "url_id", "lastmod", "data")
_ADD_LISTED = insertion("sitemap_entries", _COLUMNS, "ON CONFLICT DO NOTHING")

# A sitemap is believed where what it said of this host was right at least every second time, and at first.
_OF_HINT = ("part", "host_id", "id", "lastmod")
_HINT = f"""
UPDATE urls AS u SET revisit_at = u.fetched_at, hinted = 1
FROM {rows_of(_OF_HINT, 2)} JOIN hosts AS h ON h.part = v.part AND h.id = v.host_id
WHERE u.part = v.part AND u.host_id = v.host_id AND u.id = v.id
    AND u.status = 'fetched' AND u.fetched_at < v.lastmod AND v.lastmod <= $1::float8 AND u.next_fetch_at IS NULL
    AND h.hints_wrong <= h.hints_right + 5
"""  # noqa: S608 - our own names


async def add_listed(
    batch: Sequence[Placed], known: KnownUrls, hosts: HostKeys, unstored: set[str], execute: Execute
) -> None:
    """What sitemaps and feeds name and say; a part of the fenced transaction, after the URLs have their rows."""
    forgotten = sorted({(one.part, one.url_id) for one in batch if one.result.forgets_listed})
    if forgotten:
        await execute(_FORGET_LISTED, *arrays(forgotten))
    id_get = known.id_of.get
    rows: list[tuple[Any, ...]] = [
        (
            one.part,
            one.url_id,
            hosts[target.host][1],
            id_get(target.url) or id_of(target.url),
            entry.lastmod,
            entry.facts,
        )
        for one in batch
        for target, entry in one.result.listed
        if target.url not in unstored
    ]
    if rows:
        await execute(_ADD_LISTED, *arrays(rows))


async def hint(results: Iterable[Result], now: float, hosts: HostKeys, execute: Execute) -> None:
    """The dates of sitemaps are hints for pages that may be known by now, of whichever host: those of the first reading
    are not. Needs no fence: it changes when a URL is looked at again, and nothing that its host counts.
    """
    rows = {
        (*hosts[one.target.host], id_of(one.target.url)): one.entry.lastmod
        for result in results
        if result.claim.previous is not None
        for one in result.listed
        if one.entry.lastmod is not None
    }
    if rows:
        await execute(_HINT, now, *arrays((*key, lastmod) for key, lastmod in sorted(rows.items())))
