"""One URL on one screen: `crawler show`, for people and as data.

Invariant: long lists are cut, with their whole number; every text from the web is one harmless line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import islice
from typing import Any, TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from crawler.archive.answers import Attempt, UrlDetails, UrlState, Version
from crawler.output.ending import print_rows
from crawler.output.figures import counted, moment, size
from crawler.output.safe_text import printable
from crawler.records import OF_DELIVERY, Page, UrlStatus
from crawler.storage.values import as_json

_SHOWN = 5  # of what there may be many of
_SHOWN_HEADERS = 12
_MAX_VALUE = 300  # cells; a table on a terminal folds what is longer than its line
_LABEL = len("description") + 5  # cells before a value on a terminal
_STYLES: Mapping[str, str] = {
    UrlStatus.FETCHED: "green",
    UrlStatus.GONE: "red",
    UrlStatus.FAILED: "red",
    UrlStatus.EXCLUDED: "yellow",
}
# Of a page: long, of no use to others, or told beside it.
_LEFT_OUT = {"text", "links", "link_details", "resources", "images_hash", "extracts", *OF_DELIVERY}

Rows: TypeAlias = Iterator[tuple[str, Text]]
Cells: TypeAlias = tuple[str, ...]


def print_details(console: Console, details: UrlDetails) -> None:
    """Print it: aligned on a terminal, one labelled line each elsewhere."""
    width = max(20, console.width - _LABEL) if console.is_terminal else None
    print_rows(console, [(label, value) for label, value in _rows(details, width) if value.plain])


def as_data(details: UrlDetails) -> dict[str, Any]:
    """For JSON: hashes as hexadecimal digits, times as Unix seconds. The page's text and links are not repeated."""
    page = details.page
    kept = {} if page is None else {one.name: getattr(page, one.name) for one in fields(Page)}
    known = {name: value for name, value in kept.items() if name not in _LEFT_OUT}
    data = {
        **asdict(details.state),
        "version": details.version,
        "page": None if page is None else known,
        "headers": details.headers,
        **{name: [asdict(one) for one in getattr(details, name)] for name in ("versions", "attempts")},
        **{name: [asdict(one) for one in getattr(details, name)] for name in ("links_from", "links_to")},
        "more_links_to": details.more_links_to,
        "sitemaps": details.sitemaps,
    }
    return _plain(data)  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _rows(details: UrlDetails, width: int | None) -> Rows:
    state = details.state
    yield "url", text_of(state.url, "bold")
    yield "status", Text(status_line(state, details.attempts), style=_STYLES.get(state.status, ""))
    yield "failing", Text(failing_line(state), style="yellow")
    yield "found", text_of(found_line(state))
    yield "in sitemaps", text_of(", ".join(details.sitemaps[:_SHOWN]))
    yield "due", Text(_due(state))
    if details.page is not None:
        yield from _page_rows(details.page, details.versions[(details.version or 1) - 1])
    yield from many("versions", _versions(details), len(details.versions), width)
    yield from many("attempts", map(attempt_cells, reversed(details.attempts)), len(details.attempts), width)
    headers = ((f"{name}: {value}",) for name, value in details.headers)
    yield from many("headers", headers, len(details.headers), width, _SHOWN_HEADERS)
    out = ((one.status, one.target_url, one.anchor) for one in details.links_from)
    yield from many("links out", out, len(details.links_from), width)
    links_to = details.links_to
    more = "or more" if details.more_links_to else ""
    yield from many("links in", ((one.page_url, one.anchor) for one in links_to), len(links_to), width, more=more)


def status_line(state: UrlState, attempts: Sequence[Attempt]) -> str:
    """'fetched, HTTP 200, 2026-11-28 05:10': what became of it, and the latest response."""
    what = [state.status if state.kind == "page" else f"{state.status} ({state.kind})"]
    if state.reason is not None:
        what.append(printable(state.reason, _MAX_VALUE))
    answered = [one for one in attempts if one.status_code is not None]
    if answered and state.fetched_at is not None:
        last = answered[-1]
        what.append(f"HTTP {last.status_code} at {moment(last.started_at)}")
        if last.redirect_url is not None:
            what.append(f"to {printable(last.redirect_url, _MAX_VALUE)}")
    if state.unread_type is not None:
        what.append(f"not a page: {printable(state.unread_type, 60) or 'no Content-Type'}")
    return ", ".join(what)


def failing_line(state: UrlState) -> str:
    """Why its latest visit failed, and since when; empty if it did not."""
    if state.failing_reason is None or state.failing_since is None:
        return ""
    attempts = counted(state.attempts, "failed attempt")
    return f"{printable(state.failing_reason, 100)} since {moment(state.failing_since)} ({attempts})"


def found_line(state: UrlState) -> str:
    """How it was found first."""
    how = {None: "", "seed": "as a seed", "guess": "as a guess"}.get(state.found_by, f"by {_HOW.get(state.found_by)}")
    where = f" on {state.found_on}" if state.found_on is not None else ""
    return f"{moment(state.discovered_at)} {how}{where}, depth {state.depth}".replace("  ", " ").replace(" ,", ",")


_HOW: Mapping[str | None, str] = {
    "link": "a link",
    "redirect": "a redirect",
    "refresh": "a refresh",
    "canonical": "the canonical URL",
    "sitemap": "a sitemap",
    "robots": "robots.txt",
    "feed": "a feed",
}


def _due(state: UrlState) -> str:
    if state.next_fetch_at is not None:
        return moment(state.next_fetch_at)
    return f"{moment(state.revisit_at)} with --max-age auto" if state.revisit_at is not None else ""


def _page_rows(page: Page, version: Version) -> Rows:
    yield "title", text_of(page.title)
    yield "description", text_of(page.description)
    yield "canonical", text_of(page.canonical_url if page.canonical_url != page.url else None)
    yield "robots", Text(", ".join(word for word in ("noindex", "nofollow") if getattr(page, word)))
    yield "author", text_of(page.author)
    for name in ("published_at", "modified_at"):
        at = getattr(page, name)
        yield name.removesuffix("_at"), Text(_calendar(at))
    yield "fields", text_of(as_json(page.fields) if page.fields else None)
    yield "headings", text_of("; ".join(text for _level, text in page.headings[:_SHOWN]))
    what = [f"{page.language} (language)" if page.language else "", page.content_type or version.content_type or ""]
    what += [page.encoding, size(version.size_bytes) if version.size_bytes is not None else ""]
    what += [counted(len(page.text), "character") + " of text", "cut at --max-bytes" if version.truncated else ""]
    yield "page", text_of(", ".join(filter(None, what)))


def _calendar(at: float | None) -> str:
    try:
        return "" if at is None else moment(at)
    except (ValueError, OverflowError, OSError):  # a page may claim any time
        return str(at)


def _versions(details: UrlDetails) -> Iterator[Cells]:
    """Newest first; which one is shown has a star."""
    for number, one in reversed(list(enumerate(details.versions, start=1))):
        seen = (moment(one.seen_at), f"run {one.run_id}") if one.seen_at is not None else ("pruned",)
        mark = "*" if number == details.version and len(details.versions) > 1 else ""
        yield f"{number}{mark}", *seen, one.title or ""


def attempt_cells(one: Attempt) -> Cells:
    """When, in which run, with what result, how long it took, and where it redirected to."""
    result = str(one.status_code) if one.status_code is not None else f"{one.failure}: {one.message or ''}"
    to = f"to {one.redirect_url}" if one.redirect_url is not None else ""
    return moment(one.started_at), f"run {one.run_id}", result, f"{one.elapsed_s:.2f} s", to


def many(
    label: str, lines: Iterable[Cells], number: int, width: int | None, shown: int = _SHOWN, *, more: str = ""
) -> Rows:
    """How many there are, then the first of them, a line each; `width` None: uncut."""
    if not number:
        return
    cut = f", {shown} shown" if number > shown else ""
    yield label, Text(f"{number:,} {more}".rstrip() + cut)
    for cells in islice(lines, shown):
        line = "  ".join(filter(None, (printable(cell, width or _MAX_VALUE) for cell in cells)))
        yield "", Text(f"  {line if width is None else _cut(line, width - 2)}")


def _cut(line: str, width: int) -> str:
    return line if cell_len(line) <= width else set_cell_size(line, width - 1) + "…"


def text_of(value: str | None, style: str = "") -> Text:
    """A text from the web, on one line."""
    return Text(printable(value or "", _MAX_VALUE), style=style)
