"""`crawler serve`: a crawl in a browser."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import Annotated

import typer

from crawler.cli.database import ConfigFile, DatabasePath
from crawler.config import DEFAULT_DB

_TOKEN_VARIABLE = "CRAWLER_SERVE_TOKEN"  # noqa: S105 - its name
_PORT = 8765


def serve(
    db: DatabasePath = DEFAULT_DB,
    config_file: ConfigFile = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Listen on this port; 0: any free one.")
    ] = _PORT,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="IP",
            help="Listen on this address. One that others can reach needs a token, which the printed address holds.",
        ),
    ] = "127.0.0.1",
) -> None:
    """Show a crawl in a browser: what it holds, search, pages with their versions and links, every view, the report.

    It only reads, also during a crawl, and ends with Ctrl-C. Where others can reach it, a token is needed: a new one at
    each start, or that of the environment variable CRAWLER_SERVE_TOKEN.
    """
    asyncio.run(_serve(db, address, port))


async def _serve(db: Path, address: str, port: int) -> None:
    from crawler.archive.reading import open_archive
    from crawler.web.access import TOKEN, Access, is_loopback  # these bring in the server and the templates
    from crawler.web.server import serve as listen

    async with open_archive(db):  # a mistake is told here, not on each page
        pass
    own = os.environ.get(_TOKEN_VARIABLE) or None
    token = own if own is not None or is_loopback(address) else secrets.token_urlsafe(24)
    runner, port = await listen(db, address, port, Access(token, address))
    try:
        host = f"[{address}]" if ":" in address else address
        query = f"?{TOKEN}={token}" if token is not None and own is None else ""
        typer.echo(f"{db} is shown at http://{host}:{port}/{query}")
        typer.echo("Ctrl-C ends it", err=True)
        await _until_told_to_end()
    finally:
        await runner.cleanup()


async def _until_told_to_end() -> None:
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    await end.wait()
