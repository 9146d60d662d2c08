"""`python -m tests.fuzz TARGET [--seconds N] [--corpus FOLDER]`: atheris against a parser, with the shared invariants.

By hand, out of CI: it needs atheris (`pip install atheris`). Bytes that break an invariant, take longer than 5 s or
more than 2 GB are left in the current folder as `crash-*`, `timeout-*` or `oom-*`; `python -m tests.fuzz TARGET FILE`
tries a file again. Each find is to become a plain test with the smallest bytes that do it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

_TRACED = ["crawler", "email", "tomllib", "http.cookiejar"]
_MEMORY = Path("/dev/shm")  # on a disk, the parsers of files would mostly wait


def main() -> None:
    """Fuzz one target in a child: libFuzzer ends its process at once, and would leave the folder behind."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as scratch:
        child = os.fork()
        if not child:
            _fuzz(Path(scratch))
        _child, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def _fuzz(scratch: Path) -> None:
    """Until the time is over or something is found."""
    atheris = importlib.import_module("atheris")
    tempfile.tempdir = str(scratch)
    with atheris.instrument_imports(include=_TRACED):
        from tests.fuzz.targets import TARGETS
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("file", nargs="?", help="try this file only")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=scratch / "corpus", help="keep what reaches new code there")
    given = parser.parse_args()
    target = TARGETS[given.target]
    given.corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (given.corpus / f"seed-{number}").write_bytes(seed)
    words = scratch / "words"
    words.write_text("#\n" + "".join(f'"{_escaped(word)}"\n' for word in target.words))
    bounds = [f"-max_total_time={given.seconds}", "-timeout=5", "-rss_limit_mb=2048"]
    bounds += [f"-max_len={target.max_bytes}", "-print_final_stats=1"]
    what = [given.file] if given.file else [str(given.corpus), f"-dict={words}", *bounds]
    atheris.Setup([sys.argv[0], *what], target.check)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


main()
