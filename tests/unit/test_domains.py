"""Whose host a host is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.domains import owner_of, registrable_domain
from crawler.urls import host_of, normalize

OWNERS = [
    ("www.example.com", "example.com"),
    ("example.com", "example.com"),
    ("a.b.c.example.co.uk", "example.co.uk"),
    ("www.xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("a1.trap.test", "trap.test"),  # an unknown top-level domain is a suffix
    # below a private suffix everybody has a domain of his own, but not below that
    ("me.github.io", "me.github.io"),
    ("a.me.github.io", "me.github.io"),
    ("me.blogspot.com", "me.blogspot.com"),
    ("me.wordpress.com", "wordpress.com"),  # is not in the list
    # a wildcard of the list
    ("a.b.x.ck", "b.x.ck"),
    # no owner of others: the host alone
    ("localhost", "localhost"),
    ("com", "com"),
    ("github.io", "github.io"),
    ("a..example.com", "a..example.com"),
    ("10.1.2.3", "10.1.2.3"),
    # who has one IPv6 address has 2**64
    ("[2001:db8::1]", "2001:db8::/64"),
    ("[2001:db8::ffff:0:0:1]", "2001:db8::/64"),
    ("[2001:db8:0:1::1]", "2001:db8:0:1::/64"),
]


@pytest.mark.parametrize(("host", "owner"), OWNERS)
def test_the_owner_of_a_host_has_its_registrable_domain(host: str, owner: str) -> None:
    assert owner_of(host) == owner


@pytest.mark.parametrize("host", ["localhost", "com", "github.io", "10.1.2.3", "[2001:db8::1]"])
def test_hosts_without_a_registrable_domain(host: str) -> None:
    """Addresses, single labels and public suffixes have none."""
    assert registrable_domain(host) is None


@given(authority=st.text(alphabet="a.-_1:[]é%;", min_size=1, max_size=20))
def test_every_host_has_an_owner(authority: str) -> None:
    """It is asked within a transaction: an error there would end the crawl."""
    url = normalize(f"http://{authority}/")
    if url is not None:
        assert owner_of(host_of(url))
