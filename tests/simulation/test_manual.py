"""The manual's figures are what the simulator prints: those that take no time."""

from __future__ import annotations

from pathlib import Path

from crawler.storage.postgres.ownership import DEFAULT_LEASE_S
from tests.simulation import tables
from tests.simulation.capacity import Costs
from tests.simulation.tables import Setting
from tests.simulation.web import WebShape
from tests.simulation.worker import Pace

PAGE = (Path(__file__).parents[2] / "crawler/manual/machines.md").read_text(encoding="utf-8")


def setting(costs: Costs) -> Setting:
    return Setting(shape=WebShape(hosts=0), pace=Pace(), lease_s=DEFAULT_LEASE_S, costs=costs)


def test_the_manual_says_where_machines_end() -> None:
    for made in (tables.ends, tables.servers):
        assert made(setting(Costs())) in PAGE


def test_the_manual_has_the_plans_of_the_command_that_it_names() -> None:
    assert "plans\n--client-ms 4.4`" in PAGE
    assert tables.plans(setting(Costs(client_ms=4.4))) in PAGE
