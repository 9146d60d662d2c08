"""The servers that contenders are pointed at: nginx, a name server, and one that answers late. All on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RR, A, DNSRecord  # type: ignore[import-untyped]
from dnslib.server import BaseResolver, DNSLogger, DNSServer  # type: ignore[import-untyped]

from tests.benchmarks.measure import ROOT, bound

LOOPBACK = "127.0.0.1"
_FIRST_ADDRESS = IPv4Address("127.16.0.1")
_RESET = struct.pack("ii", 1, 0)
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A request, as nginx logged it. `at` is Unix time, when the answer was sent; to the millisecond."""

    at: float
    connection: int
    status: int
    host: str
    target: str
    sent: int  # bytes of the body, as they were sent
    content_type: str

    @property
    def is_page(self) -> bool:
        """Whether a page of HTML was served."""
        return self.status == 200 and self.content_type.startswith("text/html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """A running nginx."""

    port: int
    log: Path

    def hits(self) -> list[Hit]:
        """The requests so far."""
        return [_hit(line) for line in self.log.read_text().splitlines()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Files in PEM: who vouches, the server's chain and its key."""

    authority: Path
    chain: Path
    key: Path


def issued_certificate(folder: Path) -> Certificate:
    """A new certificate for this server's address, of an authority made for it."""
    import trustme  # missing packages are reported by __main__, all at once

    authority = trustme.CA()
    issued = authority.issue_cert(LOOPBACK)
    files = Certificate(authority=folder / "ca.pem", chain=folder / "chain.pem", key=folder / "key.pem")
    authority.cert_pem.write_to_path(files.authority)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.chain, append=True)
    issued.private_key_pem.write_to_path(files.key)
    return files


def program(name: str) -> str | None:
    """The path of an installed program, daemons included."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def nginx(
    folder: Path, body: str, *, certificate: Certificate | None = None, wildcard: bool = False, http: str = ""
) -> Iterator[Nginx]:
    """nginx with one worker on a free port; `body` says what it serves, in its own language.

    `certificate`: to speak TLS. `wildcard`: at every address of 127/8, each host name having one.
    `http`: what stands outside of the server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    served = Nginx(port=_free_port("0.0.0.0" if wildcard else LOOPBACK), log=folder / "access.log")
    config = folder / "nginx.conf"
    config.write_text(_nginx_config(folder, served, body, certificate, wildcard, http))
    with _started(
        [program("nginx") or "nginx", "-c", str(config), "-e", str(folder / "error.log")], folder, served.port
    ):
        yield served


@dataclass(frozen=True, slots=True, kw_only=True)
class LateServer:
    """A server that answers late. What it saw is in `report` once it has ended."""

    port: int
    report: Path

    def seen(self) -> dict[str, Any]:
        """`times`, when requests came (monotonic seconds); `most_open` and `most_waiting`, connections and requests."""
        report: dict[str, Any] = json.loads(self.report.read_text())
        return report


@contextmanager
def late_server(folder: Path, *, delay_s: float, wildcard: bool = False) -> Iterator[LateServer]:
    """A server that answers any path after `delay_s`. `wildcard`: at every address of 127/8."""
    address = "0.0.0.0" if wildcard else LOOPBACK
    served = LateServer(port=_free_port(address), report=folder / "seen.json")
    arguments = (address, str(served.port), str(delay_s), str(served.report))
    with _started([sys.executable, "-m", "tests.benchmarks.late_server", *arguments], folder, served.port):
        yield served


@contextmanager
def name_server() -> Iterator[str]:
    """A DNS server for the hosts of `host_name`; gives its IP:PORT. It runs in a thread, since it has little to do."""
    server = DNSServer(_Names(), address=LOOPBACK, port=0, logger=DNSLogger(logf=lambda _text: None))
    server.start_thread()
    try:
        yield f"{LOOPBACK}:{server.server.server_address[1]}"
    finally:
        server.stop()
        server.server.server_close()


def host_name(number: int) -> str:
    """A host that `name_server` knows, at an address of its own."""
    return f"h{number:06d}.bench.test"


class _Names(BaseResolver):  # type: ignore[misc]
    def resolve(self, request: DNSRecord, _handler: object) -> DNSRecord:
        reply = request.reply()
        label = str(request.q.qname).partition(".")[0]
        if request.q.qtype == QTYPE.A and label[:1] == "h" and label[1:].isdigit():
            address = str(_FIRST_ADDRESS + int(label[1:]))
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=3600))
        return reply


@contextmanager
def _started(command: Sequence[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "server.err").open("w") as err:
        process = subprocess.Popen([*bound(), *command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        try:
            _wait_for(process, port)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(200):
        try:
            with socket.create_connection((LOOPBACK, port)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)  # leaves nothing in TIME_WAIT
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server does not answer: {process.args!r}")


def _free_port(address: str) -> int:
    with closing(socket.create_server((address, 0))) as free:
        port: int = free.getsockname()[1]
        return port


def _nginx_config(
    folder: Path, served: Nginx, body: str, certificate: Certificate | None, wildcard: bool, http: str
) -> str:
    temporary = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in _TEMPORARY)
    address = "0.0.0.0" if wildcard else LOOPBACK
    tls = f"ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};" if certificate else ""
    # Nothing of a socket that listens everywhere is for others than this machine.
    guard = "if ($remote_addr !~ ^127[.]) { return 444; }" if wildcard else ""
    return f"""
daemon off; pid {folder}/pid; worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 8192; }}
http {{
    {temporary}
    types {{ text/html html htm; text/css css; application/javascript js; image/png png; image/svg+xml svg;
        text/plain txt; application/xml xml; application/json json; application/zip zip; }}
    default_type application/octet-stream;
    log_format hits '$msec $connection $status $host $request_uri $body_bytes_sent $sent_http_content_type';
    access_log {served.log} hits;
    keepalive_requests 100000000; keepalive_timeout 300s; sendfile on; tcp_nopush on;
    {http}
    server {{
        listen {address}:{served.port} backlog=4096 {"ssl" if certificate else ""};
        {tls}
        {guard}
        {body}
    }}
}}
"""


def _hit(line: str) -> Hit:
    at, connection, status, host, target, sent, content_type = line.split(" ", 6)
    return Hit(
        at=float(at),
        connection=int(connection),
        status=int(status),
        host=host,
        target=target,
        sent=int(sent),
        content_type=content_type,
    )
