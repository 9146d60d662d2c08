"""Which stored URL a person means: URLs as people write them, and what else they may have meant.

Invariant: a question here costs a few look-ups by the index of URLs, whatever the size of the crawl. PostgreSQL has no
such index, but keys that are made from URLs: there what is beside a URL is looked for among those of its host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from crawler.archive.dialect import Sql
from crawler.errors import UsageError
from crawler.seeds import http_twin, parse_seed
from crawler.urls import host_of, normalize, origin_of

if TYPE_CHECKING:
    from crawler.archive.reading import Reader

_GUESSES = 3
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?![0-9/])", re.IGNORECASE)  # mailto:, not example.com:8080
_KNOWN = Sql(
    "SELECT url FROM urls WHERE url IN (SELECT value FROM json_each(?))",
    """
SELECT u.url FROM json_array_elements(?::json) AS wanted (key) JOIN urls AS u ON (u.part, u.host_id, u.id)
    = ((wanted.key ->> 0)::int, (wanted.key ->> 1)::bigint, (wanted.key ->> 2)::bigint)
""",
)
_NEXT = Sql(
    "SELECT url FROM urls WHERE url > ? AND url < ? ORDER BY url LIMIT ?",
    """
SELECT url FROM urls WHERE (part, host_id) = (?, ?) AND url COLLATE "C" > ? AND url COLLATE "C" < ?
ORDER BY url COLLATE "C" LIMIT ?
""",
)
_BEFORE = Sql(
    "SELECT url FROM urls WHERE url < ? AND url > ? ORDER BY url DESC LIMIT ?",
    """
SELECT url FROM urls WHERE (part, host_id) = (?, ?) AND url COLLATE "C" < ? AND url COLLATE "C" > ?
ORDER BY url COLLATE "C" DESC LIMIT ?
""",
)


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


async def find(reader: Reader, text: str) -> str | None:
    """The stored URL that is meant; None if there is none. Raises `UsageError` as `meant` does."""
    urls = meant(text)
    known = await _known(reader, urls)
    return next((url for url in urls if url in known), None)


async def likeliest(reader: Reader, text: str) -> str:
    """What is meant by one that is not stored: without a scheme, that of the host's URLs that are. Raises `UsageError`
    as `meant` does.
    """
    urls = meant(text)
    return urls[-1] if not await _has_any(reader, urls[0]) and await _has_any(reader, urls[-1]) else urls[0]


async def guesses(reader: Reader, text: str) -> list[str]:
    """Stored URLs that may be meant by one that is not stored: the same but for scheme, `www` or the final slash; else
    those beside it in the order of URLs, on its origin. At most three.
    """
    urls = meant(text)
    variants = [variant for url in urls for variant in _variants(url)]
    known = await _known(reader, variants)
    if known:
        return [url for url in dict.fromkeys(variants) if url in known][:_GUESSES]
    return await _beside(reader, urls[0])


async def _known(reader: Reader, urls: Sequence[str]) -> set[str]:
    """Which of them are stored."""
    wanted = json.dumps([reader.key_of(url) or url for url in urls])
    return {row[0] for row in await reader.fetch(_KNOWN, wanted)}


async def _has_any(reader: Reader, url: str) -> bool:
    """Whether a URL of the same origin is stored."""
    return bool(await _range(reader, _NEXT, url, (origin_of(url), f"{origin_of(url)}0"), 1))  # '0' comes after '/'


async def _beside(reader: Reader, url: str) -> list[str]:
    """Those that have the most of its beginning in common."""
    first, last = f"{origin_of(url)}/", f"{origin_of(url)}0"
    rows = [
        *await _range(reader, _NEXT, url, (url, last), _GUESSES),
        *await _range(reader, _BEFORE, url, (url, first[:-1]), _GUESSES),
    ]
    return sorted((row[0] for row in rows), key=lambda other: -_common(url, other))[:_GUESSES]


async def _range(reader: Reader, sql: Sql, url: str, between: tuple[str, str], limit: int) -> list[Any]:
    """Of the URLs of its host, in the order of their bytes."""
    return await reader.fetch(sql, *reader.key_of_host(host_of(url)), *between, limit)


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
