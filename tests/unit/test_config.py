"""Every option checks itself and names itself; nothing secret is kept."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import pytest

from crawler.config import (
    MIB,
    CheckConfig,
    CrawlConfig,
    ExtractConfig,
    NetworkConfig,
    PolitenessConfig,
    RecrawlConfig,
    RunConfig,
    ScopeConfig,
    ScopeRule,
)
from crawler.errors import UsageError
from crawler.options import Slice, options_of

SLICES: list[type[Slice]] = [
    ScopeConfig,
    PolitenessConfig,
    NetworkConfig,
    RecrawlConfig,
    CheckConfig,
    RunConfig,
    ExtractConfig,
]

WRONG: list[tuple[type, str, Any, str]] = [
    (ScopeConfig, "max_depth", -1, "--max-depth"),
    (ScopeConfig, "max_pages", 0, "--max-pages"),
    (ScopeConfig, "max_pages_per_host", 0, "--max-pages-per-host"),
    (ScopeConfig, "max_hosts_per_domain", 0, "--max-hosts-per-domain"),
    (ScopeConfig, "include", ("ok", "("), "--include"),
    (ScopeConfig, "exclude", ("*",), "--exclude"),
    (PolitenessConfig, "delay_s", -0.1, "--delay"),
    (PolitenessConfig, "delay_s", 86401, "--delay"),
    (PolitenessConfig, "delay_s", math.nan, "--delay"),
    (PolitenessConfig, "delay_s", math.inf, "--delay"),
    (PolitenessConfig, "per_host", 0, "--per-host"),
    (PolitenessConfig, "per_host", 1025, "--per-host"),
    (PolitenessConfig, "per_ip", 0, "--per-ip"),
    (PolitenessConfig, "per_ip", 4097, "--per-ip"),
    (PolitenessConfig, "concurrency", 0, "--concurrency"),
    (PolitenessConfig, "concurrency", 4097, "--concurrency"),
    (NetworkConfig, "timeout_s", 0, "--timeout"),
    (NetworkConfig, "timeout_s", 3601, "--timeout"),
    (NetworkConfig, "connect_timeout_s", 0, "--connect-timeout"),
    (NetworkConfig, "read_timeout_s", 0, "--read-timeout"),
    (NetworkConfig, "max_bytes", 0, "--max-bytes"),
    (NetworkConfig, "max_bytes", 1024 * MIB + 1, "--max-bytes"),
    (NetworkConfig, "memory_bytes", MIB - 1, "--memory"),
    (NetworkConfig, "max_rate", 1023, "--max-rate"),
    (NetworkConfig, "retries", -1, "--retries"),
    (NetworkConfig, "retries", 101, "--retries"),
    (NetworkConfig, "user_agent", "", "--user-agent"),
    (NetworkConfig, "user_agent", "  ", "--user-agent"),
    (NetworkConfig, "user_agent", "bot\r\nX: y", "--user-agent"),
    (NetworkConfig, "user_agent", "böt", "--user-agent"),
    (NetworkConfig, "allow_private", ("10.0.0.0/8", "10.0.0.0/33"), "--allow-private"),
    (NetworkConfig, "allow_private", ("localhost",), "--allow-private"),
    (NetworkConfig, "proxy", "ftp://a.test:1", "--proxy"),
    (RecrawlConfig, "max_age_s", -1, "--max-age"),
    (RecrawlConfig, "max_age_s", math.nan, "--max-age"),
    (RecrawlConfig, "min_interval_s", -1, "--min-interval"),
    (RecrawlConfig, "min_interval_s", 61 * 86400, "--min-interval"),
    (RecrawlConfig, "max_interval_s", 0, "--max-interval"),
    (RunConfig, "max_runtime_s", 0, "--max-runtime"),
    (RunConfig, "max_requests", 0, "--max-requests"),
    (RunConfig, "max_wait_s", -1, "--max-wait"),
    (RunConfig, "grace_s", -1, "--grace"),
]

RIGHT: list[tuple[type, str, Any]] = [
    (ScopeConfig, "max_depth", 0),
    (ScopeConfig, "max_pages", 1),
    (PolitenessConfig, "delay_s", 0),
    (PolitenessConfig, "delay_s", 86400),
    (PolitenessConfig, "per_host", 1),
    (NetworkConfig, "max_bytes", 1),
    (NetworkConfig, "max_rate", 1024),
    (NetworkConfig, "retries", 0),
    (NetworkConfig, "allow_private", ("10.1.2.3/8", "::1", "fd00::/8")),
    (RunConfig, "max_runtime_s", 0.1),
    (RunConfig, "max_requests", 1),
    (RunConfig, "max_wait_s", 0),
]


@pytest.mark.parametrize(("config_slice", "name", "value", "option"), WRONG)
def test_unusable_value(config_slice: type, name: str, value: Any, option: str) -> None:
    """A value that cannot be used is refused with the option's name."""
    with pytest.raises(UsageError, match=f"^{option} ") as raised:
        config_slice(**{name: value})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("config_slice", "name", "value"), RIGHT)
def test_a_value_at_the_limit_is_taken(config_slice: type, name: str, value: Any) -> None:
    assert getattr(config_slice(**{name: value}), name) == value


@pytest.mark.parametrize("config_slice", SLICES)
def test_every_option_has_one_default_and_one_help_text(config_slice: type[Slice]) -> None:
    assert [one.name for one in options_of(config_slice)] == [one.name for one in fields(config_slice)]  # type: ignore[arg-type]
    for option in options_of(config_slice):
        assert option.help.endswith(".")
        assert getattr(config_slice(), option.name) == option.default


def test_what_is_stored_holds_no_header_value() -> None:
    network = NetworkConfig(headers={"Authorization": "Bearer s3cret", "X-Key": "t0ken", "X-Gone": ""})
    options = CrawlConfig(network=network).storable()
    assert options["network"]["headers"] == ["authorization", "x-key"]
    text = json.dumps(options)
    assert "s3cret" not in text
    assert "t0ken" not in text


def test_what_is_stored_is_plain_data_and_complete() -> None:
    options = json.loads(json.dumps(CrawlConfig(scope=ScopeConfig(scope=ScopeRule.ANY, max_pages=5)).storable()))
    assert options["scope"]["scope"] == "any"
    assert options["scope"]["max_pages"] == 5
    assert options.pop("hosts") == []
    assert options.pop("rules") == []
    assert set(options) == {"scope", "politeness", "network", "recrawl", "check", "run", "extract"}
    for name, config_slice in zip(options, SLICES, strict=True):
        assert set(options[name]) == {option.name for option in options_of(config_slice)}


TOKENS = [
    ("MyBot", "MyBot"),
    ("my-bot_x/1.0 (+https://example.com/)", "my-bot_x"),
    ("MyBot2/1.0", "MyBot2"),
    ("360bot/2", "360bot"),
    ("Mozilla/5.0 (compatible; MyBot/1.0; +https://example.com/)", "MyBot"),
    ("Mozilla/5.0 (compatible;MyBot/1.0)", "MyBot"),
    ("mozilla/5.0 (Compatible; MyBot/1.0)", "MyBot"),
    ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla"),
    ("123", "123"),
]


@pytest.mark.parametrize(("user_agent", "token"), TOKENS)
def test_robots_txt_speaks_to_the_name_in_the_user_agent(user_agent: str, token: str) -> None:
    assert NetworkConfig(user_agent=user_agent).product_token == token


def test_default_user_agent() -> None:
    """The default User-Agent names this program, and no place to ask: that is the user's to say."""
    network = NetworkConfig()
    assert network.product_token == "onefile-crawler"
    assert network.user_agent == f"onefile-crawler/{version('crawler')}"
    assert not network.names_contact


@pytest.mark.parametrize(
    ("user_agent", "headers", "names_contact"),
    [
        ("mybot/1.0 (+https://me.example/bot)", {}, True),
        ("mybot/1.0 (HTTP://me.example)", {}, True),
        ("mybot/1.0 (www.me.example/bot)", {}, True),
        ("mybot/1.0 (bot@me.example)", {}, True),
        ("mybot/1.0", {"FROM": "bot@me.example"}, True),
        ("mybot/1.0", {"From": ""}, False),
        ("mybot/1.0", {"X-From": "bot@me.example"}, False),
        ("mybot/1.0 (+https://)", {}, False),
        ("mybot/1.0 (no contact)", {}, False),
        ("mybot @ home", {}, False),
    ],
)
def test_whether_the_user_can_be_reached(user_agent: str, headers: dict[str, str], names_contact: bool) -> None:
    assert NetworkConfig(user_agent=user_agent, headers=headers).names_contact is names_contact


@pytest.mark.parametrize(
    ("stored", "restored"),
    [
        ("crawler/0.1.0 (+https://example.com/about-this-crawler)", NetworkConfig().user_agent),
        ("onefile-crawler/0.0.9", NetworkConfig().user_agent),
        ("onefile-crawler/0.1.0 (+https://me.example)", "onefile-crawler/0.1.0 (+https://me.example)"),
        ("crawler/1.0 (+https://me.example)", "crawler/1.0 (+https://me.example)"),
        ("crawler", "crawler"),
    ],
)
def test_the_default_user_agent_of_an_earlier_version_is_todays(stored: str, restored: str) -> None:
    """What the user has chosen stays, whatever it looks like."""
    options = CrawlConfig().storable()
    options["network"]["user_agent"] = stored
    config, changes = CrawlConfig().resumed(json.loads(json.dumps(options)), {})
    assert (config.network.user_agent, changes) == (restored, [])


def test_allowed_networks_drop_host_bits() -> None:
    networks = NetworkConfig(allow_private=("10.1.2.3/8", "::1")).allowed_networks
    assert [str(network) for network in networks] == ["10.0.0.0/8", "::1/128"]
