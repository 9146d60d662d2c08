"""The units whose instructions are counted do what they say, also where nobody counts."""

from __future__ import annotations

import pytest

from tests.benchmarks.documents import document
from tests.benchmarks.instructions import has_grown, served
from tests.benchmarks.units import UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_can_be_done(unit: str) -> None:
    with served() as port:
        UNITS[unit](1, port)


def test_growth_of_over_3_percent_is_told() -> None:
    assert not has_grown(None, 1000)
    assert not has_grown(1000, 900)
    assert not has_grown(1000, 1030)
    assert has_grown(1000, 1031)


def test_the_documents_are_of_real_size_and_differ() -> None:
    assert 20_000 < len(document(1)) < 30_000
    assert document(1) != document(2)
    assert document(1) == document(1)
