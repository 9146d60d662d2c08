"""What the stored options of a run say to the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crawler.records import EndReason

_WHAT_AGAIN = ("max_age_s", "retry_failed")


def limits_of(options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Those that a run counts towards: a killed one is resumed only under the same."""
    return options["scope"]["max_pages"], options.get("run", {}).get("max_requests")


def still_to_do(options: dict[str, Any], end_reason: str | None) -> dict[str, Any]:
    """The options without `--max-age` and `--retry-failed` if the run came to its end: it has done what they ask."""
    if end_reason in (EndReason.COMPLETE, EndReason.WAITING):
        for name in _WHAT_AGAIN:
            options.get("recrawl", {}).pop(name, None)
    return options
