"""PDF files for tests, written by hand: as few objects as a reader needs (ISO 32000-1, 7.5)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

_PASSWORD = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"5a" * 32 + b"> /U <" + b"a5" * 32 + b"> >>"


def a_pdf(
    *pages: Sequence[str] | bytes, about: bytes = b"", encrypted: bool = False, count: int | None = None
) -> bytes:
    """A document of these pages, each given by its lines, or as its content stream (zlib). `about` are the entries of
    its information dictionary; `encrypted`: it asks for a password that nobody knows; `count`: of pages, as it claims.
    """
    first = 5  # after the catalog, the pages, the font and the information
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(pages) if count is None else count),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< %b >>" % about,
    ]
    for number, page in enumerate(pages):
        stream = page if isinstance(page, bytes) else zlib.compress(shown(page))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (first + 2 * number + 1)
        )
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(stream), stream))
    return _file(objects, b"/Encrypt %b /ID [<00> <00>]" % _PASSWORD if encrypted else b"")


def shown(lines: Sequence[str]) -> bytes:
    """A content stream that shows these lines, one below the other."""
    parts = [b"BT /F1 12 Tf 72 720 Td"]
    for line in lines:
        text = line.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
        parts.append(b"(%b) Tj 0 -14 Td" % text)
    return b"\n".join([*parts, b"ET"])


def _file(objects: Sequence[bytes], trailer: bytes) -> bytes:
    body, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R /Info 4 0 R %b >>\n" % (
        len(objects) + 1, table, len(objects) + 1, trailer,
    ) + b"startxref\n%d\n%%%%EOF\n" % len(body)  # fmt: skip
