"""Robots directives of a page: `<meta name=robots>` and the X-Robots-Tag header, which share one syntax."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from crawler.user_agent import agent_name, named_in

_AGENT = re.compile(r"[a-z*][\w.*-]*")
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_EVERYONE = ("", "robots", "*")
_NOT_INDEXED = frozenset({"noindex", "none"})
_NOT_FOLLOWED = frozenset({"nofollow", "none"})


def robots_directives(tags: Sequence[str], user_agent: str) -> tuple[bool, bool]:
    """(noindex, nofollow), as the values in `tags` together ask of `user_agent` (a name or a whole User-Agent value).

    A value is a comma-separated list: 'noindex, nofollow', 'none', 'otherbot: noindex, nofollow'. A name before a colon
    applies until the next name or the end of its value; directives without a name apply to everyone. A directive counts
    wherever it appears. Directives with a value ('unavailable_after: <date>') are ignored.
    Source: https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag (there is no standard).
    """
    if not tags:
        return False, False  # most pages have none
    exact = (agent_name(user_agent) or "").lower()
    asked: dict[str, set[str]] = {}
    for tag in tags:
        for name, words in _asked(tag.lower(), exact):
            asked.setdefault(name, set()).update(words)
    own = named_in(asked, user_agent)
    heard = set[str]().union(*(asked.get(name, ()) for name in (*_EVERYONE, own or "")))
    return not heard.isdisjoint(_NOT_INDEXED), not heard.isdisjoint(_NOT_FOLLOWED)


def _asked(tag: str, exact: str) -> Iterator[tuple[str, list[str]]]:
    """What a value asks, with whom it asks ('' for everyone). A name may begin with a digit where it is `exact`: what
    else does so before a colon is a time.
    """
    addressee = ""
    for part in tag.split(","):
        name, colon, directives = part.partition(":")
        name = name.strip()
        if not colon:
            directives = part
        elif name in _VALUED or not (name == exact or _AGENT.fullmatch(name)):
            continue  # this may also be the rest of a date, which can hold commas and colons
        else:
            addressee = name
        yield addressee, re.split(r"[\s;]+", directives)
