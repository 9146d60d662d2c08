"""Where a page sends its reader after a while: `<meta http-equiv=refresh>`, or the header of that name.

Source: WHATWG HTML, "shared declarative refresh steps".
"""

from __future__ import annotations

import re

from crawler.urls import normalize

_REFRESH = re.compile(
    r"[\t\n\f\r ]*+(?:\d|(?=\.))[\d.]*+(?=[\t\n\f\r ;,]|\Z)[\t\n\f\r ]*+[;,]?[\t\n\f\r ]*+(.*)", re.DOTALL | re.ASCII
)
_URL = re.compile(r"url[\t\n\f\r ]*=[\t\n\f\r ]*", re.IGNORECASE)


def refresh_target(content: str) -> str | None:
    """The URL that a refresh names, as written; empty where it names none, None where the content is no refresh."""
    refresh = _REFRESH.match(content)
    if not refresh:
        return None
    target = refresh[1]
    if named := _URL.match(target):
        target = target[named.end() :]
    if target[:1] in ("'", '"'):
        target = target[1:].partition(target[0])[0]
    return target


def refreshed_url(target: str, base: str, url: str) -> str | None:
    """Where the `target` of a refresh leads from `url`; None where it reloads the page itself."""
    refreshed = normalize(target, base) if target.strip() else None
    return None if refreshed == url else refreshed
