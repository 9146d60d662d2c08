"""The stores that the suite runs on. A new one adds its name, and how to make an empty place for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest


def _sqlite(folder: Path) -> Iterator[Path]:
    yield from (folder / f"crawl{number}.db" for number in count(1))


_STORES = {"sqlite": _sqlite}


@pytest.fixture(params=sorted(_STORES))
def new_location(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path]:
    """Gives a place where nothing is stored yet, another one each time."""
    return _STORES[request.param](tmp_path).__next__


@pytest.fixture
def location(new_location: Callable[[], Path]) -> Path:
    """A place where nothing is stored yet."""
    return new_location()
