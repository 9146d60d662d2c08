"""Counts what extraction rules find, as it is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from crawler.records import Extract, Result


def count_extracts(results: Iterable[Result], counts: dict[str, Counter[str]]) -> None:
    """See `count_extract`."""
    for result in results:
        page = result.page or result.reread
        if page is None or not page.extracts:
            continue
        for one in page.extracts:
            count_extract(one, counts)


def count_extract(one: Extract, counts: dict[str, Counter[str]]) -> None:
    """By rule: the `pages` that it is for, those without a row (`nothing`), those with an element that lacks something
    required (`incomplete`), those with more than is kept (`cut`), and the `rows`.
    """
    count = counts.setdefault(one.rule, Counter())
    count["pages"] += 1
    count["rows"] += len(one.rows)
    count["nothing"] += not one.rows
    count["incomplete"] += bool(one.lacking)
    count["cut"] += one.cut
