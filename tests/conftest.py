"""What several kinds of tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres.server import Server, shared_server

settings.register_profile("untimed", deadline=None)  # machines are noisy, and the one that runs this may be busy
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server, one for all processes that run the tests. Without one, the test fails."""
    folder = tmp_path_factory.getbasetemp()
    with shared_server(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) as server:
        yield server


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[str]:
    """The URL of a PostgreSQL database with nothing in it."""
    url = postgres.new_database()
    yield url
    postgres.drop(url)
