"""Makes Markdown in processes that can be killed, as pages are read: what kills or stalls the extractor is one page.

The libraries for it need 20 ms a page, sometimes seconds, and their memory is nobody's promise: none of that may happen
in a crawl, nor in the process that a person waits for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crawler.content.markdown import Markdown
from crawler.parsing.extraction_wire import Document, decode_markdown, encode_document
from crawler.parsing.job import Job
from crawler.parsing.pool import ProcessPool
from crawler.parsing.wire import Answer


class ExtractionPool(ProcessPool):
    """A few processes that make Markdown."""

    def __init__(self, timeout_s: float, processes: int | None = None) -> None:
        super().__init__("crawler.parsing.extraction_child", "", timeout_s, processes)

    async def markdown(self, document: Document) -> Markdown | str:
        """The Markdown of a document, or a text that says why there is none. Raises as `do`."""
        return await self.do(_ExtractionJob(encode_document(document), len(document.body)))


class _ExtractionJob(Job[Markdown | str]):
    def take(self, answer: Answer) -> bool:
        self.settle(decode_markdown(answer))
        return True


@asynccontextmanager
async def open_extraction(timeout_s: float) -> AsyncIterator[ExtractionPool]:
    """A pool in the running event loop; its processes start when they are needed, and are gone when this is left."""
    pool = ExtractionPool(timeout_s)
    try:
        yield pool
    finally:
        await pool.close()
