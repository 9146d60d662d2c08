"""Where a page sends its reader after a while: `<meta http-equiv=refresh>`, or the header of that name.

Source: WHATWG HTML, "shared declarative refresh steps".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from crawler.urls import normalize

MAX_REDIRECT_DELAY_S = 30  # whoever shows a page for longer than this wants it to be read

_REFRESH = re.compile(
    r"[\t\n\f\r ]*+(\d++|(?=\.))[\d.]*+(?=[\t\n\f\r ;,]|\Z)[\t\n\f\r ]*+[;,]?[\t\n\f\r ]*+(.*)", re.DOTALL | re.ASCII
)
_URL = re.compile(r"url[\t\n\f\r ]*=[\t\n\f\r ]*", re.IGNORECASE)
_MAX_DIGITS = 9  # of seconds: thirty years


class Refresh(NamedTuple):
    """What a refresh asks for: this URL (None: the page itself once more), after so many seconds."""

    url: str | None
    delay_s: int

    @property
    def is_redirect(self) -> bool:
        """Whether it comes so soon that the page only stands for the other one."""
        return self.delay_s <= MAX_REDIRECT_DELAY_S


def read_refresh(content: str, base: str, url: str) -> Refresh | None:
    """What `content` asks for on the page at `url`, whose links are resolved against `base`; None where it is no
    refresh, or one that leads to no http(s) URL.
    """
    refresh = _REFRESH.match(content)
    if not refresh:
        return None
    target = refresh[2]
    leads_to = normalize(_named_url(target), base) if target else url
    if leads_to is None:
        return None
    digits = refresh[1].lstrip("0")
    delay_s = int(digits[:_MAX_DIGITS] or 0)
    return Refresh(None if leads_to == url else leads_to, delay_s)


def _named_url(target: str) -> str:
    """The URL as written, without what may stand about it. An empty one is the base URL."""
    if named := _URL.match(target):
        target = target[named.end() :]
    if target[:1] in ("'", '"'):
        target = target[1:].partition(target[0])[0]
    return target
