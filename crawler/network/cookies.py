"""The user's cookies: read from a file in Netscape's format, sent only where they belong.

Invariants: what a server sets is neither kept nor sent, here or elsewhere; no message quotes a line of the file, which
holds secrets.
"""

from __future__ import annotations

import math
import time
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import Path

from crawler.errors import UsageError
from crawler.statically_frozen import dataclass
from crawler.urls import host_of, normalize, scheme_of, target_of

_HTTP_ONLY = "#HttpOnly_"  # hidden from scripts, not from servers: the one comment that is none
_FLAGS = {"TRUE": True, "FALSE": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """One line of the file. `subdomains`: sent to the hosts below `host`, too. `expires_at` is in Unix seconds."""

    host: str
    subdomains: bool
    path: str
    secure: bool
    expires_at: float
    name: str
    value: str = field(repr=False)

    def belongs_to(self, url: str, now: float) -> bool:
        """Whether it goes with a request for `url` (normalized), its host aside (RFC 6265, 5.4)."""
        if self.expires_at <= now or (self.secure and scheme_of(url) != "https"):
            return False
        path = target_of(url).partition("?")[0]
        return path == self.path or path.startswith(self.path if self.path.endswith("/") else f"{self.path}/")

    @property
    def pair(self) -> str:
        """As it is sent. One without a name is its bare value, as browsers do."""
        return f"{self.name}={self.value}" if self.name else self.value


class CookieFile:
    """The cookies of one file, by host. Of two with the same host, path and name the last one counts."""

    def __init__(self, cookies: Iterable[Cookie]) -> None:
        distinct = {(cookie.host, cookie.path, cookie.name): cookie for cookie in cookies}
        self._of_host: dict[str, list[Cookie]] = {}
        for cookie in sorted(distinct.values(), key=lambda cookie: -len(cookie.path)):  # longer paths first: 5.4, 2
            self._of_host.setdefault(cookie.host, []).append(cookie)

    def header(self, url: str) -> str | None:
        """The value of the `Cookie` field for a request to `url` (normalized); None where none belongs to it."""
        now = time.time()
        pairs = [cookie.pair for cookie in self._for_host(host_of(url)) if cookie.belongs_to(url, now)]
        return "; ".join(pairs) or None

    def _for_host(self, host: str) -> Iterator[Cookie]:
        yield from self._of_host.get(host, ())
        while host := host.partition(".")[2]:
            yield from (cookie for cookie in self._of_host.get(host, ()) if cookie.subdomains)


def read_cookies(path: str | Path) -> CookieFile:
    """The cookies in the file. Raises `UsageError` with the number of the first line that is no cookie."""
    try:
        lines = Path(path).read_bytes().removeprefix(BOM_UTF8).splitlines()
    except OSError as error:
        raise UsageError(f"--cookies {path}: {error.strerror}") from None
    cookies = []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8").removeprefix(_HTTP_ONLY)
            if text.strip() and not text.startswith("#"):
                cookies.append(_parse(text))
        except ValueError as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
            raise UsageError(f"--cookies {path}: line {number} is not a cookie in Netscape format: {reason}") from None
    if not cookies:
        raise UsageError(f"--cookies {path} contains no cookies; export them in Netscape format (cookies.txt)")
    return CookieFile(cookies)


def _parse(line: str) -> Cookie:
    """Raises `ValueError` with what is wrong, in words that hold nothing of the line."""
    parts = line.split("\t")
    if len(parts) == 6:
        parts.append("")  # an empty value whose tab an editor took away
    if len(parts) != 7:
        raise ValueError(f"expected 7 tab-separated fields, found {len(parts)}")
    domain, subdomains, path, secure, expiry, name, value = parts
    url = normalize(f"http://{domain.removeprefix('.')}/")
    if url is None or not domain.strip("."):
        raise ValueError("its domain is not valid")
    if subdomains.upper() not in _FLAGS or secure.upper() not in _FLAGS:
        raise ValueError("its second and fourth fields must be TRUE or FALSE")
    if not path.startswith("/"):
        raise ValueError("its path must begin with /")
    if not (name or value) or not (name + value).isprintable() or ";" in name + value or "=" in name:
        raise ValueError("its name or value is empty or contains characters that cannot be sent")
    return Cookie(
        host=host_of(url),
        subdomains=_FLAGS[subdomains.upper()] or domain.startswith("."),
        path=path,
        secure=_FLAGS[secure.upper()],
        expires_at=_expiry(expiry),
        name=name,
        value=value,
    )


def _expiry(text: str) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise ValueError("its expiry must be a Unix time in seconds")
    return seconds if seconds > 0 else math.inf  # 0: it lasts as long as the session, which is the run
