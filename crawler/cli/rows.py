"""What commands that print rows have in common: `--format` and `--json`, `--limit`, `--host`, `--url`."""

from __future__ import annotations

from typing import Annotated

import typer

from crawler.errors import UsageError
from crawler.host_settings import HostPattern
from crawler.output.tables import Format

OutputFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar="table|csv|jsonl",
        help="A table (plain lines, if this is not a terminal), CSV, or a JSON object a line.",
        autocompletion=lambda: list(Format),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Print at most N rows.")]
UrlGlob = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="GLOB",
        help="Only URLs that match, in which * stands for anything: 'https://example.com/docs/*'.",
    ),
]


def _host(given: str) -> str:
    kind = HostPattern()
    pattern = kind.parse(given)
    kind.check(pattern)
    return pattern


OnHost = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="HOST",
        parser=_host,
        help="Only URLs on this host; * stands for anything, such as *.example.com.",
    ),
]


def chosen(form: Format, *, as_json: bool) -> Format:
    """The format that is meant. Raises `UsageError` where --json contradicts --format."""
    if as_json and form is Format.CSV:
        raise UsageError("--json is --format jsonl, so it cannot be combined with --format csv; give one of them")
    return Format.JSONL if as_json else form
