"""Numbers, prices and dates as people write them, for programs. Pure.

What is ambiguous has a rule that is said, or no value: never a guess by chance. Invariant: what a function returns is
JSON, and equal for equal input, whatever the system's language and time zone.

Written here rather than taken from a library. On the 1,185 examples of price-parser's own tests, its amounts are those
of the table in 1,078 cases, these in 1,079; but it gives the currency as it is written ('$', 'Rs.'). dateparser takes
milliseconds, and guesses the order of day and month by the language that it guesses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

MAX_CHARS = 1_000  # of a text that is looked through

_SPACES = "\\s\u00a0\u2007\u2009\u202f"
_NUMBER = re.compile(
    rf"(?P<sign>[-\u2212\u2013](?=[{_SPACES}]?[\d.,]))?"
    rf"(?P<digits>\d+(?:[{_SPACES}.,'\u2019\u066b\u066c]\d+)*|[.,]\d+)(?P<power>[eE][+-]?\d{{1,3}}(?![\w]))?",
    re.ASCII,
)
_SPACED = re.compile(rf"\d{{1,3}}(?:[{_SPACES}'\u2019]\d{{3}})+(?![0-9])", re.ASCII)


def number_of(text: str, decimal: str | None = None) -> int | float | None:
    """The first number in a text; None if there is none. `decimal` is the decimal sign, where that is known.

    Where it is not: of two different signs the last is the decimal one (1.234,50); one that occurs twice separates
    thousands (1.234.567); one before exactly three digits does, too (1,234), unless nothing but zeros stands before it
    (0.125); any other is the decimal sign (12.5, 1234,5). Spaces and apostrophes separate groups of three digits.
    """
    numbers = (_number(found, decimal) for found in _NUMBER.finditer(text[:MAX_CHARS]))
    return next((number for number in numbers if number is not None), None)


def _number(found: re.Match[str], decimal: str | None) -> int | float | None:
    """None for what is no number, such as 1.2.3."""
    digits = found["digits"]
    if grouped := _SPACED.match(digits):  # 1 234,50, but not 12 30
        digits = re.sub(rf"[{_SPACES}'\u2019]", "", digits[: grouped.end()]) + digits[grouped.end() :]
    digits = re.split(rf"[{_SPACES}'\u2019]", digits)[0].translate(_ARABIC_SIGNS)
    whole, point, fraction = digits.rpartition(_decimal_sign(digits) if decimal is None else decimal)
    if not point:
        whole, fraction = fraction, ""
    if not _WHOLE.fullmatch(whole) or "." in fraction or "," in fraction:
        return None
    plain = ("-" if found["sign"] else "") + (re.sub("[.,]", "", whole) or "0")
    if not (fraction or found["power"]):
        return int(plain) if len(plain) <= _MAX_DIGITS else None
    value = float(f"{plain}.{fraction or '0'}{found['power'] or ''}")
    return value if abs(value) < _LARGEST else None


_WHOLE = re.compile(
    r"\d*|\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,3}(?:\.\d{2,3})*\.\d{3}", re.ASCII
)  # also India's groups of two
_ARABIC_SIGNS = {0x066B: ".", 0x066C: ","}
_MAX_DIGITS = 18  # of an integer that a database can hold
_LARGEST = 1e300


def _decimal_sign(digits: str) -> str:
    """'.', ',' or '\\0' where there is none."""
    signs = [sign for sign in digits if sign in ".,"]
    if not signs:
        return "\0"
    last = signs[-1]
    if len(set(signs)) > 1:
        return last if signs.count(last) == 1 else "\0"
    if len(signs) > 1:
        return "\0"
    whole, _sign, fraction = digits.partition(last)
    return "\0" if len(fraction) == 3 and 0 < len(whole) <= 3 and whole.strip("0") else last


# --- prices -----------------------------------------------------------------------------------------------------------

_CODES = """
AED ARS AUD BAM BDT BGN BHD BRL CAD CHF CLP CNY COP CZK DKK DZD EGP EUR GBP GEL GHS HKD HRK HUF IDR ILS INR IQD ISK JOD
JPY KES KRW KWD KZT LBP LKR MAD MKD MXN MYR NGN NOK NZD OMR PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TND TRY TWD
UAH USD UYU VND ZAR
"""
_SIGNS = {  # those that stand for one currency; the longer ones first, since '$' is in some of them
    "US$": "USD",
    "U$S": "USD",
    "CA$": "CAD",
    "C$": "CAD",
    "AU$": "AUD",
    "A$": "AUD",
    "NZ$": "NZD",
    "HK$": "HKD",
    "S$": "SGD",
    "NT$": "TWD",
    "R$": "BRL",
    "MX$": "MXN",
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₽": "RUB",
    "₺": "TRY",
    "₩": "KRW",
    "₪": "ILS",
    "₫": "VND",
    "₴": "UAH",
    "₦": "NGN",
    "₱": "PHP",
    "₸": "KZT",
    "฿": "THB",
    "zł": "PLN",
    "Kč": "CZK",
    "Fr.": "CHF",
    "лв": "BGN",
    "руб": "RUB",
    "грн": "UAH",
    "円": "JPY",
    "元": "CNY",
    "원": "KRW",
    "Ft": "HUF",
    "euros": "EUR",
    "euro": "EUR",
}
_CURRENCY = re.compile("|".join([rf"(?<![A-Za-z])(?:{'|'.join(_CODES.split())})(?![A-Za-z])", *map(re.escape, _SIGNS)]))


def price_of(text: str, decimal: str | None = None, currency: str | None = None) -> dict[str, Any] | None:
    """{"amount": ..., "currency": ...} of the first price in a text; None if no number is in it.

    The currency is the code that stands next to the number, or that of a sign that means one currency; otherwise (`$`,
    `¥`, `kr` mean several) `currency`, or None. Where a text has several numbers, the first with a currency counts.
    """
    text = text[:MAX_CHARS]
    plain = None
    for found in _NUMBER.finditer(text):
        amount = _number(found, decimal)
        if amount is None:
            continue
        code = _currency_beside(text, found)
        if code is not None or _is_dollar(text, found):
            return {"amount": amount, "currency": code or currency}
        plain = plain or {"amount": amount, "currency": currency}
    return plain


def _currency_beside(text: str, number: re.Match[str]) -> str | None:
    """The code of what stands right before a number, or right behind it."""
    before, behind = text[max(0, number.start() - 12) : number.start()], text[number.end() : number.end() + 12]
    last = next(iter([*_CURRENCY.finditer(before)][-1:]), None)
    if last is not None and not before[last.end() :].strip(" \u00a0\u202f.:-"):
        return _code(last[0])
    following = _CURRENCY.search(behind)
    if following is not None and not behind[: following.start()].strip(" \u00a0\u202f,-\u2013\u2014"):
        return _code(following[0])
    return None


def _is_dollar(text: str, number: re.Match[str]) -> bool:
    """Whether a sign stands there that means several currencies."""
    before, behind = text[: number.start()].rstrip(), text[number.end() :].lstrip()
    return before.endswith(_AMBIGUOUS) or behind.startswith(_AMBIGUOUS)


_AMBIGUOUS = ("$", "¥", "￥", "kr", "Kr", "Rs", "Rs.", "Fr")


def _code(written: str) -> str:
    return _SIGNS.get(written, written)


# --- dates ------------------------------------------------------------------------------------------------------------

_ISO = re.compile(
    r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,]\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?(?!\d)",
    re.ASCII,
)
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[/.年]\s?(\d{1,2})[/.月]\s?(\d{1,2})(?!\d)", re.ASCII)
_DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)", re.ASCII)
_SLASHED = re.compile(r"(?<!\d)(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?!\d)", re.ASCII)
_TIME = re.compile(r"[\s,T(-]*(?:at|um|à|a las)?\s*(\d{1,2}):(\d\d)(?::(\d\d))?\s*([AaPp]\.?[Mm]\b\.?)?", re.ASCII)
_ZONE = re.compile(r"\s*(?:(GMT|UTC|Z)\b|(?:GMT|UTC)?([+-]\d\d):?(\d\d))", re.ASCII)

# English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Polish (genitive).
_MONTHS = (
    "january januar janvier enero gennaio janeiro januari stycznia",
    "february februar février fevrier febrero febbraio fevereiro februari lutego",
    "march märz maerz mars marzo março maart marca mrz mrt",
    "april avril abril aprile kwietnia",
    "may mai mayo maggio maio mei maj maja",
    "june juni juin junio giugno junho czerwca",
    "july juli juillet julio luglio julho lipca",
    "august août aout agosto augustus augusti sierpnia",
    "september septembre septiembre settembre setembro września",
    "october oktober octobre octubre ottobre outubro października",
    "november novembre noviembre novembro listopada",
    "december dezember décembre decembre diciembre dicembre dezembro grudnia",
)


def _abbreviations() -> dict[str, int]:
    """Each beginning of a month's name of three letters or more that is that of one month only."""
    months: dict[str, set[int]] = {}
    for month, names in enumerate(_MONTHS, start=1):
        for name in names.split():
            for length in range(3, len(name) + 1):
                months.setdefault(name[:length], set()).add(month)
    return {start: one.pop() for start, one in months.items() if len(one) == 1}


_MONTH_OF = _abbreviations()
_NAMED = re.compile(
    r"(?<!\w)(?:(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.|º)?(?:\s+(?:de|of))?[\s-]+(?P<month>[^\W\d_]{3,12})\.?,?"
    r"(?:\s+(?:de|del))?[\s-]+(?P<year>\d{4})"
    r"|(?P<month2>[^\W\d_]{3,12})\.?\s+(?P<day2>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year2>\d{4}))(?!\d)"
)


def date_of(text: str, formats: Sequence[str] = ()) -> str | None:
    """ISO 8601 of the first date in a text: 2026-11-28, with a time and a zone only where these are written
    (2026-11-28T14:05:00+01:00); None if there is none.

    `formats` (as `strptime` has them, for the whole text) are tried first. Otherwise read are ISO 8601, RFC 9110, names
    of months in nine languages of Europe, year/month/day, day.month.year. 3/4/2026 and 3-4-2026 are none: who knows
    their order gives a format; 13/4/2026 has but one meaning.
    """
    text = " ".join(text[:MAX_CHARS].split())
    for one in formats:
        if (moment := _by_format(text, one)) is not None:
            return moment
    found = [match for match in (_iso(text), _in_figures(text), _in_words(text)) if match is not None]
    return min(found)[1] if found else None  # the first that stands there


def _by_format(text: str, wanted: str) -> str | None:
    try:
        moment = datetime.strptime(text, wanted)
    except ValueError:
        return None
    has_time = any(one in wanted for one in ("%H", "%I", "%X", "%c", "%T", "%R"))
    return moment.isoformat() if has_time else moment.date().isoformat()


def _iso(text: str) -> tuple[int, str] | None:
    for found in _ISO.finditer(text):
        year, month, day, hour, minute, second, zone = found.groups()
        if (written := _day(year, month, day)) is None:
            continue
        if hour is None or int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
            return found.start(), written
        offset = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}" if zone else ""
        return found.start(), f"{written}T{hour}:{minute}:{second or '00'}{offset}"
    return None


def _in_figures(text: str) -> tuple[int, str] | None:
    if (found := _YEAR_FIRST.search(text)) and (written := _day(*found.groups())):
        return found.start(), _with_time(written, text, found.end())
    if (found := _DAY_FIRST.search(text)) and (written := _day(found[3], found[2], found[1])):
        return found.start(), _with_time(written, text, found.end())
    for found in _SLASHED.finditer(text):
        first, second = int(found[1]), int(found[3])
        if first > 12 or first == second:
            written = _day(found[4], second, first)
        else:
            written = _day(found[4], first, second) if second > 12 else None
        if written is not None:
            return found.start(), _with_time(written, text, found.end())
    return None


def _in_words(text: str) -> tuple[int, str] | None:
    for found in _NAMED.finditer(text):
        month = _MONTH_OF.get((found["month"] or found["month2"]).lower())
        written = None if month is None else _day(found["year"] or found["year2"], month, found["day"] or found["day2"])
        if written is not None:
            return found.start(), _with_time(written, text, found.end())
    return None


def _day(year: str | int, month: str | int, day: str | int) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat() if int(year) >= 1000 else None
    except ValueError:
        return None


def _with_time(written: str, text: str, end: int) -> str:
    """With the time that stands behind a day, if one does."""
    found = _TIME.match(text, end)
    if found is None:
        return written
    hour, half = int(found[1]), (found[4] or "").lower().replace(".", "")
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    if hour > 23 or int(found[2]) > 59 or int(found[3] or 0) > 59:
        return written
    zone = _ZONE.match(text, found.end())
    offset = "" if zone is None else "+00:00" if zone[1] else f"{zone[2]}:{zone[3]}"
    return f"{written}T{hour:02}:{found[2]}:{found[3] or '00'}{offset}"
