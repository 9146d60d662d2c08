"""A process that makes Markdown of one document after the other: the other end of `extraction`. See `child`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import BinaryIO

from crawler.content.encoding import decode
from crawler.content.html import markup_of
from crawler.content.markdown import Markdown, import_libraries, markdown_of
from crawler.parsing.child import come_up, grown_bytes, resident_bytes, say_ready
from crawler.parsing.extraction_wire import Document, encode_markdown, receive_document

_MAX_REASON_CHARS = 200


def main() -> None:
    """Answer requests until the input ends."""
    give_back = come_up()
    gc.enable()  # lxml's trees and trafilatura's objects hold cycles
    import_libraries()
    say_ready()
    serve(sys.stdin.buffer, sys.stdout.buffer, give_back)


def serve(requests: BinaryIO, answers: BinaryIO, give_back: Callable[[], object] = lambda: None) -> None:
    """Answer requests until the input ends. `give_back` returns freed memory to the system, if that can be done."""
    before = resident_bytes()
    while (document := receive_document(requests.read)) is not None:
        answers.write(encode_markdown(_made_of(document), grown_bytes(before, give_back)))
        answers.flush()


def _made_of(document: Document) -> Markdown | str:
    """The Markdown; or, where a library fails, how."""
    try:
        html, _read_as = markup_of(decode(document.body, document.encoding), document.content_type)
        return markdown_of(html, document.url, document.content)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is that page's failure
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        return f"the extractor failed: {reason[:_MAX_REASON_CHARS]}"
