"""Whom we believe: certificates and protocols, against real TLS servers."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.network.fetcher import open_fetcher
from crawler.network.tls import tls_context
from crawler.policy.outcome import decide, decide_robots
from crawler.records import Claim, Failure, FailureKind, Response, UrlKind, UrlStatus
from tests.integration.rawserver import RawServer, ok

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


def _presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _expired(ca: trustme.CA) -> ssl.SSLContext:
    return _presenting(ca.issue_cert("127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO.replace(year=2002)))


def _self_signed(_ca: trustme.CA) -> ssl.SSLContext:
    authority = trustme.CA()  # presents itself
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.cert_pem.tempfile() as certificate, authority.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    return context


def _of_another_host(ca: trustme.CA) -> ssl.SSLContext:
    return _presenting(ca.issue_cert("other.test"))


def _of_an_old_protocol(ca: trustme.CA) -> ssl.SSLContext:
    context = _presenting(ca.issue_cert("127.0.0.1"))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")  # else the server itself would refuse to speak it
    return context


UNTRUSTED = [
    pytest.param(_expired, "certificate refused: certificate has expired", id="expired"),
    pytest.param(_self_signed, "certificate refused: self-signed certificate", id="self-signed"),
    pytest.param(_of_another_host, "certificate refused: IP address mismatch", id="wrong host"),
]
OLD = pytest.param(_of_an_old_protocol, "", id="old protocol")


@pytest.mark.parametrize(("server", "message"), [*UNTRUSTED, OLD])
async def test_by_default_it_is_a_tls_failure_that_is_not_tried_again(server: object, message: str) -> None:
    answer, requests = await _fetch(server, insecure=False)
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.sent, requests) == (FailureKind.TLS, False, 0)
    assert answer.message.startswith(message)
    claim = Claim(url_id=1, url=answer.url, kind=UrlKind.PAGE, host_id=1, host="127.0.0.1", origin="https://127.0.0.1")
    verdict = decide(claim, answer, retries=2, jitter=0.0, now=0.0)
    assert (verdict.status, verdict.reason, verdict.retry_in_s) == (UrlStatus.FAILED, "tls", None)
    robots = decide_robots(claim, answer, retries=2, jitter=0.0, now=0.0)
    assert (robots.failed, robots.retry_in_s) == (FailureKind.TLS, None)


@pytest.mark.parametrize(("server", "_message"), UNTRUSTED)
async def test_insecure_takes_every_certificate(server: object, _message: str) -> None:
    answer, requests = await _fetch(server, insecure=True)
    assert isinstance(answer, Response), answer
    assert requests == 1


async def test_insecure_does_not_take_an_old_protocol() -> None:
    answer, _requests = await _fetch(_of_an_old_protocol, insecure=True)
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.TLS


async def test_an_old_protocol_can_be_spoken_here() -> None:
    """So that the tests above refuse it, and not the server."""
    ca = trustme.CA()
    client = ssl.create_default_context()
    ca.configure_trust(client)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        client.minimum_version = ssl.TLSVersion.TLSv1
    client.set_ciphers("ALL:@SECLEVEL=0")
    answer, _requests = await _fetch(_of_an_old_protocol, insecure=False, ca=ca, client=client)
    assert isinstance(answer, Response), answer


@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-SHA256",
        "AES128-SHA",
        "AES256-SHA",
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
async def test_an_old_server_is_spoken_to_as_browsers_do_and_verified_as_ever(suite: str, trusted: bool) -> None:
    ca = trustme.CA()
    client = tls_context()
    if trusted:
        ca.configure_trust(client)
    answer, requests = await _fetch(_offering(suite), insecure=False, ca=ca, client=client)
    if trusted:
        assert isinstance(answer, Response), answer
    else:
        assert isinstance(answer, Failure)
        assert (answer.kind, requests) == (FailureKind.TLS, 0)
        assert answer.message.startswith("certificate refused")


async def test_an_old_server_is_spoken_to_without_asking_whom_to_trust() -> None:
    answer, _requests = await _fetch(_offering("AES128-SHA"), insecure=True)
    assert isinstance(answer, Response), answer


@pytest.mark.parametrize("suite", ["AECDH-AES128-SHA", "ADH-AES128-SHA", "NULL-SHA256", "ECDHE-RSA-NULL-SHA"])
async def test_suites_that_protect_nothing_are_not_spoken_even_if_nobody_is_asked(suite: str) -> None:
    answer, _requests = await _fetch(_offering(suite), insecure=True)
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.TLS


def test_what_is_offered_holds_no_weak_suite_and_all_of_pythons() -> None:
    context = tls_context()
    offered = {str(suite["name"]) for suite in context.get_ciphers()}
    assert not [name for name in offered if any(weak in name for weak in ("DES", "RC4", "NULL", "EXP", "ADH", "MD5"))]
    assert offered >= {str(suite["name"]) for suite in ssl.create_default_context().get_ciphers()}
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.verify_flags == ssl.create_default_context().verify_flags


async def test_whom_the_system_trusts_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found out at the first connection only."""
    ca = trustme.CA()
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    network = NetworkConfig(allow_private=("127.0.0.0/8",), timeout_s=10)
    async with RawServer(ok(), tls=_presenting(ca.issue_cert("127.0.0.1"))) as server:
        for trusted in (False, True):
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
            async with open_fetcher(network, PolitenessConfig(delay_s=0), Counters()) as fetcher:
                for _ in range(2):
                    answer = await fetcher.fetch(f"{server.url}/")
                    assert isinstance(answer, Response) is trusted, answer


def _offering(suite: str) -> Callable[[trustme.CA], ssl.SSLContext]:
    """A server of TLS 1.2 with this suite alone, and an RSA key."""

    def context(ca: trustme.CA) -> ssl.SSLContext:
        context = _presenting(ca.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{suite}:@SECLEVEL=0")
        return context

    return context


async def _fetch(
    server_context: object, *, insecure: bool, ca: trustme.CA | None = None, client: ssl.SSLContext | None = None
) -> tuple[Response | Failure, int]:
    ca = ca or trustme.CA()
    if client is None:
        client = ssl.create_default_context()
        ca.configure_trust(client)
    network = NetworkConfig(allow_private=("127.0.0.0/8",), timeout_s=10, insecure=insecure)
    assert callable(server_context)
    async with (
        RawServer(ok(), tls=server_context(ca)) as server,
        open_fetcher(network, PolitenessConfig(delay_s=0), Counters(), ssl_context=client) as fetcher,
    ):
        return await fetcher.fetch(f"{server.url}/"), len(server.requests)
