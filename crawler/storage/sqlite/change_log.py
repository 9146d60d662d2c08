"""The rows of `change_log`, made in the transaction that stores what they tell of.

Costs a page that stands where it stood nothing but the row of its version, if it brings one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.records import STANDING, LoggedChange, Result
from crawler.storage.change_log import Standing, detail, may_have_turned, turn, version_change
from crawler.storage.sqlite.columns import Execute
from crawler.storage.values import as_json, storable

_PLACES = ", ".join(f"'{change}'" for change in sorted(STANDING))

CHANGE_COLUMNS = "url_id, run_id, at, change, page_id, detail"

# By change_log_states.
_STANDINGS = f"""
SELECT value,
    (SELECT change FROM change_log WHERE url_id = value AND page_id IS NULL AND change IN ({_PLACES})
        ORDER BY id DESC LIMIT 1),
    (SELECT change FROM change_log WHERE url_id = value AND page_id IS NULL ORDER BY id DESC LIMIT 1)
FROM json_each(?)
"""  # noqa: S608 - our own names

# Those that fail with their origin, of the URLs that are selected by what is added. ?3: why, ?4: the run, ?5: now.
LOG_BROKEN = f"""
INSERT INTO change_log (url_id, run_id, at, change, detail)
SELECT id, ?4, ?5, '{LoggedChange.BROKEN}', ?3 FROM urls
WHERE coalesce((
    SELECT change FROM change_log WHERE url_id = urls.id AND page_id IS NULL ORDER BY id DESC LIMIT 1
), '') <> '{LoggedChange.BROKEN}' AND """  # noqa: S608 - our own names


async def change_rows(
    results: Sequence[Result],
    ids: Sequence[int],
    page_ids: Sequence[int | None],
    run_id: int,
    now: float,
    execute: Execute,
) -> list[tuple[Any, ...]]:
    """Rows of `CHANGE_COLUMNS`: for each result, first where its URL stands now, then what its version is."""
    turned = [place for place, result in enumerate(results) if may_have_turned(result)]
    before = await _standings([ids[place] for place in turned], execute) if turned else {}
    turns = {place: turn(results[place], before[ids[place]]) for place in turned}
    rows: list[tuple[Any, ...]] = []
    for place, (result, url_id, page_id) in enumerate(zip(results, ids, page_ids, strict=True)):
        if page_id is None and place not in turns:
            continue
        at = result.attempt.started_at if result.attempt is not None else now
        if (change := turns.get(place)) is not None:
            why = detail(result, change)
            rows.append((url_id, run_id, at, change, None, why and storable(why)))
        if page_id is not None and (change := version_change(result)) is not None:
            rows.append((url_id, run_id, at, change, page_id, None))
    return rows


async def _standings(ids: Sequence[int], execute: Execute) -> dict[int, Standing]:
    return {
        url_id: Standing(place=place and LoggedChange(place), broken=last == LoggedChange.BROKEN)
        for url_id, place, last in await execute(_STANDINGS, as_json(ids))
    }
