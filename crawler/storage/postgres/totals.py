"""What several workers have counted, added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GREATEST = frozenset({"peak_rss_bytes", "elapsed_s"})


def added(figures: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers are added, also within mappings; of how long and how much memory, the greatest. The rest is `more`'s."""
    return {**figures, **{name: _sum(name, figures.get(name), value) for name, value in more.items()}}


def _sum(name: str, one: Any, other: Any) -> Any:
    if isinstance(other, Mapping):
        return added(one, other) if isinstance(one, Mapping) else other
    if not _is_number(one) or not _is_number(other):
        return other
    return max(one, other) if name in _GREATEST else one + other


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
