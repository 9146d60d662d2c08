"""What the workers of a run tell each other: new seeds and roots.

A notice is read for as long as a lease lasts after it was told, since a transaction that tells one may end later than
others that began after it; each worker remembers which it has read. One that joins reads from the store what was told
before.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from crawler.statically_frozen import dataclass
from crawler.storage.postgres.control import Control

_TELL = """
INSERT INTO notices (id, run_id, kind, data) SELECT id, $1, kind, data
FROM unnest($2::bigint[], $3::text[], $4::text[]) AS v (id, kind, data)
"""
_LOOK = """
WITH live AS (
    SELECT w.id, w.alive_until, (w.started_at, w.id) < (me.started_at, me.id) AS is_before
    FROM workers AS w LEFT JOIN workers AS me ON me.id = $3
    WHERE w.run_id = $1 AND w.alive_until > now() AND w.leaves = 0
), counted AS (
    SELECT count(*) AS live, count(*) FILTER (WHERE is_before) AS before,
        extract(epoch FROM min(alive_until) FILTER (WHERE id <> $3) - now())::float8 AS next_dies_s
    FROM live
)
SELECT now() AS now, r.stop, r.is_open, r.over_at, c.live, c.before, c.next_dies_s, n.id, n.kind, n.data, n.told_at
FROM counted AS c CROSS JOIN runs AS r LEFT JOIN notices AS n
    ON n.run_id = r.id AND n.told_at > now() - $2::float8 * interval '1 second'
WHERE r.id = $1 ORDER BY n.told_at, n.id
"""
_FORGET = "DELETE FROM notices WHERE told_at < now() - $1::float8 * interval '1 second'"


_LATER = datetime.max.replace(tzinfo=UTC)


class Word(StrEnum):
    """What a notice is about. The words are stored as they are."""

    ROOT = "root"  # a URL that widens the scope; data: [url, SeedMark]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is to be seen of the run, at a time of the database: why it is to stop, whether others may join it,
    since when it is over, how many workers live, and of them entered before this one, in how many seconds the next of
    the others is taken for dead if it stays silent (None: there are none), and notices of others that were not seen
    before.
    """

    now: datetime
    stop: str | None
    is_open: bool
    over_at: datetime | None
    live: int
    before: int
    next_dies_s: float | None
    told: list[tuple[Word, Any]]


class Notices:
    """Those of others, read once each, and one's own, told with the next look."""

    def __init__(self, control: Control, worker: int, lease_s: float) -> None:
        self._control = control
        self._worker = worker
        self._kept_s = lease_s
        self._seen: dict[int, datetime] = {}  # when it was told, by its id
        self._to_tell: list[tuple[Word, Any]] = []

    def tell(self, word: Word, data: Any) -> None:
        """Have the other workers hear of this."""
        self._to_tell.append((word, data))

    async def look(self, run_id: int) -> Look:
        """Tell what is to be told, and see what there is."""
        await self.publish(run_id)
        rows = await self._control.fetch(_LOOK, run_id, self._kept_s, self._worker)
        here = [row for row in rows if row["id"] is not None]
        new = [row for row in here if row["id"] not in self._seen]
        self._seen.update({row["id"]: row["told_at"] for row in here})
        told = [(Word(row["kind"]), json.loads(row["data"])) for row in new]
        run = rows[0]
        self._forget_before(run["now"] - timedelta(seconds=2 * self._kept_s))
        return Look(
            now=run["now"],
            stop=run["stop"],
            is_open=bool(run["is_open"]),
            over_at=run["over_at"],
            live=run["live"],
            before=run["before"],
            next_dies_s=run["next_dies_s"],
            told=told,
        )

    async def forget(self) -> None:
        """Remove what everybody has read."""
        await self._control.execute(_FORGET, 4 * self._kept_s)

    async def publish(self, run_id: int) -> None:
        """Tell what is to be told."""
        if not self._to_tell:
            return
        telling = {secrets.randbits(62): one for one in self._to_tell}
        words = [word.value for word, _data in telling.values()]
        await self._control.execute(
            _TELL, run_id, list(telling), words, [json.dumps(data) for _word, data in telling.values()]
        )
        del self._to_tell[: len(telling)]
        self._seen.update(dict.fromkeys(telling, _LATER))  # until it is read back

    def _forget_before(self, moment: datetime) -> None:
        self._seen = {one: told_at for one, told_at in self._seen.items() if told_at > moment}
