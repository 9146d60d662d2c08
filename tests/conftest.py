"""What several kinds of tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.postgres.crawls import PARTS, create_crawl
from tests.postgres.server import Server, shared_server

settings.register_profile("untimed", deadline=None)  # machines are noisy, and the one that runs this may be busy
settings.load_profile("untimed")

# Bytecode is written even where the environment says otherwise: the tests start hundreds of interpreters, and without
# it each would compile the crawler, and each worker all of the tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which store the tests marked `any_store` run on; all others are left out for another than SQLite."""
    parser.addoption(
        "--store", choices=["sqlite", "postgres"], default="sqlite", help="that tests marked any_store use"
    )


def pytest_collection(session: pytest.Session) -> None:
    """Import all test modules, in each worker from another one on: what one has compiled, the others find compiled."""
    worker: dict[str, Any] | None = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    modules = sorted(Path(__file__).parent.glob("*/test_*.py"))
    first = len(modules) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for module in modules[first:] + modules[:first]:
        with suppress(Exception):  # pytest finds it, too, and reports it
            import_module(f"tests.{module.parent.name}.{module.stem}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about SQLite alone, where another store was asked for."""
    if config.getoption("store") == "sqlite":
        return
    seen = set[str]()
    left_out = [item for item in items if not _is_for_any_store(item) or _is_enough(item, seen)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_for_any_store(item: pytest.Item) -> bool:
    return item.get_closest_marker("any_store") is not None and item.get_closest_marker("sqlite") is None


def _is_enough(item: pytest.Item, seen: set[str]) -> bool:
    """Whether another case of this test has come before, and one is enough; `seen`: those that have."""
    name = item.nodeid.partition("[")[0]
    was_seen = name in seen
    seen.add(name)
    return was_seen and item.get_closest_marker("first_case") is not None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server, one for all processes that run the tests. Without one, the test fails."""
    folder = tmp_path_factory.getbasetemp()
    with shared_server(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) as server:
        yield server


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[str]:
    """The URL of a PostgreSQL database with nothing in it."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def crawl_template(postgres: Server) -> Iterator[str]:
    """The name of a database for `Server.database` to copy: of an empty crawl with few partitions."""
    with postgres.database() as url:
        create_crawl(url, PARTS)
        yield url.rpartition("/")[2]


@pytest.fixture
def crawl_database(postgres: Server, crawl_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with an empty crawl in few partitions."""
    with postgres.database(crawl_template) as url:
        yield url
