"""The rows of `change_log`, made in the transaction that stores what they tell of.

Costs a page that stands where it stood nothing but the row of its version, if it brings one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crawler.records import STANDING, LoggedChange, Result
from crawler.storage.change_log import (
    NOTHING_TOLD,
    Standing,
    detail,
    has_history,
    may_have_turned,
    turn,
    version_change,
)
from crawler.storage.sqlite.columns import Execute
from crawler.storage.values import as_json, storable

_PLACES = ", ".join(f"'{change}'" for change in sorted(STANDING))

# By change_log_states.
_STANDINGS = f"""
SELECT value,
    (SELECT change FROM change_log WHERE url_id = value AND page_id IS NULL AND change IN ({_PLACES})
        ORDER BY id DESC LIMIT 1),
    (SELECT change FROM change_log WHERE url_id = value AND page_id IS NULL ORDER BY id DESC LIMIT 1)
FROM json_each(?)
"""  # noqa: S608 - our own names


# The pages that fail with their origin, none of which has failed before, so that nothing was told of them. ?3: why.
BROKEN_WITH_ORIGIN = f"""
INSERT INTO change_log (url_id, run_id, at, change, detail)
SELECT id, ?4, ?5, '{LoggedChange.BROKEN}', ?3 FROM urls
"""  # noqa: S608 - our own names


async def change_rows(
    results: Sequence[Result],
    ids: Sequence[int],
    page_ids: Sequence[int | None],
    run_id: int,
    now: float,
    execute: Execute,
) -> list[dict[str, Any]]:
    """What these results have changed: for each, first where its URL stands now, then what its version is."""
    turned = [(result, url_id) for result, url_id in zip(results, ids, strict=True) if may_have_turned(result)]
    told = await _standings([url_id for result, url_id in turned if has_history(result)], execute)
    turns = {url_id: turn(result, told.get(url_id, NOTHING_TOLD)) for result, url_id in turned}
    rows: list[dict[str, Any]] = []
    for result, url_id, page_id in zip(results, ids, page_ids, strict=True):
        if turns and (change := turns.pop(url_id, None)) is not None:
            rows.append(_row(result, change, url_id, run_id, now))
        if page_id is not None and (change := version_change(result)) is not None:
            rows.append(_row(result, change, url_id, run_id, now, page_id))
    return rows


async def _standings(ids: Sequence[int], execute: Execute) -> dict[int, Standing]:
    if not ids:
        return {}
    return {
        url_id: Standing(place=place and LoggedChange(place), broken=last == LoggedChange.BROKEN)
        for url_id, place, last in await execute(_STANDINGS, as_json(ids))
    }


def _row(
    result: Result, change: LoggedChange, url_id: int, run_id: int, now: float, page_id: int | None = None
) -> dict[str, Any]:
    why = detail(result, change)
    return {
        "url_id": url_id,
        "run_id": run_id,
        "at": result.attempt.started_at if result.attempt is not None else now,
        "change": change,
        "page_id": page_id,
        "detail": why and storable(why),
    }
