"""Which addresses the guard lets through; that sockets obey it is tested in integration/test_session.py."""

from ipaddress import ip_network

import pytest

from crawler.counters import Counters
from crawler.network.guard import AddressGuard, is_localhost, is_public

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
SPECIAL = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "5f00::1",
    "4000::1",  # outside of what IANA hands out
]
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


@pytest.mark.parametrize("address", SPECIAL + EMBEDDING)
def test_special_purpose_addresses_are_refused_with_a_reason(address: str) -> None:
    assert not is_public(address)
    reason = guard().refusal(address)
    assert reason is not None
    assert reason.startswith(address)


@pytest.mark.parametrize("text", ["localhost", "", "127.1", "2130706433", "0x7f000001", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert not is_public(text)
    assert guard().refusal(text) is not None


def test_the_refusal_says_what_would_allow_the_address() -> None:
    reason = guard().refusal("::ffff:10.1.2.3")
    assert reason == "::ffff:10.1.2.3 is private, not public; --allow-private 10.1.2.3/32 would allow it"


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1", "::a01:203"])
def test_an_allowed_network_covers_the_forms_that_embed_its_addresses(address: str) -> None:
    assert guard("10.0.0.0/8").refusal(address) is None
    assert guard("192.168.0.0/16", "fd00::/8").refusal(address) is not None


def test_an_allowed_ipv6_network_covers_its_own_addresses_only() -> None:
    opened = guard("fd00:1::/32")
    assert opened.refusal("fd00:1::5") is None
    assert opened.refusal("fd00:2::5") is not None
    assert opened.refusal("127.0.0.1") is not None


def test_an_ip_literal_seed_opens_its_very_address_to_its_own_origin_only() -> None:
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


def guard(*networks: str) -> AddressGuard:
    return AddressGuard([ip_network(network) for network in networks], Counters())
