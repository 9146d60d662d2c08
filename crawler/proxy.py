"""What `--proxy` names: the one server that every request of a run goes through."""

from __future__ import annotations

import re
from dataclasses import field
from urllib.parse import unquote, urlsplit

from crawler.errors import UsageError
from crawler.statically_frozen import dataclass

SCHEMES = frozenset({"http", "socks5", "socks5h"})
_MAX_CREDENTIAL_BYTES = 255  # RFC 1929, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyServer:
    """A proxy, without any secret in its `repr`.

    `http` and `socks5h` receive host names and resolve them; `socks5` receives addresses.
    """

    scheme: str
    host: str  # an IPv6 address without brackets
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """How it is stored and shown: its URL without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(text: str) -> ProxyServer:
    """Parse 'http://[user:password@]host:port', or socks5 or socks5h. Raises `UsageError`, which never quotes it."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        raise _unusable() from None
    if parts.scheme not in SCHEMES or not port or not re.fullmatch(r"[a-z0-9._:-]+", host):
        raise _unusable()
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise _unusable()
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
        if not all(text.isprintable() and len(text.encode()) <= _MAX_CREDENTIAL_BYTES for text in credentials):
            raise UsageError("--proxy: user and password must each be printable and at most 255 bytes long")
        if not credentials[0] or ":" in credentials[0]:
            raise UsageError("--proxy: the user must not be empty or contain a colon")
    return ProxyServer(scheme=parts.scheme, host=host, port=port, credentials=credentials)


def _unusable() -> UsageError:
    return UsageError(
        "--proxy takes the URL of a proxy, such as http://127.0.0.1:3128 or socks5://user:password@proxy.example:1080"
        " (http, socks5 or socks5h; in a password, write anything but letters and digits as %XX)"
    )
