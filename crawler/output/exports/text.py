"""The visible text of pages: a file for each page in a folder, or all of them in one, for word counts, models and grep.

In one file, the URL stands on a line above each text, and a form feed on a line below it, as `pdftotext` parts pages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from crawler.archive.stored_pages import StoredPage
from crawler.output.exports.documents import Document, write_documents
from crawler.output.exports.export import Export

_FORM_FEED = "\f"


async def write(export: Export) -> None:
    """Write the texts."""
    await write_documents(export, _texts(export.pages(["text"]), is_headed=not export.target.is_folder))


async def _texts(pages: AsyncIterator[StoredPage], *, is_headed: bool) -> AsyncIterator[Document]:
    async for page in pages:
        text = page.page.text.replace(_FORM_FEED, " ")
        yield Document(page, f"{page.page.url}\n{text}\n{_FORM_FEED}\n" if is_headed else f"{text}\n")
