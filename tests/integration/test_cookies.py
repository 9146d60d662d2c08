"""The user's cookies: which file is understood, and which request carries which cookie."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy, MozillaCookieJar
from pathlib import Path
from urllib.request import Request

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.config import NetworkConfig, PolitenessConfig
from crawler.counters import Counters
from crawler.errors import UsageError
from crawler.network.cookies import read_cookies
from crawler.network.fetcher import open_fetcher
from crawler.records import Response
from tests.fuzz.user_files import check_cookies
from tests.integration.rawserver import DnsServer, RawServer, ok

SOON, PAST = 4_000_000_000, 1_000_000_000  # fixed: they are part of tests' names


def _line(
    domain: str = "a.test",
    subdomains: str = "FALSE",
    path: str = "/",
    secure: str = "FALSE",
    expiry: object = 0,
    name: str = "sid",
    value: str = "s3cret",
) -> str:
    return "\t".join((domain, subdomains, path, secure, str(expiry), name, value))


BELONGS = [
    (_line(), "http://a.test/", "sid=s3cret"),
    (_line(), "http://a.test:8080/x?y=/z", "sid=s3cret"),  # cookies know no ports
    (_line(), "http://sub.a.test/", None),
    (_line(), "http://ba.test/", None),
    (_line(), "http://test/", None),
    (_line(domain=".a.test", subdomains="TRUE"), "http://a.test/", "sid=s3cret"),
    (_line(domain=".a.test", subdomains="TRUE"), "http://x.y.a.test/", "sid=s3cret"),
    (_line(domain="a.test", subdomains="TRUE"), "http://sub.a.test/", "sid=s3cret"),
    (_line(domain=".a.test", subdomains="TRUE"), "http://bada.test/", None),
    (_line(domain="A.Test", subdomains="true"), "http://sub.a.test/", "sid=s3cret"),
    (_line(domain="bücher.test"), "http://xn--bcher-kva.test/", "sid=s3cret"),
    (_line(domain="0.0.1", subdomains="TRUE"), "http://127.0.0.1/", None),
    (_line(domain="127.0.0.1"), "http://127.0.0.1/", "sid=s3cret"),
    (_line(domain="[::1]"), "http://[::1]:8080/", "sid=s3cret"),
    (_line(path="/in"), "http://a.test/in", "sid=s3cret"),
    (_line(path="/in"), "http://a.test/in/side", "sid=s3cret"),
    (_line(path="/in"), "http://a.test/inside", None),
    (_line(path="/in/"), "http://a.test/in/side", "sid=s3cret"),
    (_line(path="/in/"), "http://a.test/in", None),
    (_line(path="/in"), "http://a.test/?/in", None),
    (_line(secure="TRUE"), "http://a.test/", None),
    (_line(secure="TRUE"), "https://a.test/", "sid=s3cret"),
    (_line(expiry=SOON), "http://a.test/", "sid=s3cret"),
    (_line(expiry=f"{SOON}.25"), "http://a.test/", "sid=s3cret"),
    (_line(expiry=PAST), "http://a.test/", None),
    (_line(expiry=""), "http://a.test/", "sid=s3cret"),
    (_line(expiry=-1), "http://a.test/", "sid=s3cret"),
    ("#HttpOnly_" + _line(), "http://a.test/", "sid=s3cret"),
    ("#HttpOnly_" + _line(domain=".a.test", subdomains="TRUE"), "http://b.a.test/", "sid=s3cret"),
    (_line(value=""), "http://a.test/", "sid="),
    (_line(value="").rstrip("\t"), "http://a.test/", "sid="),
    (_line(name=""), "http://a.test/", "s3cret"),
    (_line(value='a="b c",d'), "http://a.test/", 'sid=a="b c",d'),
    (_line(value="old") + "\n" + _line(value="new"), "http://a.test/", "sid=new"),
    (_line(name="all") + "\n" + _line(path="/in", name="in"), "http://a.test/in", "in=s3cret; all=s3cret"),
]


@pytest.mark.parametrize(("lines", "url", "header"), BELONGS)
def test_a_cookie_goes_only_where_it_belongs(tmp_path: Path, lines: str, url: str, header: str | None) -> None:
    assert read_cookies(_file(tmp_path, lines)).header(url) == header


@pytest.mark.parametrize(
    "lines", ["# Netscape HTTP Cookie File\n\n{}\n", "\ufeff{}", "{}\r\n\r\n", "# no magic, just a comment\n{}"]
)
def test_files_as_programs_write_them(tmp_path: Path, lines: str) -> None:
    assert read_cookies(_file(tmp_path, lines.format(_line()))).header("http://a.test/") == "sid=s3cret"


BAD = [
    (_line().replace("\t", " "), "line 2 .* expected 7 tab-separated fields, found 1"),
    (_line() + "\ts3cret", "line 2 .* expected 7 tab-separated fields, found 8"),
    ('[{"name": "sid", "value": "s3cret"}]', "line 2 "),
    (_line(domain=""), "line 2 .* domain"),
    (_line(domain="."), "line 2 .* domain"),
    (_line(domain="s3cret b"), "line 2 .* domain"),
    (_line(subdomains="yes"), "line 2 .* TRUE or FALSE"),
    (_line(secure="0"), "line 2 .* TRUE or FALSE"),
    (_line(path="in"), "line 2 .* path"),
    (_line(expiry="tomorrow"), "line 2 .* expiry"),
    (_line(expiry="nan"), "line 2 .* expiry"),
    (_line(name="", value=""), "line 2 .* cannot be sent"),
    (_line(value="s3cret; other=1"), "line 2 .* cannot be sent"),
    (_line(value="s3cret\x00"), "line 2 .* cannot be sent"),
    (_line(name="s=3cret"), "line 2 .* cannot be sent"),
    ("", "contains no cookies"),
    ("# sid=s3cret", "contains no cookies"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_a_bad_file_is_one_line_that_names_the_line_and_quotes_nothing(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^--cookies .*{message}") as raised:
        read_cookies(_file(tmp_path, f"# first\n{line}\n"))
    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--cookies .*No such file"):
        read_cookies(tmp_path / "nothing.txt")
    with pytest.raises(UsageError, match=r"^--cookies .*directory"):
        read_cookies(tmp_path)
    (tmp_path / "latin.txt").write_bytes(_line(value="ä").encode("latin-1"))
    with pytest.raises(UsageError, match=r"^--cookies .*line 1 .* not UTF-8"):
        read_cookies(tmp_path / "latin.txt")


def _of(domain: str, **fields: str) -> str:
    return _line(domain, "TRUE" if domain.startswith(".") else "FALSE", **fields)


def _key(line: str) -> tuple[str, ...]:
    domain, _, path, *_, name, _ = line.split("\t")
    return domain.lstrip("."), path, name


_COOKIES = st.builds(
    _of,
    domain=st.sampled_from([".a.test", "a.test", ".b.a.test", "b.a.test", "c.test"]),
    path=st.sampled_from(["/", "/in", "/in/", "/out"]),
    secure=st.sampled_from(["TRUE", "FALSE"]),
    expiry=st.sampled_from([SOON, PAST]),
    name=st.text("abc", min_size=1, max_size=2),
    value=st.text("abc=, ", min_size=1, max_size=4).filter(lambda text: text == text.strip()),
)

_FILES = st.lists(_COOKIES | st.just("# a comment"), max_size=4).map("\n".join).map(str.encode)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_FILES | st.binary(max_size=200) | st.lists(st.text(max_size=8), max_size=9).map("\t".join).map(str.encode))
def test_no_bytes_raise_anything_else_or_make_a_header_that_cannot_be_sent(tmp_path: Path, data: bytes) -> None:
    check_cookies(data, tmp_path, "https://a.test/")


_ASKED = st.sampled_from(["a.test", "b.a.test", "x.b.a.test", "c.test", "ba.test"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(_COOKIES, min_size=1, max_size=5, unique_by=_key),
    _ASKED,
    st.sampled_from(["/", "/in", "/in/side", "/inside"]),
)
def test_python_s_own_jar_sends_the_same(tmp_path: Path, lines: list[str], host: str, path: str) -> None:
    file = _file(tmp_path, "# Netscape HTTP Cookie File\n" + "\n".join(lines) + "\n")
    host_only = DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)  # as RFC 6265 has it
    jar = MozillaCookieJar(file, policy=host_only)
    jar.load()
    for url in (f"http://{host}{path}", f"https://{host}{path}"):
        request = Request(url)
        jar.add_cookie_header(request)
        ours, theirs = read_cookies(file).header(url), request.get_header("Cookie")
        assert sorted((ours or "").split("; ")) == sorted((theirs or "").split("; "))


async def test_what_servers_set_is_not_sent_back_and_the_header_option_is_kept(tmp_path: Path) -> None:
    """Over real connections: by http and https, to the host that is named and to another one."""
    ca = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("a.test", "b.test").configure_cert(serving)
    ca.configure_trust(trusting)
    cookies = read_cookies(_file(tmp_path, f"{_line(name='plain')}\n{_line(name='safe', secure='TRUE')}"))
    answer = ok(b"hello", "Set-Cookie: planted=1; Path=/")
    async with (
        RawServer(answer) as plain,
        RawServer(answer, tls=serving) as tls,
        DnsServer({"a.test": ["127.0.0.1"], "b.test": ["127.0.0.1"]}) as dns,
    ):
        network = NetworkConfig(
            allow_private=("127.0.0.0/8",), dns_server=dns.address, timeout_s=10, headers={"Cookie": "mine=1"}
        )
        options = {"cookies": cookies, "ssl_context": trusting}
        async with open_fetcher(network, PolitenessConfig(delay_s=0), Counters(), **options) as fetcher:  # type: ignore[arg-type]
            fetcher.trust_origin(f"http://a.test:{plain.port}")
            for host in ("a.test", "b.test"):
                for _ in range(2):
                    assert isinstance(await fetcher.fetch(f"http://{host}:{plain.port}/"), Response)
                    assert isinstance(await fetcher.fetch(f"https://{host}:{tls.port}/"), Response)
    assert [_cookie(head) for head in plain.requests] == [b"mine=1; plain=s3cret"] * 2 + [None] * 2
    assert [_cookie(head) for head in tls.requests] == [b"plain=s3cret; safe=s3cret"] * 2 + [None] * 2


def _cookie(head: bytes) -> bytes | None:
    values = [line[8:] for line in head.split(b"\r\n") if line.lower().startswith(b"cookie: ")]
    assert len(values) < 2
    return values[0] if values else None


def _file(folder: Path, text: str) -> Path:
    path = folder / "cookies.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return path
