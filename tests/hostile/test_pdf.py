"""PDF files that would take all memory or time: the URL fails or is not read, and all else goes on."""

from __future__ import annotations

import random
import zlib
from functools import cache

import pytest

from crawler.parsing.pool import open_parser
from crawler.parsing.settings import ReaderSettings
from crawler.records import Failure, FailureKind, Page, Response, UrlKind
from tests.pdf_files import a_pdf, shown

SETTINGS = ReaderSettings(product_token="mybot")
URL = "http://a.test/a.pdf"
TIMEOUT_S = 3.0
MIB = 1 << 20


def repeated(piece: bytes, size: int) -> bytes:
    """So much of the piece, packed: a block of it, over and over."""
    packer = zlib.compressobj(9)
    block = piece * (MIB // len(piece) + 1)
    first, again = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (size // len(block)) + packer.flush()


def with_objects(*objects: bytes) -> bytes:
    """A document of one page whose further objects, numbered from 7, are these."""
    whole = a_pdf(b"q Q")
    end = whole.rindex(b"xref\n0")
    further = b"".join(b"%d 0 obj\n%b\nendobj\n" % (number, one) for number, one in enumerate(objects, 7))
    return whole[:end] + further + b"trailer\n<< /Size 1000 /Root 1 0 R >>\n%%EOF\n"


def forms(depth: int) -> bytes:
    """Each form shows the next one ten times."""
    form = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X %d 0 R >> >> /Length %d >>"
    calls = b"/X Do " * 10
    objects = [
        form % (number + 1, len(calls)) + b"\nstream\n" + calls + b"\nendstream" for number in range(7, 7 + depth)
    ]
    text = shown(["x" * 80])
    objects.append(form % (7, len(text)) + b"\nstream\n" + text + b"\nendstream")
    whole = with_objects(*objects)
    return whole.replace(b"/Font << /F1 3 0 R >>", b"/XObject << /X 7 0 R >>").replace(
        zlib_stream(b"q Q"), zlib_stream(calls)
    )


def zlib_stream(content: bytes) -> bytes:
    return b"/Length %d /Filter /FlateDecode >>\nstream\n%b\n" % (len(zlib.compress(content)), zlib.compress(content))


@cache
def hostile_files() -> dict[str, bytes]:
    line = b"(%b) Tj 0 -14 Td " % (b"x" * 100)
    deep = b"[" * 200_000
    return {
        "text of 500 MB": a_pdf(repeated(b"BT /F1 12 Tf 72 720 Td " + line, 500 * MIB)),
        "blanks of 3 GB": a_pdf(repeated(b" ", 3 << 30)),
        "a page drawn for ever": a_pdf(repeated(b"0 0 m 9 9 l S ", 300 * MIB)),
        "arrays in arrays": a_pdf(zlib.compress(deep)),
        "dictionaries in dictionaries": with_objects(b"<< /A " * 100_000),
        "forms in forms": forms(12),
        "a form within itself": forms(1),
        "pages that are their own parent": a_pdf(["x"]).replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]"),
        "a hundred million pages": a_pdf(["x"], count=100_000_000),
        "a stream of another length": a_pdf(["x"]).replace(b"/Length ", b"/Length 9999999"),
        "a table that points at itself": a_pdf(["x"]).replace(b"/Root", b"/Prev 9 /XRefStm 9 /Root"),
        "a page larger than any": a_pdf(["x"]).replace(b"612 792", b"1e38 1e38"),
        "filters on filters": a_pdf(["x"]).replace(
            b"/Filter /FlateDecode", b"/Filter [" + b"/FlateDecode " * 5000 + b"]"
        ),
    }


@pytest.mark.thorough
@pytest.mark.parametrize("name", list(hostile_files()))
async def test_what_would_take_all_memory_or_time_harms_nothing_else(name: str) -> None:
    body = hostile_files()[name]
    assert len(body) < 10 * MIB
    async with open_parser(SETTINGS, TIMEOUT_S) as parser:
        reading = await parser.read(UrlKind.PAGE, _response(body), keep_body=False)
        if isinstance(reading, Failure):
            assert reading.kind is FailureKind.PARSE_TIMEOUT
            assert reading.message
        after = await parser.read(UrlKind.PAGE, _response(a_pdf(["sound"])), keep_body=False)
    assert not isinstance(after, Failure)
    assert isinstance(after[0], Page)
    assert after[0].text == "sound"


async def test_damaged_files_give_a_page_or_none() -> None:
    """And never end their reader, which is one process for all of them."""
    sound = a_pdf(["one", "two"], shown(["three"]), about=b"/Title (T)")
    chance = random.Random(1)
    async with open_parser(SETTINGS, 30) as parser:
        for _ in range(300):
            body = bytearray(sound)
            for _ in range(chance.randrange(1, 12)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            reading = await parser.read(UrlKind.PAGE, _response(bytes(body)), keep_body=False)
            assert not isinstance(reading, Failure), (reading.message, bytes(body))
            assert reading[0] is None or isinstance(reading[0], Page)


def _response(body: bytes) -> Response:
    return Response(url=URL, status_code=200, body=body, size=len(body), content_type="application/pdf")
