"""CrawlConfig: every wish of the user, in slices, each with one default and one help text.

The command line takes defaults and help texts from here (`describe`), so that they are written once. A slice checks its
own values when it is made and raises `UsageError` with the name of the option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum, StrEnum
from importlib.metadata import version
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal

from crawler.errors import UsageError
from crawler.proxy import ProxyServer, parse_proxy
from crawler.user_agent import product_token

DEFAULT_USER_AGENT = f"crawler/{version('crawler')} (+https://example.com/about-this-crawler)"
DEFAULT_DB = Path("data/crawl.db")
DEMO_DB = Path("data/demo.db")
MIB = 1024 * 1024
_TEN_YEARS_S = 10 * 365 * 86400.0


class ScopeRule(StrEnum):
    """How far from the seeds a crawl may go."""

    HOST = "host"  # the seeds' host names
    DOMAIN = "domain"  # the seeds' registrable domains (Public Suffix List) and all their subdomains
    PREFIX = "prefix"  # below the seeds' folders
    ANY = "any"  # anywhere


def _option(default: Any, help_text: str) -> Any:
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"help": help_text})
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeConfig:
    """Which URLs may enter, and how many."""

    scope: ScopeRule = _option(ScopeRule.HOST, "How far from the seeds to go.")
    include: tuple[str, ...] = _option(
        (), "Only URLs that match this regular expression, repeatable; seeds always may."
    )
    exclude: tuple[str, ...] = _option((), "No URL that matches this regular expression, repeatable.")
    drop_param: tuple[str, ...] = _option((), "Drop parameters of query and path by name, such as 'utm_*', repeatable.")
    max_depth: int | None = _option(None, "Links to follow from a seed; 0 fetches the seeds alone.")
    max_pages: int | None = _option(None, "Stop after storing exactly this many pages.")
    max_pages_per_host: int | None = _option(None, "Store at most this many pages of one host in this run.")
    max_urls_per_host: int = _option(1_000_000, "Take in at most about this many URLs of one host, all runs together.")
    max_hosts_per_domain: int = _option(
        10_000, "Take in at most this many hosts of one registrable domain, all runs together (--scope domain or any)."
    )
    max_path_segments: int = _option(25, "No URL with more segments in its path than this.")
    max_query_params: int = _option(40, "No URL with more query parameters than this.")
    trap_rules: bool = _option(True, "Keep out of what looks like a crawler trap.")
    follow_nofollow: bool = _option(False, "Follow links marked rel=nofollow too.")

    def __post_init__(self) -> None:
        _at_least("--max-depth", self.max_depth, 0)
        _at_least("--max-pages", self.max_pages, 1)
        _at_least("--max-pages-per-host", self.max_pages_per_host, 1)
        _at_least("--max-urls-per-host", self.max_urls_per_host, 1)
        _at_least("--max-hosts-per-domain", self.max_hosts_per_domain, 1)
        _at_least("--max-path-segments", self.max_path_segments, 1)
        _at_least("--max-query-params", self.max_query_params, 0)
        for option, patterns in (("--include", self.include), ("--exclude", self.exclude)):
            for pattern in patterns:
                _check_regex(option, pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolitenessConfig:
    """How gently hosts are treated."""

    delay_s: float = _option(1.0, "Seconds between the starts of two requests to one host.")
    per_host: int = _option(2, "Requests in flight to one host.")
    per_ip: int = _option(16, "Requests in flight to one address.")
    concurrency: int = _option(64, "Requests in flight in all.")
    ignore_robots: bool = _option(False, "Do not fetch or obey robots.txt. Only for sites that are yours.")

    def __post_init__(self) -> None:
        _between("--delay", self.delay_s, 0, 86400)
        _between("--per-host", self.per_host, 1, 1024)
        _between("--per-ip", self.per_ip, 1, 4096)
        _between("--concurrency", self.concurrency, 1, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """How requests are made. `headers` and `proxy` may hold secrets, which are never stored, logged or shown.

    An empty path as `cookies`, or an empty value in `headers`: what an earlier run sent is not wanted any more.
    """

    user_agent: str = _option(DEFAULT_USER_AGENT, "User-Agent; put a URL or an address in it where you can be reached.")
    timeout_s: float = _option(30.0, "Deadline of a whole request, in seconds.")
    connect_timeout_s: float = _option(10.0, "Deadline for a connection, TLS included, in seconds.")
    read_timeout_s: float = _option(20.0, "Deadline for the next bytes of an answer, in seconds.")
    max_bytes: int = _option(10 * MIB, "Decoded bytes of a body that are read; the rest is cut off.")
    memory_bytes: int = _option(64 * MIB, "Bodies in flight share this many bytes of memory.")
    max_rate: int | None = _option(
        None, "Bytes of bodies a second, all hosts together, such as 500k or 2M (k = 1,024)."
    )
    retries: int = _option(2, "Further attempts after a failure that may pass.")
    dns_server: str | None = _option(None, "Ask this DNS server, IP[:PORT], instead of the system's.")
    allow_private: tuple[str, ...] = _option(
        (), "Allow addresses of this private or local range, such as 10.0.0.0/8, repeatable."
    )
    proxy: str | None = _option(
        None, "Send every request through this proxy: http://, socks5:// or socks5h://[USER:PASSWORD@]HOST:PORT."
    )
    insecure: bool = _option(
        False, "Do not verify TLS certificates: whoever sits on the way can read and change everything."
    )
    cookies: str | Path | None = _option(
        None, "Send the cookies of this file (Netscape format), each only where it belongs. Values are never stored."
    )
    headers: Mapping[str, str] = _option({}, "Send this header, repeatable. Values are never stored.")

    def __post_init__(self) -> None:
        _between("--timeout", self.timeout_s, 0.1, 3600)
        _between("--connect-timeout", self.connect_timeout_s, 0.1, 3600)
        _between("--read-timeout", self.read_timeout_s, 0.1, 3600)
        _between("--max-bytes", self.max_bytes, 1, 1024 * MIB)
        _between("--memory", self.memory_bytes, MIB, 64 * 1024 * MIB)
        if self.max_rate is not None:
            _between("--max-rate", self.max_rate, 1024, 1024**4)
        _between("--retries", self.retries, 0, 100)
        _check_user_agent(self.user_agent)
        _ = self.allowed_networks, self.proxy_server

    @property
    def product_token(self) -> str:
        """The name in the User-Agent that robots.txt speaks to: 'crawler' of 'crawler/1.0 (...)'."""
        return product_token(self.user_agent) or self.user_agent

    @property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`allow_private`, parsed."""
        return tuple(_network(text) for text in self.allow_private)

    @property
    def proxy_server(self) -> ProxyServer | None:
        """`proxy`, parsed."""
        return None if self.proxy is None else parse_proxy(self.proxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """When a run ends, and what it keeps."""

    max_runtime_s: float | None = _option(None, "Stop cleanly after this long, such as 90s, 30m, 2h.")
    max_wait_s: float = _option(60.0, "End rather than wait longer than this for a host that backs off.")
    grace_s: float = _option(5.0, "After the first Ctrl-C, how long requests in flight may take to finish.")
    parse_timeout_s: float = _option(10.0, "Deadline for reading one page's markup, in seconds.")
    bodies: bool = _option(True, "Keep the body of each page, compressed.")

    def __post_init__(self) -> None:
        if self.max_runtime_s is not None:
            _between("--max-runtime", self.max_runtime_s, 0.1, _TEN_YEARS_S)
        _between("--max-wait", self.max_wait_s, 0, 7 * 86400)
        _between("--grace", self.grace_s, 0, 3600)
        _between("--parse-timeout", self.parse_timeout_s, 0.1, 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecrawlConfig:
    """What is fetched again. `max_age_s` None: nothing; "auto": each URL when it is likely to have changed."""

    max_age_s: float | Literal["auto"] | None = _option(
        None, "Fetch again what is older than 12h, 7d, 0s ...; auto: each URL by how often it has changed."
    )
    min_interval_s: float = _option(3600.0, "With --max-age auto: look at no URL more often than this.")
    max_interval_s: float = _option(60 * 86400.0, "With --max-age auto: look at each URL at least this often.")
    retry_failed: bool = _option(False, "Try again what has failed in earlier runs.")

    def __post_init__(self) -> None:
        if self.max_age_s is not None and self.max_age_s != "auto":
            _between("--max-age", self.max_age_s, 0, _TEN_YEARS_S)
        _between("--min-interval", self.min_interval_s, 0, _TEN_YEARS_S)
        _between("--max-interval", self.max_interval_s, 1, _TEN_YEARS_S)
        if self.min_interval_s > self.max_interval_s:
            raise UsageError(
                f"--min-interval ({self.min_interval_s:g}s) must not exceed --max-interval ({self.max_interval_s:g}s)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartConfig:
    """How a run gets its database. It is not stored: what one start was asked for says nothing about the next."""

    fresh: bool = _option(False, "Start a new database; refuse to go on with one that exists.")
    lock_wait_s: float = _option(
        0.0, "Where another run holds the database: fail (exit status 5), skip (0) or wait, for AGE at most."
    )

    def __post_init__(self) -> None:
        if not self.lock_wait_s >= 0:
            raise UsageError(f"--if-running cannot wait for {self.lock_wait_s:g} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlConfig:
    """All that a crawl needs beside its seeds.

    Raises `UsageError`, from whichever slice is wrong, when a value cannot be used.
    """

    db: Path = DEFAULT_DB
    scope: ScopeConfig = field(default_factory=ScopeConfig)
    politeness: PolitenessConfig = field(default_factory=PolitenessConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    recrawl: RecrawlConfig = field(default_factory=RecrawlConfig)
    run: RunConfig = field(default_factory=RunConfig)
    start: StartConfig = field(default_factory=StartConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "db", Path(self.db))  # a str is as good

    def storable(self) -> dict[str, Any]:
        """The options as plain data, without any secret: of the headers only the names remain, of the cookies only
        that there were some.
        """
        options = {name: asdict(getattr(self, name)) for name in ("scope", "politeness", "network", "recrawl", "run")}
        options["network"]["headers"] = sorted(name.lower() for name, value in self.network.headers.items() if value)
        options["network"]["proxy"] = proxy.name if (proxy := self.network.proxy_server) else None
        options["network"]["cookies"] = bool(self.network.cookies)
        return options

    def resumed(self, stored: Mapping[str, Any], given: Mapping[str, str]) -> tuple[CrawlConfig, list[str]]:
        """This config with the options of an earlier run, as it stored them, in the place of those that are not `given`
        now (names of fields, each with its flag); and what was given that differs, in words.

        What is not stored as it is, such as the headers, holds a secret and cannot be taken over.
        """
        slices, changes = {}, []
        for name, options in self.storable().items():
            own = getattr(self, name)
            taken_over = {}
            for option, value in options.items():
                now = getattr(own, option)
                if option not in stored.get(name, {}):
                    continue
                if value != now:  # stored without its secret; a proxy's name is none
                    if option == "proxy" and option in given and value != stored[name][option]:
                        changes.append(f"{given[option]} {value} instead of {stored[name][option] or 'none'}")
                    continue
                earlier = _restored(stored[name][option], like=now)
                if option not in given:
                    taken_over[option] = earlier
                elif earlier != now:
                    new, old = (_in_words(one, is_age=option in _AGES) for one in (now, earlier))
                    changes.append(f"{given[option]} {new} instead of {old}")
            slices[name] = replace(own, **taken_over)
        return replace(self, **slices), changes


def describe(config_slice: type, name: str) -> tuple[Any, str]:
    """The default and the help text of one option."""
    for option in fields(config_slice):
        if option.name == name:
            return option.default, option.metadata["help"]
    raise KeyError(name)


def _restored(stored: Any, like: Any) -> Any:
    """A value as it was before it became JSON."""
    if isinstance(like, tuple):
        return tuple(stored)
    return type(like)(stored) if isinstance(like, Enum) else stored


_AGES = {"max_age_s", "min_interval_s", "max_interval_s", "max_runtime_s", "max_wait_s", "grace_s"}
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def _in_words(value: Any, *, is_age: bool) -> str:
    """As it would be given; `is_age`: it may be, with a unit."""
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    if is_age and isinstance(value, float):
        length_s, unit = next((one for one in _UNITS if value >= one[0] and not value % one[0]), (1, "s"))
        return f"{value / length_s:g}{unit}"
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _between(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{option} must be between {low:g} and {high:g}, not {value:g}")


def _at_least(option: str, value: int | None, low: int) -> None:
    if value is not None and value < low:
        raise UsageError(f"{option} must be at least {low}, not {value}")


def _check_regex(option: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{option} {pattern!r} is not a regular expression: {error}") from None


def _check_user_agent(text: str) -> None:
    if not text.strip() or not text.isascii() or not text.isprintable():
        raise UsageError("--user-agent must be printable ASCII and not empty")


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"--allow-private {text!r} is not a network; write it like 127.0.0.0/8 or fd00::/8") from None
