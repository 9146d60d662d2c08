"""What extraction rules find, stored with its page.

Invariant: the rows of a page are those of one reading of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from crawler.records import Extract
from crawler.storage.postgres.batch import Placed
from crawler.storage.postgres.columns import arrays, insert, insertion, rows_of
from crawler.storage.postgres.transactions import Execute
from crawler.storage.values import as_json


class Found(NamedTuple):
    """What the rules that are for a page have given. `is_again`: the page's rows of before go."""

    part: int
    page_id: int
    url_id: int
    extracts: Sequence[Extract]
    is_again: bool


def found_by(batch: Sequence[Placed], stored: Sequence[int | None]) -> list[Found]:
    """What rules have found on new pages, and on those read again (their versions are `stored`)."""
    return [
        Found(one.part, page_id, one.url_id, page.extracts, is_again=one.page_id is None)
        for one, old in zip(batch, stored, strict=True)
        if (page := one.read) is not None and page.extracts and (page_id := one.page_id or old) is not None
    ]


_OF_MISS = ("part", "page_id", "rule", "url_id")
# Of the page itself, those of before count, where a crawl reads it again: $1 is then 1.
_FOUND_BEFORE = f"""
SELECT v.page_id, v.rule FROM {rows_of(_OF_MISS, 2)}
JOIN pages AS p ON p.part = v.part AND p.url_id = v.url_id AND p.id < v.page_id + $1::int
JOIN extracts AS e ON e.part = p.part AND e.page_id = p.id AND e.rule = v.rule
UNION
SELECT v.page_id, v.rule FROM {rows_of(_OF_MISS, 2)}
JOIN pages AS p ON p.part = v.part AND p.url_id = v.url_id AND p.id < v.page_id + $1::int
JOIN extract_misses AS e ON e.part = p.part AND e.page_id = p.id AND e.rule = v.rule AND e.lost = 1
"""  # noqa: S608 - our own names
_SET_MISS = """ON CONFLICT (part, page_id, rule) DO UPDATE SET
    run_id = excluded.run_id, found = excluded.found, lacking = excluded.lacking, cut = excluded.cut,
    lost = excluded.lost
"""

_OF_RULE = ("part", "page_id", "rule")
_THESE = f"USING {rows_of(_OF_RULE)} WHERE e.part = v.part AND e.page_id = v.page_id AND e.rule = v.rule"
_FORGET_ROWS = f"DELETE FROM extracts AS e {_THESE}"  # noqa: S608 - our own names
_FORGET_MISSES = f"DELETE FROM extract_misses AS e {_THESE}"  # noqa: S608 - our own names
_ADD_ROWS = insertion("extracts", (*_OF_RULE, "n", "data"))


async def store_extracts(found: Sequence[Found], run_id: int | None, execute: Execute) -> None:
    """In the transaction of their pages. `run_id` None: what is stored is read again, outside of a run, each version
    behind those before it.
    """
    each = [(page, one) for page in found for one in page.extracts]
    misses = [pair for pair in each if not pair[1].rows or pair[1].lacking or pair[1].cut]
    if run_id is not None:
        await _add_misses(misses, run_id, execute)
        again = {_key(*pair) for pair in each if pair[0].is_again}
        await _forget(again, again - {_key(*pair) for pair in misses}, execute)
    rows = [(*_key(*pair), n, as_json(row)) for pair in each for n, row in enumerate(pair[1].rows, start=1)]
    if rows:
        await execute(_ADD_ROWS, *arrays(rows))
    if run_id is None:
        for miss in misses:  # one by one: whether something is lost depends on those before
            await _add_misses([miss], None, execute)


async def _add_misses(misses: Sequence[tuple[Found, Extract]], run_id: int | None, execute: Execute) -> None:
    """Before the rows are stored."""
    if not misses:
        return
    keys = [(*_key(page, one), page.url_id) for page, one in misses]
    before = {tuple(row) for row in await execute(_FOUND_BEFORE, int(run_id is not None), *arrays(keys))}
    await insert("extract_misses", [_miss(*pair, run_id, before) for pair in misses], execute, _SET_MISS)


def _miss(page: Found, one: Extract, run_id: int | None, before: Collection[Any]) -> dict[str, Any]:
    return {
        "part": page.part,
        "page_id": page.page_id,
        "rule": one.rule,
        "run_id": run_id,
        "found": len(one.rows),
        "lacking": as_json(one.lacking),
        "cut": int(one.cut),
        "lost": int(not one.rows and (page.page_id, one.rule) in before),
    }


async def _forget(
    again: Collection[tuple[int, int, str]], sound: Collection[tuple[int, int, str]], execute: Execute
) -> None:
    """The rows of what is read again, and that something was missing where nothing is any more."""
    if again:
        await execute(_FORGET_ROWS, *arrays(sorted(again)))
    if sound:
        await execute(_FORGET_MISSES, *arrays(sorted(sound)))


def _key(page: Found, one: Extract) -> tuple[int, int, str]:
    return page.part, page.page_id, one.rule
