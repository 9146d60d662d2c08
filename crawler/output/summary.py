"""The summary of a run: one frozen record, and its JSON."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from crawler.counters import Counters
from crawler.errors import CrawlerError
from crawler.output.files import write_file
from crawler.records import Blame, Change, Closure, EndReason, FailingUrls
from crawler.urls import host_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The summary of a run. Durations are in seconds, sizes in bytes. Counts are those of this process, except
    `pending`, `excluded`, `urls` and `failing`, which are what the database holds now: `failing` URLs keep the status
    of their last response, by which `urls` counts them. `run_pages` also includes what the run stored before it was
    killed. `waiting` names the hosts and origins whose pages are left for a later run (20 at most), until when and why.
    `unstored_links` lead to URLs that were not stored because of `--max-urls-per-host`, over all runs. `cut_sitemaps`
    are sitemaps and feeds of which not all was read. `extracts` are the `pages` that each extraction rule is for, the
    `rows` found, on how many pages `nothing`, `lost` of these where the rule had found something before, how many were
    `incomplete` (something required is missing) or `cut`. `checked` URLs were only checked (`--check`) in this process;
    `checks` counts what the database holds of them by verdict, `pending` being those that were not checked yet; empty
    without `--check`. `seeds_failed`: no seed could be fetched; then `failed_seeds` are
    at most 20 of the `failed_seeds_total`, each with its `url` and `reason`. `insecure`: certificates were not
    verified. `goes_on`: this process has left a run that others go on with.

    `complete`: no URLs were left to fetch. `end_reason` is a word of `EndReason`. `by_status` counts responses by HTTP
    status, `by_failure` attempts without a response by kind, `changes` URLs by `Change`. `error` is why the run could
    not start or go on; then `run_id` is 0.
    """

    run_id: int
    complete: bool
    end_reason: str
    seeds_failed: bool = False
    failed_seeds: tuple[Mapping[str, str], ...] = ()
    failed_seeds_total: int = 0
    elapsed_s: float = 0.0
    requests: int = 0
    pages: int = 0
    run_pages: int = 0
    pages_per_s: float = 0.0
    bytes: int = 0
    connections_opened: int = 0
    connections_reused: int = 0
    connections_peak: int = 0
    connections_per_request: float = 0.0
    dns_lookups: int = 0
    dns_cache_hits: int = 0
    retries: int = 0
    by_status: Mapping[str, int] = field(default_factory=dict)
    by_failure: Mapping[str, int] = field(default_factory=dict)
    changes: Mapping[str, int] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)
    unstored_links: int = 0
    cut_sitemaps: int = 0
    extracts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    checked: int = 0
    checks: Mapping[str, int] = field(default_factory=dict)
    urls: Mapping[str, int] = field(default_factory=dict)
    failing: FailingUrls = field(default_factory=FailingUrls)
    pending: int = 0
    waiting: tuple[Closure, ...] = ()
    insecure: bool = False
    goes_on: bool = False
    peak_rss_bytes: int = 0
    error: str = ""

    @property
    def backing_off(self) -> tuple[str, ...]:
        """The names of the hosts that are waited for, or of whose origins one is."""
        return tuple(dict.fromkeys(map(_host_of, self.waiting)))

    def recorded_as(self, recorded: Mapping[str, Any]) -> Summary:
        """The same with the counts of all processes that worked on the run, as it `recorded` them."""
        return replace(self, **{name: recorded[name] for name in _COUNTED if name in recorded})

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON. Each of those `waiting` has a key `host` or `origin`; `backing_off` names the hosts."""
        return asdict(self) | {"waiting": closures_as_data(self.waiting), "backing_off": list(self.backing_off)}


_COUNTED = (
    *("requests", "pages", "run_pages", "pages_per_s", "bytes", "connections_opened", "connections_reused"),
    *("dns_lookups", "dns_cache_hits", "retries", "by_status", "by_failure", "changes", "cut_sitemaps", "extracts"),
    *("elapsed_s", "peak_rss_bytes"),
)  # by each process for itself


def closures_as_data(closures: Iterable[Closure]) -> list[dict[str, Any]]:
    """Plain data for JSON: each has a key `host` or `origin`, `until` (Unix seconds) and `why`."""
    return [{str(one.blame): one.name, "until": one.until, "why": one.why} for one in closures]


def failed(error: CrawlerError) -> Summary:
    """The summary of a run that could not start or go on: what an earlier run has left would say something else."""
    return Summary(run_id=0, complete=False, end_reason=EndReason.FAILED, error=" ".join(str(error).split()))


def summarize(counters: Counters, *, lost_extracts: Mapping[str, int], **facts: Any) -> Summary:
    """The summary of a run that ends now; `facts` are the fields that the counters do not hold."""
    return Summary(
        connections_peak=counters.connections_peak,
        connections_per_request=round(counters.connections_per_request, 4),
        extracts={rule: _extracted(count, lost_extracts.get(rule, 0)) for rule, count in counters.extracts.items()},
        **figures(counters, facts["elapsed_s"]),
        **facts,
    )


def figures(counters: Counters, elapsed_s: float) -> dict[str, Any]:
    """What this process has counted in so many seconds, by the fields of the summary: those that can be added up."""
    return {
        "requests": counters.requests,
        "pages": counters.pages,
        "pages_per_s": round(counters.pages / elapsed_s, 2) if elapsed_s > 0 else 0.0,
        "bytes": counters.bytes,
        "connections_opened": counters.connections_opened,
        "connections_reused": counters.connections_reused,
        "dns_lookups": counters.dns_lookups,
        "dns_cache_hits": counters.dns_cache_hits,
        "retries": counters.retries,
        "cut_sitemaps": counters.cut_sitemaps,
        "checked": sum(counters.checks.values()),
        "by_status": {str(status): count for status, count in sorted(counters.by_status.items())},
        "by_failure": {str(kind): count for kind, count in sorted(counters.by_failure.items())},
        "changes": {kind.value: counters.changes[kind] for kind in Change},
        "peak_rss_bytes": peak_rss_bytes(),
    }


def _extracted(count: Mapping[str, int], lost: int) -> dict[str, int]:
    return {name: count.get(name, 0) for name in ("pages", "rows", "nothing", "incomplete", "cut")} | {"lost": lost}


def _host_of(closure: Closure) -> str:
    return closure.name if closure.blame is Blame.HOST else host_of(f"{closure.name}/")


def peak_rss_bytes() -> int:
    """The peak resident memory of this process, without its parser processes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux; on Linux, getrusage would count the process that started us, too
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def write_summary(summary: Summary, path: Path) -> None:
    """Write it as JSON, atomically (see `write_file`). Raises `UsageError` if it cannot be written."""
    write_file("--summary", path, orjson.dumps(summary.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
