"""The command: `python -m tests.benchmarks [CASE...]`."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from tests.benchmarks import cluster, frontier, growth, hosts, latency, publish, real, recrawl, session, site, wide
from tests.benchmarks.contest import Outcome, Setup, say
from tests.benchmarks.machine import machine
from tests.benchmarks.picture import draw
from tests.benchmarks.report import report, text, write_json
from tests.benchmarks.servers import program


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`round_s` is about what a round takes on two cores, `once_s` what comes before; `rounds` are to be published."""

    compete: Callable[[Setup], list[Outcome]]
    rounds: int
    round_s: int
    once_s: int = 0


# In the order in which they are run: what a limit of time leaves out is at the end.
CASES = {
    "site": Case(compete=site.compete, rounds=5, round_s=65, once_s=15),
    "real": Case(compete=real.compete, rounds=3, round_s=70, once_s=20),
    "recrawl": Case(compete=recrawl.compete, rounds=5, round_s=16),
    "frontier": Case(compete=frontier.compete, rounds=1, round_s=130, once_s=220),
    "growth": Case(compete=growth.compete, rounds=1, round_s=90, once_s=120),
    "wide": Case(compete=wide.compete, rounds=1, round_s=90),
    "cluster": Case(compete=cluster.compete, rounds=1, round_s=240),
    "session": Case(compete=session.compete, rounds=1, round_s=30),
    "latency": Case(compete=latency.compete, rounds=1, round_s=85),
    "hosts": Case(compete=hosts.compete, rounds=1, round_s=63),
}
_PUBLISHED_MINUTES = 19.5


def main() -> None:
    """Run the cases, print their tables, and write a JSON file and a picture for each."""
    options = _options()
    leave_at_signals()
    _raise_open_file_limit()
    _check_needs()
    out = publish.FIGURES if options.publish else options.out or Path(tempfile.mkdtemp(prefix="benchmarks-"))
    out.mkdir(parents=True, exist_ok=True)
    names = options.cases or list(CASES)
    say(f"{', '.join(names)}: about {_minutes(options, names)} minutes on two idle cores")
    facts = machine(options.peers_python, options.node_modules, options.other)  # before publishing changes the checkout
    if facts["html"] != "C":
        say(f"SLOW: HTML is read in {facts['html']}; pip install -e . in the checkout builds the walk in C")
    ends_at = time.monotonic() + (options.minutes or float("inf")) * 60
    for name in names:
        if time.monotonic() > ends_at:
            say(f"OUT OF TIME: {name} is left out")
            continue
        _run(name, options, facts, out, ends_at)
    print("## Machine\n")
    print("\n".join(f"- {name}: {value}" for name, value in facts.items()))
    say(f"JSON and pictures: {out}")


def _run(name: str, options: argparse.Namespace, facts: dict[str, Any], out: Path, ends_at: float) -> None:
    """A case; with --publish, also into the manual, so that a run that is stopped keeps what it has measured."""
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=options.work) as work:
        Path(work).chmod(0o755)  # nginx's worker may be another user
        outcomes = CASES[name].compete(_setup(options, name, Path(work), ends_at))
    for outcome in outcomes:
        data = report(outcome, {**facts, "load": load})
        print(text(data), flush=True)
        if any(score.rounds for score in outcome.scores):
            write_json(data, out)
            draw(data, out)
    if options.publish:
        publish.main()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds per contender (default: 3; 1 with --quick)")
    parser.add_argument("--only", metavar="TEXT", help="run only contenders with this in their name")
    parser.add_argument(
        "--minutes",
        type=float,
        help=f"start nobody after so many minutes (default: no end; {_PUBLISHED_MINUTES:g} with --publish)",
    )
    parser.add_argument("--out", type=Path, help="folder for the JSON and PNG files (default: a new temporary folder)")
    parser.add_argument("--publish", action="store_true", help="write the figures of the manual and README, here")
    parser.add_argument("--quick", action="store_true", help="small cases, for a trial run; the figures mean little")
    parser.add_argument(
        "--work", type=Path, help="folder for databases during the run (default: the system's temporary folder)"
    )
    parser.add_argument(
        "--corpus", help="site: openjdk-17-doc (default), postgresql-doc-15 (default with --quick), or a folder"
    )
    parser.add_argument("--pending", type=int, help="frontier, growth: URLs in the large database (default 10,000,000)")
    parser.add_argument(
        "--other",
        action="append",
        type=_named_python,
        default=[],
        metavar="NAME=PYTHON",
        help="site: a further installation of the crawler, by its Python. Repeatable",
    )
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has Scrapy and Crawlee")
    parser.add_argument("--node-modules", type=Path, help="a node_modules folder that has spider and better-sqlite3")
    options = parser.parse_args()
    options.other = dict(options.other)
    unknown = sorted(set(options.cases) - CASES.keys())
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    if options.publish and (options.quick or options.out or options.only):
        parser.error("--publish goes with none of --quick, --out and --only")
    if options.publish and options.minutes is None:
        options.minutes = _PUBLISHED_MINUTES
    return options


def _named_python(value: str) -> tuple[str, str]:
    name, separator, python = value.partition("=")
    if not (name and separator and python):
        raise argparse.ArgumentTypeError(f"NAME=PYTHON is needed, not {value!r}")
    return name, python


def _rounds(options: argparse.Namespace, name: str) -> int:
    if options.rounds:
        return int(options.rounds)
    return 1 if options.quick else CASES[name].rounds if options.publish else 3


def _minutes(options: argparse.Namespace, names: list[str]) -> int:
    """Whole cases; with --quick it is far less."""
    cases = [(CASES[name], _rounds(options, name)) for name in names]
    seconds = sum(case.once_s + rounds * case.round_s for case, rounds in cases)
    return round(seconds / (600 if options.quick else 60)) + 1


def _setup(options: argparse.Namespace, name: str, work: Path, ends_at: float) -> Setup:
    return Setup(
        rounds=_rounds(options, name),
        quick=options.quick,
        work=work,
        corpus=options.corpus or ("postgresql-doc-15" if options.quick else "openjdk-17-doc"),
        peers_python=options.peers_python,
        node_modules=options.node_modules,
        pending=options.pending,
        others=options.other,
        only=options.only,
        ends_at=ends_at,
    )


def _check_needs() -> None:
    """Before anything runs: pictures are drawn last, so a missing package would be noticed only then."""
    missing = [name for name in ("matplotlib", "trustme") if find_spec(name) is None]
    if missing:
        sys.exit(f"not installed: {' and '.join(missing)}; pip install '.[bench]'")
    if program("nginx") is None:
        sys.exit("not installed: nginx; apt-get install nginx-light")


def _raise_open_file_limit() -> None:
    """2,000 connections at once need more descriptors than the usual soft limit of 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave_at_signals() -> None:
    """What ends this process leaves by the way of Ctrl-C, on which every server and contender is ended."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


if __name__ == "__main__":
    main()
