"""What can be written of a page: the fields of `Page` as its `asdict` has them, and some more under names of their own.

Invariant: a name means the same in every format that has columns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from crawler.archive.stored_pages import StoredPage
from crawler.errors import UsageError
from crawler.output.tables import Kind
from crawler.records import NEVER_STORED, Page

_KINDS: Mapping[Kind, str] = {
    Kind.URL: "url canonical_url next_url prev_url icon_url",
    Kind.NUMBER: "page_id run_id status depth links_total reader_version",
    Kind.SIZE: "size_bytes",
    Kind.TIME: "fetched_at published_at modified_at",
    Kind.DURATION: "elapsed_s",
    Kind.FLAG: "truncated noindex nofollow",
    Kind.HASH: "content_hash metadata_hash",
    Kind.JSON: "headers headings open_graph json_ld links metas alternates resources link_details extracts fields",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}


def _date(page: StoredPage) -> str | None:
    at = page.page.fetched_at
    return None if at is None else datetime.fromtimestamp(int(at), tz=UTC).date().isoformat()


_MORE: Mapping[str, Callable[[StoredPage], Any]] = {
    "host": lambda page: page.host,
    "url_status": lambda page: page.url_status,
    "date": _date,
    "html": StoredPage.html,
}
_OF_PAGE = tuple(name for name in Page.__dataclass_fields__ if name not in NEVER_STORED)
COLUMNS = (*_OF_PAGE, *_MORE)
NEEDS_BODY = "html"
REMOVED = "removed"  # of an increment: why a page is to be taken away


def kind_of(name: str) -> Kind:
    """What a column holds; fields of pages that are neither texts nor known here are JSON."""
    return _KIND_OF.get(name, Kind.TEXT)


def chosen_columns(given: str | None, usual: Sequence[str]) -> tuple[str, ...]:
    """Those of `--columns`: 'url,title', or '+html,-text' to add to the usual ones, and to leave some of them out.

    'all' are the fields of a page. Raises `UsageError` for a name that is none.
    """
    words = [word for word in (one.strip() for one in (given or "").split(",")) if word]
    if given is not None and not words:
        raise UsageError(f"--columns is empty; give names such as url,title: {', '.join(COLUMNS)}")
    differs = [word[0] in "+-" for word in words]
    if any(differs) and not all(differs):
        raise UsageError("--columns takes names alone, or a + or - before each of them: +html,-text")
    found = dict.fromkeys(_named(usual) if all(differs) else [])
    for word in words:
        for name in _named([word.lstrip("+-")]):
            if word[0] == "-":
                found.pop(name, None)
            else:
                found[name] = None
    if not found:
        raise UsageError("--columns leaves nothing; keep at least one, such as url")
    return tuple(found)


def values_of(page: StoredPage, names: Collection[str]) -> dict[str, Any]:
    """The values of these columns, as data for JSON, in the order of the names."""
    data = page.page.asdict([name for name in names if name not in _MORE])
    return {name: _MORE[name](page) if name in _MORE else data[name] for name in names}


def _named(words: Sequence[str]) -> list[str]:
    names: list[str] = []
    for word in words:
        if word == "all":
            names += _OF_PAGE
        elif word in COLUMNS:
            names.append(word)
        else:
            near = get_close_matches(word, COLUMNS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLUMNS)}"
            raise UsageError(f"--columns: a page has no column {word!r}; {hint}")
    return names
