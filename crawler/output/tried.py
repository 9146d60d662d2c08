"""What `crawler try` shows: what rules give for one page, or all that is read of it, section by section.

Whatever comes from the page is made harmless for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from crawler.extraction_rules import Rule
from crawler.output.details import Rows, many, text_of
from crawler.output.ending import print_rows
from crawler.output.figures import amount, counted, moment
from crawler.output.safe_text import printable
from crawler.records import Extract, Page

_LABEL = 14  # cells
_MAX_VALUE = 2_000  # characters
_SHOWN = 20  # links, headings, lines of text and so on; rows of a rule


def print_tried(console: Console, page: Page, source: str, rules: Sequence[Rule]) -> None:
    """`source` tells where the page is from. Without rules, all that is read of it."""
    width = max(20, console.width - _LABEL) if console.is_terminal else None
    rows = _extracts(page, rules) if rules else _sections(page, width)
    head = [("url", text_of(page.url, "bold")), ("from", Text(printable(source)))]
    print_rows(console, [*head, *((label, value) for label, value in rows if value.plain)])


def as_data(page: Page, source: str, rules: Sequence[Rule]) -> dict[str, Any]:
    """For JSON: what rules give, by their names, null for one that is not for this URL; or all of the page."""
    if not rules:
        return {"source": source, "page": page.asdict()}
    found = {one.rule: one for one in page.extracts}
    return {
        "url": page.url,
        "source": source,
        "extracts": {rule.name: _as_data(found.get(rule.name)) for rule in rules},
    }


def _as_data(one: Extract | None) -> dict[str, Any] | None:
    return None if one is None else {"rows": list(one.rows), "lacking": list(one.lacking), "cut": one.cut}


# --- rules ------------------------------------------------------------------------------------------------------------


def _extracts(page: Page, rules: Sequence[Rule]) -> Rows:
    found = {one.rule: one for one in page.extracts}
    for rule in rules:
        one = found.get(rule.name)
        if one is None:
            patterns = ", ".join(pattern.text for pattern in rule.match)
            yield "rule", Text(f"{rule.name}: not for this URL (match: {printable(patterns)})", style="yellow")
            continue
        yield "rule", _verdict(one)
        for number, row in enumerate(one.rows[:_SHOWN], start=1):
            if len(one.rows) > 1:
                yield "", Text(f"row {number}", style="dim")
            yield from (
                (f"  {name}"[:_LABEL] if len(name) < _LABEL - 2 else f"  {name}", _value(value))
                for name, value in row.items()
            )


def _verdict(one: Extract) -> Text:
    parts = [f"{one.rule}: {counted(len(one.rows), 'row') if one.rows else 'nothing found'}"]
    parts += [f"the first {_SHOWN} shown"] if len(one.rows) > _SHOWN else []
    parts += [f"missing: {', '.join(one.lacking)}"] if one.lacking else []
    parts += ["there is more than is kept"] if one.cut else []
    return Text(printable("; ".join(parts)), style="yellow" if one.lacking or one.cut or not one.rows else "green")


def _value(value: Any) -> Text:
    if value is None or value == []:
        return Text("(none)", style="dim")
    return text_of(value if isinstance(value, str) else orjson.dumps(value).decode())


# --- all that is read -------------------------------------------------------------------------------------------------


def _sections(page: Page, width: int | None) -> Rows:
    yield from _fields(page)
    yield from many(
        "headings", ((f"h{level}", text) for level, text in page.headings), len(page.headings), width, _SHOWN
    )
    links = ((one.url, one.anchor, one.rel) for one in page.links)
    yield from many("links", links, len(page.links), width, _SHOWN)
    resources = ((one.kind, one.url, one.alt or "") for one in page.resources)
    yield from many("resources", resources, len(page.resources), width, _SHOWN)
    alternates = ((one.kind, one.url, one.language or one.media_type or "") for one in page.alternates)
    yield from many("alternates", alternates, len(page.alternates), width, _SHOWN)
    for label, values in (("open graph", page.open_graph), ("metas", page.metas)):
        yield from many(label, _named(values), len(values), width, _SHOWN)
    scripts = ((" ".join(script.split()),) for script in page.json_ld)
    yield from many("JSON-LD", scripts, len(page.json_ld), width, _SHOWN)
    lines = page.text.split("\n") if page.text else []
    yield from many("text lines", ((line,) for line in lines), len(lines), width, _SHOWN)


def _fields(page: Page) -> Rows:
    yield "title", text_of(page.title)
    yield "description", text_of(page.description)
    yield "canonical", text_of(page.canonical_url)
    yield "language", text_of(page.language)
    yield "robots", Text(", ".join(word for word in ("noindex", "nofollow") if getattr(page, word)))
    yield "author", text_of(page.author)
    yield "published", _time(page.published_at)
    yield "modified", _time(page.modified_at)
    yield "site", text_of(page.site_name)
    yield "icon", text_of(page.icon_url)
    yield "next", text_of(page.next_url)
    yield "previous", text_of(page.prev_url)
    yield "refresh", text_of(page.refresh_url)
    what = [
        page.content_type or "",
        f"{page.encoding} (by {page.encoding_source})" if page.encoding_source else page.encoding,
    ]
    what.append(f"{amount(len(page.text))} characters of text")
    yield "document", text_of(", ".join(filter(None, what)))


def _time(at: float | None) -> Text:
    return Text("" if at is None else moment(at))


def _named(values: Mapping[str, str | list[str]]) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield name, *(value if isinstance(value, list) else [value])
