"""A server that follows another one."""

from __future__ import annotations

import time

from tests.postgres.instance import Instance
from tests.postgres.sql import execute, rows


def a_synchronous_standby(primary: Instance) -> Instance:
    """Make and start one; from now on the primary's commits wait for it."""
    standby = primary.copied()
    standby.start()
    execute(primary.dsn(), "ALTER SYSTEM SET synchronous_standby_names = '*'")
    execute(primary.dsn(), "SELECT pg_reload_conf()")
    while rows(primary.dsn(), "SELECT sync_state FROM pg_stat_replication") not in ([("sync",)], [("quorum",)]):
        time.sleep(0.01)
    return standby
