"""Pages as documents: one after the other in a stream, or each in a file of its own in a folder.

A format gives the documents, in any order, and `write_documents` writes them. In a folder, `names.file_name` says which
file is whose, and the manifest says it to others. Invariant: once an export is done, the folder has the documents of
the pages that were chosen, and no other of an earlier export, even if that was killed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from crawler.archive.stored_pages import StoredPage
from crawler.errors import UsageError
from crawler.output.exports.export import Export
from crawler.output.exports.folder import Entry, Folder, open_folder
from crawler.output.exports.names import file_name
from crawler.output.exports.target import FLAG
from crawler.output.safe_text import printable

_AT_ONCE = 512  # files of which is asked together whether they are still wanted


class Document(NamedTuple):
    """What a format makes of a page; `text` None: nothing, and then it has no file."""

    page: StoredPage
    text: str | None


async def write_documents(export: Export, documents: AsyncIterator[Document]) -> None:
    """Write them where the export goes. Raises `UsageError` where there is nothing to be brought up to date."""
    if export.target.is_folder:
        with open_folder(export.target.folder) as folder:
            await _fill(export, folder, documents)
        return
    with export.target.stream() as file:
        async for _page, text in documents:
            if text is not None:
                file.write((_visible(text) if export.target.is_terminal else text).encode("utf-8", "replace"))


async def _fill(export: Export, folder: Folder, documents: AsyncIterator[Document]) -> None:
    suffix = export.options.suffix
    if export.is_increment and not folder.is_complete:
        raise UsageError(f"{FLAG} {export.target.path} has no export to bring up to date; leave out --since first")
    async for removed in export.removed():
        folder.remove(file_name(removed.url, suffix))
    async for page, text in documents:
        name = file_name(page.page.url, suffix)
        if text is None:
            folder.remove(name)
        else:
            folder.write({"file": name, "url": page.page.url}, text.encode("utf-8", "replace"))
    await _remove_unwanted(export, folder)
    await folder.finish(_entries(export, folder))


async def _remove_unwanted(export: Export, folder: Folder) -> None:
    """What an earlier export has written, perhaps of another format, or of pages that are not chosen any more."""
    known = (entry for entry in folder.known() if _is_ours(entry))
    while some := list(islice(known, _AT_ONCE)):
        chosen = await export.reader.among([entry["url"] for entry in some])
        for entry in some:
            if entry["url"] not in chosen or not entry["file"].endswith(export.options.suffix):
                folder.remove(entry["file"])


def _is_ours(entry: Entry) -> bool:
    """Whether the file has the name that we would give it. `known` is what stands in a file that anybody may write."""
    url, file = entry.get("url"), entry["file"]
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return False
    return bool(file == file_name(url, PurePosixPath(file).suffix))


async def _entries(export: Export, folder: Folder) -> AsyncIterator[Entry]:
    async for url, page_id in export.reader.listing():
        name = file_name(url, export.options.suffix)
        if folder.holds(name):
            yield {"file": name, "url": url, "page_id": page_id}


def _visible(text: str) -> str:
    return "".join(f"{printable(line)}\n" for line in text.splitlines())
