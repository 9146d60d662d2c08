"""Who may see the crawl, and what a browser may do with it.

A crawl may hold what only its owner can reach, and its pages are written by strangers. Invariants: on loopback, a
request is answered only if it was addressed to this machine by a name of ours, so that no website can have its own name
resolve to us (DNS rebinding); elsewhere only with a token. No answer may be framed, sniffed or read by another origin,
and no script or style runs but our own files.
"""

from __future__ import annotations

import hmac
import ipaddress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from crawler.statically_frozen import dataclass

TOKEN = "token"  # noqa: S105 - the name of the parameter and the cookie, no secret
_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_METHODS = frozenset({"GET", "HEAD"})

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
# Of a page that was crawled: nothing runs and nothing is loaded, and it has no origin.
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
# Of a report, which has its own within the page: that names the hashes of its only style sheet and script.
REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(address: str) -> bool:
    """Whether an address that is listened on can only be reached from this machine."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """The rule: with a `token`, whoever has it; without one, requests addressed to this machine."""

    token: str | None
    address: str

    def middleware(self) -> Middleware:
        """For an aiohttp application."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = self._refused(request) or self._let_in(request) or await handler(request)
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return guarded

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.method not in _METHODS:
            return web.Response(status=405, text="only reading is possible\n", headers={"Allow": "GET, HEAD"})
        if self.token is not None:
            given = request.query.get(TOKEN) or request.cookies.get(TOKEN, "")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return web.Response(status=403, text="open the address that `crawler serve` has printed\n")
            return None
        name = (
            request.host.rpartition(":")[0] if not request.host.endswith("]") and ":" in request.host else request.host
        )
        if name.lower() not in _NAMES | {self.address, f"[{self.address}]"}:
            return web.Response(status=403, text="this server answers to localhost alone\n")
        return None

    def _let_in(self, request: web.Request) -> web.Response | None:
        """The first time, the token stands in the address; from then on in a cookie, which no link tells to anybody."""
        if self.token is None or TOKEN not in request.query:
            return None
        query = {name: value for name, value in request.query.items() if name != TOKEN}
        response = web.Response(status=303, headers={"Location": str(request.rel_url.with_query(query))})
        response.set_cookie(TOKEN, self.token, httponly=True, samesite="Strict", path="/")
        return response
