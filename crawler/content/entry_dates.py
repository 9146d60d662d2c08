"""The dates of sitemaps and feeds: W3C's and mail's. Pure, and the same in every time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from crawler.dates import unix_time

_MAX_CHARS = 100
_W3C_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)? ?([Zz]|[+-]\d\d(?::?\d\d)?)?)?)?)?",
    re.ASCII,
)


def entry_time(text: str) -> float | None:
    """Unix seconds of a W3C or RFC 5322 date (UTC if it has no zone); None for anything else, and before 1970."""
    if not text or len(text) > _MAX_CHARS:
        return None
    try:
        seconds = _w3c_time(match) if (match := _W3C_DATE.fullmatch(text)) else unix_time(text)
    except (ValueError, OverflowError):
        return None
    return None if seconds is None or seconds < 0 else seconds


def _w3c_time(match: re.Match[str]) -> float:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    moment = datetime(
        int(year),
        int(month or 1),
        int(day or 1),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        tzinfo=_zone(zone),
    )
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:].lstrip(":") or 0))
    return timezone(-offset if text[0] == "-" else offset)
