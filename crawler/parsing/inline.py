"""Reads documents in the event loop, where nothing hostile is to be feared: a web of our own making.

It starts no process and waits for nothing, so a whole run fits into one process and into virtual time. Nothing protects
it from a document that takes minutes or all memory: crawls of the web use the pool.
"""

from __future__ import annotations

from crawler.bodies import stored_body
from crawler.parsing.parser import Reading, Unread, unreadable
from crawler.parsing.reading import read_document
from crawler.parsing.settings import ReaderSettings
from crawler.records import Failure, Page, Response, UrlKind


class InlineParser:
    """A `Parser` without processes, which reads by these settings."""

    def __init__(self, settings: ReaderSettings) -> None:
        self._settings = settings

    async def read(self, kind: UrlKind, response: Response, *, keep_body: bool) -> Reading | Failure:
        """See `Parser.read`. What the reader raises, this raises: it is a mistake of ours."""
        content = read_document(self._settings, kind, response.body, response.url, response.content_type)
        if isinstance(content, Unread):
            return unreadable(response, content)
        return content, stored_body(response.body) if keep_body and isinstance(content, Page) else None
