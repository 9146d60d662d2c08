"""What a visit asks of whatever reads documents: the pool of processes, or the event loop itself (`inline`)."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from crawler.records import Failure, FailureKind, Listing, Page, Response, StoredBody, UrlKind


class Unread(str):
    """Why a reader of the user's has not read a document, for people."""

    __slots__ = ()


Content: TypeAlias = Page | Listing | Unread | None  # None: no document that we read
Reading: TypeAlias = tuple[Page | Listing | None, StoredBody | None]


class Parser(Protocol):
    """Reads documents."""

    async def read(self, kind: UrlKind, response: Response, *, keep_body: bool) -> Reading | Failure:
        """What the body says and, if it is a page's and to be kept, the body; or why it could not be read.

        Raises `CrawlerError` where nothing can be read any more.
        """


def unreadable(response: Response, message: str) -> Failure:
    """The failure of a document that could not be read."""
    return Failure(
        url=response.url,
        kind=FailureKind.HOOK if isinstance(message, Unread) else FailureKind.PARSE_TIMEOUT,
        message=message,
        address=response.address,
        started_at=response.started_at,
        elapsed_s=response.elapsed_s,
        first_byte_s=response.first_byte_s,
        reused=response.reused,
        sent=True,
    )
