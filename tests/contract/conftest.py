"""The stores that the suite runs on. A new one adds its name, and how to make an empty place for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.postgres.server import Server
from tests.stores import Location


def _sqlite(request: pytest.FixtureRequest) -> Iterator[Location]:
    folder: Path = request.getfixturevalue("tmp_path")
    yield from (folder / f"crawl{number}.db" for number in count(1))


def _postgres(request: pytest.FixtureRequest) -> Iterator[Location]:
    """Databases of few partitions; each is dropped when the next one is asked for."""
    server: Server = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("crawl_template")
    while True:
        with server.database(template) as url:
            yield url


_STORES = {"sqlite": _sqlite, "postgres": _postgres}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def new_location(request: pytest.FixtureRequest) -> Iterator[Callable[[], Location]]:
    """Gives a place where nothing is stored yet, another one each time."""
    places = _STORES[request.param](request)
    yield lambda: next(places)
    places.close()  # type: ignore[attr-defined]


@pytest.fixture
def location(new_location: Callable[[], Location]) -> Location:
    """A place where nothing is stored yet."""
    return new_location()
