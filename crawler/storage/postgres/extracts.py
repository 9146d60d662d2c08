"""What extraction rules find, stored with its page, and the rules themselves, each with a view of its rows.

Invariants: the rows of a page are those of one reading of it; a view has the columns of the rule as it was used last.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from crawler.errors import UsageError
from crawler.extraction_rules import VIEW_PREFIX, Field, Rule, ValueType, columns_of_field
from crawler.records import Extract, Result
from crawler.storage.postgres.columns import arrays
from crawler.storage.postgres.transactions import Execute
from crawler.storage.rule_views import quoted, rule_view
from crawler.storage.values import as_json

_MAX_NAME_BYTES = 63  # of views and columns


class Found(NamedTuple):
    """What the rules that are for a page have given. `is_again`: the page's rows of before go."""

    part: int
    page_id: int
    url_id: int
    extracts: Sequence[Extract]
    is_again: bool


def found_by(
    results: Sequence[Result],
    parts: Sequence[int],
    ids: Sequence[int],
    page_ids: Sequence[int | None],
    stored: Sequence[int | None],
) -> list[Found]:
    """What rules have found on new pages (their versions are `page_ids`) and on those read again (`stored`), each of
    the partition of `parts`.
    """
    return [
        Found(part, page_id, url_id, page.extracts, is_again=new is None)
        for result, part, url_id, new, old in zip(results, parts, ids, page_ids, stored, strict=True)
        if (page := result.page or result.reread) is not None and page.extracts and (page_id := new or old) is not None
    ]


# Before the rows are stored: of the page itself, those of before count, where a crawl reads it again ($9).
_IS_EARLIER = "p.part = v.part AND p.url_id = v.url_id AND p.id < v.page_id + $9::int"
_ADD_MISSES = f"""
INSERT INTO extract_misses (part, page_id, rule, run_id, found, lacking, cut, lost)
SELECT part, page_id, rule, $8::int, found, lacking, cut, CASE WHEN found = 0 AND (
    EXISTS (
        SELECT 1 FROM pages AS p JOIN extracts AS e ON e.part = p.part AND e.page_id = p.id AND e.rule = v.rule
        WHERE {_IS_EARLIER}
    ) OR EXISTS (
        SELECT 1 FROM pages AS p JOIN extract_misses AS e ON e.part = p.part AND e.page_id = p.id AND e.rule = v.rule
        WHERE {_IS_EARLIER} AND e.lost = 1
    )
) THEN 1 ELSE 0 END
FROM unnest($1::int[], $2::bigint[], $3::text[], $4::bigint[], $5::int[], $6::text[], $7::smallint[])
    AS v (part, page_id, rule, url_id, found, lacking, cut)
ON CONFLICT (part, page_id, rule) DO UPDATE SET
    run_id = excluded.run_id, found = excluded.found, lacking = excluded.lacking, cut = excluded.cut,
    lost = excluded.lost
"""  # noqa: S608 - our own names
_FORGET = """
DELETE FROM {} AS e USING unnest($1::int[], $2::bigint[], $3::text[]) AS v (part, page_id, rule)
WHERE e.part = v.part AND e.page_id = v.page_id AND e.rule = v.rule
"""
_FORGET_ROWS, _FORGET_MISSES = _FORGET.format("extracts"), _FORGET.format("extract_misses")
# Of these versions, $2, by these rules.
FORGET_OF_PAGES = tuple(
    f"DELETE FROM {table} WHERE part = $1 AND page_id = ANY($2::bigint[]) AND rule = ANY($3::text[])"  # noqa: S608
    for table in ("extracts", "extract_misses")
)
_ADD_ROWS = """
INSERT INTO extracts (part, page_id, rule, n, data)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::int[], $5::text[])
"""


async def store_extracts(found: Sequence[Found], run_id: int | None, execute: Execute) -> None:
    """In the transaction of their pages. `run_id` None: what is stored is read again, outside of a run, each version
    behind those before it.
    """
    each = [(page, one) for page in found for one in page.extracts]
    rows = [
        (page.part, page.page_id, one.rule, n, as_json(row))
        for page, one in each
        for n, row in enumerate(one.rows, start=1)
    ]
    misses = [
        (page.part, page.page_id, one.rule, page.url_id, len(one.rows), as_json(one.lacking), int(one.cut))
        for page, one in each
        if not one.rows or one.lacking or one.cut
    ]
    if run_id is not None:
        await _add_misses(misses, run_id, execute)
        again = {(page.part, page.page_id, one.rule) for page, one in each if page.is_again}
        await _forget(again, again - {miss[:3] for miss in misses}, execute)
    if rows:
        await execute(_ADD_ROWS, *arrays(rows))
    if run_id is None:
        for miss in misses:  # one by one: whether something is lost depends on those before
            await _add_misses([miss], None, execute)


async def _add_misses(misses: Sequence[Sequence[Any]], run_id: int | None, execute: Execute) -> None:
    if misses:
        await execute(_ADD_MISSES, *arrays(misses), run_id, int(run_id is not None))


async def _forget(
    again: Collection[tuple[int, int, str]], sound: Collection[tuple[int, int, str]], execute: Execute
) -> None:
    """The rows of what is read again, and that something was missing where nothing is any more."""
    if again:
        await execute(_FORGET_ROWS, *arrays(sorted(again)))
    if sound:
        await execute(_FORGET_MISSES, *arrays(sorted(sound)))


# --- the rules --------------------------------------------------------------------------------------------------------

_SET_RULE = """
INSERT INTO extraction_rules (name, definition) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET definition = excluded.definition
"""
# All versions that are stored, in each partition that has some.
_FORGET_READ = """
INSERT INTO extraction_reads (part, rule, read_upto, unread_upto)
SELECT p.part, $1::text, -1, last.id FROM parts AS p CROSS JOIN LATERAL (
    SELECT id FROM pages WHERE pages.part = p.part ORDER BY id DESC LIMIT 1
) AS last
ON CONFLICT (part, rule) DO UPDATE SET read_upto = excluded.read_upto, unread_upto = excluded.unread_upto
"""

# Each is a search by the pages' ids.
UNREAD = """
SELECT r.rule, count(*) FROM extraction_reads AS r
JOIN pages AS p ON p.part = r.part AND p.id > r.read_upto AND p.id <= r.unread_upto
WHERE r.unread_upto > r.read_upto GROUP BY r.rule
"""
LOST = "SELECT rule, count(*) FROM extract_misses WHERE run_id = $1 AND lost = 1 GROUP BY rule"


async def set_rules(rules: Sequence[Rule], execute: Execute, *, again: bool = False) -> None:
    """From now on pages are read by these. What is new or has changed has a new view, and has read no stored page;
    `again`: nor has any other.
    """
    stored = {row[0]: row[1] for row in await execute("SELECT name, definition FROM extraction_rules")}
    for rule in rules:
        _check_names(rule)
        definition = json.dumps(rule.data)
        if stored.get(rule.name) != definition:
            await execute(_SET_RULE, rule.name, definition)
            await execute(_FORGET_READ, rule.name)
            await execute(f"DROP VIEW IF EXISTS {quoted(rule.view)}")
            await execute(view_of(rule))
        elif again:
            await execute(_FORGET_READ, rule.name)


def _check_names(rule: Rule) -> None:
    """The server would cut what is longer, and take two names for one."""
    for name in (rule.view, *(column for field in rule.fields for column in columns_of_field(field))):
        if len(name.encode()) > _MAX_NAME_BYTES:
            raise UsageError(
                f"extraction rule {rule.name}: the name {name} is too long for PostgreSQL, which takes"
                f" {_MAX_NAME_BYTES} bytes; shorten it"
            )


async def drop_rule(name: str, execute: Execute) -> None:
    """Forget a rule, its rows and its view."""
    for table in ("extracts", "extract_misses", "extraction_reads"):
        await execute(f"DELETE FROM {table} WHERE rule = $1", name)  # noqa: S608 - our own names
    await execute("DELETE FROM extraction_rules WHERE name = $1", name)
    await execute(f"DROP VIEW IF EXISTS {quoted(VIEW_PREFIX + name)}")


def view_of(rule: Rule) -> str:
    """The statement that makes its view: the rows of the current pages, a column for each field."""
    return rule_view(rule, _VIEW, _expressions)


# What the extraction rule of this name finds on the current pages; earlier versions have their rows in `extracts`.
_VIEW = """CREATE VIEW {name} AS
SELECT
    {columns}
FROM extracts AS e JOIN pages AS p ON p.part = e.part AND p.id = e.page_id
    JOIN urls AS u ON u.part = p.part AND u.host_id = p.host_id AND u.id = p.url_id AND u.page_id = p.id
    JOIN fetches AS f ON f.part = p.part AND f.id = p.fetch_id
WHERE e.rule = '{rule}' AND u.status IN ('fetched', 'failed', 'pending')"""


def _expressions(field: Field) -> Sequence[str]:
    value = f"e.data::json -> '{field.name}'"
    if field.type is ValueType.PRICE and not field.is_list:
        return [f"({value} ->> 'amount')::double precision", f"{value} ->> 'currency'"]
    text = f"e.data::json ->> '{field.name}'"
    return [f"({text})::double precision" if field.type is ValueType.NUMBER and not field.is_list else text]
