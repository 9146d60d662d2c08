"""What a visit asks of whatever reads documents: the pool of processes, or the event loop itself (`inline`)."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from crawler.records import Failure, Listing, Page, Response, StoredBody, UrlKind

Content: TypeAlias = Page | Listing | None  # None: no document that we read
Reading: TypeAlias = tuple[Content, StoredBody | None]


class Parser(Protocol):
    """Reads documents."""

    async def read(self, kind: UrlKind, response: Response, *, keep_body: bool) -> Reading | Failure:
        """What the body says and, if it is a page's and to be kept, the body; or why it could not be read.

        Raises `CrawlerError` where nothing can be read any more.
        """
