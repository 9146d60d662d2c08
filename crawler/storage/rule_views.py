"""The views of extraction rules: one for each, of its rows on the current pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crawler.extraction_rules import OWN_COLUMNS, Field, Rule, columns_of_field


def rule_view(rule: Rule, statement: str, expressions_of: Callable[[Field], Sequence[str]]) -> str:
    """The statement that makes its view. `statement` has places for `{name}`, `{columns}` and `{rule}`, and calls the
    tables u, f and e; `expressions_of` a field are the values of its columns, in a store's own words.
    """
    own = dict(zip(OWN_COLUMNS, ("u.url", "f.started_at", "e.n", "e.page_id"), strict=True))
    columns = {"url": own.pop("url")}
    for field in rule.fields:
        columns |= dict(zip(columns_of_field(field), expressions_of(field), strict=True))
    selected = ",\n    ".join(f"{what} AS {quoted(name)}" for name, what in (columns | own).items())
    return statement.format(name=quoted(rule.view), columns=selected, rule=rule.name)


def quoted(name: str) -> str:
    """A name in a statement, whatever it consists of."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
