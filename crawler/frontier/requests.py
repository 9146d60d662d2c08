"""A number of requests of which a part is ready: the store has noted that these may be sent.

Without that, a run that is killed would not know how many it had sent since its last commit. Invariant: what is noted
is never less than what was sent; a kill costs what was ready and not sent.
"""

from __future__ import annotations

from crawler.statically_frozen import dataclass


@dataclass(slots=True)
class Requests:
    """The requests that a run, or a host in a run, may send: `most` in all."""

    most: int
    unnoted: int
    ready: int = 0

    @classmethod
    def of(cls, most: int, *, spent: int = 0) -> Requests:
        """Of `most`, so many are spent."""
        return cls(most, max(0, most - spent))

    @property
    def are_spent(self) -> bool:
        """Whether none is left, but for those that are lent and come back unsent."""
        return not (self.ready or self.unnoted)

    @property
    def are_lacking(self) -> bool:
        """Whether none is ready although some are left."""
        return self.unnoted > 0 and not self.ready

    def part(self, most: int) -> int:
        """How many to note next: few where few are left, so that a kill costs few."""
        return min(self.unnoted, most, max(1, self.unnoted // 16))

    def noted_with(self, part: int) -> int:
        """How many of all are noted once this part is."""
        return self.most - self.unnoted + part

    def add_ready(self, part: int) -> None:
        """The part is noted."""
        self.unnoted -= part
        self.ready += part
