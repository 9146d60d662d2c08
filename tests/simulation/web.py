"""A web that is made up: hosts with sizes by a power law and latencies by a log-normal one; some of them fail.

The same numbers make the same web.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from crawler.storage.postgres.ids import id_of

_SMALLEST, _LARGEST = 3, 100_000  # pages of a host
_LONGEST_S = 20.0  # latency
_FAILS_AFTER_S = 10.0  # a host that does not answer
_FAILING_REQUESTS = 3  # to such a host, before its URLs are given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host. `pages` is 0 where it fails; then `requests` are made in vain."""

    id: int
    pages: int
    requests: int
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebShape:
    """What the web is made by. `alpha`: the smaller, the more pages stand on few hosts."""

    hosts: int
    alpha: float = 1.1
    latency_s: float = 0.2  # the median
    spread: float = 0.8  # of its logarithm
    failing: float = 0.05  # of the hosts
    seed: int = 7

    def make(self) -> list[Host]:
        """Its hosts."""
        chance = Random(self.seed)
        return [self._host(number, chance) for number in range(self.hosts)]

    def _host(self, number: int, chance: Random) -> Host:
        host_id = id_of(f"host{number}.example")
        pages = min(_LARGEST, int(_SMALLEST * chance.paretovariate(self.alpha)))
        latency_s = min(_LONGEST_S, chance.lognormvariate(math.log(self.latency_s), self.spread))
        if chance.random() < self.failing:
            return Host(id=host_id, pages=0, requests=_FAILING_REQUESTS, latency_s=_FAILS_AFTER_S)
        return Host(id=host_id, pages=pages, requests=pages, latency_s=latency_s)


def limited(web: Sequence[Host], max_pages: int | None) -> list[Host]:
    """The same with `--max-pages-per-host`."""
    if max_pages is None:
        return list(web)
    return [replace(host, pages=min(host.pages, max_pages), requests=min(host.requests, max_pages)) for host in web]
