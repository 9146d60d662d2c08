"""Seeds: turns what the user wrote into URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field

from crawler.errors import UsageError
from crawler.records import SeedMark, Target
from crawler.statically_frozen import dataclass
from crawler.urls import credentials_of, host_of, normalize, without_credentials

_SCHEME = re.compile(r"[^/?#]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A seed, and the credentials that came with it, which are never stored.

    `bare`: given without a scheme, so https is tried first, then http.
    """

    url: str
    bare: bool = False
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def target(self) -> Target:
        """The seed as it is stored."""
        return Target(url=self.url, host=host_of(self.url), seed=SeedMark.BARE if self.bare else SeedMark.YES)

    @property
    def twin(self) -> str | None:
        """The http URL that a bare seed falls back to; None for any other seed."""
        return http_twin(self.url) if self.bare else None


def parse_seeds(texts: Iterable[str | Seed]) -> list[Seed]:
    """The seeds, each once, from texts or parsed seeds. Raises `UsageError` for one that is not an http(s) URL."""
    seeds: dict[str, Seed] = {}
    for text in [texts] if isinstance(texts, str) else texts:
        seed = text if isinstance(text, Seed) else parse_seed(text)
        seeds.setdefault(seed.url, seed)
    return list(seeds.values())


def parse_seed(text: str) -> Seed:
    """The seed that the text names. Raises `UsageError` if it is not an http(s) URL."""
    text = text.strip()
    bare = not names_scheme(text)
    url = normalize(f"https://{text}" if bare else text)
    if url is None:
        raise UsageError(f"{text!r} is not an http(s) URL or a host name")
    return Seed(url=without_credentials(url), bare=bare, credentials=credentials_of(url))


def names_scheme(text: str) -> bool:
    """Whether a seed starts with a scheme, even a bad one; '://' may also occur in the path or query of a bare seed."""
    return _SCHEME.match(text) is not None


def http_twin(url: str) -> str:
    """The same URL with the scheme http."""
    return "http" + url.removeprefix("https")
