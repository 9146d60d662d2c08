"""Counts the instructions of what a crawl does most: `python -m tests.benchmarks.instructions [UNIT...]`.

Times tell little on a busy machine; instructions are the same in every round. Each unit is done a few times and more
often, under valgrind, and the difference is what it takes. The figures are compared with those in `instructions.json`:
where one has grown by over 3 %, the exit status is 1. They hold for one build of Python and of the libraries; with
others, nothing is compared. `--keep` writes the new ones down: for a change that is worth its price, and says so.

Needs valgrind, and takes a few minutes. Not run with the tests: a commit may well make one thing dearer.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crawler.content.accelerated import fastest_walk
from tests.benchmarks.documents import document
from tests.benchmarks.measure import ROOT
from tests.benchmarks.servers import LOOPBACK
from tests.benchmarks.units import UNITS

FIGURES = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.03
_TIMES = {"read": (1, 3), "commit": (1, 3), "fetch": (50, 150), "unchanged": (50, 150)}
_PAGES = (20, 60)  # of a crawl
_PACKAGES = ("aiohttp", "aiosqlite", "multidict", "orjson", "selectolax", "yarl")
_COLLECTED = re.compile(r"Collected : (\d+)")


def main() -> int:
    """Count, print a line for each unit, and return the exit status."""
    options = _options()
    kept: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    build = _build()
    comparable = kept.get("build") == build
    if not comparable and not options.keep:
        print(f"kept for another build, so that nothing is compared: {kept.get('build')}; this one is {build}")
    counts: dict[str, int] = dict(kept.get("instructions", {})) if comparable else {}
    grown = []
    with served() as port:
        for unit in options.units or UNITS:
            before, now = counts.get(unit), count(unit, port)
            print(f"{unit:10} {now:12,}{'' if before is None else f' {now / before - 1:+8.2%}'}", flush=True)
            if has_grown(before, now):
                grown.append(unit)
            counts[unit] = now
    if options.keep:
        FIGURES.write_text(json.dumps({"build": build, "instructions": counts}, indent=2) + "\n")
        return 0
    if grown:
        print(f"over {TOLERANCE:.0%} more than before: {', '.join(grown)}")
    return 1 if grown else 0


def has_grown(before: int | None, now: int) -> bool:
    """Whether it is more than chance; `before` None: there is nothing to compare with."""
    return before is not None and now > before * (1 + TOLERANCE)


def count(unit: str, port: int) -> int:
    """The instructions that the unit takes."""
    few, many = _TIMES.get(unit, _PAGES)
    return (_collected(unit, many, port) - _collected(unit, few, port)) // (many - few)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.instructions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("units", nargs="*", metavar="UNIT", help=f"{', '.join(UNITS)} (default: all)")
    parser.add_argument("--keep", action="store_true", help="write the figures down, to be compared with from now on")
    options = parser.parse_args()
    if unknown := set(options.units) - UNITS.keys():
        parser.error(f"no such unit: {', '.join(sorted(unknown))}; there are {', '.join(UNITS)}")
    return options


def _build() -> str:
    """What the figures hold for."""
    python = f"{platform.python_implementation()} {platform.python_version()} by {platform.python_compiler()}"
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    walk = f"HTML in {fastest_walk()[1]}"
    return f"{python}, {platform.machine()}, {walk}, SQLite {sqlite3.sqlite_version}, {packages}"


def _collected(unit: str, times: int, port: int) -> int:
    """Of a whole process that does the unit so many times."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += ["-m", "tests.benchmarks.units", unit, str(times), str(port)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    collected = _COLLECTED.search(done.stderr)
    if done.returncode or collected is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return int(collected[1])


class _Answers(socketserver.StreamRequestHandler):
    """Answers every request on a connection, each with one write, so that it arrives as one."""

    def handle(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while target := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            self.connection.sendall(_UNCHANGED if b"/unchanged" in target else _PAGE)


_FIELDS = b'Server: nginx\r\nDate: Sat, 28 Nov 2026 10:00:00 GMT\r\nConnection: keep-alive\r\nETag: "1"\r\n'
_UNCHANGED = b"HTTP/1.1 304 Not Modified\r\n" + _FIELDS + b"\r\n"
_BODY = document(1).encode()
_PAGE = b"HTTP/1.1 200 OK\r\n%bContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (_FIELDS, len(_BODY), _BODY)


@contextmanager
def served() -> Iterator[int]:
    """A server in this process, which is not counted; gives its port."""
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), _Answers) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
