"""The declared hosts with the ports at which they can be reached, and a log of the requests to them.

Whoever answers for a web is one of these: the servers on loopback (`server`), or the fetcher without sockets
(`fetcher`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crawler.fakeweb.sites import Listening, Request, Site, site_named
from crawler.urls import DEFAULT_PORTS

_AUTHORITY = re.compile(
    r"""(?:(?P<scheme>https?):)?//(?:[^\s/?#"'<>@]*@)?(?P<host>[\w.-]+)(?::(?P<port>\d+))?(?![\w.:@-])""",
    re.IGNORECASE,
)


class Directory:
    """A running web. `log` has the requests in order of arrival, `errors` what declared handlers raised."""

    def __init__(self, sites: Mapping[str, Site], *, port: int = 0, tls_port: int = 0) -> None:
        self.log: list[Request] = []
        self.errors: list[Exception] = []
        self.connections = 0  # made so far
        self.port = port
        self.tls_port = tls_port
        self.sites = sites
        self.ports = {(site.name, port): port for site in sites.values() for port in site.ports}  # the real ones
        self.origins = {(site.address, port): origin for site in sites.values() for port, origin in site.ports.items()}
        self._by_address = {site.address: site for site in reversed(list(sites.values()))}

    def url(self, host: str, path: str = "/", *, scheme: str | None = None, port: int | None = None) -> str:
        """The URL of a declared host, with the port; https if the host has it, unless `scheme` says otherwise.

        `port`: of one of its other origins, as it was declared.
        """
        if port is not None:
            return f"http://{host}:{self.ports[host, port]}{path}"
        site = site_named(self.sites, host) or self.sites[host]
        scheme = scheme or ("https" if site.tls else "http")
        return f"{scheme}://{host}{self._port_suffix(scheme)}{path}"

    def with_ports(self, text: str, scheme: str = "http") -> str:
        """The text with the port in each URL of a declared host; `scheme` is for those that begin with '//'."""
        if "//" not in text:
            return text
        return _AUTHORITY.sub(lambda match: self._with_port(match, scheme), text)

    def hits(self, host: str, target: str | None = None) -> list[Request]:
        """The logged requests for one host, or for one target of it."""
        return [hit for hit in list(self.log) if hit.host == host and target in (None, hit.target)]

    def site_for(self, host: str, address: str, port: int) -> Site | None:
        """The site at this port, where it is one's alone; named by a Host header; or else the first at the address."""
        return self.origins.get((address, port)) or site_named(self.sites, host) or self._by_address.get(address)

    def listens(self, address: str, scheme: str, port: int) -> Listening:
        """Whether a host is declared to take connections there."""
        secure = scheme == "https"
        if (origin := self.origins.get((address, port))) is not None:
            return False if secure else origin.listening
        if port != (self.tls_port if secure else self.port):
            return False
        here = (site.listening for site in self.sites.values() if site.address == address and (site.tls or not secure))
        return next((listening for listening in here if listening), False)

    def _port_suffix(self, scheme: str) -> str:
        port = self.tls_port if scheme == "https" else self.port
        return "" if port == DEFAULT_PORTS[scheme] else f":{port}"

    def _with_port(self, match: re.Match[str], scheme: str) -> str:
        name = match["host"].rstrip(".").lower()
        if match["port"] is not None:
            real = self.ports.get((name, int(match["port"])))
            return match[0] if real is None else match[0].removesuffix(match["port"]) + str(real)
        if site_named(self.sites, name) is None:
            return match[0]
        return f"{match[0]}{self._port_suffix((match['scheme'] or scheme).lower())}"
