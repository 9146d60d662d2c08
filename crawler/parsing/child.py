"""The other end of `process`: a process that reads one document after the other from its standard input.

It shares nothing with the crawl and imports nothing from the current folder; it ends when its input does, and on Linux
at once when the crawl is killed. Hostile markup can kill it, but do no other harm.
"""

from __future__ import annotations

import os
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
_READ_BYTES = 1 << 16  # at once: two documents or three, where so many wait
_SMALL_BYTES = 1 << 16  # a document that makes no process grow: looking costs 20 us
_KEPT_BYTES = 1 << 24  # that were freed, and not given back to the system: it takes 1-5 ms to give them back
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of the GNU library
_KEPT_AT_END_BYTES = 1 << 22  # of the heap: what a document of 100 KB takes
_LARGE_BLOCK_BYTES = 1 << 20  # is given back as soon as it is freed
_STATM = Path("/proc/self/statm")  # proc(5): in pages
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Answer requests until the input ends."""
    give_back = come_up()
    fastest, _name = fastest_walk()
    settings = ReaderSettings.from_argument(sys.argv[1])
    say_ready()
    own_input, answers = _kept_for_us() if settings.readers else (0, sys.stdout.buffer)
    requests = os.fdopen(own_input, "rb", _READ_BYTES, closefd=False)
    serve(requests, answers, settings, walk=fastest, give_back=give_back)


def come_up() -> Callable[[], object]:
    """Be a process that reads what is hostile, for a crawl that may be killed. Returns what gives memory back."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C and service managers reach the whole group: the crawl decides
    libc = _libc()
    _die_with_parent(libc)
    _limit_memory()
    _keep_freed_memory(libc)
    trim = getattr(libc, "malloc_trim", lambda _pad: 0)  # the GNU library's
    return lambda: trim(0)


def say_ready() -> None:
    """Requests can come."""
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()


def serve(
    requests: BinaryIO,
    answers: BinaryIO,
    settings: ReaderSettings,
    walk: Walk = walk,
    give_back: Callable[[], object] = lambda: None,
) -> None:
    """Answer requests until the input ends. `give_back` returns freed memory to the system, if that can be done."""
    before = resident_bytes()
    while (request := receive_request(requests.read)) is not None:
        kind, keep_body, url, content_type, body = request
        content = read_document(settings, kind, body, url, content_type, walk)
        keeps = keep_body and isinstance(content, Page)
        kept = StoredBody(digest=body_hash(body), size=len(body), zstd=compress(body)) if keeps else None
        grown = grown_bytes(before, give_back) if len(body) > _SMALL_BYTES else 0
        answers.writelines(encode_answer(content, kept, grown))
        answers.flush()


def _kept_for_us() -> tuple[int, BinaryIO]:
    """Our input and output under other numbers: what a reader of the user's prints goes nowhere."""
    ours = os.dup(0), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - nobody empties the pipe that it was
    return ours


def grown_bytes(before: int, give_back: Callable[[], object]) -> int:
    """How much more memory this process holds than `before`, after a document that may have taken much."""
    grown = resident_bytes() - before
    if grown > _KEPT_BYTES:
        give_back()
        grown = resident_bytes() - before
    return max(0, grown)


def resident_bytes() -> int:
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


def _keep_freed_memory(libc: Any) -> None:
    """Keep what a document takes for the next one. The parser takes blocks of 330 KB for each and frees them, and to be
    given these again by the system, page by page, takes a twentieth of all reading.
    """
    if hasattr(libc, "malloc_trim"):  # the GNU library
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_AT_END_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


def _limit_memory() -> None:
    """Keep to `_MAX_MEMORY_BYTES`, or to less where the system has set less."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MAX_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MAX_MEMORY_BYTES, hard)
    with suppress(ValueError, OSError):  # macOS refuses
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
