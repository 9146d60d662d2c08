"""Which origin is sent which of the user's credentials. Invariant: an origin that nobody named gets none."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from crawler.config import NetworkConfig
from crawler.network.session import credential_headers


class Credentials:
    """The `Authorization` and `Cookie` fields of each origin."""

    def __init__(self, network: NetworkConfig) -> None:
        self._shared = credential_headers(network)
        self._by_origin: dict[str, dict[str, str]] = {}

    def trust(self, origin: str) -> None:
        """Send the user's headers to it; what it has been given already wins."""
        self._by_origin[origin] = self._shared | self._by_origin.get(origin, {})

    def authorize(self, origin: str, user: str, password: str) -> None:
        """Send it this user and password (RFC 7617), whatever it was given before."""
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._by_origin[origin] = self._by_origin.get(origin, {}) | {"Authorization": f"Basic {token}"}

    def of(self, origin: str) -> Mapping[str, str] | None:
        """The fields for its requests; None where there are none."""
        return self._by_origin.get(origin)
