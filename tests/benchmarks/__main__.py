"""The command: `python -m tests.benchmarks [CASE...]`."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks import frontier, hosts, latency, recrawl, session, site
from tests.benchmarks.contest import Outcome, Setup, say
from tests.benchmarks.machine import machine
from tests.benchmarks.report import draw, table, write_json
from tests.benchmarks.servers import program

CASES: dict[str, Callable[[Setup], list[Outcome]]] = {
    "site": site.compete,
    "session": session.compete,
    "hosts": hosts.compete,
    "latency": latency.compete,
    "frontier": frontier.compete,
    "recrawl": recrawl.compete,
}


def main() -> None:
    """Run the cases, print their tables, and write a JSON file and a picture for each."""
    options = _options()
    _raise_open_file_limit()
    _check_needs()
    out = options.out or Path(tempfile.mkdtemp(prefix="benchmarks-"))
    out.mkdir(parents=True, exist_ok=True)
    for case in options.cases or CASES:
        facts = machine(options.peers_python)
        with tempfile.TemporaryDirectory(prefix=f"bench-{case}-", dir=options.work) as work:
            Path(work).chmod(0o755)  # nginx's worker may be another user
            outcomes = CASES[case](_setup(options, Path(work)))
        for outcome in outcomes:
            print(table(outcome), flush=True)
            write_json(outcome, facts, out / f"{outcome.case}.json")
            draw(outcome, facts, out / f"{outcome.case}.png")
    print("## Machine\n")
    print("\n".join(f"- {name}: {value}" for name, value in machine(options.peers_python).items()))
    say(f"JSON and pictures: {out}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)} (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds per contender (default: 3; 1 with --quick)")
    parser.add_argument("--out", type=Path, help="folder for the JSON and PNG files (default: a new temporary folder)")
    parser.add_argument("--quick", action="store_true", help="small cases, for a trial run; the figures mean little")
    parser.add_argument(
        "--work", type=Path, help="folder for databases during the run (default: the system's temporary folder)"
    )
    parser.add_argument(
        "--corpus", help="site: openjdk-17-doc (default), postgresql-doc-15 (default with --quick), or a folder"
    )
    parser.add_argument("--pending", type=int, help="frontier: URLs in the large database (default 10,000,000)")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has Scrapy and Crawlee")
    parser.add_argument("--node-modules", type=Path, help="a node_modules folder that has @spider-rs/spider-rs")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - CASES.keys())
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    return options


def _setup(options: argparse.Namespace, work: Path) -> Setup:
    return Setup(
        rounds=options.rounds or (1 if options.quick else 3),
        quick=options.quick,
        work=work,
        corpus=options.corpus or ("postgresql-doc-15" if options.quick else "openjdk-17-doc"),
        peers_python=options.peers_python,
        node_modules=options.node_modules,
        pending=options.pending,
    )


def _check_needs() -> None:
    """Before anything runs: pictures are drawn last, so a missing package would be noticed only then."""
    missing = [name for name in ("matplotlib", "trustme") if find_spec(name) is None]
    if missing:
        sys.exit(f"not installed: {' and '.join(missing)}; pip install '.[bench]'")
    if program("nginx") is None:
        sys.exit("not installed: nginx; apt-get install nginx-light")


def _raise_open_file_limit() -> None:
    """512 requests at once need more descriptors than the usual soft limit of 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(hard, 16_384)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
