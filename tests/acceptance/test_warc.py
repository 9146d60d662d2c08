"""`crawl --warc`: what was on the wire stands in WARC files, exactly once, and other people's readers understand it."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import signal
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
import trustme
from warcio.archiveiterator import ArchiveIterator

from crawler.fakeweb import Answer, FakeWeb, Fault, Served, Site
from crawler.fakeweb.sites import StreamHandler
from tests.acceptance.conftest import Cli, Serve, slow_site, wait_for_requests

FAST = ("--delay", "0", "--per-host", "4")
SECRETS = (b"s3cret-token", b"s3cret-cookie", b"s3cret-set", b"s3cret-password", b"dXNlcjpzM2NyZXQtcGFzc3dvcmQ=")
WARCIO_CHECK = "import sys; sys.modules['brotli'] = None; from warcio.cli import main; main()"  # its brotli is too old


@dataclass(kw_only=True)
class Found:
    """A record, as warcio reads it."""

    type: str
    url: str
    fields: dict[str, str]
    block: bytes
    protocols: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.fields["WARC-Record-ID"]


def records_in(folder: Path) -> list[Found]:
    """Those of all files that are closed."""
    return [found for file in sorted(folder.glob("*.warc.gz")) for found in records_of(file)]


def records_of(file: Path) -> Iterator[Found]:
    with file.open("rb") as stream:
        for record in ArchiveIterator(stream, no_record_parse=True):
            headers = record.rec_headers.headers
            yield Found(
                type=record.rec_type,
                url=record.rec_headers.get_header("WARC-Target-URI") or "",
                fields=dict(headers),
                block=record.raw_stream.read(),
                protocols=[value for name, value in headers if name == "WARC-Protocol"],
            )


def check(folder: Path) -> None:
    """`warcio check` finds nothing wrong with any file: its records can be read, and all their digests are right."""
    files = [str(file) for file in sorted(folder.glob("*.warc.gz"))]
    done = subprocess.run(
        [sys.executable, "-c", WARCIO_CHECK, "check", *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def says(*pieces: bytes, pause_s: float = 0.0) -> StreamHandler:
    """A server that sends just these bytes."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return handler


PAGE = b"<!doctype html><title>a page</title><p>" + b"words of it " * 200
GZIPPED = gzip.compress(PAGE + b"zipped")
BROTLI = brotli.compress(PAGE + b"brotli")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
WIRE = {
    "/gzip": b"%bContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (OK, len(GZIPPED), GZIPPED),
    "/br": b"%bContent-Encoding: br\r\nContent-Length: %d\r\n\r\n%b" % (OK, len(BROTLI), BROTLI),
    "/odd": b"HTTP/1.1 200 Fine\nserver: odd \r\nCoNtEnT-TyPe: text/html\r\nno field\r\nContent-Length: 5\r\n\r\nhello",
    "/chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nabcde\r\n4\r\nfghi\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "/bad-chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n5\nabcde\r\n0\n\n",
    "/until-the-end": b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nall of it",
    "/gone": b"HTTP/1.1 404 Not here\r\nContent-Length: 4\r\n\r\ngone",
    "/cut": OK + b"Content-Length: 999\r\n\r\nonly this",
    "/slow": OK + b"Content-Length: 9\r\n\r\nslow",
    "/half-head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "/no-http": b"SSH-2.0-OpenSSH_9.2\r\n",
}
OTHERS = ("/cookie", "/elsewhere", "/interim", "/behind", "/long", "/image", "/silent", "/twin", "/same")


def a_site(web: FakeWeb) -> Site:
    site = web.host("a.test")
    site.page("/", title="home", links=[*WIRE, *OTHERS])
    for path, wire in WIRE.items():
        site.raw(path, says(wire, pause_s=1.5 if path == "/slow" else 0))
    site.raw("/cookie", says(OK + b"set-COOKIE: a=s3cret-set;\r\n  more=s3cret-set\r\nContent-Length: 2\r\n\r\nok"))
    location = b"Location: http://u:s3cret-password@other.test/\r\nContent-Length: 0\r\n\r\n"
    site.raw("/elsewhere", says(b"HTTP/1.1 301 Moved\r\n" + location))
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    site.raw("/interim", says(hints, OK + b"Content-Length: 5\r\n\r\nafter", pause_s=0.01))
    site.raw("/behind", says(OK + b"Content-Length: 3\r\n\r\nendHTTP/1.1 200 OK\r\n\r\n"))
    site.answer("/long", Answer(body=b"<p>" + b"long " * 100_000))
    site.answer("/image", Answer(body=b"\x89PNG" + bytes(2_000_000), content_type="image/png"))
    site.answer("/silent", Fault.DISCONNECT)
    site.page("/twin", title="the same", text="twice")
    site.page("/same", title="the same", text="twice")
    return site


@dataclass(kw_only=True)
class Crawled:
    """A folder of WARC files, and the crawl that wrote them."""

    cli: Cli
    served: Served
    folder: Path
    records: list[Found]

    def of(self, path: str, kind: str = "response") -> Found:
        """The one record of that kind."""
        url = self.served.url("a.test", path)
        (found,) = [one for one in self.records if one.url == url and one.type == kind]
        return found


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    cli = Cli(tmp_path_factory.mktemp("warc"))
    web = FakeWeb()
    a_site(web)
    with web.running() as served:
        cookies = cli.folder / "cookies.txt"
        cookies.write_text("a.test\tFALSE\t/\tFALSE\t0\tname\ts3cret-cookie\n")
        folder = cli.folder / "warc"
        seed = served.url("a.test").replace("//", "//user:s3cret-password@")
        cli.crawl(
            served, seed, *FAST, "--warc", str(folder), "--retries", "0", "--timeout", "1", "--max-bytes", "100k",
            "--header", "X-Token: s3cret-token", "--header", "Accept-Language: de", "--cookies", str(cookies),
        )  # fmt: skip
        yield Crawled(cli=cli, served=served, folder=folder, records=records_in(folder))


@pytest.mark.parametrize("path", WIRE)
def test_a_response_stands_there_as_it_was_sent(crawled: Crawled, path: str) -> None:
    assert crawled.of(path).block == WIRE[path]


def test_a_request_stands_there_as_it_was_sent_but_for_secrets(crawled: Crawled) -> None:
    request = crawled.of("/gzip", "request")
    host = crawled.served.url("a.test").split("/")[2]
    lines = request.block.decode().split("\r\n")
    assert lines[:2] == ["GET /gzip HTTP/1.1", f"Host: {host}"]
    assert lines[-2:] == ["", ""]
    assert "Accept-Language: de" in lines
    assert {"Authorization: [removed]", "Cookie: [removed]", "X-Token: [removed]"} < set(lines)
    assert set(request.fields["Crawler-Replaced-Fields"].split(", ")) == {"Authorization", "Cookie", "X-Token"}
    assert request.fields["WARC-Concurrent-To"] == crawled.of("/gzip").id


def test_no_secret_is_in_any_file(crawled: Crawled) -> None:
    for file in crawled.folder.iterdir():
        data = file.read_bytes()
        text = gzip.decompress(data) if file.name.endswith(".gz") else data
        assert [secret for secret in SECRETS if secret in text] == []
    cookie = crawled.of("/cookie")
    assert cookie.block == OK + b"set-COOKIE: [removed]\r\nContent-Length: 2\r\n\r\nok"
    assert cookie.fields["Crawler-Replaced-Fields"] == "set-COOKIE"
    elsewhere = crawled.of("/elsewhere")
    assert b"\r\nLocation: http://other.test/\r\n" in elsewhere.block
    assert elsewhere.fields["Crawler-Replaced-Fields"] == "Location"


def test_what_is_cut_says_why(crawled: Crawled) -> None:
    cut = {path: crawled.of(path).fields.get("WARC-Truncated") for path in (*WIRE, "/long", "/image", "/behind")}
    assert {path: why for path, why in cut.items() if why is not None} == {
        "/bad-chunks": "unspecified",
        "/cut": "disconnect",
        "/half-head": "disconnect",
        "/image": "unspecified",
        "/long": "length",
        "/no-http": "unspecified",
        "/slow": "time",
    }


def test_a_record_is_one_response_and_not_what_stands_around_it(crawled: Crawled) -> None:
    assert crawled.of("/behind").block == OK + b"Content-Length: 3\r\n\r\nend"
    assert crawled.of("/interim").block == OK + b"Content-Length: 5\r\n\r\nafter"
    assert "interimResponses: 1\r\n" in crawled.of("/interim", "metadata").block.decode()


def test_what_is_no_http_is_kept_but_not_called_http(crawled: Crawled) -> None:
    for path in ("/half-head", "/no-http"):
        assert crawled.of(path).fields["Content-Type"] == "application/octet-stream"
        assert "WARC-Payload-Digest" not in crawled.of(path).fields
    failure = "failure: disconnected: the connection closed before the response\r\n"
    assert failure in crawled.of("/half-head", "metadata").block.decode()


def test_a_body_that_is_in_the_archive_is_referred_to(crawled: Crawled) -> None:
    two = [
        one for one in crawled.records if one.url.endswith(("/twin", "/same")) and one.type in ("response", "revisit")
    ]
    first, second = sorted(two, key=lambda one: one.type)
    assert (first.type, second.type) == ("response", "revisit")
    assert second.fields["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
    assert second.fields["WARC-Refers-To"] == first.id
    assert second.fields["WARC-Refers-To-Target-URI"] == first.url
    assert second.fields["WARC-Refers-To-Date"] == first.fields["WARC-Date"]
    assert second.fields["WARC-Payload-Digest"] == first.fields["WARC-Payload-Digest"]
    assert second.block == first.block[: first.block.index(b"\r\n\r\n") + 4]


def test_each_exchange_has_its_records_once(crawled: Crawled) -> None:
    answered = Counter(
        crawled.cli.rows("SELECT u.url FROM fetches f JOIN urls u ON u.id = f.url_id WHERE u.url NOT LIKE '%/silent'")
    )
    for kinds in (("response", "revisit"), ("request",), ("metadata",)):
        found = Counter(one.url for one in crawled.records if one.type in kinds and one.url.startswith("http"))
        assert found == answered
    assert len({one.id for one in crawled.records}) == len(crawled.records)


def test_a_record_tells_where_it_is_from(crawled: Crawled) -> None:
    page = crawled.of("/gzip")
    assert page.fields["WARC-IP-Address"] == "127.1.0.1"
    assert page.protocols == ["http/1.1"]
    assert crawled.of("/until-the-end").protocols == ["http/1.0"]
    (dns,) = [one for one in crawled.records if one.url == "dns:a.test"]
    assert dns.fields["Content-Type"] == "text/dns"
    assert dns.block.decode().splitlines()[1:] == ["a.test.\t60\tIN\tA\t127.1.0.1"]
    first = crawled.records[0]
    assert first.type == "warcinfo"
    assert b"software: crawler/" in first.block
    assert b"robots: obey\r\n" in first.block


def test_warcio_finds_nothing_wrong(crawled: Crawled) -> None:
    check(crawled.folder)
    assert {file.suffix for file in crawled.folder.iterdir()} == {".gz", ".cdxj"}


def test_the_index_leads_to_each_capture_that_can_be_shown(crawled: Crawled) -> None:
    (index,) = crawled.folder.glob("*.cdxj")
    lines = index.read_bytes().splitlines()
    assert lines == sorted(lines)
    urls = []
    for line in lines:
        key, _timestamp, told = line.decode().split(" ", 2)
        capture = json.loads(told)
        data = (crawled.folder / capture["filename"]).read_bytes()
        member = data[int(capture["offset"]) :][: int(capture["length"])]
        record = gzip.decompress(member).decode("latin-1")
        assert f"WARC-Target-URI: {capture['url']}\r\n" in record
        assert f"WARC-Payload-Digest: sha1:{capture['digest']}\r\n" in record
        assert key.startswith("test,a:")
        urls.append(capture["url"].removeprefix(crawled.served.url("a.test")[:-1]))
    assert sorted(urls) == sorted(({"/", "/robots.txt", *WIRE, *OTHERS}) - {"/half-head", "/no-http", "/silent"})


def test_a_second_night_refers_to_the_first(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", title="home", links=["/tagged", "/plain", "/new"])
    site.page("/tagged", title="tagged", text="the same tomorrow", headers={"ETag": '"1"'})
    site.page("/plain", title="plain", text="the same tomorrow, too")
    site.page("/new", title="new", text="of today")
    served = serve(web)
    folder = cli.folder / "warc"
    night = (served.url("a.test"), *FAST, "--max-age", "0s", "--warc", str(folder))
    cli.crawl(served, *night)
    site.page("/new", title="new", text="of tomorrow")
    cli.crawl(served, *night)
    first, second = (list(records_of(file)) for file in sorted(folder.glob("*.warc.gz")))
    check(folder)
    assert cli.rows("SELECT count(*) FROM fetches WHERE failure IS NOT NULL") == [0]
    assert cli.rows("SELECT count(*) FROM fetches WHERE status_code = 304") == [1]

    def kinds(records: list[Found]) -> dict[str, str]:
        return {one.url.rpartition("/")[2]: one.type for one in records if one.type in ("response", "revisit")}

    assert kinds(first)["tagged"] == kinds(first)["plain"] == kinds(first)["new"] == kinds(second)["new"] == "response"
    assert kinds(second)["tagged"] == kinds(second)["plain"] == "revisit"
    (original,) = [one for one in first if one.url.endswith("/tagged") and one.type == "response"]
    (unchanged,) = [one for one in second if one.url.endswith("/tagged") and one.type == "revisit"]
    assert unchanged.block.startswith(b"HTTP/1.1 304 ")
    assert unchanged.fields["WARC-Profile"] == "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
    assert unchanged.fields["WARC-Refers-To"] == original.id
    assert unchanged.fields["WARC-Payload-Digest"] == original.fields["WARC-Payload-Digest"]
    indexed = ['/tagged"' in index.read_text() for index in sorted(folder.glob("*.cdxj"))]
    assert indexed == [True, False]  # for a 304, the capture before it is shown


def test_what_is_inside_tls_is_recorded(cli: Cli, serve: Serve, tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("safe.test", tls=True).page("/", title="inside TLS")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("safe.test").configure_cert(context)
    with web.running(ssl_context=context) as served:
        folder = tmp_path / "warc"
        cli.crawl(served, served.url("safe.test", scheme="https"), *FAST, "--insecure", "--warc", str(folder))
    (page,) = [one for one in records_in(folder) if one.type == "response" and b"inside TLS" in one.block]
    assert page.protocols == ["http/1.1", "tls/1.3"]


def test_an_answer_to_head_is_recorded_but_not_indexed(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", title="home", links=["http://b.test/there"])
    web.host("b.test").page("/there", title="there", text="text")
    served = serve(web)
    web.sites["a.test"].page("/", title="home", links=[served.url("b.test", "/there")])
    folder = cli.folder / "warc"
    cli.crawl(served, served.url("a.test"), *FAST, "--check", "external", "--warc", str(folder))
    found = {one.type: one for one in records_in(folder) if one.url.endswith("/there")}
    assert cli.rows("SELECT verdict FROM checks") == ["good"]
    assert found["request"].block.startswith(b"HEAD /there ")
    assert found["response"].block.endswith(b"\r\n\r\n")
    check(folder)
    (index,) = folder.glob("*.cdxj")
    assert "/there" not in index.read_text()


def test_a_folder_that_cannot_be_made_is_a_usage_error(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", title="home")
    served = serve(web)
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--warc", "/dev/null/warc", status=2)
    assert outcome.err.splitlines()[-1] == "crawler: --warc /dev/null/warc: Not a directory; name another folder"
    outcome = cli.crawl(served, served.url("a.test"), *FAST, "--warc", "", status=2)
    assert outcome.err.splitlines()[-1] == "crawler: --warc must name a folder"
    assert served.log == []


def test_a_resumed_run_goes_on_with_the_folder_until_told_otherwise(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", title="home")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--warc", "warc")  # relative to where it was started
    files = len(list((cli.folder / "warc").glob("*.gz")))
    cli.crawl(served, "--max-age", "0s")
    assert len(list((cli.folder / "warc").glob("*.gz"))) == files + 1
    cli.crawl(served, "--max-age", "0s", "--warc", "none")
    assert len(list((cli.folder / "warc").glob("*.gz"))) == files + 1


def test_a_file_that_a_killed_crawl_has_lost_ends_the_next_one_at_its_start(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    slow_site(web, pages=60, delay_s=0.05)
    served = serve(web)
    folder = cli.folder / "warc"
    crawler = cli.start(served, served.url("a.test"), *FAST, "--warc", str(folder))
    wait_for_requests(served, 40)  # of two at a time in flight: some are committed
    _kill(crawler)
    assert cli.rows("SELECT count(*) FROM warc_files") == [1]
    before = len(served.log)
    (left,) = folder.glob("*.warc.gz.open")
    left.unlink()
    outcome = cli.crawl(served, status=6)
    assert f"{left.name}, which the last run was writing to, is not there; move it back" in outcome.err.splitlines()[-1]
    assert len(served.log) == before
    cli.crawl(served, "--warc", str(cli.folder / "new"))
    check(cli.folder / "new")


KILLS = 10
SITE_PAGES = 300


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_ten_times_leaves_each_committed_exchange_in_the_files_once(cli: Cli, serve: Serve, seed: int) -> None:
    """Every second time in the moment in which the file has grown: between the flush and the commit, as a rule."""
    chance = random.Random(seed)
    web = FakeWeb()
    site = web.site("a.test", pages=SITE_PAGES)
    for path, links in list(site.links.items()):
        noise = chance.randbytes(8000).hex()
        site.page(path, title=path, text=noise, links=links, delay_s=0.03)
    served = serve(web)
    folder = cli.folder / "warc"
    arguments = (served.url("a.test"), *FAST, "--concurrency", "8", "--warc", str(folder), "--warc-size", "1M")
    for number in range(KILLS):
        crawler = cli.start(served, *arguments)
        if number % 2:
            _wait_until_it_grows(folder)
        else:
            wait_for_requests(served, len(served.log) + 1)
            time.sleep(chance.uniform(0, 0.6))
        _kill(crawler)
    cli.crawl(served, *arguments)
    assert len(cli.pages()) == SITE_PAGES
    check(folder)
    assert {file.suffix for file in folder.iterdir()} == {".gz", ".cdxj"}
    assert len(list(folder.glob("*.gz"))) > 2
    committed = Counter(cli.rows("SELECT u.url FROM fetches f JOIN urls u ON u.id = f.url_id WHERE f.status_code > 0"))
    records = records_in(folder)
    for kinds in (("response", "revisit"), ("request",), ("metadata",)):
        assert Counter(one.url for one in records if one.type in kinds and one.url.startswith("http")) == committed
    assert len({one.id for one in records}) == len(records)
    lines = sum(len(file.read_bytes().splitlines()) for file in folder.glob("*.cdxj"))
    assert lines == committed.total()
    assert cli.rows("SELECT count(*) FROM warc_files WHERE is_closed = 0") == [0]


def _kill(crawler: subprocess.Popen[str]) -> None:
    crawler.kill()
    crawler.communicate()
    assert crawler.returncode == -signal.SIGKILL


def _wait_until_it_grows(folder: Path) -> None:
    before = _size(folder)
    while _size(folder) <= before:
        time.sleep(0.001)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.warc.gz*")) if folder.exists() else 0


@pytest.mark.system  # needs the extra `examples`
def test_fastwarc_reads_the_same(crawled: Crawled) -> None:
    from fastwarc.warc import ArchiveIterator as FastIterator

    (file,) = crawled.folder.glob("*.warc.gz")
    found = []
    with file.open("rb") as stream:
        for record in FastIterator(stream, parse_http=False):
            assert record.verify_block_digest()
            found.append(
                (record.headers["WARC-Record-ID"], record.headers.get("WARC-Target-URI", ""), record.reader.read())
            )
    assert found == [(one.id, one.url, one.block) for one in crawled.records]
    with file.open("rb") as stream:
        for record in FastIterator(stream, parse_http=True):
            if "WARC-Payload-Digest" in record.headers and record.headers["WARC-Type"] == "response":
                assert record.verify_payload_digest()


def test_a_file_from_the_database_says_that_it_is_rebuilt(crawled: Crawled) -> None:
    file = crawled.cli.folder / "export" / "pages.warc.gz"
    file.parent.mkdir()
    crawled.cli.command("export", "warc", str(file), "--db", str(crawled.cli.db))
    check(file.parent)
    info, *responses = records_of(file)
    assert info.type == "warcinfo"
    assert {one.type for one in responses} == {"response"}
    assert Counter(one.url for one in responses) == Counter(crawled.cli.rows("SELECT url FROM current_pages"))
    assert all(one.fields["Crawler-Rebuilt"].startswith("from a crawl database; body decoded") for one in responses)
    (zipped,) = [one for one in responses if one.url.endswith("/gzip")]
    head, _, body = zipped.block.partition(b"\r\n\r\n")
    assert body == gzip.decompress(GZIPPED)
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"content-type: text/html",
        b"x-archive-orig-content-encoding: gzip",
        b"x-archive-orig-content-length: %d" % len(GZIPPED),
        b"content-length: %d" % len(body),
    ]
    (cut,) = [one for one in responses if one.url.endswith("/long")]
    assert cut.fields["WARC-Truncated"] == "length"


def test_a_file_from_the_database_needs_bodies_and_a_name(crawled: Crawled, cli: Cli, serve: Serve) -> None:
    outcome = crawled.cli.command("export", "warc", "pages.warc", "--db", str(crawled.cli.db), status=2)
    assert outcome.err == "crawler: FILE pages.warc: name a file that ends with .warc.gz\n"
    web = FakeWeb()
    web.host("a.test").page("/", title="home")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST, "--no-bodies")
    outcome = cli.command("export", "warc", "pages.warc.gz", "--db", str(cli.db))
    assert "1 page, 1 left out: no body is stored" in outcome.out
