"""Who a User-Agent says it is: the one place that knows what a product token is."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"(?:mozilla/[0-9.]+ \(compatible; *)?([a-z_-]+)", re.IGNORECASE | re.ASCII)


def product_token(user_agent: str) -> str | None:
    """The name that robots.txt speaks to, as written: 'crawler' of 'crawler/1.0 (...)'; None where there is none.

    Source: RFC 9309, 2.2.1. Of 'Mozilla/5.0 (compatible; ExampleBot/1.0)' it is 'ExampleBot'.
    """
    found = _TOKEN.match(user_agent)
    return None if found is None else found[1]
