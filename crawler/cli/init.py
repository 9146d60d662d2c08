"""`crawler init`: writes a crawl file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crawler.cli.crawl import CRAWL_OPTIONS
from crawler.cli.crawl_file import commented_file
from crawler.errors import UsageError


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("crawl.toml"),
) -> None:
    """Write a crawl file that explains every option of `crawler crawl`. Run it with `crawler crawl --config FILE`."""
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(commented_file(CRAWL_OPTIONS))
    except FileExistsError as error:
        what = "is a folder; name a file in it" if file.is_dir() else "already exists; name another file, or remove it"
        raise UsageError(f"{file} {what}") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    typer.echo(f"wrote {file}; add your seeds to it, then run `crawler crawl --config {file}`")
