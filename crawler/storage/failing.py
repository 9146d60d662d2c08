"""Which URLs fail though they responded before, counted: what a run and `crawler status` report, of any store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from crawler.records import FailingUrls

IS_FAILING = "failing_reason IS NOT NULL AND status IN ('fetched', 'redirected', 'gone')"  # as urls_failing has it

# By urls_failing; for the reasons, and for hosts, by the row of each URL as well.
_TOTAL = f"SELECT count(*), min(failing_since) FROM urls WHERE {IS_FAILING}"  # noqa: S608 - our own names
_REASONS = f"""
SELECT failing_reason, count(*) FROM urls WHERE {IS_FAILING} GROUP BY failing_reason ORDER BY count(*) DESC
"""  # noqa: S608 - our own names


async def failing_urls(read: Callable[[str], Awaitable[list[Any]]]) -> FailingUrls:
    """How many there are, since when, and why. `read` gives the rows of a statement."""
    ((urls, since),) = await read(_TOTAL)
    return FailingUrls(urls=urls, since=since, reasons=dict(await read(_REASONS)) if urls else {})
