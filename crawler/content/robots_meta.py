"""Robots directives of a page: `<meta name=robots>` and the X-Robots-Tag header, which share one syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable

_AGENT = re.compile(r"[a-z*][\w.*-]*")
_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_NOT_INDEXED = frozenset({"noindex", "none"})
_NOT_FOLLOWED = frozenset({"nofollow", "none"})


def robots_directives(tags: Iterable[str], user_agent_token: str) -> tuple[bool, bool]:
    """(noindex, nofollow), as the values in `tags` together ask of the crawler named `user_agent_token`.

    A value is a comma-separated list: 'noindex, nofollow', 'none', 'otherbot: noindex, nofollow'. A name before a colon
    applies until the next name or the end of its value; directives without a name apply to everyone. A directive counts
    wherever it appears. Directives with a value ('unavailable_after: <date>') are ignored.
    Source: https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag (there is no standard).
    """
    asked: set[str] = set()
    for tag in tags:
        asked |= _asked(tag.lower(), user_agent_token.lower())
    return not asked.isdisjoint(_NOT_INDEXED), not asked.isdisjoint(_NOT_FOLLOWED)


def _asked(tag: str, user_agent_token: str) -> set[str]:
    words: set[str] = set()
    addressed = True
    for part in tag.split(","):
        name, colon, directives = part.partition(":")
        name = name.strip()
        if not colon:
            directives = part
        elif name in _VALUED or not _AGENT.fullmatch(name):
            continue  # this may also be the rest of a date, which can hold commas and colons
        else:
            addressed = name in (user_agent_token, "robots", "*")
        if addressed:
            words.update(re.split(r"[\s;]+", directives))
    return words
