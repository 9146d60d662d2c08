"""A polite, resumable web crawler that stores its pages in one SQLite file.

    from crawler import CrawlConfig, crawl

    summary = await crawl(["https://example.com/"], CrawlConfig(db=Path("example.db")))
    async for page in crawl(["https://example.com/"]): ...
    async with open_crawl("example.db") as archive: ...

These names are the API; everything else may change. They are imported on first use: a parser process, which needs
none of them, starts in a third of the time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crawler.archive.archive import Archive, open_crawl
    from crawler.config import (
        CheckConfig,
        CheckKind,
        CrawlConfig,
        NetworkConfig,
        PolitenessConfig,
        RecrawlConfig,
        RunConfig,
        ScopeConfig,
        ScopeRule,
    )
    from crawler.engine import Crawl, crawl
    from crawler.errors import CrawlerError, DatabaseBusyError, DatabaseFailedError, UsageError
    from crawler.hooks import Extras, FailedAttempt, FoundLink, Hooks, IncomingResponse, OutgoingRequest
    from crawler.output.summary import Summary
    from crawler.records import Link, Page
    from crawler.urls import normalize

__all__ = [
    "Archive",
    "CheckConfig",
    "CheckKind",
    "Crawl",
    "CrawlConfig",
    "CrawlerError",
    "DatabaseBusyError",
    "DatabaseFailedError",
    "Extras",
    "FailedAttempt",
    "FoundLink",
    "Hooks",
    "IncomingResponse",
    "Link",
    "NetworkConfig",
    "OutgoingRequest",
    "Page",
    "PolitenessConfig",
    "RecrawlConfig",
    "RunConfig",
    "ScopeConfig",
    "ScopeRule",
    "Summary",
    "UsageError",
    "crawl",
    "normalize",
    "open_crawl",
]

_ROOMS = {
    "crawler.config": (
        "CheckConfig CheckKind CrawlConfig NetworkConfig PolitenessConfig RecrawlConfig RunConfig ScopeConfig ScopeRule"
    ),
    "crawler.engine": "Crawl crawl",
    "crawler.errors": "CrawlerError DatabaseBusyError DatabaseFailedError UsageError",
    "crawler.hooks": "Extras FailedAttempt FoundLink Hooks IncomingResponse OutgoingRequest",
    "crawler.output.summary": "Summary",
    "crawler.records": "Link Page",
    "crawler.urls": "normalize",
    "crawler.archive.archive": "Archive open_crawl",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOM_OF[name]), name)
