"""The rows of `change_log`, made in the transaction that stores what they tell of.

Costs a page that stands where it stood nothing but the row of its version, if it brings one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from crawler.records import STANDING, LoggedChange
from crawler.storage.change_log import Standing, detail, may_have_turned, turn, version_change
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import arrays, insertion, rows_of
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.transactions import Execute
from crawler.storage.values import storable

_COLUMNS = ("part", "id", "host_id", "url_id", "run_id", "at", "change", "page_id", "detail")
_ADD = insertion("change_log", _COLUMNS)

# By change_log_states: a URL has few.
_STATES = f"""
SELECT c.url_id, c.change FROM {rows_of(("part", "url_id"))} JOIN change_log AS c USING (part, url_id)
WHERE c.page_id IS NULL ORDER BY c.part, c.id
"""  # noqa: S608 - our own names


async def log_changes(batch: Sequence[Placed], run_id: int, now: float, ownership: Ownership, execute: Execute) -> None:
    """For each result, first where its URL stands now, then what its version is."""
    turned = [one for one in batch if may_have_turned(one.result)]
    before = await _standings(turned, execute) if turned else {}
    rows: list[tuple[Any, ...]] = []
    for one in batch:
        attempt = one.result.attempt
        at = attempt.started_at if attempt is not None else now
        for change, page_id, why in _told(one, before):
            own = (one.part, ownership.next_id(one.part), one.host_id, one.url_id, run_id, at)
            rows.append((*own, change.value, page_id, why and storable(why)))
    if rows:
        await execute(_ADD, *arrays(rows))


def _told(one: Placed, before: dict[int, Standing]) -> Sequence[tuple[LoggedChange, int | None, str | None]]:
    told: list[tuple[LoggedChange, int | None, str | None]] = []
    if before and may_have_turned(one.result) and (change := turn(one.result, before[one.url_id])) is not None:
        told.append((change, None, detail(one.result, change)))
    if one.page_id is not None and (change := version_change(one.result)) is not None:
        told.append((change, one.page_id, None))
    return told


async def _standings(turned: Sequence[Placed], execute: Execute) -> dict[int, Standing]:
    keys = sorted({(one.part, one.url_id) for one in turned})
    states: defaultdict[int, list[str]] = defaultdict(list)
    for url_id, change in await execute(_STATES, *arrays(keys)):
        states[url_id].append(change)
    return {url_id: _standing(states[url_id]) for _part, url_id in keys}


def _standing(states: Sequence[str]) -> Standing:
    places = [state for state in states if state in STANDING]
    broken = bool(states) and states[-1] == LoggedChange.BROKEN
    return Standing(place=LoggedChange(places[-1]) if places else None, broken=broken)
