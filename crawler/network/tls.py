"""What is accepted of TLS: versions, cipher suites, and whom to trust.

Invariant: nobody is trusted whom the system does not trust, unless the user said so; no weaker protocol or suite is
spoken in any case.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Those of 1.2, the strongest first. Python's own choice leaves out the last ones, CBC with SHA-1 and RSA without a key
# for each connection, which are all that some old servers have; browsers take them. The level is Python's: it asks how
# strong keys and certificates are.
CIPHERS = (
    "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:kRSA+AESGCM:kRSA+AES"
    ":!aNULL:!eNULL:!aDSS:!AESCCM:!3DES:!RC4:!EXPORT:!PSK:!SRP"
)
_FILE = "SSL_CERT_FILE"  # where OpenSSL is told to look for CAs


def tls_context(*, insecure: bool = False) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with whom the system trusts; where `insecure`, with anybody."""
    context = _SystemTrust(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    if sys.version_info >= (3, 13):  # as `ssl.create_default_context` has it
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _SystemTrust(ssl.SSLContext):
    """Loads the system's CAs for its first connection: that takes 80 ms, which a crawl without TLS can do without."""

    _has_loaded = False

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Called by the event loop for each connection."""
        if not self._has_loaded and self.verify_mode is not ssl.CERT_NONE:
            self.load_default_certs()
            self._has_loaded = True
        return super().wrap_bio(*args, **kwargs)


@contextmanager
def without_authorities() -> Iterator[None]:
    """What is imported meanwhile finds no CAs. aiohttp reads the system's twice when it is imported, a tenth of a
    start, for contexts of its own; a crawl never uses these, but other code in this process may.
    """
    given = os.environ.get(_FILE)
    os.environ[_FILE] = os.devnull
    try:
        yield
    finally:
        del os.environ[_FILE]
        if given is not None:
            os.environ[_FILE] = given
