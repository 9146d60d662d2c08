"""The other end of `process`: a process that reads one document after the other from its standard input.

It shares nothing with the crawl and imports nothing from the current folder; it ends when its input does, and on Linux
at once when the crawl is killed. Hostile markup can kill it, but do no other harm.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from crawler.bodies import body_hash, compress
from crawler.content.accelerated import fastest_walk
from crawler.content.walk import Walk, walk
from crawler.parsing.reading import read_document
from crawler.parsing.settings import ReaderSettings
from crawler.parsing.wire import READY, encode_answer, receive_request
from crawler.records import Page, StoredBody

_MAX_MEMORY_BYTES = 2 * 1024**3  # a document that needs more than this to be read is an attack
_SMALL_BYTES = 1 << 16  # a document that makes no process grow: looking costs 20 us
_KEPT_BYTES = 1 << 24  # that were freed, and not given back to the system: it takes 1-5 ms to give them back
_STATM = Path("/proc/self/statm")  # proc(5): in pages
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Answer requests until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C and service managers reach the whole group: the crawl decides
    libc = _libc()
    _die_with_parent(libc)
    _limit_memory()
    fastest, _name = fastest_walk()
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    trim = getattr(libc, "malloc_trim", lambda _pad: 0)  # the GNU library's
    settings = ReaderSettings.from_argument(sys.argv[1])
    serve(sys.stdin.buffer, sys.stdout.buffer, settings, walk=fastest, give_back=lambda: trim(0))


def serve(
    requests: BinaryIO,
    answers: BinaryIO,
    settings: ReaderSettings,
    walk: Walk = walk,
    give_back: Callable[[], object] = lambda: None,
) -> None:
    """Answer requests until the input ends. `give_back` returns freed memory to the system, if that can be done."""
    before = _resident_bytes()
    while (request := receive_request(requests.read)) is not None:
        kind, keep_body, url, content_type, body = request
        content = read_document(settings, kind, body, url, content_type, walk)
        keeps = keep_body and isinstance(content, Page)
        kept = StoredBody(digest=body_hash(body), size=len(body), zstd=compress(body)) if keeps else None
        grown_bytes = _grown_bytes(before, give_back) if len(body) > _SMALL_BYTES else 0
        answers.writelines(encode_answer(content, kept, grown_bytes))
        answers.flush()


def _grown_bytes(before: int, give_back: Callable[[], object]) -> int:
    """How much more memory this process holds than `before`, after a document that may have taken much."""
    grown = _resident_bytes() - before
    if grown > _KEPT_BYTES:
        give_back()
        grown = _resident_bytes() - before
    return max(0, grown)


def _resident_bytes() -> int:
    """The memory that this process holds, or has held at most where the system does not say more."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _libc() -> Any:
    """The C library; None where Python was built without libffi."""
    with suppress(ImportError, OSError):
        import ctypes

        return ctypes.CDLL(None)
    return None


def _die_with_parent(libc: Any) -> None:
    """Be killed when the crawl's event loop is: a document that takes long would keep a processor busy for nobody.

    Where the parent has died before this, no document will come, and the input has ended. Systems other than Linux
    have no such signal; there, the process ends after the document.
    """
    if sys.platform == "linux":
        with suppress(ImportError, AttributeError):  # there is no such library, or it has no prctl
            import ctypes

            libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def _limit_memory() -> None:
    """Keep to `_MAX_MEMORY_BYTES`, or to less where the system has set less."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MAX_MEMORY_BYTES, hard)
    with suppress(ValueError, OSError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
