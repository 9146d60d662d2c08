"""What the harness does to servers does what it is meant to."""

from __future__ import annotations

import pytest

from tests.postgres.instance import an_instance
from tests.postgres.sql import execute, rows
from tests.postgres.standby import a_synchronous_standby


@pytest.mark.thorough
def test_a_standby_has_what_was_committed_when_the_primary_was_lost() -> None:
    with an_instance() as primary:
        primary.create()
        primary.start()
        standby = a_synchronous_standby(primary)
        execute(primary.dsn(), "CREATE TABLE t AS SELECT 1 AS a")
        primary.kill()
        standby.promote()
        assert rows(standby.dsn(), "SELECT a FROM t") == [(1,)]
        both = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://crawl@{both}/postgres?target_session_attrs=primary"
        assert execute(url, "INSERT INTO t VALUES (2)") == 1


@pytest.mark.thorough
def test_a_server_that_crashed_has_what_was_committed() -> None:
    with an_instance() as server:
        server.create()
        server.start()
        execute(server.dsn(), "CREATE TABLE t AS SELECT 1 AS a")
        server.stop("immediate")
        server.start()
        assert rows(server.dsn(), "SELECT a FROM t") == [(1,)]
