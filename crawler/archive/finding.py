"""Which stored URL a person means: URLs as people write them, and what else they may have meant.

Invariant: a question here costs a few look-ups by the index of URLs, whatever the size of the crawl.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from crawler.errors import UsageError
from crawler.seeds import http_twin, parse_seed
from crawler.urls import host_of, normalize, origin_of

_GUESSES = 3
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?![0-9/])", re.IGNORECASE)  # mailto:, not example.com:8080
_KNOWN = "SELECT url FROM urls WHERE url IN (SELECT value FROM json_each(?))"
_NEXT = "SELECT url FROM urls WHERE url > ?1 AND url < ?2 ORDER BY url LIMIT ?3"
_BEFORE = "SELECT url FROM urls WHERE url < ?1 AND url > ?2 ORDER BY url DESC LIMIT ?3"

Read = Callable[..., Awaitable[list[Any]]]  # rows of SQL with parameters


def meant(text: str) -> list[str]:
    """The URLs that a text can stand for, the likeliest first: as a seed is read, without fragment and credentials.

    One without a scheme stands for https, then http. Raises `UsageError` for what is no http(s) URL.
    """
    if not text.strip():
        raise UsageError("a URL is empty; give one such as https://example.com/")
    if _OTHER_SCHEME.match(text.strip()):
        raise UsageError(f"{text.strip()!r} is not an http(s) URL or a host name")
    seed = parse_seed(text)
    return [seed.url, http_twin(seed.url)] if seed.bare else [seed.url]


async def find(read: Read, text: str) -> str | None:
    """The stored URL that is meant; None if there is none. Raises `UsageError` as `meant` does."""
    urls = meant(text)
    known = {row[0] for row in await read(_KNOWN, json.dumps(urls))}
    return next((url for url in urls if url in known), None)


async def likeliest(read: Read, text: str) -> str:
    """What is meant by one that is not stored: without a scheme, that of the host's URLs that are. Raises `UsageError`
    as `meant` does.
    """
    urls = meant(text)
    return urls[-1] if not await read(*_of_origin(urls[0])) and await read(*_of_origin(urls[-1])) else urls[0]


def _of_origin(url: str) -> tuple[str, str, str, int]:
    """A query for one stored URL of the same origin, and its parameters."""
    return _NEXT, origin_of(url), f"{origin_of(url)}0", 1  # '0' comes after '/'


async def guesses(read: Read, text: str) -> list[str]:
    """Stored URLs that may be meant by one that is not stored: the same but for scheme, `www` or the final slash; else
    those beside it in the order of URLs, on its origin. At most three.
    """
    urls = meant(text)
    variants = [variant for url in urls for variant in _variants(url)]
    known = {row[0] for row in await read(_KNOWN, json.dumps(variants))}
    if known:
        return [url for url in dict.fromkeys(variants) if url in known][:_GUESSES]
    return await _beside(read, urls[0])


async def _beside(read: Read, url: str) -> list[str]:
    """Those that have the most of its beginning in common."""
    first, last = f"{origin_of(url)}/", f"{origin_of(url)}0"  # '0' comes after '/'
    rows = [
        *await read(_NEXT, url, last, _GUESSES),
        *await read(_BEFORE, url, first[:-1], _GUESSES),
    ]
    return sorted((row[0] for row in rows), key=lambda other: -_common(url, other))[:_GUESSES]


def _variants(url: str) -> Iterator[str]:
    """The same place, as other sites or other people write it."""
    scheme, _, rest = url.partition("://")
    host = host_of(url)
    rests = [rest]
    rests.append(rest.removeprefix("www.") if host.startswith("www.") else f"www.{rest}")
    for one in rests:
        path, mark, query = one.partition("?")
        paths = (path, path.rstrip("/"), f"{path}/", f"{path.rstrip('/')}/index.html", path.removesuffix("index.html"))
        for other in paths:
            for its_scheme in (scheme, "http" if scheme == "https" else "https"):
                variant = normalize(f"{its_scheme}://{other}{mark}{query}")
                if variant is not None and variant != url:
                    yield variant


def _common(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
