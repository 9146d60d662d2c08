"""What a new URL costs when there are many: a crawl whose pages link to URLs drawn from three million.

Each page has fifty links, drawn anew for each request, to 800 hosts. So most are new, their places in the index of URLs
are as random as can be, and after 20,000 pages 900,000 URLs are pending. The same again on top of a database with
millions of pending URLs. What counts is how fast the last pages come, compared with early ones.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, ContenderFailedError, Figure, Figures, Outcome, Setup, in_turn, say
from tests.benchmarks.frontier import fill
from tests.benchmarks.ours import LOOPBACK, crawl
from tests.benchmarks.pages import page
from tests.benchmarks.servers import Nginx, host_name, name_server, nginx

_PAGES, _QUICK_PAGES = 20_000, 4_000
_MANY, _QUICK_MANY = 10_000_000, 1_000_000
_LINKS = 50
_DIGITS = "0123456789abcdef"
_OF_REQUEST = 32  # hexadecimal digits of nginx's $request_id, which is random
_EARLY, _LATE = (0.1, 0.3), (0.8, 1.0)  # of the pages; the first ones wait for robots.txt
_FIGURES = (
    Figure(key="late_per_s", title="late pages/s", panel="pages a second, the last fifth"),
    Figure(key="early_per_s", title="early pages/s", panel="pages a second, the second and third tenth"),
    Figure(key="ratio", title="late / early", digits=2),
    Figure(key="pending", title="pending at the end"),
    Figure(key="cpu_ms", title="CPU ms per page", digits=2),
    Figure(key="peak_mb", title="peak MB", panel="peak memory, all processes, MB"),
    Figure(key="wall_s", title="seconds", digits=1),
    Figure(key="database_mb", title="database MB"),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    pages = _QUICK_PAGES if setup.quick else _PAGES
    many = setup.pending or (_QUICK_MANY if setup.quick else _MANY)
    database = setup.work / f"{many}.db"
    arguments = ["--delay", "0", "--scope", "any", "--max-pages", str(pages), "--no-trap-rules"]
    # One server for all: its port is part of the stored URLs.
    with nginx(setup.work / "nginx", _SERVED, wildcard=True, http=_DRAWN) as server, name_server() as dns:
        started = time.monotonic()
        asyncio.run(fill(database, many, server.port))
        say(f"growth: {many:,} pending URLs stored, {time.monotonic() - started:.0f} s")
        command = [*LOOPBACK, "--dns-server", dns, *arguments]
        contenders = [
            Contender(
                name=name, settings=" ".join(arguments), run=partial(_crawl, server, command, begin), against=against
            )
            for name, begin, against in (
                ("new database", None, None),
                (f"{many:,} pending", database, "new database"),
            )
        ]
        scores = in_turn(setup, "growth", contenders)
    notes = [
        f"{pages:,} pages, each with {_LINKS} links drawn from {_LINKS * len(_DIGITS) ** 4:,} URLs of"
        f" {_LINKS * len(_DIGITS)} hosts, on a new database and on one that has {many:,} pending URLs.",
        "Late: the last fifth of the pages. Early: the second and third tenth, as the first waits for robots.txt.",
    ]
    return [
        Outcome(case="growth", title="Many new URLs", notes=notes, figures=_FIGURES, scores=scores),
    ]


def _crawl(server: Nginx, command: Sequence[str], begin: Path | None, folder: Path) -> Figures:
    """On a copy, so that every round finds the same."""
    db = folder / "crawl.db"
    seeds = []
    if begin is None:
        seeds = [f"http://{host_name(100 * slot)}:{server.port}/" for slot in range(_LINKS)]
    else:
        shutil.copyfile(begin, db)
    usage, summary = crawl(folder, [*command, *seeds], db=db)
    times = [hit.at for hit in server.hits() if hit.at >= usage.started_at and hit.is_page]
    if len(times) < summary["pages"]:
        raise ContenderFailedError(f"{len(times)} pages in nginx's log, {summary['pages']} stored")
    early, late = _rate(times, *_EARLY), _rate(times, *_LATE)
    figures = {
        **usage.figures(),
        "early_per_s": early,
        "late_per_s": late,
        "ratio": late / early,
        "pending": summary["pending"],
        "cpu_ms": 1e3 * usage.cpu_s / summary["pages"],
        "database_mb": db.stat().st_size / 1e6,
    }
    db.unlink()
    return figures


def _rate(times: Sequence[float], first: float, last: float) -> float:
    """Pages a second in this part of them."""
    part = times[int(first * len(times)) : int(last * len(times))]
    return (len(part) - 1) / (part[-1] - part[0])


def _link(slot: int) -> str:
    """One of 65,536 of its slot, by four digits of the request's; the first of them chooses one of 16 hosts."""
    digits = [(slot + step) % _OF_REQUEST for step in (0, 7 + slot // _OF_REQUEST, 13, 21)]
    path = "".join(f"$d{digit}" for digit in digits)
    return f"http://h00{slot:02}$n{digits[0]}.bench.test:$server_port/articles/{path}-{slot}.html"


# Each digit of the random number as a variable of its own, and its two decimal digits for the names of hosts.
_DRAWN = "\n".join(
    [
        f'map $request_id $drawn {{ "~^{"".join(f"(?<d{place}>.)" for place in range(_OF_REQUEST))}" ""; }}',
        *(
            f"map $d{place} $n{place} {{ {' '.join(f'{digit} {value:02};' for value, digit in enumerate(_DIGITS))} }}"
            for place in range(_OF_REQUEST)
        ),
    ]
)
_LINES = page("An article", [_link(slot) for slot in range(_LINKS)]).splitlines(keepends=True)
_PARTS = ["".join(_LINES[start : start + 10]) for start in range(0, len(_LINES), 10)]  # nginx takes 4 KB a piece
_SERVED = f"""
location = /robots.txt {{ return 404; }}
location / {{
    default_type "text/html; charset=utf-8";
    set $page '$drawn';
    {"".join(f"set $page '$page{part}';" for part in _PARTS)}
    return 200 $page;
}}
"""
