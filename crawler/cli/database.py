"""Which database a command works on: `--db`, or that of a crawl file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crawler.cli.crawl_file import CONFIG, read_crawl_file


def _take_database(context: typer.Context, file: str | None) -> str | None:
    if file is not None:
        from crawler.cli.crawl import CRAWL_OPTIONS  # a key that is no option is an error for every command

        context.default_map = {"db": read_crawl_file(Path(file), CRAWL_OPTIONS)["db"]}
    return file


DatabasePath = Annotated[Path, typer.Option("--db", metavar="PATH", help="The crawl database.")]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        CONFIG.flag,
        metavar=CONFIG.kind.metavar,
        help="Use the database of this crawl file, unless --db is given.",
        callback=_take_database,
        is_eager=True,
    ),
]
