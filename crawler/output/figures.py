"""Numbers, sizes and times as people read them. Invariant: plain text without styles; nothing comes from the web."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.filesize import decimal

_UNITS = (("day", 86400.0), ("h", 3600.0), ("min", 60.0))


def amount(number: int) -> str:
    """1234567 -> '1,234,567'."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """'1 page', '2 pages'; `plural` where it is more than the noun with an 's'."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def lookups(sent: int, cache_hits: int) -> str:
    """'3 lookups, 1,167 cache hits'."""
    return f"{counted(sent, 'lookup')}, {counted(cache_hits, 'cache hit')}"


def rate(per_second: float) -> str:
    """'20.8/s'; from 100 on without the fraction: '1,204/s'."""
    return f"{per_second:,.1f}/s" if per_second < 100 else f"{per_second:,.0f}/s"


def size(number: int) -> str:
    """Bytes in decimal units: '8.1 MB'."""
    return decimal(number)


def stopwatch(seconds: float) -> str:
    """'00:15'; from an hour on '1:02:03'."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def span(seconds: float) -> str:
    """A duration for people: '0.8 s', '12 s', '4 min', '2 h', '3 days'."""
    for unit, length_s in _UNITS:
        if seconds >= length_s:
            number = round(seconds / length_s)
            return counted(number, unit) if unit == "day" else f"{number} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(0.0, seconds):.1f} s"


def moment(time_s: float, *, with_seconds: bool = False) -> str:
    """A time (Unix seconds) as a person's watch has it: '2026-11-28 05:10'. One that no calendar has, as it is."""
    try:
        local = datetime.fromtimestamp(time_s, tz=UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return str(time_s)
    return local.strftime("%Y-%m-%d %H:%M:%S" if with_seconds else "%Y-%m-%d %H:%M")
