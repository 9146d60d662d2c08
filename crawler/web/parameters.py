"""Reads the parameters in the address of a request. The server refuses what it does not know, and ignores nothing.

Each page of the server names its parameters (`knowing`). An unknown parameter, a parameter that is given twice, and a
value that is not allowed are each a `UsageError`. An empty parameter counts as missing, because forms send all their
fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiohttp import web

from crawler.errors import UsageError
from crawler.host_settings import HostPattern
from crawler.kinds import Text
from crawler.quantities import Count

_MOST = (1 << 31) - 1  # of what has no bound of its own

Page: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]


def knowing(path: str, page: Page, *names: str) -> web.RouteDef:
    """The route of a page that takes the parameters with these names, and no others."""

    async def checked(request: web.Request) -> web.Response:
        for name in request.query:
            if name not in names:
                known = f"those of this page are {', '.join(names)}" if names else "this page has none"
                raise UsageError(f"there is no parameter {name!r}; {known}")
            if len(request.query.getall(name)) > 1:
                raise UsageError(f"{name} is given more than once; give it once")
        return await page(request)

    return web.get(path, checked)


def given(request: web.Request, name: str) -> str | None:
    """The parameter's value, without spaces around it; None if it is missing or empty."""
    return request.query.get(name, "").strip() or None


def number(request: web.Request, name: str, most: int = _MOST) -> int | None:
    """The parameter as a whole number from 1 to `most`; None if it is missing or empty."""
    found: int | None = _read(request, name, Count(low=1, high=most))
    return found


def host_pattern(request: web.Request) -> str | None:
    """The parameter `host` in the form in which host names are compared, where `*` stands for any text; None if it is
    missing or empty.
    """
    found: str | None = _read(request, "host", HostPattern())
    return found


def switch(request: web.Request, name: str) -> bool:
    """Whether the parameter is set. Its only value is 1."""
    text = given(request, name)
    if text not in (None, "1"):
        raise UsageError(f"{name} must be 1 or be left out, not {text!r}")
    return text is not None


def _read(request: web.Request, name: str, kind: Text) -> Any:
    text = given(request, name)
    if text is None:
        return None
    try:
        value = kind.parse(text)
        kind.check(value)
    except ValueError as error:
        raise UsageError(f"{name} {error}") from error
    return value
