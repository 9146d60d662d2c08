"""Templates and what they call: every value from the web becomes one harmless line, or text in a box of its own.

Invariant: Jinja escapes whatever is not ours; nothing crawled is ever markup, and no link to the web is followed
without a click.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment
from markupsafe import Markup, escape

from crawler.archive.answers import Excerpt
from crawler.output.figures import amount, counted, moment, size, span
from crawler.output.safe_text import printable
from crawler.output.tables import column, shown
from crawler.output.templates import environment

_MAX_CELL = 200  # characters, about
_UNSEEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")


def render(template: str, *, http_status: int = 200, **values: Any) -> web.Response:
    """An HTML page."""
    text = _templates().get_template(template).render(**values)
    return web.Response(status=http_status, text=text, content_type="text/html")


def cell(name: str, value: Any) -> str:
    """A value of a view's column, as a person reads it."""
    return shown(column(name), value, _MAX_CELL)


def body_text(text: str) -> str:
    """Text of several lines, in which nothing can reorder or hide what stands there."""
    return _UNSEEN.sub("\ufffd", text)


def marked(excerpt: Excerpt) -> Markup:
    """A piece of text with what was searched for in <mark>."""
    parts: list[Markup] = []
    place = 0
    for start, end in excerpt.marks:
        parts += [_line(excerpt.text[place:start]), Markup("<mark>"), _line(excerpt.text[start:end]), Markup("</mark>")]
        place = end
    return Markup("").join([*parts, _line(excerpt.text[place:])])


def _line(text: str) -> Markup:
    """Spaces at its ends are kept, since it is a part of a line."""
    start, end = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :] if text.strip() else ""
    return escape(f"{' ' if start else ''}{printable(text)}{' ' if end else ''}")


def link(path: str, **query: Any) -> str:
    """A path of this server with its query; what is None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def is_web(value: Any) -> bool:
    """Whether a value is a URL that the server has a page for."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def first(values: Iterable[Any], number: int) -> list[Any]:
    """At most so many."""
    return list(values)[:number]


@cache
def _templates() -> Environment:
    made = environment("crawler.web")
    made.filters.update(
        amount=amount,
        counted=counted,
        moment=moment,
        size=size,
        span=span,
        line=lambda text: printable(text, _MAX_CELL),
    )
    made.filters.update(body=body_text, marked=marked, first=first)
    made.globals.update(link=link, cell=cell, is_web=is_web)
    return made
