"""Reads documents in the event loop, where nothing hostile is to be feared: a web of our own making.

It starts no process and waits for nothing, so a whole run fits into one process and into virtual time. Nothing protects
it from a document that takes minutes or all memory: crawls of the web use the pool.
"""

from __future__ import annotations

from crawler.bodies import stored_body
from crawler.content.reader import read
from crawler.parsing.parser import Reading
from crawler.records import Failure, Page, Response, UrlKind


class InlineParser:
    """A `Parser` without processes. `product_token` is the name that robots directives may speak to."""

    def __init__(self, product_token: str) -> None:
        self._product_token = product_token

    async def read(self, kind: UrlKind, response: Response, *, keep_body: bool) -> Reading | Failure:
        """See `Parser.read`. What the reader raises, this raises: it is a mistake of ours."""
        content = read(kind, response.body, response.url, response.content_type, product_token=self._product_token)
        return content, stored_body(response.body) if keep_body and isinstance(content, Page) else None
