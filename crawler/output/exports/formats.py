"""The table of formats: a new one is a line here, and a module with a coroutine `write(export)`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from crawler.errors import UsageError
from crawler.output.exports.export import Export
from crawler.statically_frozen import dataclass

Write = Callable[[Export], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormat:
    """A format, and what it can do.

    `summary` is for the help. `module` stands in this package. `suffix`: each page is a document, which ends with it
    where it has a file of its own; empty: all pages are one file. `columns`: those that are written unless others are
    asked for; empty: it has none. `has_removals`: it can say what is no longer among the pages; documents in a folder
    always can. `extra`: the extra of this program, and the module that comes with it, without which it cannot be
    written. `is_binary`: nothing for a terminal.
    """

    name: str
    summary: str
    module: str
    suffix: str = ""
    columns: tuple[str, ...] = ()
    has_removals: bool = False
    has_folders: bool = False
    extra: tuple[str, str] | None = None
    is_binary: bool = False

    def load(self) -> Write:
        """Its `write`. Raises `UsageError`, which names what to install, where that is missing."""
        if self.extra is not None and find_spec(self.extra[1]) is None:
            extra = self.extra[0]
            raise UsageError(f"`crawler export {self.name}` needs the extra `{extra}`: pip install 'crawler[{extra}]'")
        return cast(Write, import_module(f"{__package__}.{self.module}").write)


_SHORT = (
    "url status title description language canonical_url author published_at modified_at depth fetched_at elapsed_s"
    " size_bytes content_type truncated noindex nofollow links_total run_id page_id content_hash"
)

FORMATS: Mapping[str, ExportFormat] = {
    one.name: one
    for one in (
        ExportFormat(
            name="jsonl",
            summary="a JSON object a line, with all that is known of a page",
            module="jsonl",
            columns=("all",),
            has_removals=True,
        ),
        ExportFormat(
            name="csv",
            summary="a table for spreadsheets, without texts and links",
            module="csv_rows",
            columns=tuple(_SHORT.split()),
            has_removals=True,
        ),
        ExportFormat(
            name="parquet",
            summary="a table with types, for DuckDB, pandas, Spark and the like",
            module="parquet",
            columns=("all",),
            has_removals=True,
            has_folders=True,
            extra=("parquet", "pyarrow"),
            is_binary=True,
        ),
        ExportFormat(name="text", summary="the visible text of each page", module="text", suffix=".txt"),
        ExportFormat(
            name="markdown",
            summary="the main content of each page, for language models and search",
            module="markdown",
            suffix=".md",
            extra=("markdown", "trafilatura"),
        ),
        ExportFormat(name="sitemap", summary="a sitemap of what search engines may list", module="sitemap"),
        ExportFormat(name="graphml", summary="the graph of links, for networkx, Gephi and the like", module="graphml"),
        ExportFormat(
            name="warc", summary="responses, rebuilt from what is stored, for archives", module="warc", is_binary=True
        ),
    )
}
