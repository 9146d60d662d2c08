"""Against real servers and tools from Debian's packages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from tests.acceptance.conftest import Cli

pytestmark = pytest.mark.system


def _needed(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    assert path is not None, f"{program} is not installed; .ci/run installs it from Debian's packages"
    return path


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """nginx on a free loopback port, serving a generated site of 300 pages; gives its URL and its access log."""
    program, root = _needed("nginx"), tmp_path / "site"
    web = FakeWeb()
    site = web.site("generated.test", pages=300, links_per_page=10)
    for path, hrefs in site.links.items():
        target = root / path.strip("/") / "index.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        links = "".join(f'<a href="{href.rstrip("/")}/">{href}</a>\n' for href in hrefs)
        target.write_text(f"<!doctype html><title>{path}</title>\n{links}")
    tmp_path.chmod(0o755)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    log = tmp_path / "access.log"
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_processes 1;\n"
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"events {{}} http {{ types {{ text/html html; }} access_log {log}; keepalive_requests 100000;\n"
        f"client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;\n"
        f"uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    )
    server = subprocess.Popen([program, "-c", str(tmp_path / "nginx.conf")])
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/", log
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not answer")


def test_it_finds_the_same_pages_as_wget2(cli: Cli, nginx: tuple[str, Path]) -> None:
    url, log = nginx
    wget = [_needed("wget2"), "-q", "-r", "-l", "inf", "--no-robots", "-P", str(cli.folder / "wget"), url]
    subprocess.run(wget, check=True, timeout=50)
    theirs = {line.split('"')[1].split()[1] for line in log.read_text().splitlines() if " 200 " in line}
    outcome = cli.crawl(None, url, "--delay", "0", "--per-host", "16", "--concurrency", "32")
    ours = {page.removeprefix(url[:-1]) for page in cli.pages()}
    assert ours == theirs
    assert len(ours) == 300
    assert outcome.summary["connections_per_request"] <= 0.06  # 16 connections for 301 requests
