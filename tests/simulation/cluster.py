"""Workers that share one crawl in virtual time; some join, are drained, or die.

The clock goes on in steps only while partitions change hands; else each worker works alone, since nothing that one does
concerns another. Who owns what is decided as it is in `keeping` and `leases`: by `Ownership.even_out`, which is the
real one, at each worker's look once a second and when a lease ends, and by leases, which are times here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from crawler.storage.postgres.ids import part_of
from crawler.storage.postgres.ownership import DEFAULT_LEASE_S, Ownership
from tests.simulation.web import Host
from tests.simulation.worker import Pace, Progress, Worker

_LOOK_S = 1.0
_STEP_S = 0.25
_GRACE_S = 5.0  # --grace
_NEVER, _ALWAYS = float("-inf"), float("inf")


@dataclass(slots=True)
class _Lease:
    """Of one partition. `until` is the last moment at which it was not for others to take."""

    until: float = _NEVER
    epoch: int = 0
    clean: bool = True


@dataclass(slots=True, eq=False)
class _Member:
    """One worker as the others see it: `alive_until` they count it, and it has its next look at `look_at`."""

    worker: Worker
    look_at: float
    alive_until: float = _ALWAYS
    leaves_by: float | None = None  # it is being drained


class Cluster:
    """A crawl of a web."""

    def __init__(
        self,
        web: Sequence[Host],
        *,
        workers: int,
        parts: int,
        pace: Pace,
        lease_s: float = DEFAULT_LEASE_S,
        seed: int = 7,
    ) -> None:
        self.progress = Progress(web)
        self._pace = pace
        self._parts = parts
        self._lease_s = lease_s
        self._chance = Random(seed)
        self._now = 0.0
        self._leases = [_Lease() for _ in range(parts)]
        self._hosts: defaultdict[int, list[int]] = defaultdict(list)
        for place, host in enumerate(web):
            self._hosts[part_of(host.id, parts)].append(place)
        self._members: list[_Member] = []
        self._dead: list[_Member] = []
        self._number = 0
        self._changed_at = 0.0
        for _ in range(workers):
            self._enter()
        for member in self._members:
            self._look(member)

    def owned(self) -> list[list[int]]:
        """The partitions of each worker."""
        return [member.worker.ownership.owned() for member in self._members]

    def hosts_of(self, parts: Sequence[int]) -> list[int]:
        """The places of their hosts in the web."""
        return [host for part in parts for host in self._hosts[part]]

    def work(self, until: float = _ALWAYS) -> None:
        """Go on until then, or to the end."""
        while self._now < until and not self._is_settled():
            self._step(min(until, self._now + _STEP_S))
        for member in self._members:
            member.worker.work(until)
        self._now = until

    def watch(self) -> None:
        """See how long the hosts of one worker go without a request as it is."""
        for host in self.hosts_of(self._members[-1].worker.ownership.owned()):
            self.progress.move(host)

    def join(self) -> None:
        """One more worker."""
        self._enter()
        self._changed_at = self._now

    def drain(self) -> None:
        """One worker sends nothing more, and leaves when all is stored; what takes longer than the grace is cut off."""
        member = self._members[-1]
        member.leaves_by, member.alive_until = self._now + _GRACE_S + self._pace.commit_s, self._now
        member.worker.drop(lambda _host: True)
        self._changed_at = self._now

    def die(self) -> None:
        """One worker is killed, on a machine where no other one is. It had renewed its leases with its last commit, and
        its row within a quarter of a lease.
        """
        member = self._members.pop()
        member.worker.die(self._now)
        member.alive_until = self._now - self._chance.uniform(0, self._lease_s / 4) + self._lease_s
        until = self._now - self._chance.uniform(0, self._pace.commit_s) + self._lease_s
        for part in member.worker.ownership.owned():
            self._leases[part].until, self._leases[part].clean = until, False
        self._dead.append(member)
        self._changed_at = self._now

    def _enter(self) -> None:
        self._number += 1
        ownership = Ownership(self._number, self._parts, lambda: self._now, self._lease_s)
        worker = Worker(ownership, self.progress, self._pace)
        self._members.append(_Member(worker, look_at=self._now + self._chance.uniform(0, _LOOK_S)))

    def _live(self) -> list[int]:
        """The numbers of those that are counted."""
        counted = (member for member in (*self._members, *self._dead) if member.alive_until > self._now)
        return [member.worker.ownership.worker for member in counted]

    def _is_settled(self) -> bool:
        """Whether nothing changes hands any more: all have looked since the last change, and own their parts."""
        if self._now < self._changed_at + 2 * _LOOK_S:
            return False
        if any(member.leaves_by is not None or member.worker.ownership.leaving() for member in self._members):
            return False
        return all(lease.until == _ALWAYS for lease in self._leases)

    def _step(self, now: float) -> None:
        for member in self._members:
            member.worker.work(now)
        self._now = now
        for member in list(self._members):
            if member.leaves_by is not None:
                self._leave(member, member.leaves_by)
            else:
                self._give_away(member)
                if now >= member.look_at:
                    self._look(member)
                    member.look_at = min(now + _LOOK_S, self._next_end())

    def _next_end(self) -> float:
        """When the next lease of a dead worker ends, or it counts no more."""
        ends = [lease.until for lease in self._leases] + [member.alive_until for member in self._dead]
        return min((end for end in ends if end >= self._now), default=_ALWAYS)

    def _look(self, member: _Member) -> None:
        ownership, live = member.worker.ownership, self._live()
        before = sum(number < ownership.worker for number in live)
        lacking = ownership.even_out(len(live), before, self._chance)
        if leaving := set(self.hosts_of(sorted(ownership.leaving()))):
            member.worker.drop(leaving.__contains__)
        free = [part for part, lease in enumerate(self._leases) if lease.until < self._now]
        self._chance.shuffle(free)
        for part in free[:lacking]:
            self._claim(member.worker, part)

    def _claim(self, worker: Worker, part: int) -> None:
        lease, hosts = self._leases[part], self._hosts[part]
        worker.ownership.gain({part: lease.epoch + 1})
        for host in hosts:
            self.progress.move(host)
        worker.add(hosts, self._now if lease.clean else self._now + self._pace.delay_s)
        self._leases[part] = _Lease(until=_ALWAYS, epoch=lease.epoch + 1)

    def _give_away(self, member: _Member) -> None:
        worker = member.worker
        for part in sorted(worker.ownership.leaving()):
            if not worker.is_busy_with(set(self._hosts[part]), self._now):
                self._release(worker, [part])

    def _leave(self, member: _Member, at_latest: float) -> None:
        if min(member.worker.stored_all_at(), at_latest) <= self._now:
            member.worker.die(self._now)  # which costs what is still under way
            self._release(member.worker, member.worker.ownership.owned())
            self._members.remove(member)

    def _release(self, worker: Worker, parts: Sequence[int]) -> None:
        worker.ownership.lose(parts)
        for part in parts:
            self._leases[part].until = _NEVER
