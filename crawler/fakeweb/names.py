"""The DNS server of the fake web, authoritative for the declared hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSError, DNSRecord  # type: ignore[import-untyped]

from crawler.fakeweb.sites import DnsAnswer, Site, site_named


class DnsServer(asyncio.DatagramProtocol):
    """Authoritative for the declared hosts: A and AAAA (RFC 1035). Any other name does not exist."""

    def __init__(self, sites: Mapping[str, Site], log: list[tuple[str, str]]) -> None:
        self._sites = sites
        self._log = log

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Called once the socket is open."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Called with a query."""
        try:
            query = DNSRecord.parse(data)
        except DNSError:
            return
        name = str(query.q.qname).rstrip(".").lower()
        self._log.append((name, str(QTYPE[query.q.qtype])))
        site = site_named(self._sites, name)
        answer = dns_answer(site) if site is not None else "nxdomain"
        if answer != "silent":
            reply = query.reply()
            self._fill(reply, answer, site.ttl_s if site is not None else 0)
            self._transport.sendto(bytes(reply.pack()), addr)

    @staticmethod
    def _fill(reply: Any, answer: DnsAnswer, ttl_s: int) -> None:
        if isinstance(answer, str):
            reply.header.rcode = RCODE.NXDOMAIN if answer == "nxdomain" else RCODE.SERVFAIL
            return
        for address in answer:
            record_type, record = (QTYPE.A, A) if ip_address(address).version == 4 else (QTYPE.AAAA, AAAA)
            if reply.q.qtype == record_type:
                reply.add_answer(RR(reply.q.qname, record_type, ttl=ttl_s, rdata=record(address)))


def dns_answer(site: Site) -> DnsAnswer:
    """The declared answer to a query for the host."""
    if site.dns is None:
        return (site.address,)
    return site.dns(site.name) if callable(site.dns) else site.dns
