"""Dates as HTTP and mail write them (RFC 9110, 5.6.7; RFC 5322, 3.3). Pure, and the same in every time zone."""

from __future__ import annotations

from datetime import UTC


def unix_time(text: str) -> float | None:
    """Unix seconds; None if `text` is not a date. A date without a zone ('-0000', or C's asctime) is in UTC."""
    from email.utils import parsedate_to_datetime  # takes 8 ms, and few pages have such dates

    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):  # what garbage raises differs between versions of Python
        return None
