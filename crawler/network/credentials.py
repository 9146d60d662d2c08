"""Which origin is sent which of the user's headers. Invariant: an origin that nobody named gets no credentials, and a
stranger nothing that may be a secret; a host that has headers of its own is alone in getting them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from crawler.config import NetworkConfig
from crawler.host_settings import HostSettings, settings_of
from crawler.network.session import credential_headers, private_headers
from crawler.urls import host_of


class Credentials:
    """The `Authorization` and `Cookie` fields of each origin, those of all but strangers, and those that are a host's
    own.
    """

    def __init__(self, network: NetworkConfig, hosts: Sequence[HostSettings] = ()) -> None:
        self._hosts = hosts if any(host.headers for host in hosts) else ()
        self._shared = credential_headers(network)
        self._private = private_headers(network)
        self._by_origin: dict[str, dict[str, str]] = {}

    def trust(self, origin: str) -> None:
        """Send the user's headers to it; what it has been given already wins."""
        self._by_origin[origin] = self._shared | self._by_origin.get(origin, {})

    def authorize(self, origin: str, user: str, password: str) -> None:
        """Send it this user and password (RFC 7617), whatever it was given before."""
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._by_origin[origin] = self._by_origin.get(origin, {}) | {"Authorization": f"Basic {token}"}

    def of(self, origin: str, *, as_stranger: bool = False) -> Mapping[str, str] | None:
        """The fields for its requests; None where there are none."""
        given: Mapping[str, str] | None = None if as_stranger else self._by_origin.get(origin)
        if self._private and not as_stranger:
            given = {**self._private, **(given or {})}
        if not self._hosts:
            return given
        own = settings_of(host_of(f"{origin}/"), self._hosts).headers
        if not own:
            return given
        names = {name.lower() for name in own}
        return {name: value for name, value in (given or {}).items() if name.lower() not in names} | dict(own)
