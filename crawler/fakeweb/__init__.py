"""A small web, declared as a graph and served for real on loopback, for the demo and the tests.

    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="Home", links=["/b", "http://b.test/"])
    site.redirect("/old", "/b", status=301)
    site.answer("/broken", Fault.HANG)
    async with web.serve() as served:
        ...  # crawl served.url("a.test") with the DNS server at served.dns

`crawler.fakeweb.fetcher.open_fake_fetcher` answers a crawl from the same declaration without a socket.

Every host has its own address in 127/8 (Linux routes all of it to loopback), all share one port, and a real DNS server
resolves them. Invariant: what goes over the wire is what was declared, byte for byte, with one exception. The port is
known only once the web is served, so in declared *text* (str bodies, header values) an absolute or scheme-relative URL
of a declared host gets the port unless it has one. Bodies given as bytes and `verbatim` answers are never changed.

A host may have other origins (`site.origin(8081)`), each with answers of its own, on a port that text may name.

Paths are written as on the request line (percent-encoded). A request is matched by its whole target, then by its path
without the query, then by the path "*"; otherwise it gets a 404. The host is the one that the Host header names; if
that one is not declared, the first one at the address of the connection.
"""

from __future__ import annotations

from crawler.fakeweb.server import Served
from crawler.fakeweb.sites import (
    Answer,
    AnswerOptions,
    DnsAnswer,
    DnsBehaviour,
    Fault,
    Handler,
    Headers,
    PageOptions,
    Reply,
    Request,
    Site,
    StreamHandler,
)
from crawler.fakeweb.web import FakeWeb

__all__ = [
    "Answer",
    "AnswerOptions",
    "DnsAnswer",
    "DnsBehaviour",
    "FakeWeb",
    "Fault",
    "Handler",
    "Headers",
    "PageOptions",
    "Reply",
    "Request",
    "Served",
    "Site",
    "StreamHandler",
]
