"""What a request asks for: the parameters of its address. What cannot be meant is refused, never passed over.

Each page of the server knows its parameters (`knowing`): another one, or one that is given twice, is a `UsageError`, as
is a value that cannot be. An empty one is as one that is missing: forms send all their fields.
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
    """The route of a page that takes the parameters of these names."""

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
    """A parameter; None where it is missing or empty."""
    return request.query.get(name, "").strip() or None


def number(request: web.Request, name: str, most: int = _MOST) -> int | None:
    """A number from 1 on; None where it is missing."""
    found: int | None = _read(request, name, Count(low=1, high=most))
    return found


def host_pattern(request: web.Request) -> str | None:
    """As names of hosts are compared, with `*` for anything; None where it is missing."""
    found: str | None = _read(request, "host", HostPattern())
    return found


def switch(request: web.Request, name: str) -> bool:
    """Whether it is there; its only value is 1."""
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
