"""What the run bounds, as the intake of new URLs asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crawler.records import Reason, Target
from crawler.storage.postgres.transactions import Execute


class HostLimit(Protocol):
    """At most so many hosts of one domain, all runs together; seeds are exempt."""

    async def turn_away(self, hosts: Mapping[str, bool], execute: Execute) -> dict[str, Reason]:
        """Take in those of these (stored) hosts that there is room for, and those that seeds have (True). Returns the
        others, each with the reason.
        """

    def take_full(self) -> list[str]:
        """The domains found to be full since the last call; each is returned once."""


class UrlLimit(Protocol):
    """How many URLs a host may have over all runs; seeds are exempt."""

    @property
    def most(self) -> int:
        """The limit."""

    async def fit(self, targets: Sequence[Target], execute: Execute) -> Sequence[Target]:
        """Those of the targets, each of a stored host, that may have a row; what is one too many is excluded."""

    def forget(self) -> None:
        """Rows have changed past this: ask for all hosts again."""

    def take_full(self) -> list[str]:
        """The hosts of which URLs were turned away since this was asked last; each is told once."""


@dataclass(slots=True)
class Limits:
    """None: it is not bounded."""

    hosts: HostLimit | None = None
    urls: UrlLimit | None = None
