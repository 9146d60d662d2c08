"""What `crawler plan` foretells against what then happens: requests within a tenth, hours within 15 %."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crawler.archive.plan import read_plan
from crawler.fakeweb import FakeWeb
from crawler.host_settings import HostSettings
from crawler.output.forecasts import Forecast, foretold
from tests.frontier.crawls import DAY_S, NIGHT, a_site, config_of, crawled, rows

AT = NIGHT + 3 * DAY_S


@dataclass(frozen=True)
class Case:
    """A web, the options with which it is crawled, and what becomes of the database before the next run."""

    web: FakeWeb
    options: dict[str, Any]
    prepare: Callable[[Path], None] = lambda _db: None
    first: dict[str, Any] = field(default_factory=dict)  # other options of the first run


def one_site() -> Case:
    """A delay, pages of which half are due, and one request each second."""
    web = FakeWeb()
    a_site(web, "a.test", 300, delay_s=0.2)
    later = f"UPDATE urls SET revisit_at = {AT + DAY_S} WHERE id % 2 AND seed = 0"
    return Case(web, {"delay_s": 1.0}, lambda db: change(db, later))


def several_sites() -> Case:
    """Of many sizes, of which one asks for a Crawl-delay, one has settings of its own, and one takes long; a part of
    each was left by a first run that had too little time.
    """
    web = FakeWeb()
    a_site(web, "large.test", 120)
    a_site(web, "small.test", 10)
    a_site(web, "delays.test", 40).robots("User-agent: *\nCrawl-delay: 7\n")
    a_site(web, "own.test", 60)
    a_site(web, "slow.test", 30, delay_s=6.0)
    hosts = (HostSettings(match="own.test", delay_s=3.0), HostSettings(match="large.test", per_host=1))
    return Case(web, {"delay_s": 1.0, "hosts": hosts}, first={"max_runtime_s": 100.0})


def many_sites() -> Case:
    """No delay: workers and slots are what is short; and one host had been slowed down."""
    web = FakeWeb()
    for number in range(30):
        a_site(web, f"h{number:02}.test", 5 + 2 * number, delay_s=0.5)
    slowed = "UPDATE hosts SET pace_s = 8 WHERE name = 'h20.test'"
    return Case(web, {"delay_s": 0.0, "per_host": 2, "concurrency": 8}, lambda db: change(db, slowed))


def change(db: Path, sql: str) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute(sql)


def planned(db: Path, **options: Any) -> Forecast:
    config = config_of(db, **options)
    return foretold(asyncio.run(read_plan(db, config, AT)), config)


CASES = {"one site": one_site, "several sites": several_sites, "many sites": many_sites}


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("limit", ["none", "requests", "time"])
def test_what_is_foretold_happens(tmp_path: Path, name: str, limit: str) -> None:
    case, db = CASES[name](), tmp_path / "crawl.db"
    crawled(case.web, db, *(f"http://{host}/" for host in case.web.sites), **(case.options | case.first))
    case.prepare(db)
    options = case.options | {"max_age_s": "auto"}
    whole = planned(db, **options).run
    if limit == "requests":
        options["max_requests"] = whole.requests // 2
    elif limit == "time":
        options["max_runtime_s"] = whole.time_s / 3
    found = planned(db, **options)
    done = crawled(case.web, db, at=AT, **options)
    print(f"{name}, {limit}: {found.run}; {len(done.log)} requests in {done.took_s:.0f} s")
    assert found.run.requests == pytest.approx(len(done.log), rel=0.1)
    assert found.run.time_s == pytest.approx(done.took_s, rel=0.15)
    assert found.plan.due > 0


def test_the_longest_hosts_come_first_and_each_says_when_more_is_due(tmp_path: Path) -> None:
    case, db = several_sites(), tmp_path / "crawl.db"
    crawled(case.web, db, *(f"http://{host}/" for host in case.web.sites), delay_s=1.0)
    change(db, f"UPDATE urls SET revisit_at = {AT + 99} WHERE url LIKE '%small.test/_%'")
    change(db, f"UPDATE urls SET revisit_at = {AT + 500} WHERE url LIKE '%own.test/%'")
    plan = planned(db, max_age_s="auto", **case.options).plan
    times = [host.work.time_s() for host in plan.hosts]
    assert times == sorted(times, reverse=True)
    assert [host.name for host in plan.hosts] == ["delays.test", "slow.test", "large.test", "small.test"]
    assert {host.name: host.next_due_at for host in plan.hosts if host.next_due_at} == {"small.test": AT + 99}
    assert (plan.hosts_idle, plan.next_due_at) == (1, AT + 99)
    assert next(host for host in plan.hosts if host.name == "small.test").due == 1


def test_an_age_makes_due_what_is_older(tmp_path: Path) -> None:
    db = tmp_path / "crawl.db"
    web = FakeWeb()
    a_site(web, "a.test", 30)
    crawled(web, db, "http://a.test/")
    assert planned(db, max_age_s=2 * DAY_S).plan.due == 30
    assert planned(db, max_age_s=9 * DAY_S).plan.due == 0
    plan = planned(db, max_age_s=9 * DAY_S).plan
    assert plan.next_due_at == pytest.approx(NIGHT + 9 * DAY_S, abs=5)
    assert plan.hosts == []


def test_a_host_s_own_limit_of_requests_is_foretold(tmp_path: Path) -> None:
    db, web = tmp_path / "crawl.db", FakeWeb()
    a_site(web, "a.test", 30)
    crawled(web, db, "http://a.test/")
    hosts = (HostSettings(match="a.test", max_requests=7),)
    assert planned(db, max_age_s=0.0, hosts=hosts).run.requests == 7


def test_nothing_is_written_and_nobody_asked(tmp_path: Path) -> None:
    db, web = tmp_path / "crawl.db", FakeWeb()
    a_site(web, "a.test", 30)
    crawled(web, db, "http://a.test/")
    before = rows(db, "SELECT total(fetched_at), total(revisit_at), count(*) FROM urls")
    planned(db, max_age_s="auto")
    assert rows(db, "SELECT total(fetched_at), total(revisit_at), count(*) FROM urls") == before
