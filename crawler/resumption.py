"""What a resuming run takes from the stored options of the last run, which hold no secrets.

Pure. Stored options are what `CrawlConfig.storable` returns, after a round trip through JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crawler.config import CrawlConfig, NetworkConfig
from crawler.errors import UsageError
from crawler.host_settings import HostSettings


def check_secrets(options: dict[str, Any], earlier: dict[str, Any], config: CrawlConfig) -> None:
    """Raise `UsageError` unless the secrets of the last run are given again: without them, a resuming run would get
    other pages. Secrets are never stored.

    A header `given` without a value is one that the user no longer wants.
    """
    given = config.network
    missing = sorted(set(earlier["network"]["headers"]) - {name.lower() for name in given.headers})
    if missing:
        again = " ".join(f"--header '{name}: VALUE'" for name in missing)
        raise UsageError(
            f"the last run sent headers whose values are not stored: {', '.join(missing)}; give them again ({again}),"
            " or leave VALUE empty to resume without them"
        )
    _check_host_headers(earlier.get("hosts", ()), config.hosts)
    if earlier["network"].get("cookies") and given.cookies is None:
        raise UsageError(
            "the last run sent cookies, which are not stored; give the file again (--cookies FILE),"
            " or --cookies '' to resume without them"
        )
    proxy = given.proxy_server
    if earlier.get("proxy_credentials") and proxy is not None and proxy.credentials is None:
        raise UsageError(
            f"the last run used a user and password for the proxy {proxy.name}, which are not stored;"
            " give them again in --proxy"
        )
    origins = sorted(set(earlier.get("credentials", ())) - set(options["credentials"]))
    if origins:
        raise UsageError(
            f"the last run used a user and password for {', '.join(origins)}, which are not stored;"
            " give the seed again, with user:password@"
        )


def _check_host_headers(earlier: Sequence[Mapping[str, Any]], hosts: Sequence[HostSettings]) -> None:
    """A table that is left out beside others is one that the user no longer wants."""
    given = {host.match: {name.lower() for name in host.headers} for host in hosts}
    for entry in earlier:
        match = entry["match"]
        missing = sorted(set(entry["headers"]) - given.get(match, set())) if not given or match in given else []
        if missing:
            raise UsageError(
                f"the last run sent headers to {match} whose values are not stored: {', '.join(missing)};"
                " give the crawl file again (--config FILE), with empty values to resume without them"
            )


_EXCLUDING_NONE = ("max_pages", "guess_sitemap", "feeds")


def scope_rules(options: dict[str, Any]) -> dict[str, Any]:
    """The options that can exclude a URL, in the form in which JSON returns them."""
    rules = json.loads(json.dumps(options["scope"]))
    return {name: value for name, value in rules.items() if not name.startswith(_EXCLUDING_NONE)}


def sendable(network: NetworkConfig) -> NetworkConfig:
    """The same without headers that have no value: those were given only to say that they are no longer wanted."""
    return replace(network, headers={name: value for name, value in network.headers.items() if value})


def sendable_by(hosts: Sequence[HostSettings]) -> tuple[HostSettings, ...]:
    """The same for those of some hosts."""
    return tuple(
        replace(host, headers={name: value for name, value in host.headers.items() if value}) for host in hosts
    )
