"""`crawl --jsonl`: the pages of a crawl go to a file or a pipe as they are committed.

Invariant: whoever stops reading ends the crawl cleanly, and one that reads slowly slows it down.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from pathlib import Path

from crawler.engine import Crawl
from crawler.errors import CrawlerError
from crawler.output.page_stream import PageStream, page_stream
from crawler.output.summary import Summary
from crawler.records import EndReason

_LOOK_S = 1.0  # how often a reader is looked after: there may be no page for a long time


async def stream(crawl: Crawl, path: Path) -> Summary:
    """Run the crawl. Raises what it raises, and `UsageError` where its pages cannot be written."""
    with closing(page_stream(path, crawl.db, lambda: crawl.ends_at_once)) as pages:
        await pages.check()
        watching = asyncio.create_task(_watch(pages, crawl))
        try:
            async with aclosing(crawl.batches()) as batches:
                async for batch in batches:
                    if not await pages.write(batch):
                        _end(crawl)
                        break
        finally:
            watching.cancel()
        if crawl.summary is None:
            raise CrawlerError("the crawl ended without a summary")
        await pages.finish(crawl.summary.run_id)
    return crawl.summary


async def _watch(pages: PageStream, crawl: Crawl) -> None:
    while pages.has_reader():  # noqa: ASYNC110 - nothing tells when it leaves
        await asyncio.sleep(_LOOK_S)
    _end(crawl)


def _end(crawl: Crawl) -> None:
    crawl.stop(EndReason.OUTPUT_CLOSED, at_once=True)
