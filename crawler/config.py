"""CrawlConfig: every wish of the user, in slices; each option is one field, with all that there is to say about it.

A slice checks its own values when it is made and raises `UsageError` with the name of the option.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from crawler.errors import UsageError
from crawler.host_settings import HostSettings, restored
from crawler.kinds import (
    Fields,
    Flag,
    Folder,
    Headers,
    Networks,
    Place,
    Proxy,
    Regexes,
    SecretFile,
    Several,
    Text,
    UserAgent,
    choice,
    choices,
)
from crawler.location import Location, file_at, location
from crawler.options import Slice, option, options_of, slices_of
from crawler.proxy import ProxyServer, parse_proxy
from crawler.quantities import Age, Count, Seconds, Size, Waiting
from crawler.release import VERSION
from crawler.user_agent import DEFAULT_PRODUCT_TOKEN, agent_name, has_contact

if TYPE_CHECKING:
    from crawler.extraction_rules import Rule  # takes a millisecond, which few commands need

DEFAULT_USER_AGENT = f"{DEFAULT_PRODUCT_TOKEN}/{VERSION}"
DEFAULT_DB = Path("data/crawl.db")
DEMO_DB = Path("data/demo.db")
MIB = 1024 * 1024
GIB = 1024 * MIB
_DAY_S = 86400.0
_TEN_YEARS_S = 10 * 365 * _DAY_S


class ScopeRule(StrEnum):
    """How far from the seeds a crawl may go."""

    HOST = "host"  # the seeds' host names
    DOMAIN = "domain"  # the seeds' registrable domains (Public Suffix List) and all their subdomains
    PREFIX = "prefix"  # below the seeds' folders
    ANY = "any"  # anywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeConfig(Slice):
    """Which URLs may enter, and how many."""

    PANEL = "Scope"

    scope: ScopeRule = option(
        ScopeRule.HOST,
        "--scope",
        choice(ScopeRule),
        "How far to go from the seeds.",
        more="`host` stays on their host names, `domain` on their registrable domains and all subdomains (by a bundled"
        " Public Suffix List), `prefix` below their folders; `any` goes anywhere. If a seed redirects, its target is in"
        " scope too; so is that of a refresh within 30 s, unless it stands in a `<noscript>`.",
    )
    include: tuple[str, ...] = option(
        (),
        "--include",
        Regexes(),
        "Crawl only URLs that match one of these; seeds need no match. Repeatable.",
    )
    exclude: tuple[str, ...] = option((), "--exclude", Regexes(), "Skip URLs that match, seeds included. Repeatable.")
    drop_param: tuple[str, ...] = option(
        (),
        "--drop-param",
        Several("GLOB"),
        "Remove matching parameters, such as `utm_*`, from URLs. Repeatable.",
        more="They are looked for in the query and in the path (`;jsessionid=1F`).",
    )
    max_depth: int | None = option(
        None, "--max-depth", Count(low=0), "Follow at most N links from a seed; 0 fetches the seeds alone."
    )
    max_pages: int | None = option(
        None,
        "--max-pages",
        Count(low=1),
        "Stop after storing exactly N pages.",
        more="A run resumed after a kill continues with the remainder.",
    )
    max_pages_per_host: int | None = option(
        None, "--max-pages-per-host", Count(low=1), "Store at most N pages per host in this run."
    )
    max_urls_per_host: int = option(
        1_000_000,
        "--max-urls-per-host",
        Count(low=1),
        "Accept at most N URLs of a host, over all runs, and store at most as many excluded ones.",
        more="See [`crawler help traps`](traps.md).",
    )
    max_hosts_per_domain: int = option(
        10_000,
        "--max-hosts-per-domain",
        Count(low=1),
        "With `--scope domain` or `any`: accept no more hosts of a registrable domain once it has N, over all runs.",
        more="See [`crawler help traps`](traps.md).",
    )
    max_path_segments: int = option(25, "--max-path-segments", Count(low=1), "Skip URLs with more path segments.")
    max_query_params: int = option(40, "--max-query-params", Count(low=0), "Skip URLs with more query parameters.")
    guess_sitemap: bool = option(
        True,
        "--guess-sitemap",
        Flag(),
        "Ask each origin once for `/sitemap.xml` if its robots.txt names no sitemap.",
        more="Only where links are followed: not with `--max-depth 0`, `--scope prefix` or `--ignore-robots`. See"
        " [`crawler help politeness`](politeness.md).",
    )
    trap_rules: bool = option(
        True,
        "--trap-rules",
        Flag(),
        "Skip what looks like a crawler trap.",
        more="Signs of one: repeated path segments or parameters, endless session ids, folders whose pages keep"
        " repeating.",
    )
    follow_nofollow: bool = option(
        False,
        "--follow-nofollow",
        Flag(),
        "Follow `rel=nofollow` links, and links on nofollow pages.",
        more="They are recorded either way.",
    )
    feeds: bool = option(
        False,
        "--feeds",
        Flag(),
        "Read the feeds that pages name (`<link rel=alternate>`), and crawl what they list.",
        more="They are recorded either way. See [`crawler help sitemaps`](sitemaps.md).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolitenessConfig(Slice):
    """How gently hosts are treated."""

    PANEL = "Politeness"

    delay_s: float = option(
        1.0,
        "--delay",
        Seconds(low=0, high=_DAY_S),
        "Seconds between the starts of two requests to one host.",
        more="A `Crawl-delay` in robots.txt raises it, up to 60 s.",
    )
    per_host: int = option(2, "--per-host", Count(low=1, high=1024), "Requests in flight to one host.")
    per_ip: int = option(
        16, "--per-ip", Count(low=1, high=4096), "Requests in flight to one IP address, whatever the host names."
    )
    concurrency: int = option(
        64,
        "--concurrency",
        Count(low=1, high=4096),
        "Requests in flight overall.",
        more="Lowered, with a notice, if `ulimit -n` is too small.",
    )
    adaptive_pace: bool = option(
        True,
        "--adaptive-pace",
        Flag(),
        "Slow down for a host while it answers 429 or 503, or responds more and more slowly.",
        more="Never more often than `--delay`; with `--delay 0` only 429 and 503 count. See"
        " [`crawler help politeness`](politeness.md).",
    )
    ignore_robots: bool = option(
        False, "--ignore-robots", Flag(), "Neither fetch nor obey robots.txt. Only for sites that you own."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig(Slice):
    """How requests are made. `headers` and `proxy` may hold secrets, which are never stored, logged or shown.

    An empty path as `cookies`, or an empty value in `headers`: what an earlier run sent is not wanted any more.
    """

    PANEL = "Network"

    user_agent: str = option(
        DEFAULT_USER_AGENT,
        "--user-agent",
        UserAgent(default=DEFAULT_USER_AGENT),
        "The `User-Agent` header; include a URL or an address where you can be reached.",
        more="Its first word is the name that robots.txt rules are matched against. By default `onefile-crawler/` and"
        " the version, without a contact, and each run says so.",
        panel=PolitenessConfig.PANEL,
    )
    timeout_s: float = option(30.0, "--timeout", Seconds(low=0.1, high=3600), "Deadline for a whole request.")
    connect_timeout_s: float = option(
        10.0, "--connect-timeout", Seconds(low=0.1, high=3600), "Deadline for connecting, TLS included."
    )
    read_timeout_s: float = option(
        20.0, "--read-timeout", Seconds(low=0.1, high=3600), "Deadline for the next bytes of a response."
    )
    max_bytes: int = option(
        10 * MIB,
        "--max-bytes",
        Size(low=1, high=1024 * MIB),
        "Read at most this much of a body, decoded.",
        more="Longer bodies are cut and marked `truncated`.",
    )
    memory_bytes: int = option(
        64 * MIB,
        "--memory",
        Size(low=MIB, high=64 * 1024 * MIB),
        "Memory shared by all bodies being fetched or waiting for a parser.",
    )
    max_rate: int | None = option(
        None,
        "--max-rate",
        Size(low=1024, high=1024**4),
        "Limit body bytes per second, for all hosts together, such as 500k or 2M.",
        more="Counted as sent over the wire. Time spent waiting for it counts toward no deadline.",
    )
    retries: int = option(
        2, "--retries", Count(low=0, high=100), "Retry a temporary failure up to N times, after 2, 4, 8 ... seconds."
    )
    dns_server: str | None = option(
        None, "--dns-server", Text("IP[:PORT]"), "Ask this DNS server instead of the system's."
    )
    allow_private: tuple[str, ...] = option(
        (),
        "--allow-private",
        Networks(),
        "Allow addresses in this private or local range, such as 10.0.0.0/8. Repeatable.",
        more="Without it, no link, redirect or DNS answer reaches into your own network; a seed that is an IP address"
        " or `localhost` allows its own origin only.",
    )
    cookies: str | Path | None = option(
        None,
        "--cookies",
        SecretFile(),
        "Send the cookies in this file (`cookies.txt`, Netscape format). Values are never stored.",
        more="Each goes only to its own host, path and scheme, until it expires. Later runs must name the file again,"
        " or pass `--cookies ''` to go without.",
    )
    proxy: str | None = option(
        None,
        "--proxy",
        Proxy(),
        "Send every request through this proxy: `http://`, `socks5://` or `socks5h://[USER:PASSWORD@]HOST:PORT`.",
        more="Credentials are never stored. Proxy environment variables are ignored. See"
        " [`crawler help proxies`](proxies.md).",
    )
    insecure: bool = option(
        False,
        "--insecure",
        Flag(),
        "Do not verify TLS certificates: anyone on the network path can read and change everything.",
        more="The run warns about it and records it. TLS below 1.2 is still refused.",
    )
    headers: Mapping[str, str] = option(
        {},
        "--header",
        Headers(),
        "Send this header. Repeatable. Values are never stored.",
        more="`Authorization` and `Cookie` go to the seeds' origins only, and to hosts that are only checked"
        " (`--check`) no header that may hold a secret. Later runs must pass the header again, or"
        " `'NAME:'` to go without.",
    )

    @property
    def product_token(self) -> str:
        """The name in the User-Agent that robots.txt speaks to: 'my2bot' of 'my2bot/1.0 (...)'."""
        return agent_name(self.user_agent) or self.user_agent

    @property
    def names_contact(self) -> bool:
        """Whether requests say where the user can be reached: in the User-Agent, or by a From header."""
        return has_contact(self.user_agent) or any(
            name.lower() == "from" and value for name, value in self.headers.items()
        )

    @property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`allow_private`, parsed."""
        return tuple(ip_network(text, strict=False) for text in self.allow_private)

    @property
    def proxy_server(self) -> ProxyServer | None:
        """`proxy`, parsed."""
        return None if self.proxy is None else parse_proxy(self.proxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig(Slice):
    """When a run ends, and what it keeps."""

    PANEL = "Run"

    max_runtime_s: float | None = option(
        None,
        "--max-runtime",
        Age(low=0.1, high=_TEN_YEARS_S),
        "Stop cleanly after this long, such as 90s, 30m or 2h.",
    )
    max_requests: int | None = option(
        None,
        "--max-requests",
        Count(low=1),
        "Send at most N requests, whatever they ask for, and stop cleanly.",
        more="robots.txt, sitemaps, redirects, retries and unchanged pages count, too. A run resumed after a kill"
        " continues with the remainder.",
    )
    max_wait_s: float = option(
        60.0,
        "--max-wait",
        Age(low=0, high=7 * _DAY_S),
        "End the run rather than wait longer than this for paused hosts and origins.",
        more="Their pages stay pending.",
    )
    grace_s: float = option(
        5.0,
        "--grace",
        Age(low=0, high=3600),
        "How long requests in flight may take to finish after the first Ctrl-C.",
    )
    parse_timeout_s: float = option(
        10.0,
        "--parse-timeout",
        Seconds(low=0.1, high=3600),
        "Deadline for parsing one page.",
        more="Some markup would keep a parser busy forever.",
    )
    bodies: bool = option(True, "--bodies", Flag(), "Keep the bodies of pages, compressed with zstd.")
    response_headers: bool = option(
        True,
        "--headers",
        Flag(),
        "Keep the header fields of every response.",
        more="Of `Set-Cookie`, the value is left out. See `response_headers` in [`crawler help views`](views.md).",
    )
    warc: Path | None = option(
        None,
        "--warc",
        Folder(),
        "Also write every request and response, as sent, into WARC files in DIR.",
        more="See [`crawler help warc`](warc.md).",
    )
    warc_bytes: int = option(
        GIB,
        "--warc-size",
        Size(low=MIB, high=1024 * GIB),
        "With `--warc`: begin another file once one has this size.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecrawlConfig(Slice):
    """What is fetched again. `max_age_s` None: nothing; "auto": each URL when it is likely to have changed."""

    PANEL = "Fetch again"

    max_age_s: float | Literal["auto"] | None = option(
        None,
        "--max-age",
        Age("AGE|auto", low=0, high=_TEN_YEARS_S, unit="d", word="auto"),
        "Refetch what was last fetched longer ago than AGE, such as 12h or 7d; `auto`: each URL when it is likely to"
        " have changed.",
        more="`0s` refetches everything.",
    )
    min_interval_s: float = option(
        3600.0,
        "--min-interval",
        Age(low=0, high=_TEN_YEARS_S, unit="h"),
        "With `--max-age auto`: check no URL more often than this.",
        more="Takes effect from each URL's next visit.",
    )
    max_interval_s: float = option(
        60 * _DAY_S,
        "--max-interval",
        Age(low=1, high=_TEN_YEARS_S, unit="d"),
        "With `--max-age auto`: check every URL at least this often.",
        more="Takes effect from each URL's next visit.",
    )
    retry_failed: bool = option(False, "--retry-failed", Flag(), "Retry what failed in earlier runs.")

    def __post_init__(self) -> None:
        Slice.__post_init__(self)
        if self.min_interval_s > self.max_interval_s:
            shown = {one.name: one.show(getattr(self, one.name)) for one in options_of(RecrawlConfig)}
            raise UsageError(
                f"--min-interval ({shown['min_interval_s']}) must not exceed --max-interval ({shown['max_interval_s']})"
            )


class CheckKind(StrEnum):
    """What `--check` asks for."""

    EXTERNAL = "external"  # links that leave the scope
    RESOURCES = "resources"  # images, scripts, stylesheets, media


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig(Slice):
    """What is only checked, once the pages are fetched: whether it is there."""

    PANEL = "Check links"

    check: tuple[CheckKind, ...] = option(
        (),
        "--check",
        choices(CheckKind),
        "Also check links that leave the scope (`external`), or images, scripts, stylesheets and media (`resources`)."
        " Repeatable.",
        more="Each is asked for once, and again by a run with `--max-age`. `none` lifts what the last"
        " run was given. See [`crawler help checking`](checking.md).",
    )
    check_timeout_s: float = option(
        15.0, "--check-timeout", Seconds(low=0.1, high=3600), "With `--check`: deadline for a request."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig(Slice):
    """What else is wanted of every page, beside the `[[extract]]` tables of a crawl file."""

    PANEL = RunConfig.PANEL

    fields: tuple[str, ...] = option(
        (),
        "--extract",
        Fields(),
        "Extract this from every page, such as `title=h1` or `price:price=.price`, into the view `extract_page`."
        " Repeatable.",
        more="Later runs go on with it; `none` ends that. Rules for some pages stand in a crawl file, as `[[extract]]`"
        " tables. See [`crawler help extract`](extract.md).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartConfig(Slice):
    """How a run gets its database. It is not stored: what one start was asked for says nothing about the next."""

    PANEL = "Run"

    fresh: bool = option(False, "--fresh", Flag(), "Start a new database; refuse to resume an existing one.")
    lock_wait_s: float = option(
        0.0,
        "--if-running",
        Waiting(),
        "If another run holds the database: `fail` (exit status 5), `skip` (0), or `wait`, for AGE at most.",
        more="The lock ends with its process, so it never goes stale.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlConfig(Slice):
    """All that a crawl needs beside its seeds.

    Raises `UsageError`, from whichever slice is wrong, when a value cannot be used.
    """

    db: Location = option(DEFAULT_DB, "--db", Place(), "The crawl database: created if missing, resumed otherwise.")
    scope: ScopeConfig = field(default_factory=ScopeConfig)
    politeness: PolitenessConfig = field(default_factory=PolitenessConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    recrawl: RecrawlConfig = field(default_factory=RecrawlConfig)
    check: CheckConfig = field(default_factory=CheckConfig)
    run: RunConfig = field(default_factory=RunConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    start: StartConfig = field(default_factory=StartConfig)
    hosts: tuple[HostSettings, ...] = ()  # of some hosts, in the place of the above
    rules: tuple[Rule, ...] = ()  # of some pages; see `extraction_rules`

    def __post_init__(self) -> None:
        object.__setattr__(self, "db", location(self.db))  # a str is as good
        for flag, is_given in (("--check", self.check.check), ("--warc", self.run.warc)):
            if is_given:
                file_at(self.db, flag)
        if self.rules and self.extract.fields:
            _check_names(self.rules)

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The extraction rules: those of some pages, and the one that `--extract` makes."""
        if not self.extract.fields:
            return self.rules
        from crawler.rule_tables import read_rules, rule_of_fields

        return (*self.rules, *read_rules([rule_of_fields(self.extract.fields)]))

    def storable(self) -> dict[str, Any]:
        """The options as plain data, without any secret: of the headers only the names remain, of the cookies only
        that there were some.
        """
        slices = {
            name: {one.name: one.kind.stored(getattr(getattr(self, name), one.name)) for one in options_of(config)}
            for name, config in _stored_slices().items()
        }
        return slices | {
            "hosts": [host.stored() for host in self.hosts],
            "rules": [dict(rule.data) for rule in self.rules],
        }

    def resumed(self, stored: Mapping[str, Any], given: Collection[str]) -> tuple[CrawlConfig, list[str]]:
        """This config with the options of an earlier run, as it stored them, in the place of those that are not `given`
        now (names of fields); and what was given that differs, in words.

        What is stored as a secret is, such as the headers, cannot be taken over.
        """
        slices, changes = {}, []
        for name, config in _stored_slices().items():
            own, earlier, taken_over = getattr(self, name), stored.get(name, {}), {}
            for one in options_of(config):
                if one.kind.is_secret or one.name not in earlier:
                    continue
                before = one.kind.restored(earlier[one.name])
                now = one.kind.restored(one.kind.stored(getattr(own, one.name)))
                if one.name not in given:
                    taken_over[one.name] = before
                elif now != before:
                    changes.append(f"{one.flag} {one.show(now)} instead of {one.show(before)}")
            slices[name] = replace(own, **taken_over)
        hosts = restored(stored.get("hosts", ()))
        if "hosts" in given:
            if [host.stored() for host in self.hosts] != stored.get("hosts", []):
                changes.append("other [[host]] settings")
            hosts = self.hosts
        rules = self.rules if "rules" in given else _restored_rules(stored)
        if "rules" in given and [dict(rule.data) for rule in rules] != stored.get("rules", []):
            changes.append("other [[extract]] rules")
        return replace(self, hosts=hosts, rules=rules, **slices), changes

    def limits_but(self, given: Collection[str]) -> dict[str, str]:
        """The values by flag of all options that are not set by default, but for those `given` (names of fields) and
        secrets: what `none` would lift.
        """
        return {
            one.flag: one.show(value)
            for name, config in _stored_slices().items()
            for one in options_of(config)
            if one.default is None and one.name not in given and not one.kind.is_secret
            if (value := getattr(getattr(self, name), one.name)) is not None
        }


def _restored_rules(stored: Mapping[str, Any]) -> tuple[Rule, ...]:
    if not stored.get("rules"):
        return ()
    from crawler.rule_tables import read_rules

    return read_rules(stored["rules"], "the stored options: ")


def _check_names(rules: tuple[Rule, ...]) -> None:
    from crawler.rule_tables import PAGE_RULE

    if any(rule.name == PAGE_RULE for rule in rules):
        raise UsageError(f"--extract makes a rule {PAGE_RULE!r}, and the crawl file has one, too; rename that one")


def _stored_slices() -> dict[str, type[Slice]]:
    return {name: config for name, config in slices_of(CrawlConfig).items() if config is not StartConfig}
