"""What each target of `tests.fuzz` makes of the bytes that it is given, what it begins with, and the words it knows."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

import brotli  # type: ignore[import-untyped]
from backports import zstd

from tests.fuzz import answers, connections, documents, user_files
from tests.fuzz.damaged import documents as documents_damaged
from tests.pdf_files import a_pdf

_T = TypeVar("_T")
_FOLDER = Path(mkdtemp())


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`check` raises `AssertionError` where the parser is wrong."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()
    max_bytes: int = 1024


_CODINGS = ("gzip", "deflate", "br", "zstd")
_TEXT = b"hello, hello " * 9


def _decoding(data: bytes) -> None:
    places, coding, body = data[:3], _one_of(_CODINGS, data[3:4]), data[4:]
    answers.check_decoding(coding, body, places)
    answers.check_chain((_one_of(_CODINGS, data[2:3]), coding), body, places)


_TYPES = (None, "text/html", "text/html; charset=utf-16le", "x; charset=gbk", "text/html;charset='koi8-r'")


def _encoding(data: bytes) -> None:
    documents.check_encoding(data[2:], _one_of(_TYPES, data[:1]), _one_of(documents.ENCODINGS, data[1:2]))


def _html(data: bytes) -> None:
    documents.check_page(data[1:], _one_of(_TYPES, data[:1]))


def _text_document(data: bytes) -> None:
    documents.check_text(data[1:], _one_of(_TYPES, data[:1]))


def _pdf(data: bytes) -> None:
    documents.check_pdf(data)


def _link_header(data: bytes) -> None:
    documents.check_link_header(_text(data))


def _xhtml(data: bytes) -> None:
    documents.check_xhtml(data)


def _urls(data: bytes) -> None:
    size = data[0] if data else 0
    base, href = _text(data[1 : 1 + size]), _text(data[1 + size :])
    documents.check_url(href, base or None)
    documents.check_joined_by_folder(href, base)
    documents.check_query(href, _one_of(documents.ENCODINGS, data[:1]))


def _robots(data: bytes) -> None:
    question, _, body = data.partition(b"\n")
    agent, _, url = _text(question).partition(" ")
    documents.check_robots(body, agent, (url, f"http://example.com/{url}", "http://example.com/a/b?c=%2F"))


def _sitemap(data: bytes) -> None:
    documents.check_sitemap(data[2:], data[:2])


def _header(data: bytes) -> None:
    answers.check_header(data)
    token, *tags = _text(data).split("\n")
    answers.check_robots_tags(tags, token)
    answers.check_date(_text(data))


def _head(data: bytes) -> None:
    answers.check_repaired(data)


def _cookies(data: bytes) -> None:
    user_files.check_cookies(data, _FOLDER, "https://sub.a.test/in/side?x")


def _seeds(data: bytes) -> None:
    user_files.check_seeds(data, _FOLDER)
    argument = _text(data)
    if "\0" not in argument and (
        "://" in argument or not argument.startswith(("/", ".", "-"))
    ):  # no file of the machine's
        user_files.check_seed(argument)


def _notes(data: bytes) -> None:
    user_files.check_note(data, _FOLDER)


def _crawl_file(data: bytes) -> None:
    user_files.check_crawl_file(data, _FOLDER)


def _answer(data: bytes) -> None:
    asyncio.run(connections.check_answer(data[3:], data[:3]))


def _proxy(data: bytes) -> None:
    scheme, credentials = _one_of((("http", None), ("socks5", None), ("socks5", ("me", "pw"))), data[:1])
    asyncio.run(connections.check_proxy(scheme, data[1:], credentials))


def _one_of(options: Sequence[_T], data: bytes) -> _T:
    return options[(data or b"\0")[0] % len(options)]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


_PAGE = b"""\0<!doctype html><html lang=en>
<head><title>A</title><base href="/b/"><meta charset=utf-8>
<meta name=robots content="noindex, nofollow"><meta http-equiv=refresh content="0; url=/c"><link rel=canonical href=d>
<meta property="og:title" content=x><script type="application/ld+json">{}</script></head><body><h1>H</h1>
<a href="e?f#g" rel=nofollow>text<img alt=i></a><iframe src=h></iframe><table><tr><td>1</table><svg><a xlink:href=j>
"""
_MARKUP = (
    b"<a href= <area href= <base href= <link rel= canonical next nofollow <meta name=robots content= http-equiv="
    b" refresh <title> </title> <svg> </svg> <math> <template> </template> <script> </script> <select> <option>"
    b" <table> <tr> <td> </table> <frameset> <iframe src= <h1> </h1> <!-- --> <![CDATA[ ]]> &#0; &#xD800; <plaintext>"
    b" <html> <body> </p> charset= utf-8 shift_jis <?xml encoding= <p> </p> <b> </b> <br> <div> </div>"
    b" <noscript> property= og: <textarea> <pre> </pre> hidden popover <dialog> </dialog> <annotation>"
    b" rel=alternate hreflang= type=application/rss+xml rel=icon rel=stylesheet src= srcset= data-src= width= alt="
    b" <time datetime= pubdate> itemprop=author itemprop=datePublished name=author <video poster= <source <object data="
    b' <script type="application/ld+json"> {"@graph":[ "datePublished": "author": {"@id": "price":'
    b" <ruby> <rt> <button> <template shadowrootmode=open> <iframe srcdoc=' '>"
    b" &shy; &#8203; &zwnj; &#28; &#31; &#11; &#2; &#6; aria-label="
).split()
_LEGACY_WORDS = [
    b"\x1b(B",
    b"\x1b(J",
    b"\x1b(I",
    b"\x1b$B",
    b"\x8f\xa2\xb7",
    b"\xa2A",
    b"\x81\x35\xf4\x37",
    b"\xa6\xd9",
]
_LEGACY = b"\xc4\xe3\xba\xc3 " + b"\x80 ".join(_LEGACY_WORDS)
_XML = (
    b"<urlset> </urlset> <sitemapindex> <sitemap> <url> </url> <loc> </loc> <lastmod> </lastmod> <rss> <item> </item>"
    b" <link> </link> <feed> <entry> <![CDATA[ ]]> <!-- --> &amp; &x; <!DOCTYPE <!ENTITY <?xml encoding= http://a/ ?>"
    b" 2020-01-01T00:00:00Z <pubDate> xmlns= <s:url> <url/> <loc/> \xef\xbb\xbf \xff\xfe <guid> xml:base= rel='"
    b" <image:image> <image:loc> hreflang= <news:news> <news:title> <title> <priority> \" ' < & -- -->"
).split()
_XHTML = (
    b"<html xmlns='http://www.w3.org/1999/xhtml'> xmlns:x=' <x:p> </x:p> <p> </p> <br/> <pre> <script> </script>"
    b" <title> <style> <svg> <iframe> <![CDATA[ ]]> <!-- --> &amp; &lt; &nbsp; &x; <!DOCTYPE [<!ENTITY ]> <?x ?>"
).split()
_LINES = b"User-agent: crawler\nDisallow: /a*b$\nAllow: /a/%2f\nCrawl-delay: 1.5\n\nSitemap: http://a/s.xml\n"

TARGETS = {
    "decoding": Target(
        check=_decoding,
        seeds=[
            b"\1\5\x09\0" + gzip.compress(_TEXT) + gzip.compress(b"x"),
            b"\1\5\x09\1" + zlib.compress(_TEXT),
            b"\1\5\x09\1" + zlib.compress(_TEXT)[2:-4],
            b"\1\5\x09\2" + brotli.compress(_TEXT),
            b"\1\5\x09\3" + zstd.compress(_TEXT) + zstd.compress(b"x"),
        ],
    ),
    "encoding": Target(
        check=_encoding,
        seeds=[
            b"\0\0<meta charset=gbk>",
            b"\0\0" + "日本".encode("euc_jp"),
            b"\0\0\xff\xfea\0",
            b"\0\0<?xml encoding='x'?>",
            *(b"\0" + bytes([number]) + _LEGACY for number in range(len(documents.ENCODINGS))),
        ],
        words=[*_MARKUP, *_LEGACY_WORDS],
    ),
    "html": Target(check=_html, seeds=[_PAGE, b"\0<p>a<b>b</b>c"], words=_MARKUP, max_bytes=2048),
    "link-header": Target(
        check=_link_header,
        seeds=[b'</a>; rel="next prev"; title="x, y", <b?c>;rel=alternate;hreflang=de, <d>; rel=icon; anchor=/e'],
        words=b'< > ; , = " \\ rel= hreflang= type= title= anchor= alternate next canonical rev title*='.split(),
    ),
    "xhtml": Target(
        check=_xhtml,
        seeds=[
            b"<html xmlns='http://www.w3.org/1999/xhtml'><body><p xml:lang='en'>a<br/>&nbsp;b</p></body></html>",
            b"<!DOCTYPE html PUBLIC 'x' 'y'><html><head><script/><title/></head><body><![CDATA[<b>]]></body></html>",
        ],
        words=_XHTML,
    ),
    "text": Target(
        check=_text_document,
        seeds=[
            b"\0a\r\n  b \tc\n\n",
            b"\0<meta charset=gbk>\xe9",
            b"\0\xff\xfea\0",
            "\0\u65e5\u672c\xad\u200b".encode(),
        ],
        words=[*_MARKUP[:6], b"\r", b"\n", b"\x0c", b"\x85", b"\xe2\x80\xa8", b"\xc2\xad", b"\xef\xbb\xbf"],
    ),
    "pdf": Target(
        check=_pdf,
        seeds=[
            a_pdf(["First line", "(second)"], ["third"], about=b"/Title (T) /Author <FEFF0416>"),
            a_pdf(["locked"], encrypted=True),
        ],
        words=b"obj endobj stream endstream xref trailer startxref << >> /Kids /Count /Length /Filter /Title <FEFFD83D>"
        b" [ ] ( ) BT ET Tj Td Tf /Contents /Parent %%EOF R".split(),
        max_bytes=4096,
    ),
    "urls": Target(
        check=_urls,
        seeds=[b"\x16http://example.com/a/b../c?d#e", b"\0https://u:p@b\xc3\xbccher.example:81/%7e"],
        words=b"http: https: // ../ ./ ?x #y % %2e %00 : @ [::1] 0x7f xn-- \x01 \t \\ \xc2\xad".split(b" "),
        max_bytes=200,
    ),
    "robots": Target(
        check=_robots,
        seeds=[b"crawler /a/b\n" + _LINES, b"* /x?y=%2F\nUser-agent: *\nUser-agent: b\nDisallow: /*%2Fx$\n"],
        words=b"User-agent: Disallow: Allow: Crawl-delay: Sitemap: * $ %2F %2f # \r \xef\xbb\xbf http://a/".split(),
    ),
    "sitemap": Target(
        check=_sitemap,
        seeds=[
            b"\1\5<urlset><url><loc>/a</loc><lastmod>2020-01-01</lastmod></url></urlset>",
            b"\1\5<rss><channel><item><link>/a</link><pubDate>Mon, 1 Jan 2020 10:00:00 GMT</pubDate></item></channel>",
            b"\1\5<feed><entry><link href='/a'/><updated>2020-01-01T00:00:00Z</updated></entry></feed>",
            b"\1\5http://a/b\nhttp://a/c\n",
            b"\1\5" + gzip.compress(b"http://a/b\n"),
            b"\1\5# a list\nhttp://a/b\n",
            b'\1\5{"version": "https://jsonfeed.org/version/1.1", "items": [{"url": "/a", "title": "x"}]}',
            b"\1\5<rdf:RDF><item rdf:about='/a'><link>/b</link></item></rdf:RDF>",
            *(b"\1\5" + document.text.encode() for document in documents_damaged() if "," not in document.name),
        ],
        words=_XML,
        max_bytes=2048,
    ),
    "header": Target(
        check=_header,
        seeds=[
            b"crawler\nnoindex, nofollow\notherbot: none\ncrawler: noindex",
            b'public, max-age="60"',
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"120",
            b"caf\xe9 \xc3\xa9",
        ],
        words=b"max-age= no-cache , : ; none noindex nofollow unavailable_after: GMT -0000 +0100 EST 60 Nov".split(),
        max_bytes=200,
    ),
    "head": Target(
        check=_head,
        seeds=[
            b"HTTP/1.1  200 OK\r\nA : b\r\nContent-Length: 5 bytes\r\nContent-Length: +5\r\nX: y\r\n z\r\n\r\n",
            b"HTTP/1.0 404 No\nnonsense\nTransfer-Encoding: chunked, identity\nContent-Length: 5\n\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\ry\r\n\r\n",
        ],
        words=(
            b"HTTP/1.1 HTTP/1.0 200 204 304 100 101 Content-Length: Transfer-Encoding: chunked identity Connection:"
            b" Upgrade: Sec-WebSocket-Key1: \r\n \r \n , + : 99999999999999999999"
        ).split(b" "),
        max_bytes=600,
    ),
    "cookies": Target(
        check=_cookies,
        seeds=[b"# Netscape\n.a.test\tTRUE\t/in\tFALSE\t0\tsid\tx\n", b"#HttpOnly_a.test\tTRUE\t/\tTRUE\t4e9\t\tx"],
        words=[b"\t", b"TRUE", b"FALSE", b"a.test", b"#HttpOnly_", b"\r", b"/in", b"inf", b"0\t"],
        max_bytes=300,
    ),
    "seeds": Target(
        check=_seeds,
        seeds=[b"http://a.test/x # comment\nb.test:81\n::1\n", b"me:pw@a.test/", b"\xef\xbb\xbfhttps://a/"],
        words=[
            b"http://",
            b"https://",
            b"\r",
            b" #",
            b"[::1]",
            b"localhost",
            b"@",
            b":80",
            b"%20",
            b"\x0b",
            b"\xe2\x80\xa8",
        ],
        max_bytes=200,
    ),
    "notes": Target(
        check=_notes,
        seeds=[b"http://a.test/x\nb.test:81\n", b"http://a.test/\n\nftp://x/\nb.test/?u=x\n"],
        words=[b"http://", b"https://", b"\r", b"#", b"[::1]", b"://", b"\x0b", b"\xe2\x80\xa8", b"\\"],
        max_bytes=200,
    ),
    "crawl-file": Target(
        check=_crawl_file,
        seeds=[
            b'seeds = ["a.test"]\ndelay = 0.5\nmax-age = "12h"\nscope = "host"\nfresh = true\n',
            b'header = ["A: b"]',
        ],
        words=[
            b"seeds",
            b"db",
            b"max-runtime",
            b"max-rate",
            b"if-running",
            b"log-format",
            b" = ",
            b'"',
            b"[",
            b"nan",
            b"-1",
        ],
        max_bytes=300,
    ),
    "answer": Target(
        check=_answer,
        seeds=[
            b"\x07\x20\x40HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
            b"\x07\x20\x40HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"\x07\x20\x40HTTP/1.0 404 No\r\nETag: x\r\nX-Robots-Tag: none\r\n\r\nhello",
            b"\x07\x20\x40HTTP/1.1 100 On\r\n\r\nHTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            b"\x07\x20\x40HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(_TEXT),
            b"\x07\x20\x40HTTP/1.1  200 OK\r\nno colon\r\nContent-Length: 5 bytes\r\n\r\nhello and more",
            b"\x07\x20\x40HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n5\r\nhello\r\n"
            b"0\r\nx\r\n\r\n",
        ],
        words=(
            b"HTTP/1.1 HTTP/1.0 200 204 304 100 101 Content-Length: Content-Encoding: Transfer-Encoding: chunked gzip"
            b" br Connection: close keep-alive Upgrade: \r\n Set-Cookie: Location: deflate zstd 0\r\n\r\n"
        ).split(b" "),
        max_bytes=600,
    ),
    "proxy": Target(
        check=_proxy,
        seeds=[
            b"\0HTTP/1.1 200 Connection established\r\nA: b\r\n\r\nhello",
            b"\1\5\0\5\0\0\1\x7f\0\0\1\0\x50hello",
            b"\2\5\2\1\0\5\0\0\3\1a\0\x50hello",
        ],
        max_bytes=300,
    ),
}
