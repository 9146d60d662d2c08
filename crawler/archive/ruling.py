"""What the rules say of a URL, and the settings that apply to its host: asked of `policy`, as a crawl asks.

robots.txt is the copy that is stored; nothing is fetched. Without a database there are no facts, and the options alone
speak.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from crawler.archive.answers import Pause, RobotsWord, Setting
from crawler.archive.dialect import Sql
from crawler.config import CrawlConfig
from crawler.counters import Counters
from crawler.host_settings import settings_of
from crawler.network.guard import AddressGuard, is_localhost, parse_address
from crawler.options import Option, Slice, options_of
from crawler.policy.explanation import Excluded, explanation
from crawler.policy.robots import MAX_CRAWL_DELAY_S, RobotsRules
from crawler.policy.scope import Scope
from crawler.policy.traps import pattern_of
from crawler.records import EndReason, ExclusionReason, Reason, SeedMark, UrlKind
from crawler.seeds import Seed
from crawler.statically_frozen import dataclass
from crawler.urls import host_of, origin_of

if TYPE_CHECKING:
    from crawler.archive.reading import Reader

_UNKNOWN_DEPTH = 1  # of a URL that was never seen: a link from a seed
_ALWAYS = ("delay_s", "per_host", "scope")  # settings that are named even if they are the default

_URL = Sql.same("SELECT id, fetched_at, cause, detail, depth, hops, seed, kind FROM urls WHERE ") + Sql(
    "url = ?", "(part, host_id, id) = (?, ?, ?) AND url = ?"
)
_ROOTS = Sql.same("SELECT url FROM urls WHERE seed > 0 AND cause IS ") + Sql("NOT 'port'", "DISTINCT FROM 'port'")
_NAMED = f"SELECT url, seed FROM urls WHERE seed >= {SeedMark.YES:d}"  # noqa: S608 - our own number
_ORIGIN = Sql.same(
    "SELECT robots_status, robots_body, robots_fetched_at, robots_failures, paused_until, pause_reason"
    " FROM origins WHERE "
) + Sql("origin = ?", "(part, host_id) = (?, ?) AND origin = ?")
_HOST = Sql.same(
    "SELECT id, back_off_until, back_off_reason, pace_s, unstored_links, run_id, run_pages FROM hosts WHERE "
) + Sql("name = ?", "(part, id) = (?, ?) AND name = ?")
_LAST_RUN = "SELECT id, end_reason FROM runs ORDER BY id DESC LIMIT 1"
_CLOSED = Sql.same(
    "SELECT 1 FROM urls WHERE {of_host} AND status = 'excluded' AND cause = ? AND reason = ? LIMIT 1"
).format(of_host=Sql("host_id = ?", "(part, host_id) = (?, ?)"))


@dataclass(slots=True, kw_only=True)
class Facts:
    """What a database holds that decides; nothing without one."""

    url_id: int | None = None
    fetched_at: float | None = None
    cause: str | None = None
    detail: str | None = None
    depth: int = _UNKNOWN_DEPTH
    hops: int = 0
    seed: SeedMark = SeedMark.NO
    kind: UrlKind = UrlKind.PAGE
    roots: list[str] = field(default_factory=list)
    named: list[Seed] = field(default_factory=list)
    origin: Sequence[Any] = (None, None, None, 0, 0.0, None)
    host: Sequence[Any] = (None, 0.0, None, None, 0, None, 0)
    last_run: Sequence[Any] = (None, None)
    is_place_closed: bool = False


async def read_facts(reader: Reader, url: str) -> Facts:
    """All that the tables say of the URL, its origin and its host."""
    named = [Seed(url=row[0], bare=row[1] == SeedMark.BARE) for row in await reader.fetch(_NAMED)]
    facts = Facts(roots=[row[0] for row in await reader.fetch(_ROOTS)], named=named)
    host = reader.key_of_host(host_of(url))
    for row in await reader.fetch(_URL, *reader.key_of(url), url):
        facts.url_id, facts.fetched_at, facts.cause, facts.detail, facts.depth, facts.hops, seed, kind = row
        facts.seed, facts.kind = SeedMark(seed), UrlKind(kind)
    for row in await reader.fetch(_ORIGIN, *host, origin_of(url)):
        facts.origin = row
    for row in await reader.fetch(_LAST_RUN):
        facts.last_run = row
    for row in await reader.fetch(_HOST, *host, host_of(url)):
        facts.host = row
        reason = Reason(ExclusionReason.PAGES_ALIKE, pattern_of(url))
        facts.is_place_closed = bool(await reader.fetch(_CLOSED, *(host or (row[0],)), reason.cause, reason))
    return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The options and seeds of a crawl. `source` is where they come from: a crawl file, or the last run."""

    config: CrawlConfig
    seeds: Sequence[Seed] = ()
    source: str = ""


def judged(url: str, rules: Rules, facts: Facts, robots: RobotsWord) -> Reason | None:
    """Why the URL may not enter; None if it may."""
    config = rules.config
    mark = next((seed.target.seed for seed in rules.seeds if url in (seed.url, seed.twin)), facts.seed)
    scope = Scope(config.scope, _roots(rules, facts))
    reason = scope.judge(url, depth=0 if mark else facts.depth, hops=facts.hops, seed=mark, kind=facts.kind)
    if reason is not None:
        return reason
    is_known = mark or facts.fetched_at is not None  # what has responded is none of those that never end
    if facts.is_place_closed and config.scope.trap_rules and not is_known:
        return Reason(ExclusionReason.PAGES_ALIKE, pattern_of(url))
    if robots.allowed or config.politeness.ignore_robots:
        return Reason(ExclusionReason.HOOK, facts.detail) if facts.cause == ExclusionReason.HOOK else None
    return Reason(ExclusionReason.ROBOTS, f"line {robots.line}: {robots.rule}")


def in_words(url: str, cause: str, detail: str | None, rules: Rules, facts: Facts) -> str:
    """Why the URL is excluded: the option or the bound, with its value."""
    roots = _roots(rules, facts)
    config = rules.config.scope
    excluded = Excluded(url=url, cause=cause, detail=detail, depth=facts.depth, config=config, roots=roots)
    return explanation(excluded)


def _roots(rules: Rules, facts: Facts) -> list[str]:
    return [*facts.roots, *(seed.url for seed in rules.seeds)]


def address_refusal(url: str, rules: Rules, facts: Facts) -> str | None:
    """Why nothing may connect to the address that the URL names; None if that may be, or if it names a host, whose
    address is not known here.
    """
    host = host_of(url)
    address = "127.0.0.1" if is_localhost(host) else host.strip("[]")
    if parse_address(address) is None:
        return None
    guard = AddressGuard(rules.config.network.allowed_networks, Counters())
    for seed in (*facts.named, *rules.seeds):
        for named in filter(None, (seed.url, seed.twin)):
            guard.open_origin(origin_of(named))
    return guard.refusal(address, origin_of(url))


def robots_word(url: str, config: CrawlConfig, facts: Facts) -> RobotsWord:
    """What the stored robots.txt of the URL's origin says of it."""
    status, body, fetched_at, failures, *_pause = facts.origin
    robots_url, agent = f"{origin_of(url)}/robots.txt", config.network.product_token
    rules = RobotsRules.parse(body or b"", robots_url)
    rule = rules.deciding_rule(agent, url)
    return RobotsWord(
        url=robots_url,
        agent=agent,
        status_code=status,
        fetched_at=fetched_at if body is not None else None,
        failures=failures,
        allowed=rule is None or rule.allowed,
        line=None if rule is None else rule.line,
        rule=None if rule is None else rule.text,
        crawl_delay_s=rules.crawl_delay(agent),
    )


def pauses_of(url: str, facts: Facts, now: float) -> list[Pause]:
    """What its host or its origin waits for at `now`."""
    _id, back_off_until, back_off_reason, *_rest = facts.host
    *_robots, paused_until, pause_reason = facts.origin
    found = (
        Pause(name=origin_of(url), until=paused_until, reason=pause_reason),
        Pause(name=host_of(url), until=back_off_until, reason=back_off_reason),
    )
    return [one for one in found if one.until > now]


def limit_of_last_run(rules: Rules, facts: Facts) -> str | None:
    """The option that left work for the next run, by what is known of the last one."""
    last_run, end_reason = facts.last_run
    *_host, run_id, run_pages = facts.host
    most = rules.config.scope.max_pages_per_host
    if most is not None and run_id == last_run and run_pages >= most:
        return f"--max-pages-per-host {most}"
    return _LIMITS.get(end_reason)


_LIMITS: Mapping[str | None, str] = {
    EndReason.MAX_PAGES: "--max-pages",
    EndReason.MAX_REQUESTS: "--max-requests",
    EndReason.MAX_RUNTIME: "--max-runtime",
    EndReason.WAITING: "--max-wait",
}


def settings_for(url: str, rules: Rules, facts: Facts, robots: RobotsWord) -> list[Setting]:
    """Those that apply to the URL's host: its pace, and whatever is not as it is by default; of headers the names."""
    config = rules.config
    own = settings_of(host_of(url), config.hosts)
    found = [
        Setting(option=f"--{one.key}", value=value, source=f'[[host]] "{own.match}"')
        for one, value, is_default in _values(own)
        if one.name != "match" and not is_default
    ]
    taken = {one.option for one in found}
    for one, value, is_default in (*_values(config.politeness), *_values(config.scope)):
        if one.flag not in taken and (not is_default or one.name in _ALWAYS):
            found.append(Setting(option=one.flag, value=value, source="default" if is_default else rules.source))
    if robots.crawl_delay_s is not None and not config.politeness.ignore_robots:
        delay_s = min(robots.crawl_delay_s, MAX_CRAWL_DELAY_S)
        found.append(Setting(option="Crawl-delay", value=f"{delay_s:g}", source="robots.txt"))
    _id, _until, _why, pace_s, *_rest = facts.host
    if pace_s is not None:
        found.append(Setting(option="delay for now", value=f"{pace_s:g}", source="--adaptive-pace"))
    return found


def _values(config: Slice) -> Iterator[tuple[Option, str, bool]]:
    """Each option with its value as it would be written, and whether that is the default. No secrets are told."""
    for one in options_of(type(config)):
        value = getattr(config, one.name)
        written = ", ".join(sorted(value)) if one.kind.is_secret and value else one.show(value)
        yield one, written, value == one.default
