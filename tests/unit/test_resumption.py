"""What a resuming run needs from the user again, and what it takes from the stored options."""

from __future__ import annotations

from typing import Any

import pytest

from crawler.config import CrawlConfig, NetworkConfig, ScopeConfig
from crawler.errors import UsageError
from crawler.host_settings import HostSettings
from crawler.resumption import check_secrets, scope_rules, sendable, sendable_by

A, B = "http://a.test", "http://b.test"


def earlier(**secrets: Any) -> dict[str, Any]:
    """Stored options of a run that sent these secrets."""
    network = {"headers": secrets.get("headers", []), "cookies": secrets.get("cookies", False)}
    return {"network": network, **secrets}


def check(stored: dict[str, Any], origins: list[str] | None = None, **given: Any) -> None:
    check_secrets({"credentials": origins or []}, stored, CrawlConfig(network=NetworkConfig(**given)))


MISSING = [
    (
        {"headers": ["x-key", "a"]},
        {"headers": {"B": "c"}},
        r"headers .*: a, x-key; .*--header 'a: VALUE' --header 'x-k",
    ),
    ({"headers": ["a", "b"]}, {"headers": {"A": "1"}}, r"headers .*: b; "),
    ({"cookies": True}, {}, r"sent cookies, .*--cookies FILE"),
    ({"proxy_credentials": True}, {"proxy": "http://127.0.0.1:1"}, r"for the proxy http://127\.0\.0\.1:1, .*--proxy"),
    ({"credentials": [B, A]}, {"origins": [B]}, r"for http://a\.test, .*user:password@"),
]


@pytest.mark.parametrize(("secrets", "given", "message"), MISSING)
def test_a_secret_that_is_missing(secrets: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(earlier(**secrets), **given)


GIVEN_AGAIN = [
    ({}, {}),
    ({}, {"headers": {"A": "1"}, "cookies": "file", "proxy": "http://u:p@127.0.0.1:1", "origins": [A]}),
    ({"headers": ["a", "b"]}, {"headers": {"A": "1", "B": ""}}),  # no longer wanted
    ({"cookies": True}, {"cookies": "file"}),
    ({"cookies": True}, {"cookies": ""}),
    ({"proxy_credentials": True}, {"proxy": "http://u:p@127.0.0.1:1"}),
    ({"proxy_credentials": True}, {}),  # another way out
    ({}, {"proxy": "http://127.0.0.1:1"}),
    ({"credentials": [A]}, {"origins": [A, B]}),
]


@pytest.mark.parametrize(("secrets", "given"), GIVEN_AGAIN)
def test_secrets_that_are_given_again(secrets: dict[str, Any], given: dict[str, Any]) -> None:
    check(earlier(**secrets), **given)


@pytest.mark.parametrize(
    ("hosts", "missing"),
    [
        ([], True),
        ([HostSettings(match="a.test")], True),
        ([HostSettings(match="a.test", headers={"X-Key": "1"})], False),
        ([HostSettings(match="a.test", headers={"X-Key": ""})], False),
        ([HostSettings(match="b.test")], False),  # the table for a.test is no longer wanted
    ],
)
def test_headers_of_a_host(hosts: list[HostSettings], missing: bool) -> None:
    stored = earlier(hosts=[{"match": "a.test", "headers": ["x-key"]}, {"match": "b.test", "headers": []}])
    config = CrawlConfig(hosts=tuple(hosts))
    if not missing:
        check_secrets({"credentials": []}, stored, config)
        return
    with pytest.raises(UsageError, match=r"headers to a\.test .*: x-key; .*--config FILE"):
        check_secrets({"credentials": []}, stored, config)


def test_the_options_that_can_exclude_a_url() -> None:
    rules = scope_rules(CrawlConfig(scope=ScopeConfig(include=("x",), max_pages=3, max_pages_per_host=2)).storable())
    assert (rules["include"], rules["scope"], rules["max_depth"]) == (["x"], "host", None)
    assert not [name for name in rules if name.startswith("max_pages")]


def test_headers_without_a_value_are_not_sent() -> None:
    assert sendable(NetworkConfig(headers={"A": "1", "B": ""}, retries=7)) == NetworkConfig(
        headers={"A": "1"}, retries=7
    )
    hosts = [HostSettings(match="a.test", headers={"A": "1", "B": ""}), HostSettings(match="b.test")]
    assert sendable_by(hosts) == (HostSettings(match="a.test", headers={"A": "1"}), HostSettings(match="b.test"))
