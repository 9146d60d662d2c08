"""The views of extraction rules, which each database has of its own, as `crawler list` has views."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crawler.archive.listing import Listing, listing_of
from crawler.errors import UsageError
from crawler.extraction_rules import VIEW_PREFIX, Rule, columns_of_field
from crawler.rule_tables import read_rules
from crawler.storage.sqlite.views import View

if TYPE_CHECKING:
    from crawler.archive.reading import Reader

_SHOWN = 5  # columns of fields that people see


async def any_listing_of(word: str, reader: Reader) -> Listing:
    """As `listing_of`; also the view of a rule, named extract_NAME or by the rule's name. Raises `UsageError`."""
    try:
        return listing_of(word)
    except UsageError:
        name = word.strip().lower().replace("-", "_").removeprefix(VIEW_PREFIX)
        rows = await reader.fetch("SELECT definition FROM extraction_rules WHERE name = ?", name)
        if not rows:
            raise
        (rule,) = read_rules([json.loads(rows[0][0])])
        return _listing(rule)


async def listings_of_rules(reader: Reader) -> list[Listing]:
    """The views of all rules that were ever used, by name."""
    rows = await reader.fetch("SELECT definition FROM extraction_rules ORDER BY name")
    return [_listing(rule) for rule in read_rules([json.loads(definition) for (definition,) in rows])]


def _listing(rule: Rule) -> Listing:
    fields = {column: f"the field {field.name}" for field in rule.fields for column in columns_of_field(field)}
    columns = {
        "url": "the page",
        **fields,
        "seen_at": "when this version was first seen (Unix seconds)",
        "n": "from 1, in the order of the page",
        "page_id": "the version",
    }
    view = View(name=rule.view, description=f"What the extraction rule {rule.name} finds.", columns=columns, sql="")
    shown = ("url", *list(fields)[:_SHOWN])
    return Listing(name=rule.view, aliases=(rule.name,), shown=shown, about="url", own_view=view)
