"""Bodies that decode to far more than they are, to nothing without end, or that stop within their coding."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest

from crawler.bodies import compress as zstd
from crawler.config import MIB
from crawler.fakeweb import FakeWeb
from tests.hostile.web import Database, cost_of, crawled, repeating

BOMB_BYTES = 300 * MIB
MAX_BYTES = 10 * MIB  # the default of --max-bytes
EXTRA_MIB = 64
PLAIN = b"<title>whole</title>" + b"<p>a paragraph of ordinary text, number one" * 2000

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: bytes(brotli.compress(data, quality=5)),
    "zstd": zstd,
}


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@cache
def bomb(coding: str) -> bytes:
    packed = CODINGS[coding](b" " * BOMB_BYTES)
    assert len(packed) < 512 * 1024
    return packed


@pytest.mark.thorough
def test_bombs_are_cut_at_max_bytes_and_cost_little_memory(tmp_path: Path) -> None:
    harmless, hostile = FakeWeb(), FakeWeb()
    harmless.host("a.test").page("/", body=b"<title>big</title>" + b" " * (MAX_BYTES - 100))
    site = hostile.host("a.test")
    paths = [f"/{coding}" for coding in CODINGS]
    site.page("/", links=paths)
    for coding in CODINGS:
        site.page(f"/{coding}", body=bomb(coding), headers={"Content-Encoding": coding})
    with harmless.running() as served:
        usual = cost_of(served, served.url("a.test"), tmp_path / "harmless.db")
    with hostile.running() as served:
        cost = cost_of(served, served.url("a.test"), tmp_path / "hostile.db")
        done = Database(tmp_path / "hostile.db")
    print(f"bombs: {cost}, one page of 10 MiB: {usual}")
    assert done.rows("SELECT bytes, truncated FROM fetches WHERE truncated") == [(MAX_BYTES, 1)] * len(CODINGS)
    assert done.pages() == {served.url("a.test", path) for path in ("/", *paths)}
    # two of them are read at a time
    assert cost.crawl_mib < usual.crawl_mib + EXTRA_MIB
    assert cost.parser_mib < usual.parser_mib + EXTRA_MIB


async def test_a_gzip_of_ten_thousand_members_is_one_body_cut_at_max_bytes(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", body=gzip.compress(b" " * 2048) * 10_000, headers={"Content-Encoding": "gzip"})
    site.page("/sum", body=gzip.compress(b"<p>x") * 10_000, headers={"Content-Encoding": "gzip"})
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test"), served.url("a.test", "/sum")])
    fetches = "SELECT bytes, truncated FROM fetches JOIN urls ON urls.id = url_id WHERE kind = 'page' ORDER BY url"
    assert done.rows(fetches) == [(MAX_BYTES, 1), (40_000, 0)]


@pytest.mark.thorough
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_an_endless_body_that_decodes_to_nothing_is_cut_too(coding: str, tmp_path: Path) -> None:
    nothing = gzip.compress(b"") if coding == "gzip" else b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    web = FakeWeb()
    web.host("a.test").raw("/", repeating(head, nothing * 4096))
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")], max_bytes=MIB)
    assert done.rows("SELECT bytes, truncated FROM fetches WHERE truncated") == [(0, 1)]


@pytest.mark.thorough
async def test_a_gzipped_sitemap_bomb_is_read_as_far_as_a_sitemap_may_be_long(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/")
    site.page("/named")
    site.robots("Sitemap: http://a.test/map.xml.gz\nSitemap: http://a.test/twice.xml.gz\n")
    entry = "<url><loc>http://a.test/{}</loc></url>"
    ends = [text.encode() for text in ("<urlset>" + entry.format("named"), entry.format("behind") + "</urlset>")]
    sitemap = ends[0] + b" " * BOMB_BYTES + ends[1]
    packed = gzip.compress(sitemap)
    site.page("/map.xml.gz", body=packed, content_type="application/gzip")
    site.page("/twice.xml.gz", body=gzip.compress(packed), headers={"Content-Encoding": "gzip"})
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")])
    assert done.urls().keys() == {"/", "/map.xml.gz", "/twice.xml.gz", "/named"}  # nothing of what stands behind it
    assert done.urls()["/map.xml.gz"] == done.urls()["/twice.xml.gz"] == ("fetched", None)


async def test_a_zstd_frame_that_asks_for_a_giant_window_is_refused(tmp_path: Path) -> None:
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(27 - 10) << 3]) + b"\x01\x00\x00"  # a window of 128 MiB, an empty block
    web = FakeWeb()
    web.host("a.test").page("/", body=frame, headers={"Content-Encoding": "zstd"})
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")])
    assert done.urls()["/"] == ("failed", "bad_response")


@pytest.mark.parametrize("coding", [*CODINGS, "raw deflate"])
async def test_a_compressed_body_that_is_cut_short_is_stored_as_cut(coding: str, tmp_path: Path) -> None:
    """The Content-Length is right: what was cut is what had been compressed, by a proxy or a full disk. What of it can
    be decoded is kept, as all clients do; where that is nothing, there is no page.
    """
    plain = b"<title>whole</title>" + b"".join(b"<p>%d" % (number * number) for number in range(60_000))
    packed = raw_deflate(plain) if coding == "raw deflate" else CODINGS[coding](plain)
    fields = {"Content-Encoding": coding.split()[-1]}
    web = FakeWeb()
    site = web.host("a.test")
    bodies = {
        "/half": packed[: len(packed) // 2],
        "/last": packed[:-1],
        "/head": packed[:3],
        "/more": packed + b"garbage",
        "/whole": packed,
        "/none": b"",
    }
    for path, body in bodies.items():
        site.page(path, body=body, headers=fields)
        site.page(f"{path}-in-chunks", body=body, headers=fields, chunked=True)
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test", path) for path in site.routes])
    found = done.urls()
    assert {path for path, outcome in found.items() if outcome == ("failed", "bad_response")} == {
        "/head",
        "/head-in-chunks",
    }
    sizes = "SELECT u.url, f.truncated, f.bytes FROM fetches f JOIN urls u ON u.id = f.url_id"
    by_path = {path.rpartition("/")[2]: (cut, size) for path, cut, size in done.rows(sizes)}
    for path in ("half", "last", "half-in-chunks", "last-in-chunks"):
        cut, size = by_path[path]
        assert cut
        assert len(plain) // 4 < size <= len(plain)
    for path in ("more", "whole", "more-in-chunks", "whole-in-chunks"):
        assert by_path[path] == (0, len(plain))
    assert by_path["none"] == by_path["none-in-chunks"] == (0, 0)
    assert done.rows("SELECT DISTINCT title FROM pages WHERE title IS NOT NULL") == [("whole",)]
