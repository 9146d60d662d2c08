from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.content.written_values import date_of, number_of, price_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("-3.5 °C", -3.5),
        ("\u22123", -3),
        ("1,234", 1234),
        ("1.234", 1234),
        ("0.125", 0.125),
        ("12,5", 12.5),
        ("1234,567", 1234.567),
        ("1.234,50", 1234.5),
        ("1,234.50", 1234.5),
        ("1.234.567", 1234567),
        ("1 234,50", 1234.5),
        ("1\u202f234", 1234),
        ("1'234.50", 1234.5),
        ("₹1,00,000", 100000),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("about 12 30", 12),
        ("1.2.3 and 4", 4),
        ("none", None),
        ("", None),
        ("9" * 400, None),
    ],
)
def test_numbers(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_a_decimal_sign_that_is_known_decides() -> None:
    assert number_of("1.234", ".") == 1.234
    assert number_of("1,234", ",") == 1.234
    assert number_of("1.234", ",") == 1234


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("19,99 €", 19.99, "EUR"),
        ("EUR 1.299,00", 1299, "EUR"),
        ("£3", 3, "GBP"),
        ("US$ 1,299", 1299, "USD"),
        ("$5.00", 5, None),
        ("12 kr", 12, None),
        ("2 for 3,50 EUR", 3.5, "EUR"),
        ("was 20 now $15", 15, None),
        ("CHF 1'200.-", 1200, "CHF"),
        ("49 zł", 49, "PLN"),
        ("R$ 10,90", 10.9, "BRL"),
        ("HEUR 3", 3, None),
        ("7", 7, None),
    ],
)
def test_prices(text: str, amount: float, currency: str | None) -> None:
    assert price_of(text) == {"amount": amount, "currency": currency}


def test_the_currency_that_a_user_knows_stands_where_the_page_does_not_say() -> None:
    assert price_of("$5", currency="CAD") == {"amount": 5, "currency": "CAD"}
    assert price_of("5 EUR", currency="CAD") == {"amount": 5, "currency": "EUR"}


@given(cents=st.integers(0, 10**9), style=st.sampled_from(["{:,}.{:02}", "{:_},{:02}", "{}.{:02}", "{}.{:02}"]))
def test_a_price_is_what_was_written(cents: int, style: str) -> None:
    text = style.format(*divmod(cents, 100)).replace("_", ".")
    found = price_of(f"{text} EUR")
    assert found is not None
    assert round(found["amount"] * 100) == cents
    assert found["currency"] == "EUR"


@given(text=st.text(st.sampled_from("0123456789.,' -eE€$kr:/TZ\u00a0janmyKč\u0663"), max_size=30))
def test_any_text_gives_json_or_nothing(text: str) -> None:
    for found in (number_of(text), price_of(text), date_of(text)):
        assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2024-05-06", "2024-05-06"),
        ("20240506", "2024-05-06"),
        ("2024-05-06T10:11:12Z", "2024-05-06T10:11:12+00:00"),
        ("2024-05-06 10:11", "2024-05-06T10:11:00"),
        ("2024-05-06T10:11:12.345+0200", "2024-05-06T10:11:12+02:00"),
        ("Mon, 06 May 2024 10:11:12 GMT", "2024-05-06T10:11:12+00:00"),
        ("Published May 6, 2024 at 3:05 pm", "2024-05-06T15:05:00"),
        ("6th of May 2024", "2024-05-06"),
        ("Sept. 6, 2024", "2024-09-06"),
        ("6. März 2024", "2024-03-06"),
        ("1er janvier 2024", "2024-01-01"),
        ("2 de enero de 2024", "2024-01-02"),
        ("6 października 2024", "2024-10-06"),
        ("31.12.2024", "2024-12-31"),
        ("2024/5/6", "2024-05-06"),
        ("2024年5月6日", "2024-05-06"),
        ("13/4/2024", "2024-04-13"),
        ("4/13/2024", "2024-04-13"),
        ("5/5/2024", "2024-05-05"),
        ("3/4/2024", None),
        ("market 12, 2024", None),
        ("99/99/2024", None),
        ("31.02.2024", None),
        ("yesterday", None),
    ],
)
def test_dates(text: str, written: str | None) -> None:
    assert date_of(text) == written


def test_a_format_that_a_user_knows_comes_first() -> None:
    assert date_of("3/4/2024", ["%d/%m/%Y"]) == "2024-04-03"
    assert date_of("3/4/2024 5:06", ["%Y", "%m/%d/%Y %H:%M"]) == "2024-03-04T05:06:00"


@given(day=st.dates(date(1000, 1, 1)), style=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%b %d, %Y"]))
def test_a_date_is_what_was_written(day: date, style: str) -> None:
    assert date_of(f"on {day.strftime(style)}.") == day.isoformat()
