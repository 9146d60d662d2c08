"""A polite, resumable web crawler: one shared session in, one SQLite file out.

    from crawler import CrawlConfig, crawl

    summary = await crawl(["https://example.com/"], CrawlConfig(db=Path("example.db")))
    async for page in crawl(["https://example.com/"]): ...

These are the library's doors; everything else may move.
"""

from crawler.config import CrawlConfig, NetworkConfig, PolitenessConfig, RunConfig, ScopeConfig, ScopeRule
from crawler.engine import Crawl, crawl
from crawler.errors import CrawlerError, DatabaseBusyError, DatabaseFailedError, UsageError
from crawler.output.summary import Summary
from crawler.records import Link, Page

__all__ = [
    "Crawl",
    "CrawlConfig",
    "CrawlerError",
    "DatabaseBusyError",
    "DatabaseFailedError",
    "Link",
    "NetworkConfig",
    "Page",
    "PolitenessConfig",
    "RunConfig",
    "ScopeConfig",
    "ScopeRule",
    "Summary",
    "UsageError",
    "crawl",
]
