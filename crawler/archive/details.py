"""All that is known of one URL, put together from the archive's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.archive.answers import Attempt, UrlDetails, Version
from crawler.archive.questions import HEADERS_OF_ATTEMPT, HEADERS_OF_VERSION, SITEMAPS
from crawler.errors import UsageError

if TYPE_CHECKING:
    from crawler.archive.archive import Archive
    from crawler.archive.reading import Reader


async def details_of(
    archive: Archive, reader: Reader, url: str, version: int | None, max_links_to: int | None
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
        headers=await _headers(reader, url, None if number is None else versions[number - 1], attempts),
        attempts=attempts,
        links_from=await archive.links_from(url),
        links_to=links_to[:max_links_to],
        more_links_to=max_links_to is not None and len(links_to) > max_links_to,
        sitemaps=[row[0] for row in await reader.fetch(SITEMAPS, *reader.key_of(url), url)],
    )


def _number(url: str, versions: list[Version], asked: int | None) -> int | None:
    if asked is not None and not 1 <= asked <= len(versions):
        stored = f"has versions 1 to {len(versions)}" if versions else "has no stored version"
        raise UsageError(f"there is no version {asked}: {url} {stored}")
    return asked or len(versions) or None


async def _headers(reader: Reader, url: str, of: Version | None, attempts: list[Attempt]) -> list[tuple[str, str]]:
    if of is not None:
        return await reader.fetch(HEADERS_OF_VERSION, *reader.key_of(url), of.page_id)
    answered = [one.fetch_id for one in attempts if one.status_code is not None]
    return await reader.fetch(HEADERS_OF_ATTEMPT, *reader.key_of(url), answered[-1]) if answered else []
