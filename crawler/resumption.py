"""What a run that goes on takes from the options of the one before it, which hold no secrets.

Pure. Stored options are as `CrawlConfig.storable` gives them, after a round trip through JSON.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from crawler.config import NetworkConfig
from crawler.errors import UsageError


def check_secrets(options: dict[str, Any], earlier: dict[str, Any], given: NetworkConfig) -> None:
    """Secrets are stored nowhere, so a run that goes on needs them again; going on without would fetch other pages.

    What is `given` without a value is what the user does not want any more.
    """
    missing = sorted(set(earlier["network"]["headers"]) - {name.lower() for name in given.headers})
    if missing:
        again = " ".join(f"--header '{name}: VALUE'" for name in missing)
        raise UsageError(
            f"the last run sent headers whose values are not stored: {', '.join(missing)}; give them again ({again}),"
            " or with no VALUE to go on without"
        )
    if earlier["network"].get("cookies") and given.cookies is None:
        raise UsageError(
            "the last run sent cookies from a file, which are not stored; give it again (--cookies FILE),"
            " or --cookies '' to go on without"
        )
    proxy = given.proxy_server
    if earlier.get("proxy_credentials") and proxy is not None and proxy.credentials is None:
        raise UsageError(
            f"the last run used a user and password for the proxy {proxy.name}, which are not stored;"
            " give --proxy with them again"
        )
    origins = sorted(set(earlier.get("credentials", ())) - set(options["credentials"]))
    if origins:
        raise UsageError(
            f"the last run used a user and password that are not stored, for {', '.join(origins)};"
            " give the seed with user:password@ again"
        )


def scope_rules(options: dict[str, Any]) -> dict[str, Any]:
    """What decides about a URL, as it is after a round trip through JSON; the numbers of pages exclude nothing."""
    rules = json.loads(json.dumps(options["scope"]))
    return {name: value for name, value in rules.items() if not name.startswith("max_pages")}


def sendable(network: NetworkConfig) -> NetworkConfig:
    """A header without a value is not sent: it was given to say that it is not wanted any more."""
    return replace(network, headers={name: value for name, value in network.headers.items() if value})
