"""What a run to come will do, for people (lines and tables) and for programs (one JSON object): `crawler plan`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from crawler.archive.plan import Budget, Plan, PlannedHost, budgets
from crawler.config import CrawlConfig
from crawler.output.ending import print_rows
from crawler.output.figures import amount, counted, moment, span
from crawler.output.safe_text import printable
from crawler.output.tables import Column, Kind, column, write_rows
from crawler.policy.forecast import RunForecast, forecast
from crawler.quantities import Age
from crawler.statically_frozen import dataclass

_HOSTS = (
    column("host"),
    Column(name="due", kind=Kind.NUMBER),
    column("requests"),
    Column(name="time", kind=Kind.TEXT),
    Column(name="one each", kind=Kind.TEXT),
    Column(name="next due", kind=Kind.TEXT),
)
_BUDGETS = (Column(name="requests a run", kind=Kind.NUMBER), column("of the pages"), column("fresh"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A plan under the options of a run."""

    plan: Plan
    config: CrawlConfig
    whole: RunForecast  # without a limit
    run: RunForecast
    budgets: tuple[Budget, ...]


def foretold(plan: Plan, config: CrawlConfig) -> Forecast:
    """What the run will do under its limits."""
    work = [host.work for host in plan.hosts]
    concurrency, run = config.politeness.concurrency, config.run
    return Forecast(
        plan=plan,
        config=config,
        whole=forecast(work, concurrency),
        run=forecast(work, concurrency, max_requests=run.max_requests, max_runtime_s=run.max_runtime_s),
        budgets=tuple(budgets(plan.habits, plan.cadence_s)),
    )


def as_data(found: Forecast) -> dict[str, Any]:
    """Plain data for JSON: times are Unix seconds, durations seconds."""
    plan = found.plan
    return {
        "now": plan.now,
        "max_age": found.config.recrawl.max_age_s,
        "max_requests": found.config.run.max_requests,
        "max_runtime_s": found.config.run.max_runtime_s,
        "urls_due": plan.due,
        "requests": found.run.requests,
        "time_s": found.run.time_s,
        "requests_without_limit": found.whole.requests,
        "time_without_limit_s": found.whole.time_s,
        "hosts": [_host_as_data(host) for host in plan.hosts],
        "hosts_idle": plan.hosts_idle,
        "next_due_at": plan.next_due_at,
        "pages": plan.pages,
        "fresh_now": plan.fresh_now,
        "cadence_s": plan.cadence_s,
        "budgets": [
            {"requests": one.requests, "share": one.share, "freshness": one.freshness} for one in found.budgets
        ],
    }


def _host_as_data(host: PlannedHost) -> dict[str, Any]:
    return {
        "host": host.name,
        "urls_due": host.due,
        "requests": host.work.requests,
        "time_s": host.work.time_s(),
        "step_s": host.work.step_s,
        "wait_s": host.work.wait_s,
        "next_due_at": host.next_due_at,
    }


async def print_forecast(console: Console, found: Forecast, listed: int) -> None:
    """Print it, with at most so many hosts."""
    print_rows(console, _lines(found))
    hosts = found.plan.hosts[:listed]
    if hosts:
        console.print()
        await write_rows(_HOSTS, [_host_row(host, found.plan.now) for host in hosts])
        if len(found.plan.hosts) > len(hosts):
            console.print(Text(f"and {counted(len(found.plan.hosts) - len(hosts), 'host')} more (--limit)"))
    if found.budgets:
        console.print()
        rows = [(one.requests, f"{one.share:.0%}", f"{one.freshness:.1%}") for one in found.budgets]
        await write_rows(_BUDGETS, rows)


def _lines(found: Forecast) -> list[tuple[str, Text]]:
    plan = found.plan
    rows = [
        ("due now", Text(_due(found))),
        ("time", Text(_time(found))),
        ("limit", Text(_limit(found), style="yellow")),
        ("later", Text(_later(plan))),
        ("fresh now", Text(f"probably {plan.fresh_now:.1%} of {counted(plan.pages, 'page')}" if plan.pages else "")),
    ]
    return [(label, value) for label, value in rows if value.plain]


def _due(found: Forecast) -> str:
    plan, max_age = found.plan, Age("AGE|auto", word="auto").show(found.config.recrawl.max_age_s)
    if not plan.due:
        return f"nothing (--max-age {max_age})"
    where = "" if len(plan.hosts) == 1 else f" on {counted(len(plan.hosts), 'host')}"
    robots = found.whole.requests - plan.due
    with_robots = f", and {counted(robots, 'robots.txt', 'robots.txt')}" if robots > 0 else ""
    return f"{counted(plan.due, 'URL')}{where}{with_robots} (--max-age {max_age})"


def _time(found: Forecast) -> str:
    if not found.plan.hosts:
        return ""
    longest = found.plan.hosts[0]
    named = f"; the longest: {printable(longest.name, 60)}" if len(found.plan.hosts) > 1 else ""
    return f"{span(found.whole.time_s)} at least{named}"


def _limit(found: Forecast) -> str:
    """What a limit leaves of it."""
    if found.run == found.whole:
        return ""
    return f"{amount(found.run.requests)} of {counted(found.whole.requests, 'request')} in {span(found.run.time_s)}"


def _later(plan: Plan) -> str:
    if plan.next_due_at is None:
        return ""
    idle = f"; {counted(plan.hosts_idle, 'host')} with nothing due now" if plan.hosts_idle else ""
    return f"next due {_when(plan.next_due_at, plan.now)}{idle}"


def _host_row(host: PlannedHost, now: float) -> tuple[Any, ...]:
    work = host.work
    step = span(work.step_s) if work.step_s else "no delay"
    return host.name, host.due, work.requests, span(work.time_s()), step, _when(host.next_due_at, now)


def _when(at: float | None, now: float) -> str:
    """A moment to come, for people; nothing where there is none."""
    return "" if at is None else f"in {span(max(0.0, at - now))}" if at - now < 2 * 86400 else moment(at)
