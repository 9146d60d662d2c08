"""What the shared session buys: a session per request against the shared one, over HTTP and over TLS."""

from __future__ import annotations

import json
import socket
import sys
from functools import partial
from pathlib import Path

from tests.benchmarks.contest import Contender, Figure, Figures, Outcome, Setup, in_turn
from tests.benchmarks.measure import run
from tests.benchmarks.pages import page
from tests.benchmarks.servers import LOOPBACK, Certificate, issued_certificate, nginx

_CONCURRENCY = 32
_REQUESTS, _QUICK_REQUESTS = 10_000, 2_000
_TIME_WAIT = "06"  # include/net/tcp_states.h
_NAMES = {
    "per-request": "a session per request",
    "shared": "one shared session",
    "fetcher": "the crawler's fetcher",
}
_FIGURES = (
    Figure(key="requests_per_s", title="requests/s", panel="requests a second"),
    Figure(key="p50_ms", title="p50 ms", digits=1),
    Figure(key="p99_ms", title="p99 ms", digits=1, panel="99th percentile of a request's time, ms"),
    Figure(key="connections", title="connections", panel="connections opened"),
    Figure(key="time_wait", title="TIME_WAIT", panel="sockets left in TIME_WAIT"),
    Figure(key="cpu_s", title="CPU s", digits=1),
    Figure(key="peak_mb", title="peak MB"),
)


def compete(setup: Setup) -> list[Outcome]:
    """The case."""
    requests = _QUICK_REQUESTS if setup.quick else _REQUESTS
    certificate = issued_certificate(setup.work)
    contenders = [
        Contender(
            name=f"{_NAMES[mode]}, {protocol}",
            settings=f"aiohttp {mode}, {_CONCURRENCY} at once, uvloop",
            run=partial(_fetch, mode, requests, certificate if protocol == "TLS" else None),
            against=None if mode == "per-request" else f"{_NAMES['per-request']}, {protocol}",
        )
        for protocol in ("HTTP", "TLS")
        for mode in _NAMES
    ]
    scores = in_turn(setup, "session", contenders)
    notes = [
        f"{requests:,} requests for pages of 2 KB, {_CONCURRENCY} at once, from nginx with keep-alive on loopback.",
        "On loopback, a handshake costs CPU but no round trip; over a real network, a session per request loses more.",
        "Connections are counted by nginx, TIME_WAIT in /proc/net/tcp right after the run (Linux).",
    ]
    return [
        Outcome(
            case="session",
            title="A session per request against one shared session",
            notes=notes,
            figures=_FIGURES,
            scores=scores,
        )
    ]


def _fetch(mode: str, requests: int, certificate: Certificate | None, folder: Path) -> Figures:
    """A server of its own for each run, so that no socket of an earlier one is counted."""
    (folder / "page.html").write_text(page("A page", [f"/p/{number}" for number in range(10)]))
    body = f"location / {{ root {folder}; try_files /page.html =404; }}"
    with nginx(folder / "nginx", body, certificate=certificate) as server:
        url = f"{'https' if certificate else 'http'}://{LOOPBACK}:{server.port}"
        trust = ("--ca", str(certificate.authority)) if certificate else ()
        amount = ("--requests", str(requests), "--concurrency", str(_CONCURRENCY))
        usage = run(
            [sys.executable, "-m", "tests.benchmarks.session_client", mode, url, *amount, *trust], folder, timeout_s=900
        )
        time_wait = _sockets_in_time_wait(server.port)
        connections = len({hit.connection for hit in server.hits()})
    return {**usage.figures(), **json.loads(usage.out), "connections": connections, **time_wait}


def _sockets_in_time_wait(port: int) -> Figures:
    """Both ends are on this machine; whoever closes first keeps the socket for a minute."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        return {}
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    address = f"{socket.htonl(int.from_bytes(socket.inet_aton(LOOPBACK))):08X}:{port:04X}"
    return {"time_wait": sum(row[3] == _TIME_WAIT and address in row[1:3] for row in rows)}
