"""Many hosts at once, each crawled politely: how close the crawl comes to the shortest time that its delay allows."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.contest import Contender, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.ours import LOOPBACK, crawl
from tests.benchmarks.pages import page
from tests.benchmarks.servers import Hit, host_name, name_server, nginx

_DELAY_S = 2.0
_SIZES, _QUICK_SIZES = (500, 30), (100, 8)  # hosts, pages each
_FIGURES = (
    Figure(key="wall_s", title="seconds", digits=2, panel="seconds, from the command to its end"),
    Figure(key="crawl_s", title="of these, crawling", digits=2),
    Figure(key="pages", title="pages"),
    Figure(key="requests", title="requests"),
    Figure(key="closest_s", title="closest two, s", digits=3),
    Figure(key="cpu_s", title="CPU s", digits=1),
    Figure(key="peak_mb", title="peak MB"),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    hosts, pages = _QUICK_SIZES if setup.quick else _SIZES
    ideal_s = pages * _DELAY_S  # robots.txt and the pages, less one
    contenders = [
        Contender(name="ideal", settings="(requests to a host, less one) x delay", run=partial(_ideal, hosts, pages)),
        Contender(
            name="crawler",
            settings=f"--delay {_DELAY_S:g}, all else as by default",
            run=partial(_crawl, hosts, pages),
            against="ideal",
        ),
    ]
    notes = [
        f"{hosts} hosts with {pages} pages of 2 KB each, {_DELAY_S:g} s between two requests to one host:"
        f" {pages + 1} requests to each, robots.txt included, so {ideal_s:g} s at best.",
        "Every host has its own name and address; one nginx worker serves them all.",
        "'Closest two': the shortest time between two responses of one host.",
    ]
    return [
        Outcome(
            case="hosts",
            title=f"{hosts} hosts, {pages} pages each, {_DELAY_S:g} s apart",
            notes=notes,
            figures=_FIGURES,
            scores=in_turn(setup, "hosts", contenders),
        )
    ]


def _ideal(hosts: int, pages: int, _folder: Path) -> Figures:
    return {"wall_s": pages * _DELAY_S, "pages": hosts * pages, "requests": hosts * (pages + 1)}


def _crawl(hosts: int, pages: int, folder: Path) -> Figures:
    root, seeds = folder / "root", folder / "seeds.txt"
    root.mkdir()
    links = [f"/{number}.html" for number in range(1, pages)]
    (root / "index.html").write_text(page("Home", links))
    for link in links:
        (root / link[1:]).write_text(page(link, ["/"]))
    (root / "robots.txt").write_text("User-agent: *\nDisallow:\n")
    with nginx(folder / "nginx", f"root {root};", wildcard=True) as server, name_server() as dns:
        seeds.write_text("".join(f"http://{host_name(number)}:{server.port}/\n" for number in range(hosts)))
        usage, summary = crawl(folder, [*LOOPBACK, "--dns-server", dns, "--delay", str(_DELAY_S), str(seeds)])
        hits = server.hits()
    return {
        **usage.figures(),
        "crawl_s": summary["elapsed_s"],
        "pages": summary["pages"],
        "requests": len(hits),
        "closest_s": _closest_s(hits),
    }


def _closest_s(hits: list[Hit]) -> float:
    of_host: defaultdict[str, list[float]] = defaultdict(list)
    for hit in hits:
        of_host[hit.host].append(hit.at)
    return min(later - earlier for times in of_host.values() for earlier, later in pairwise(sorted(times)))
