"""What this process owns of the crawl, as it knows it. The database decides; the fence of each commit asks it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from types import MappingProxyType

from crawler.storage.postgres.ids import part_of, row_id

NONE: Mapping[int, float] = MappingProxyType({})
DEFAULT_LEASE_S = 30.0  # at least 20 commits
_CHANCE = Random()


class Ownership:
    """The partitions that this worker owns, each with the epoch of its claim. Only leases change it.

    `boot_clock` gives seconds that also pass while the machine sleeps: a lease ends then, too. `lease_s` is for how
    long a partition is its own from each claim, renewal and commit on.
    """

    def __init__(
        self, worker: int, parts: int, boot_clock: Callable[[], float], lease_s: float = DEFAULT_LEASE_S
    ) -> None:
        self.worker = worker  # the id of this incarnation of the process: random
        self.parts = parts
        self.lease_s = lease_s
        self._boot_clock = boot_clock
        self._epochs: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._taken_over: dict[int, float] = {}
        self._may_send_until = 0.0

    def owned(self) -> list[int]:
        """All that it owns, in order: what it may store results of."""
        return sorted(self._epochs)

    def active(self) -> list[int]:
        """Those of which it takes new URLs up: not those that it is giving away."""
        return sorted(self._epochs.keys() - self._leaving)

    def active_epochs(self) -> dict[int, int]:
        """The same, each with the epoch of its claim."""
        return {part: self._epochs[part] for part in self.active()}

    def owns(self, part: int) -> bool:
        """Whether it owns this one."""
        return part in self._epochs

    def keeps(self, host_id: int) -> bool:
        """Whether this host is its own, and stays it."""
        part = self.part_of(host_id)
        return part in self._epochs and part not in self._leaving

    def leaving(self) -> set[int]:
        """Those that it owns and is giving away."""
        return set(self._leaving)

    def taken_over_at(self, host_id: int) -> float | None:
        """When its partition was taken from a worker that had not given it back (Unix seconds, by the database): until
        then, that one may have sent requests to the host. None: nobody has.
        """
        return self._taken_over.get(self.part_of(host_id))

    def may_send(self) -> bool:
        """Whether its leases still hold, for all that it knows."""
        return self._boot_clock() < self._may_send_until

    def remaining_s(self) -> float:
        """For how long its leases still hold, for all that it knows; seconds, 0: they do not."""
        return max(0.0, self._may_send_until - self._boot_clock())

    def part_of(self, host_id: int) -> int:
        """The partition of a host."""
        return part_of(host_id, self.parts)

    def next_id(self, part: int, number: int = 1) -> int:
        """The next id of an attempt, a version or a change in a partition that it owns; the first of so many."""
        count = self._counts[part] + 1
        self._counts[part] += number
        return row_id(part, self._epochs[part], count)

    # --- for leases -------------------------------------------------------------------------------------------------

    def gain(self, epochs: Mapping[int, int], taken_over: Mapping[int, float] = NONE) -> None:
        """It owns these partitions from now on. `taken_over`: when it took those that their last owner had not given
        back (Unix seconds).
        """
        self._epochs.update(epochs)
        self._taken_over.update(taken_over)
        self._counts.update(dict.fromkeys(epochs, 0))

    def even_out(self, live: int, before: int, chance: Random = _CHANCE) -> int:
        """Have an equal part where so many workers live, of whom some entered `before` this one: of what is more,
        chance takes some, and it leaves these. Returns how many are lacking.

        What cannot be divided is for the oldest, one each. So the parts of all make up the whole, none is more than one
        above another; and where somebody comes or goes, nothing changes hands among the others.
        """
        fair, active = self.parts // live + (before < self.parts % live), self.active()
        if len(active) > fair:
            self.leave(chance.sample(active, len(active) - fair))
        return max(0, fair - len(active))

    def leave(self, parts: Iterable[int]) -> None:
        """Take nothing new up of these."""
        self._leaving.update(parts)

    def lose(self, parts: Iterable[int]) -> None:
        """They are not its own any more."""
        for part in parts:
            self._epochs.pop(part, None)
            self._counts.pop(part, None)
            self._leaving.discard(part)
            self._taken_over.pop(part, None)

    def hold_until(self, moment: float) -> None:
        """Requests may be sent until then, by the boot clock."""
        self._may_send_until = moment
