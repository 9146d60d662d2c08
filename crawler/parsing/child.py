"""The other end of `process`: a process that reads one document after the other from its standard input.

The pool starts it with `command`. It shares nothing with the crawl and imports nothing from the current folder; it ends
when its input does, and on Linux at once when the crawl is killed. Hostile markup can kill it, but do no other harm.

It writes `READY` once it can read, and is given nothing before. A request is a header (`REQUEST`), then the URL, the
Content-Type and the body. The answer is a header (`ANSWER`), then JSON (the fields of `Page` in `PAGE_FIELDS` order,
or a sitemap's entries, or null) and the body compressed with zstd, which is empty where it is not to be kept. Links and
entries are columns: a message is small and quickly read, which the crawl's one event loop has to do with them all.
"""

from __future__ import annotations

import gc
import resource
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from crawler.bodies import body_hash, compress
from crawler.content.reader import read
from crawler.records import Link, Page, SitemapEntry, UrlKind

READY = b"ready\n"
REQUEST = struct.Struct("<BBHHI")  # kind, keep the body, lengths: URL, Content-Type + 1 (0: none), body
ANSWER = struct.Struct("<II16s")  # lengths: JSON, compressed body; hash of the body
_new_tuple = cast("Callable[[type[Link], tuple[str, str, str, bool]], Link]", tuple.__new__)  # Link(), in C
KINDS = (UrlKind.PAGE, UrlKind.SITEMAP)

PAGE_FIELDS = (
    "title", "description", "language", "canonical_url", "text", "encoding", "headings", "open_graph", "json_ld",
    "links_total", "refresh_url", "noindex", "nofollow",
)  # fmt: skip
_ENTRY_FIELDS = ("url", "lastmod", "is_sitemap")
_MAX_MEMORY_BYTES = 2 * 1024**3  # a document that needs more than this to be read is an attack


_START = "import sys; sys.path[:] = sys.argv[2:]; from crawler.parsing.child import main; main()"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command(product_token: str) -> list[str]:
    """The command line of a process. It imports from where its parent does, except from the current folder.

    `python -c` looks there first: a file `orjson.py` in the folder where somebody crawls would be run (`-P`: it does
    not). The folder of this package stays, wherever it is, so that `python -m crawler` works in a checkout.
    """
    home = str(Path(__file__).parents[2])
    path = [entry for entry in sys.path if entry == home or (Path(entry).is_absolute() and not _is_here(entry))]
    return [sys.executable, "-P", "-c", _START, product_token, *([] if home in path else [home]), *path]


def _is_here(folder: str) -> bool:
    try:
        return Path(folder).samefile(Path())
    except OSError:  # one of them does not exist
        return False


def main() -> None:
    """Answer requests until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C and service managers reach the whole group: the crawl decides
    _die_with_parent()
    _limit_memory()
    gc.disable()  # a document's objects hold no cycles; collecting them costs 5 %
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    serve(sys.stdin.buffer, sys.stdout.buffer, product_token=sys.argv[1])


def _die_with_parent() -> None:
    """Be killed when the crawl's event loop is: a document that takes long would keep a processor busy for nobody.

    Where the parent has died before this, no document will come, and the input has ended. Systems other than Linux
    have no such signal; there, the process ends after the document.
    """
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):  # a Python without libffi, a libc without prctl
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def _limit_memory() -> None:
    """Keep to `_MAX_MEMORY_BYTES`, or to less where the system has set less."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MAX_MEMORY_BYTES, hard)
    with suppress(ValueError, OSError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def serve(requests: BinaryIO, answers: BinaryIO, product_token: str) -> None:
    """Answer requests until the input ends."""
    take = requests.read
    while len(header := take(REQUEST.size)) == REQUEST.size:
        answers.write(_answer(header, take, product_token))
        answers.flush()


def _answer(header: bytes, take: Callable[[int], bytes], product_token: str) -> bytes:
    kind, keeps_body, url_length, type_length, body_length = REQUEST.unpack(header)
    url = take(url_length).decode()
    content_type = take(type_length - 1).decode(errors="replace") if type_length else None
    body = take(body_length)
    content = read(KINDS[kind], body, url, content_type, product_token=product_token)
    kept = compress(body) if keeps_body and isinstance(content, Page) else b""
    digest = body_hash(body) if kept else bytes(16)
    text = orjson.dumps(_columns(content))
    return ANSWER.pack(len(text), len(kept), digest) + text + kept


def _columns(content: Page | list[SitemapEntry] | None) -> Any:
    if content is None:
        return None
    if isinstance(content, list):
        return {name: [getattr(entry, name) for entry in content] for name in _ENTRY_FIELDS}
    links = tuple(zip(*content.links, strict=True)) or ((), (), (), ())
    return [*(getattr(content, name) for name in PAGE_FIELDS), content.content_hash.hex(), *links]


def rebuild(columns: Any, url: str) -> Page | list[SitemapEntry] | None:
    """The record that the process made of the document at `url`, from the JSON of its answer."""
    if columns is None:
        return None
    if isinstance(columns, dict):
        rows = zip(*(columns[name] for name in _ENTRY_FIELDS), strict=True)
        return [SitemapEntry(url=entry, lastmod=lastmod, is_sitemap=is_sitemap) for entry, lastmod, is_sitemap in rows]
    *values, content_hash, urls, anchors, rels, nofollows = columns
    fields = dict(zip(PAGE_FIELDS, values, strict=True))
    fields["headings"] = tuple(map(tuple, fields["headings"]))
    fields["json_ld"] = tuple(fields["json_ld"])
    links = tuple(map(_new_tuple, repeat(Link), zip(urls, anchors, rels, nofollows, strict=True)))
    return Page(url=url, links=links, content_hash=bytes.fromhex(content_hash), **fields)
