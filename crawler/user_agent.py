"""Who a User-Agent says it is: the one place that knows by which names robots directives speak to it.

A crawler is spoken to by its exact name ('my2bot'); where nothing speaks to that, by its product token as RFC 9309
(2.2.1) admits it, in which there are no digits ('my'). That holds for the groups of a robots.txt, `<meta name=...>` and
X-Robots-Tag alike.
"""

from __future__ import annotations

import re
from collections.abc import Container
from functools import lru_cache

DEFAULT_PRODUCT_TOKEN = "onefile-crawler"  # noqa: S105 - a name; no robots.txt is known that means somebody else by it

# What is written behind names: a version, a comment, a port, a wildcard.
_NAME = re.compile(r"""(?:mozilla/[0-9.]+ \(compatible; *)?([^\s/:;,*?()<>\[\]{}"'@=\\]+)""", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(r"[a-z_-]+", re.ASCII)
_CONTACT = re.compile(r"https?://[^\s/)]|\bwww\.[\w-]+\.|[\w.+-]@[\w-]", re.IGNORECASE)
_EARLIER_DEFAULT = re.compile(
    r"crawler/[\w.]+ \(\+https://example\.com/about-this-crawler\)|" + DEFAULT_PRODUCT_TOKEN + r"/\d[\w.]*", re.ASCII
)


def agent_name(user_agent: str) -> str | None:
    """The name in a User-Agent, or in a line of a robots.txt, as written: 'my2bot' of 'my2bot/1.0 (...)'; None where
    there is none. Of 'Mozilla/5.0 (compatible; ExampleBot/1.0)' it is 'ExampleBot'.
    """
    found = _NAME.match(user_agent)
    return None if found is None else found[1]


def named_in(names: Container[str], user_agent: str) -> str | None:
    """By which of `names` (in lower case) the agent is spoken to: its exact name, else its product token; None where by
    neither. `user_agent` may be the name alone.
    """
    exact, token = _exact_and_token(user_agent)
    if exact in names:
        return exact or None
    return token if token is not None and token in names else None


@lru_cache(maxsize=16)  # asked for each page, of one agent
def _exact_and_token(user_agent: str) -> tuple[str, str | None]:
    exact = (agent_name(user_agent) or "").lower()
    token = _TOKEN.match(exact)
    return exact, None if token is None else token[0]


def has_contact(user_agent: str) -> bool:
    """Whether it holds a URL or a mail address, where an administrator can complain."""
    return _CONTACT.search(user_agent) is not None


def is_default(user_agent: str) -> bool:
    """Whether it is what this version or an earlier one sends by default."""
    return _EARLIER_DEFAULT.fullmatch(user_agent) is not None
