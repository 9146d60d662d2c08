"""The main content of pages as Markdown, or all of it: a file for each page in a folder, or all of them in one.

Each document begins with front matter (`front_matter`); in one file, an empty line stands between two. What cannot be
made is left out and named.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from crawler.archive.markdown import MarkdownMaker, open_markdown
from crawler.archive.stored_pages import StoredPage
from crawler.output.exports.documents import Document, write_documents
from crawler.output.exports.export import Export
from crawler.output.front_matter import markdown_document
from crawler.output.safe_text import printable

_AT_ONCE = 64  # pages whose Markdown is made together: enough for all processes
_MAX_NAMED = 20
_MAX_URL_CHARS = 200


async def write(export: Export) -> None:
    """Write the documents."""
    async with open_markdown(export.reader.db, export.options.content, notify=export.notify) as maker:
        await write_documents(export, _Documents(export, maker).of(export.pages(["text"], with_bodies=True)))


class _Documents:
    def __init__(self, export: Export, maker: MarkdownMaker) -> None:
        self._export = export
        self._maker = maker
        self._end = "" if export.target.is_folder else "\n"
        self._failed = 0

    async def of(self, pages: AsyncIterator[StoredPage]) -> AsyncIterator[Document]:
        """The documents of the pages, in their order."""
        some: list[StoredPage] = []
        async for page in pages:
            some.append(page)
            if len(some) == _AT_ONCE:
                for document in await self._made(some):
                    yield document
                some.clear()
        for document in await self._made(some):
            yield document

    async def _made(self, pages: list[StoredPage]) -> list[Document]:
        documents = []
        made = await self._maker.of([(page.page, page.body()) for page in pages])
        for page, markdown in zip(pages, made, strict=True):
            text = markdown_document(page.page, markdown)
            if text is None:
                self._name(page.page.url, markdown.why_not)
            documents.append(Document(page, None if text is None else text + self._end))
        return documents

    def _name(self, url: str, why: str | None) -> None:
        self._export.leave_out("there is no Markdown of them")
        self._failed += 1
        if self._failed <= _MAX_NAMED:
            self._export.notify(f"no Markdown of {printable(url, _MAX_URL_CHARS)}: {why}")
        elif self._failed == _MAX_NAMED + 1:
            self._export.notify("no Markdown of others either; only their number is told")
