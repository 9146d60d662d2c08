"""One export at work: what the `write` of each format gets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, aclosing
from typing import Any, Self

from crawler.archive.stored_pages import PageReader, Removed, StoredLink, StoredPage
from crawler.content.markdown import Content
from crawler.output.exports.target import Target
from crawler.statically_frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What the user wants of a format. `columns`: names, in their order; of a format that has none, empty.

    `by`: the columns by which rows are parted into folders. `base_url`: where the files will be served. `suffix`: what
    the files of documents end with. `content`: what of a page they have, where there is a choice.
    """

    columns: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    base_url: str | None = None
    suffix: str = ""
    content: Content = Content.MAIN


class Export:
    """The pages that were chosen, and where they go. `reader` answers what else a format asks of the crawl.

    `is_increment`: there are only pages that are new or have changed, and `removed` tells which are no longer among
    them. `written` and `taken_away` count what has been read, `left_out` what a format could not take, by the reason;
    `notify` tells a person about one of these, a line each.
    """

    def __init__(
        self,
        reader: PageReader,
        target: Target,
        options: ExportOptions,
        tell: Callable[[int], None] = lambda _n: None,
        notify: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self.reader, self.target, self.options, self.notify = reader, target, options, notify
        self.written = self.taken_away = 0
        self.left_out: dict[str, int] = {}
        self._tell = tell
        self._open = AsyncExitStack()

    @property
    def is_increment(self) -> bool:
        """Whether it is one."""
        return self.reader.selection.span is not None

    def pages(self, fields: Collection[str], *, with_bodies: bool = False) -> AsyncIterator[StoredPage]:
        """Each page once, in the order in which URLs were found, or by what parts them; see `PageReader.pages`."""
        return self._kept(self._counted(self.reader.pages(fields, with_bodies=with_bodies, by=self.options.by)))

    async def links(self, at_once: int) -> AsyncIterator[list[StoredLink]]:
        """The links of the pages, those of so many pages together."""
        some: list[StoredPage] = []
        async for page in self.pages(()):
            some.append(page)
            if len(some) == at_once:
                yield await self.reader.links_of(some)
                some.clear()
        yield await self.reader.links_of(some)

    def removed(self) -> AsyncIterator[Removed]:
        """What is to be taken away; nothing where it is no increment."""
        return self._kept(self._went())

    def leave_out(self, why: str) -> None:
        """Count a page that the format cannot take: "too long for a sitemap"."""
        self.left_out[why] = self.left_out.get(why, 0) + 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._open.aclose()

    async def _counted(self, pages: AsyncGenerator[StoredPage]) -> AsyncGenerator[StoredPage]:
        async with aclosing(pages):
            async for page in pages:
                yield page
                self.written += 1
                self._tell(self.written)

    async def _went(self) -> AsyncGenerator[Removed]:
        if not self.is_increment:
            return
        async with aclosing(self.reader.removed()) as removed:
            async for one in removed:
                yield one
                self.taken_away += 1

    def _kept(self, generator: AsyncGenerator[Any]) -> AsyncIterator[Any]:
        """Closed with the export: a format that fails on its way, as at a pipe that nobody reads, need not care."""
        self._open.push_async_callback(generator.aclose)
        return generator
