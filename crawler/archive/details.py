"""All that is known of one URL, put together from the archive's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.archive.answers import Attempt, UrlDetails, Version
from crawler.archive.finding import Read
from crawler.errors import UsageError

if TYPE_CHECKING:
    from crawler.archive.archive import Archive

_HEADERS = "SELECT name, value FROM response_headers WHERE fetch_id = "
_OF_ATTEMPT = f"{_HEADERS}? ORDER BY place"
_OF_VERSION = f"{_HEADERS}(SELECT fetch_id FROM pages WHERE id = ?) ORDER BY place"  # noqa: S608 - our own names
_SITEMAPS = "SELECT sitemap_url FROM sitemap_urls WHERE url = ? ORDER BY sitemap_url"


async def details_of(
    archive: Archive, read: Read, url: str, version: int | None, max_links_to: int | None
) -> UrlDetails | None:
    """None if the URL was never seen. Raises `UsageError` if it has no such version."""
    state = await archive.state(url)
    if state is None:
        return None
    versions, attempts = await archive.history(url), await archive.attempts(url)
    number = _number(url, versions, version)
    links_to = [link async for link in archive.links_to(url, limit=max_links_to and max_links_to + 1)]
    return UrlDetails(
        state=state,
        versions=versions,
        version=number,
        page=None if number is None else await archive.page(url, version=number),
        headers=await _headers(read, None if number is None else versions[number - 1], attempts),
        attempts=attempts,
        links_from=await archive.links_from(url),
        links_to=links_to[:max_links_to],
        more_links_to=max_links_to is not None and len(links_to) > max_links_to,
        sitemaps=[row[0] for row in await read(_SITEMAPS, url)],
    )


def _number(url: str, versions: list[Version], asked: int | None) -> int | None:
    if asked is not None and not 1 <= asked <= len(versions):
        stored = f"has versions 1 to {len(versions)}" if versions else "has no stored version"
        raise UsageError(f"there is no version {asked}: {url} {stored}")
    return asked or len(versions) or None


async def _headers(read: Read, of: Version | None, attempts: list[Attempt]) -> list[tuple[str, str]]:
    if of is not None:
        return await read(_OF_VERSION, of.page_id)
    answered = [one.fetch_id for one in attempts if one.status_code is not None]
    return await read(_OF_ATTEMPT, answered[-1]) if answered else []
