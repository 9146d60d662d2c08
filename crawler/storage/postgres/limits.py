"""What the run bounds, as the intake of new URLs asks it."""

from __future__ import annotations

from crawler.statically_frozen import dataclass
from crawler.storage.postgres.host_limit import HostLimit
from crawler.storage.postgres.url_limit import UrlLimit


@dataclass(slots=True)
class Limits:
    """None: it is not bounded."""

    hosts: HostLimit | None = None
    urls: UrlLimit | None = None
