"""What a process is given to do: a document to be read, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from crawler.fetching import LISTING_PATIENCE
from crawler.parsing.parser import Reading, Unread
from crawler.parsing.wire import Answer, decode_answer, encode_request
from crawler.records import LISTINGS, Listing, Response, SitemapEntry, UrlKind

_LARGE_BYTES = 1 << 20  # a document that may take seconds, and thirty times as much memory
_Outcome = TypeVar("_Outcome")


class Job(Generic[_Outcome]):
    """A document of `size` bytes that waits, or is being read. `patience`: so many times the time that others get.

    `done` is what was made of it, or a text that says why nothing was.
    """

    def __init__(self, request: Iterable[bytes], size: int, patience: float = 1.0) -> None:
        self.request = request
        self.size = size
        self.patience = patience
        self.is_large = size > _LARGE_BYTES
        self.done: asyncio.Future[_Outcome | str] = asyncio.get_running_loop().create_future()
        self.crashes = 0

    def begin(self) -> None:
        """A process is sent the document, which may not be the first one."""

    def take(self, answer: Answer) -> bool:
        """Take an answer of the process; whether it is the last one. Raises as `wire.decode_answer` for nonsense."""
        raise NotImplementedError

    def give_up(self, why: str) -> None:
        """Say why there is no answer."""
        if not self.done.done():  # who asked may have been cancelled
            self.done.set_result(why)

    def settle(self, outcome: _Outcome) -> None:
        """Answer who asked."""
        if not self.done.done():
            self.done.set_result(outcome)


class ReadingJob(Job[Reading]):
    """A response that is to be read as a page or a listing."""

    def __init__(self, kind: UrlKind, response: Response, *, keep_body: bool) -> None:
        self._url = response.url
        self._entries: list[SitemapEntry] = []
        size = len(response.body) if response.size is None else response.size  # a sitemap's body is packed
        patience = LISTING_PATIENCE if kind in LISTINGS else 1.0
        super().__init__(encode_request(kind, response, keep_body=keep_body), size, patience)

    def begin(self) -> None:
        """See `Job`."""
        self._entries = []

    def take(self, answer: Answer) -> bool:
        """See `Job`. A long listing comes in parts."""
        content, body = decode_answer(answer, self._url, self.size)
        if isinstance(content, Listing):
            self._entries += content.entries
            if answer.more:
                return False
            content = replace(content, entries=tuple(self._entries))
        if isinstance(content, Unread):
            self.give_up(content)
        else:
            self.settle((content, body))
        return True
