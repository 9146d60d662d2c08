"""`crawler mcp`: the crawl as a source for agents (Model Context Protocol), over standard input and output."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

from crawler.cli.database import ConfigFile, DatabasePath
from crawler.config import DEFAULT_DB
from crawler.errors import UsageError
from crawler.release import VERSION


def mcp(db: DatabasePath = DEFAULT_DB, config_file: ConfigFile = None) -> None:
    """Serve a crawl to agents by the Model Context Protocol, over standard input and output. Only reads.

    An agent's program starts this command; it ends when its standard input is closed. The tools search, read pages,
    explain, list and run read-only SQL.
    """
    if find_spec("mcp") is None:
        raise UsageError("`crawler mcp` needs the extra `mcp`: pip install 'crawler[mcp]'")
    asyncio.run(_check(db))
    from crawler.web.mcp import crawl_server  # the library takes half a second to load

    crawl_server(db, VERSION).run("stdio")


async def _check(db: Path) -> None:
    """Whoever starts the program learns of a mistake, not only the agent when it asks."""
    from crawler.archive.reading import open_archive

    async with open_archive(db):
        pass
