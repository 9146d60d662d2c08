"""Which addresses the guard lets through; that sockets obey it is tested in integration/test_session.py."""

from ipaddress import ip_network

import pytest

from crawler.counters import Counters
from crawler.network.guard import AddressGuard, is_localhost, parse_address, special_purpose

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2001:200::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
SPECIAL = {
    "0.0.0.0": "this network",
    "0.255.255.255": "this network",
    "10.0.0.1": "private",
    "100.64.0.1": "shared by a carrier's NAT",
    "100.127.255.255": "shared by a carrier's NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "for protocol assignments",
    "192.0.2.1": "for documentation",
    "192.88.99.1": "a 6to4 relay",
    "192.31.196.1": "for AS112",
    "192.52.193.1": "for AMT",
    "192.175.48.1": "for AS112",
    "192.168.0.1": "private",
    "198.18.0.1": "for benchmarks",
    "198.19.255.255": "for benchmarks",
    "198.51.100.1": "for documentation",
    "203.0.113.1": "for documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::2": "this network",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "2001:db8::1": "for documentation",
    "3fff::1": "for documentation",
    "2620:4f:8000::1": "for AS112",
    "64:ff9b:1::1": "for local NAT64",
    "100::1": "discarded",
    "100:0:0:1::1": "a dummy prefix",
    "2001:2::1": "for protocol assignments",
    "2001:10::1": "for protocol assignments",
    "2001:20::1": "for protocol assignments",
    "5f00::1": "for segment routing",
    "4000::1": "unassigned",  # outside of what IANA hands out
}
EMBEDDING = [
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::10.0.0.1",
    "::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::808:808",  # local use: leads wherever the network's owner wants
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2002:c0a8:101::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2001::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert is_public(address)
    assert guard().refusal(address) is None


@pytest.mark.parametrize(("address", "purpose"), SPECIAL.items())
def test_the_reason_names_what_an_address_is_for(address: str, purpose: str) -> None:
    assert str(guard().refusal(address)).startswith(f"{address} is {purpose}, not public")


@pytest.mark.parametrize("address", [*SPECIAL, *EMBEDDING])
def test_special_purpose_addresses_are_refused_with_a_reason(address: str) -> None:
    assert not is_public(address)
    reason = guard().refusal(address)
    assert reason is not None
    assert reason.startswith(address)


@pytest.mark.parametrize("text", ["localhost", "", "127.1", "2130706433", "0x7f000001", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert not is_public(text)
    assert guard().refusal(text) is not None


@pytest.mark.parametrize(("address", "network"), [("::ffff:10.1.2.3", "10.1.2.3/32"), ("fd00::1%eth0", "fd00::1/128")])
def test_the_refusal_says_what_would_allow_the_address(address: str, network: str) -> None:
    reason = guard().refusal(address)
    assert reason == f"{address} is private, not public; allow it with --allow-private {network}"


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1", "::a01:203"])
def test_allowed_network_covers_embedded_forms(address: str) -> None:
    """An allowed network covers the IPv6 forms that embed its addresses."""
    assert guard("10.0.0.0/8").refusal(address) is None
    assert guard("192.168.0.0/16", "fd00::/8").refusal(address) is not None


def test_an_allowed_ipv6_network_covers_its_own_addresses_only() -> None:
    opened = guard("fd00:1::/32")
    assert opened.refusal("fd00:1::5") is None
    assert opened.refusal("fd00:2::5") is not None
    assert opened.refusal("127.0.0.1") is not None
    assert guard("::ffff:0:0/96").refusal("::ffff:10.1.2.3") is None


def test_ip_literal_seed_opens_its_own_address() -> None:
    """A seed that is an IP literal opens that very address, and only to its own origin."""
    opened = guard()
    opened.open_origin("http://127.0.0.1:8000")
    assert opened.refusal("127.0.0.1", "http://127.0.0.1:8000") is None
    assert opened.refusal("127.0.0.2", "http://127.0.0.1:8000") is not None
    for other in ("http://127.0.0.1:9000", "https://127.0.0.1:8000", "http://127.0.0.1", "http://public.example:8000"):
        assert opened.refusal("127.0.0.1", other) is not None
    assert opened.refusal("127.0.0.1") is not None


def test_an_ipv6_literal_seed_opens_its_address() -> None:
    opened = guard()
    opened.open_origin("http://[fd00::1]:8000")
    assert opened.refusal("fd00::1", "http://[fd00::1]:8000") is None
    assert opened.refusal("fd00::2", "http://[fd00::1]:8000") is not None


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:8000", "https://app.localhost"])
def test_a_localhost_seed_opens_loopback_and_nothing_else(origin: str) -> None:
    opened = guard()
    opened.open_origin(origin)
    assert opened.refusal("127.0.0.1", origin) is None
    assert opened.refusal("::1", origin) is None
    assert opened.refusal("10.0.0.1", origin) is not None
    assert opened.refusal("169.254.169.254", origin) is not None


@pytest.mark.parametrize("origin", ["http://rebind.example", "http://localhost.example", "http://notlocalhost"])
def test_a_seed_with_a_public_name_opens_nothing(origin: str) -> None:
    opened = guard()
    opened.open_origin(origin)
    assert opened.refusal("127.0.0.1", origin) is not None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("a.b.localhost", True),
        ("localhost.com", False),
        ("mylocalhost", False),
        ("", False),
    ],
)
def test_localhost_is_a_name_and_all_below_it(host: str, expected: bool) -> None:
    assert is_localhost(host) is expected


def is_public(text: str) -> bool:
    address = parse_address(text)
    return address is not None and special_purpose(address) is None


def guard(*networks: str) -> AddressGuard:
    return AddressGuard([ip_network(network) for network in networks], Counters())
