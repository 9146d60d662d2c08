"""What extraction rules find, stored with its page, and the rules themselves, each with a view of its rows.

Invariants: the rows of a page are those of one reading of it; a view has the columns of the rule as it was used last.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from crawler.extraction_rules import VIEW_PREFIX, Field, Rule, ValueType
from crawler.records import Extract, Result
from crawler.storage.rule_views import quoted, rule_view
from crawler.storage.sqlite.columns import Execute, JsonStatement
from crawler.storage.values import as_json


class Found(NamedTuple):
    """What the rules that are for a page have given. `is_again`: the page's rows of before go."""

    page_id: int
    url_id: int
    extracts: Sequence[Extract]
    is_again: bool


def found_by(
    results: Sequence[Result], ids: Sequence[int], page_ids: Sequence[int | None], stored: Sequence[int | None]
) -> list[Found]:
    """What rules have found on new pages (their versions are `page_ids`) and on those read again (`stored`)."""
    return [
        Found(page_id, url_id, page.extracts, is_again=new is None)
        for result, url_id, new, old in zip(results, ids, page_ids, stored, strict=True)
        if (page := result.page or result.reread) is not None and page.extracts and (page_id := new or old) is not None
    ]


# Before the rows are stored: of the page itself, those of before count, where a crawl reads it again (?3).
_ADD_MISSES = JsonStatement(
    """
INSERT OR REPLACE INTO extract_misses (page_id, rule, run_id, found, lacking, cut, lost)
SELECT {page_id}, {rule}, ?2, {found}, {lacking}, {cut}, {found} = 0 AND (
    EXISTS (
        SELECT 1 FROM pages AS p CROSS JOIN extracts AS e ON e.page_id = p.id AND e.rule = {rule}
        WHERE p.url_id = {url_id} AND p.id < {page_id} + ?3
    ) OR EXISTS (
        SELECT 1 FROM pages AS p CROSS JOIN extract_misses AS e ON e.page_id = p.id AND e.rule = {rule}
        WHERE p.url_id = {url_id} AND p.id < {page_id} + ?3 AND e.lost
    )
)
FROM json_each(?1) AS v
""",
    "page_id",
    "rule",
    "url_id",
    "found",
    "lacking",
    "cut",
)
_PAIR = ("page_id", "rule")
_THESE = "WHERE (page_id, rule) IN (SELECT {page_id}, {rule} FROM json_each(?1) AS v)"
_FORGET_ROWS = JsonStatement(f"DELETE FROM extracts {_THESE}", *_PAIR)  # noqa: S608 - our own names
_FORGET_MISSES = JsonStatement(f"DELETE FROM extract_misses {_THESE}", *_PAIR)  # noqa: S608 - our own names
_ADD_ROWS = JsonStatement(
    "INSERT INTO extracts (page_id, rule, n, data) SELECT {page_id}, {rule}, {n}, {data} FROM json_each(?1) AS v",
    *_PAIR,
    "n",
    "data",
)


async def store_extracts(found: Sequence[Found], run_id: int | None, execute: Execute) -> None:
    """In the transaction of their pages. `run_id` None: what is stored is read again, outside of a run, each version
    behind those before it.
    """
    each = [(page, one) for page in found for one in page.extracts]
    rows = [(page.page_id, one.rule, n, as_json(row)) for page, one in each for n, row in enumerate(one.rows, start=1)]
    misses = [
        (page.page_id, one.rule, page.url_id, len(one.rows), as_json(one.lacking), one.cut)
        for page, one in each
        if not one.rows or one.lacking or one.cut
    ]
    if run_id is not None:
        await _add_misses(misses, run_id, execute)
        again = {(page.page_id, one.rule) for page, one in each if page.is_again}
        await _forget(again, again - {(page_id, rule) for page_id, rule, *_rest in misses}, execute)
    if rows:
        await execute(_ADD_ROWS.sql, as_json(rows))
    if run_id is None:
        for miss in misses:  # one by one: whether something is lost depends on those before
            await _add_misses([miss], None, execute)


async def _add_misses(misses: Sequence[Sequence[Any]], run_id: int | None, execute: Execute) -> None:
    if misses:
        await execute(_ADD_MISSES.sql, as_json(misses), run_id, run_id is not None)


async def _forget(again: Collection[tuple[int, str]], sound: Collection[tuple[int, str]], execute: Execute) -> None:
    """The rows of what is read again, and that something was missing where nothing is any more."""
    if again:
        await execute(_FORGET_ROWS.sql, as_json(list(again)))
    if sound:
        await execute(_FORGET_MISSES.sql, as_json(list(sound)))


# --- the rules --------------------------------------------------------------------------------------------------------

_SET_RULE = """
INSERT INTO extraction_rules (name, definition, unread_upto) VALUES (?1, ?2, (SELECT coalesce(max(id), 0) FROM pages))
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, read_upto = 0, unread_upto = excluded.unread_upto
"""


_FORGET_READ = "UPDATE extraction_rules SET read_upto = 0, unread_upto = (SELECT coalesce(max(id), 0) FROM pages)"


async def drop_rule(name: str, execute: Execute) -> None:
    """Forget a rule, its rows and its view."""
    for table, column in (("extracts", "rule"), ("extract_misses", "rule"), ("extraction_rules", "name")):
        await execute(f"DELETE FROM {table} WHERE {column} = ?", name)  # noqa: S608 - our own names
    await execute(f"DROP VIEW IF EXISTS {quoted(VIEW_PREFIX + name)}")


async def set_rules(rules: Sequence[Rule], execute: Execute, *, again: bool = False) -> None:
    """From now on pages are read by these. What is new or has changed has a new view, and has read no stored page;
    `again`: nor has any other.
    """
    stored = dict(await execute("SELECT name, definition FROM extraction_rules"))
    for rule in rules:
        definition = json.dumps(rule.data)
        if stored.get(rule.name) != definition:
            await execute(_SET_RULE, rule.name, definition)
            await execute(f"DROP VIEW IF EXISTS {quoted(rule.view)}")
            await execute(view_of(rule))
        elif again:
            await execute(f"{_FORGET_READ} WHERE name = ?", rule.name)


# Each is a search by the pages' ids. (A count of all pages up to an id takes 0.1 s a million.)
UNREAD = """
SELECT name, (SELECT count(*) FROM pages WHERE id > read_upto AND id <= unread_upto) FROM extraction_rules
WHERE unread_upto > read_upto
"""
LOST = "SELECT rule, count(*) FROM extract_misses WHERE run_id = ? AND lost GROUP BY rule"


def view_of(rule: Rule) -> str:
    """The statement that makes its view: the rows of the current pages, a column for each field."""
    return rule_view(rule, _VIEW, _expressions)


_VIEW = """CREATE VIEW {name} AS
-- What the extraction rule of this name finds on the current pages; earlier versions have their rows in `extracts`.
SELECT
    {columns}
FROM extracts AS e CROSS JOIN pages AS p ON p.id = e.page_id
    CROSS JOIN urls AS u ON u.id = p.url_id AND u.page_id = p.id CROSS JOIN fetches AS f ON f.id = p.fetch_id
WHERE e.rule = '{rule}' AND u.status IN ('fetched', 'failed', 'pending')"""


def _expressions(field: Field) -> Sequence[str]:
    path = f"'$.\"{field.name}\"'"
    if field.type is ValueType.PRICE and not field.is_list:
        parts = (f"'$.\"{field.name}\".{part}'" for part in ("amount", "currency"))
        return [f"json_extract(e.data, {part})" for part in parts]
    return [f"json_extract(e.data, {path})"]
