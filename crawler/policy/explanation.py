"""Why a URL may not enter, in words: the option or the bound that decided, with its value. Pure.

Invariant: what is said holds for the options that are given. Where a reason is older than they are, it is told as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from crawler.config import ScopeConfig, ScopeRule
from crawler.domains import registrable_domain
from crawler.policy.scope import MAX_HOPS, MAX_URL_LENGTH
from crawler.records import ExclusionReason
from crawler.statically_frozen import dataclass
from crawler.urls import host_of, port_of, target_of

_NAMED = 3  # seeds, of which there may be thousands


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A URL that is kept out, and all that speaks of it. `roots`: the seeds, and what they redirect to."""

    url: str
    cause: str
    detail: str | None
    depth: int
    config: ScopeConfig
    roots: Iterable[str] = ()


def explanation(excluded: Excluded) -> str:
    """One sentence without its final stop."""
    explain = _EXPLAIN.get(excluded.cause)
    return excluded.cause if explain is None else explain(excluded)


def _scope(one: Excluded) -> str:
    rule, host = one.config.scope, host_of(one.url)
    if rule is ScopeRule.PREFIX:
        folders = (f"{host_of(root)}{target_of(root).partition('?')[0].rpartition('/')[0]}/" for root in one.roots)
        return f"--scope prefix: it is below none of the seeds' folders ({_named(folders)})"
    if rule is ScopeRule.DOMAIN:
        domains = (registrable_domain(host_of(root)) or host_of(root) for root in one.roots)
        return f"--scope domain: {registrable_domain(host) or host} is none of the seeds' domains ({_named(domains)})"
    if rule is ScopeRule.ANY:
        return "the --scope of an earlier run"
    return f"--scope host: {host} is none of the seeds' hosts ({_named(map(host_of, one.roots))})"


def _include(one: Excluded) -> str:
    patterns = " ".join(map(repr, one.config.include))
    return f"--include: it matches none of {patterns}" if patterns else "an --include of an earlier run"


def _exclude(one: Excluded) -> str:
    found = next((pattern for pattern in one.config.exclude if re.search(pattern, one.url)), None)
    return "an --exclude of an earlier run" if found is None else f"--exclude: it matches {found!r}"


def _depth(one: Excluded) -> str:
    most = one.config.max_depth
    limit = "a --max-depth of an earlier run" if most is None else f"--max-depth {most}"
    return f"{limit}: it is {one.depth} links from the nearest seed"


def _trap(what: str, option: str = "--no-trap-rules") -> Callable[[Excluded], str]:
    return lambda _one: f"{what} ({option} lets it in)"


def _named(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return (", ".join(known[:_NAMED]) or "there are none") + more


_EXPLAIN: Mapping[str, Callable[[Excluded], str]] = {
    ExclusionReason.SCOPE: _scope,
    ExclusionReason.INCLUDE: _include,
    ExclusionReason.EXCLUDE: _exclude,
    ExclusionReason.DEPTH: _depth,
    ExclusionReason.HOPS: lambda _one: f"more than {MAX_HOPS} redirects in a row lead to it",
    ExclusionReason.LENGTH: lambda one: f"it has {len(one.url):,} characters, more than {MAX_URL_LENGTH:,}",
    ExclusionReason.PORT: lambda one: (
        f"port {port_of(one.url)} is for other services than web servers; a seed opens it"
    ),
    ExclusionReason.NOFOLLOW: lambda _one: "only nofollow links lead there (--follow-nofollow follows them)",
    ExclusionReason.ROBOTS: lambda one: f"robots.txt, {one.detail or 'in an earlier run'}",
    ExclusionReason.HOOK: lambda one: (
        f"a hook left it out: {one.detail} (a run without hooks, or with others, judges it anew)"
    ),
    ExclusionReason.NO_SITEMAP: lambda _one: (
        "nothing names this sitemap; it was asked for on the chance, and is not there"
    ),
    ExclusionReason.PATH_SEGMENTS: lambda one: (
        f"it has more than {one.config.max_path_segments} path segments (--max-path-segments)"
    ),
    ExclusionReason.QUERY_PARAMETERS: lambda one: (
        f"it has more than {one.config.max_query_params} query parameters (--max-query-params)"
    ),
    ExclusionReason.REPEATED_PATH_SEGMENTS: _trap("its path repeats itself, as in an endless site"),
    ExclusionReason.REPEATED_QUERY_PARAMETERS: _trap("its query repeats itself, as in an endless site"),
    ExclusionReason.SESSION_IDS: _trap(
        "its host gives out session ids without end", "--drop-param takes them away, --no-trap-rules"
    ),
    ExclusionReason.PAGES_ALIKE: lambda one: (
        f"pages under {one.detail} of its host keep repeating (--no-trap-rules lets it in)"
    ),
    ExclusionReason.URLS_OF_HOST: lambda one: (
        f"its host had {one.config.max_urls_per_host:,} URLs already (--max-urls-per-host)"
    ),
    ExclusionReason.HOSTS_OF_DOMAIN: lambda one: (
        f"{one.detail} had {one.config.max_hosts_per_domain:,} hosts already (--max-hosts-per-domain)"
    ),
}
