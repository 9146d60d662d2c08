"""What holds of what an answer's head says, and of how its body is undone."""

from __future__ import annotations

import asyncio
import calendar
import math
import re
import time
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress

import brotli  # type: ignore[import-untyped]
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.http_parser import HttpResponseParser
from backports import zstd
from multidict import CIMultiDict

from crawler.content.reader import readable
from crawler.content.robots_meta import robots_directives
from crawler.dates import unix_time
from crawler.network.decoding import PIECE_BYTES, BodyDecoder
from crawler.network.fields import clean, framing_problem, max_age_s, reference
from crawler.network.heads import MAX_FIELDS, MAX_HEAD_BYTES, repaired
from crawler.policy.outcome import MAX_RETRY_AFTER_S, retry_after_s
from tests.fuzz.documents import cut, is_storable

_MAX_DECODED = 8 * 1024 * 1024


def check_decoding(coding: str, body: bytes, places: Sequence[int] = ()) -> None:
    """The same however it is cut, in pieces of bounded size, and it begins with what a library makes of it."""
    whole = _decoded(coding, [body])
    if whole is None and coding == "zstd":
        return  # libzstd notices a frame that lies about its size only where it sees the whole frame at once
    assert _decoded(coding, cut(body, places)) == whole
    assert _decoded(coding, [body[at : at + 1] for at in range(len(body))]) == whole
    if whole is not None and len(whole[0]) < _MAX_DECODED:
        first, is_over = _first_stream(coding, body)
        assert whole[0].startswith(first)
        assert is_over or not whole[1] or not body


def check_chain(codings: Sequence[str], body: bytes, places: Sequence[int] = ()) -> None:
    """Several codings: what each alone makes of what the one above it has left; and never much more than is wanted."""
    decoder = BodyDecoder(*codings, max_bytes=_MAX_DECODED)
    expected: bytes | None = body
    for coding in reversed(codings):
        undone = None if expected is None else _decoded(coding, [expected])
        expected = None if undone is None else undone[0]
    try:
        decoded = b""
        for chunk in cut(body, places):
            for piece in decoder.decode(chunk):
                decoded += piece
                if len(decoded) >= _MAX_DECODED:
                    return
        whole = decoder.finish()
    except ContentEncodingError:
        return  # also where it is found out behind the end of what one alone was given
    assert decoder.overrun or whole in (True, False)
    if expected is not None and not decoder.overrun:
        assert decoded == expected


def _decoded(coding: str, chunks: Iterable[bytes]) -> tuple[bytes, bool] | None:
    """With whether it was whole; None where it cannot be decoded. What is longer than any bomb needs to be is cut."""
    decoder, decoded = BodyDecoder(coding), b""
    try:
        for chunk in chunks:
            for piece in decoder.decode(chunk):
                assert len(piece) <= 2 * PIECE_BYTES  # brotli takes it as a hint
                decoded += piece
                if len(decoded) >= _MAX_DECODED:
                    return decoded[:_MAX_DECODED], False
        return decoded, decoder.finish()
    except ContentEncodingError:
        return None


def _first_stream(coding: str, body: bytes) -> tuple[bytes, bool]:
    """What the library makes of the first stream in `body`, and whether that is over."""
    match coding:
        case "br":
            brotli_stream, decoded = brotli.Decompressor(), b""
            for byte in body:
                if brotli_stream.is_finished():
                    break
                decoded += brotli_stream.process(bytes((byte,)))
            return decoded, bool(brotli_stream.is_finished())
        case "zstd":
            frame = zstd.ZstdDecompressor(options={int(zstd.DecompressionParameter.window_log_max): 23})
            return frame.decompress(body), frame.eof
        case "gzip":
            bits = zlib.MAX_WBITS | 16
        case _:
            bits = zlib.MAX_WBITS if body[:1] and body[0] & 0x0F == 8 else -zlib.MAX_WBITS
    stream = zlib.decompressobj(bits)
    return stream.decompress(body), stream.eof


def check_repaired(head: bytes) -> None:
    """aiohttp's parser takes a repaired head as it stands, and to repair it again changes nothing."""
    good = repaired(head)
    if good is None:
        return
    assert repaired(good) == good
    assert good.endswith(b"\r\n\r\n")
    assert good.count(b"\r\n\r\n") == 1
    loop = asyncio.new_event_loop()
    try:
        parser = HttpResponseParser(
            BaseProtocol(loop), loop, 2**16, max_line_size=MAX_HEAD_BYTES, max_field_size=MAX_HEAD_BYTES,
            max_headers=MAX_FIELDS, read_until_eof=True,
        )  # fmt: skip
        messages, _upgraded, _tail = parser.feed_data(good)
    finally:
        loop.close()
    (message, _body) = messages[0]
    assert len(messages) == 1
    assert framing_problem(message.headers) is None
    assert message.code == int(good[9:12])
    assert b"".join(b"%b: %b\r\n" % field for field in message.raw_headers) == good.partition(b"\r\n")[2][:-2]


def check_header(raw: bytes) -> None:
    """The value can be stored, stays as it is, and loses nothing but controls and outer spaces."""
    text = clean(raw.decode("utf-8", "surrogateescape"))  # as aiohttp gives it
    assert is_storable(text)
    assert not any(unicodedata.category(character) == "Cc" for character in text)
    assert clean(text) == text
    try:
        sent = raw.decode()
    except UnicodeDecodeError:
        sent = raw.decode("latin-1")
    spaced = "".join(" " if unicodedata.category(character) == "Cc" else character for character in sent)
    assert text.strip(" ") == spaced.strip(" ")
    assert isinstance(readable(text), bool)
    url = reference(CIMultiDict({"Location": raw.decode("utf-8", "surrogateescape")}), "Location")
    assert url is not None
    assert is_storable(url)
    assert not any(unicodedata.category(character) == "Cc" for character in url)
    kept = re.sub(rb"%([0-9A-F]{2})", lambda found: bytes((int(found[1], 16),)), url.encode())
    assert kept == re.sub(rb"%([0-9A-F]{2})", lambda found: bytes((int(found[1], 16),)), raw.replace(b"\t", b""))
    max_age = max_age_s(CIMultiDict({"Cache-Control": text}))
    assert max_age == _max_age_s(text)


def _max_age_s(cache_control: str) -> float | None:
    if "no-cache" in cache_control.lower():
        return None
    for directive in cache_control.split(","):
        name, _, value = directive.strip().partition("=")
        if name.lower() == "max-age" and re.fullmatch(r'"?\d{1,10}"?', value):
            return float(value.strip('"'))
    return None


def check_robots_tags(tags: Sequence[str], token: str) -> None:
    """What is asked in several values is asked by one of them, in whatever order and case; others are not meant."""
    asked = robots_directives(tags, token)
    each = [robots_directives([tag], token) for tag in tags]
    assert asked == (any(noindex for noindex, _ in each), any(nofollow for _, nofollow in each))
    assert asked == robots_directives(tags[::-1], token) == robots_directives([*tags, "some-other-bot: none"], token)
    assert robots_directives([*tags, "none"], token) == (True, True)
    if all(map(str.isascii, tags)):
        assert asked == robots_directives([*map(str.swapcase, tags)], token)


def check_date(text: str, now: float = 1.7e9) -> None:
    """A time, the same wherever it is read and in whatever time zone, and what C's library makes of HTTP's formats."""
    seconds, pause_s = unix_time(text), retry_after_s(text, now)
    assert seconds is None or math.isfinite(seconds)
    assert pause_s is None or 0 <= pause_s <= MAX_RETRY_AFTER_S
    assert pause_s == retry_after_s(f"  {text} ", now)
    if seconds is not None and not text.strip().isdigit():
        assert pause_s == min(max(seconds - now, 0), MAX_RETRY_AFTER_S)
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"):
        with suppress(ValueError):
            moment = time.strptime(text, form)
            if moment.tm_sec < 60 and moment.tm_year >= 100:
                assert seconds == calendar.timegm(moment)
