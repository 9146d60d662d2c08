"""Sitemaps and feeds: each format, as written by the book and as found in the wild, and bodies that mean harm."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.content.sitemap import (
    MAX_DECODED_BYTES,
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_FIELD_CHARS,
    MAX_GZIP_MEMBERS,
    MAX_NODES,
    MAX_TOKEN_BYTES,
    read_sitemap,
)
from crawler.records import SitemapEntry
from crawler.urls import normalize
from tests.fuzz.documents import check_sitemap

URL = "http://example.com/maps/sitemap.xml"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def urls(body: bytes | str) -> list[str]:
    return [entry.url for entry in read_sitemap(body.encode() if isinstance(body, str) else body, URL)]


def urlset(*locs: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{loc}</loc></url>" for loc in locs) + "</urlset>"


def lastmod_of(text: str) -> float | None:
    (entry,) = read_sitemap(f"<urlset><url><loc>/a</loc><lastmod>{text}</lastmod></url></urlset>".encode(), URL)
    return entry.lastmod


SITEMAP = f"""{DECLARATION}
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"
        xmlns:xhtml="http://www.w3.org/1999/xhtml" xmlns:video="http://www.google.com/schemas/sitemap-video/1.1">
  <url>
    <image:image><image:loc>http://example.com/image.png</image:loc></image:image>
    <xhtml:link rel="alternate" hreflang="de" href="http://example.com/de"/>
    <loc> http://example.com/?a=1&amp;b=2
    </loc>
    <lastmod>2005-01-01</lastmod><changefreq>monthly</changefreq><priority>0.8</priority>
    <video:video><video:content_loc>http://example.com/film.mp4</video:content_loc></video:video>
  </url>
  <url><loc><![CDATA[http://example.com/?c=3&d=4]]></loc></url>
  <url><lastmod>2005-01-01</lastmod></url>
  <url><loc>mailto:nobody@example.com</loc></url>
</urlset>
"""

INDEX = f"""{DECLARATION}
<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
  <sitemap><loc>http://example.com/sitemap1.xml.gz</loc><lastmod>2004-10-01T18:23:17+00:00</lastmod></sitemap>
  <sitemap><loc>sitemap2.xml</loc></sitemap>
</sitemapindex>
"""

RSS = f"""{DECLARATION}
<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
  <title>News</title><link>http://example.com/</link>
  <atom:link href="http://example.com/feed" rel="self"/>
  <image><link>http://example.com/logo</link></image>
  <item><title>One</title><atom:link rel="self" href="http://example.com/wrong"/><link>http://example.com/one</link>
    <pubDate>Sun, 19 May 2002 15:21:36 GMT</pubDate><dc:date>1999-01-01</dc:date></item>
  <item><link>/two</link><dc:date>2002-05-19T17:21:36+02:00</dc:date><source><link>/nested</link></source></item>
  <item><title>No link</title></item>
</channel></rss>
"""

RSS_1 = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
  <channel rdf:about="http://example.com/"><link>http://example.com/</link></channel>
  <item rdf:about="http://example.com/one"><link>http://example.com/one</link></item>
</rdf:RDF>"""

ATOM = f"""{DECLARATION}
<feed xmlns="http://www.w3.org/2005/Atom">
  <link href="http://example.com/"/><updated>2003-12-13T18:30:02Z</updated>
  <entry>
    <source><link href="/source"/><updated>1999-01-01T00:00:00Z</updated></source>
    <link rel="edit" href="/edit/1"/><link rel="alternate" href="/1"/><link href="/other-1"/>
    <updated>2003-12-13T18:30:02.25+01:00</updated><published>2003-01-01T00:00:00Z</published>
  </entry>
  <entry><link href=" /2?a=1&amp;b=2 "/></entry>
  <entry><link rel="enclosure" href="/film.mp4"/></entry>
  <entry><link/><link href="/3"/></entry>
</feed>"""

LIST = (
    "http://example.com/a\r\n\r\n  HTTPS://Example.com/b \nnot a url\nhttp://x.example/c d\nhttp://example.com/\u00e9"
)

MAY_19 = datetime(2002, 5, 19, 15, 21, 36, tzinfo=UTC).timestamp()
ENTRIES = {
    SITEMAP: [
        SitemapEntry(
            url="http://example.com/?a=1&b=2",
            lastmod=datetime(2005, 1, 1, tzinfo=UTC).timestamp(),
            facts='{"images":["http://example.com/image.png"],"alternates":[["de","http://example.com/de"]],'
            '"changefreq":"monthly","priority":0.8}',
        ),
        SitemapEntry(url="http://example.com/?c=3&d=4"),
    ],
    INDEX: [
        SitemapEntry(
            url="http://example.com/sitemap1.xml.gz",
            lastmod=datetime(2004, 10, 1, 18, 23, 17, tzinfo=UTC).timestamp(),
            is_sitemap=True,
        ),
        SitemapEntry(url="http://example.com/maps/sitemap2.xml", is_sitemap=True),
    ],
    RSS: [
        SitemapEntry(url="http://example.com/one", lastmod=MAY_19, facts='{"title":"One"}'),
        SitemapEntry(url="http://example.com/two", lastmod=MAY_19),
    ],
    RSS_1: [SitemapEntry(url="http://example.com/one")],
    ATOM: [
        SitemapEntry(
            url="http://example.com/1", lastmod=datetime(2003, 12, 13, 17, 30, 2, 250_000, tzinfo=UTC).timestamp()
        ),
        SitemapEntry(url="http://example.com/2?a=1&b=2"),
        SitemapEntry(url="http://example.com/3"),
    ],
    LIST: [
        SitemapEntry(url="http://example.com/a"),
        SitemapEntry(url="https://example.com/b"),
        SitemapEntry(url="http://example.com/%C3%A9"),
    ],
}
formats = pytest.mark.parametrize("document", ENTRIES, ids=["urlset", "index", "rss", "rss1", "atom", "list"])


@formats
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_each_format_is_read(document: str, pack: type[bytes]) -> None:
    assert read_sitemap(pack(document.encode()), URL) == ENTRIES[document]


@formats
@pytest.mark.parametrize("before", ["", "\n", " \r\n\t" * 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_format_in_every_unicode_encoding(document: str, before: str, encoding: str) -> None:
    """Each format is read in each Unicode encoding, also after blanks."""
    assert read_sitemap((before + document).encode(encoding), URL) == ENTRIES[document]


@formats
def test_pieces_may_end_anywhere(document: str) -> None:
    one_byte_members = b"".join(gzip.compress(document[at : at + 1].encode()) for at in range(len(document)))
    assert read_sitemap(one_byte_members, URL) == ENTRIES[document]


@pytest.mark.parametrize("size", [0, 65_530, 65_536, 131_080])
def test_an_entry_may_straddle_pieces(size: int) -> None:
    filler = "\u00e9" * (size // 2)
    assert urls(f"<urlset><!--{filler}--><url><loc>/\u00e9</loc></url></urlset>") == ["http://example.com/%C3%A9"]


@pytest.mark.parametrize(
    ("label", "encoding"),
    [
        ("ISO-8859-1", "latin-1"),
        ("windows-1251", "cp1251"),
        ("Shift_JIS", "shift_jis"),
        ("GBK", "gbk"),
        ("euc-kr", "euc-kr"),
    ],
)
def test_a_declared_legacy_encoding_is_obeyed(label: str, encoding: str) -> None:
    letter = {"latin-1": "\u00e9", "cp1251": "\u0439", "shift_jis": "\u30c4", "gbk": "\u4e2d", "euc-kr": "\ud55c"}[
        encoding
    ]
    body = f"\n<?xml version='1.0' encoding = '{label}'?>{urlset('/' + letter)}".encode(encoding)
    assert urls(body) == [normalize("http://example.com/" + letter)]


def test_a_declared_encoding_may_arrive_in_pieces() -> None:
    body = ("<?xml version='1.0' encoding='windows-1251'?>" + urlset("/\u0439")).encode("cp1251")
    one_byte_members = b"".join(gzip.compress(body[at : at + 1]) for at in range(len(body)))
    assert urls(one_byte_members) == ["http://example.com/%D0%B9"]


@pytest.mark.parametrize(
    "label", ["unicode_escape", "zip", "iso-8859-12", "iso-8859-99", "x", "utf-16", "utf-7", "idna"]
)
def test_a_declared_encoding_that_cannot_be_is_not_obeyed(label: str) -> None:
    assert urls(f'<?xml version="1.0" encoding="{label}"?>{urlset("/a+AC8-b")}') == ["http://example.com/a+AC8-b"]


def test_a_declaration_counts_at_the_beginning_alone() -> None:
    quoted = "<!-- <?xml version='1.0' encoding='windows-1251'?> -->"
    assert urls((quoted + urlset("/\u00e9")).encode()) == ["http://example.com/%C3%A9"]


def test_bytes_that_are_no_text_spoil_only_themselves() -> None:
    assert urls(b"http://example.com/a\xc3") == ["http://example.com/a%EF%BF%BD"]
    body = b"<rss><channel><item><title>caf\xe9</title><link>/a</link></item></channel></rss>"
    assert urls(body) == ["http://example.com/a"]


@pytest.mark.parametrize(
    "body",
    [
        '<urlset xmlns="http://wrong.example/"><url><loc>/a</loc></url></urlset>',
        '<s:urlset xmlns:s="http://x/"><s:url><s:loc>/a</s:loc></s:url></s:urlset>',
        "<s:urlset><s:url><s:loc>/a</s:loc></s:url></s:urlset>",
        "<URLSET><Url><LOC>/a</LOC></Url></URLSET>",
        "<!-- made by hand --><?xml-stylesheet href='x'?><urlset><url><loc>/a</loc></url></urlset>",
        '<!DOCTYPE urlset SYSTEM "http://example.com/missing.dtd"><urlset><url><loc>/a</loc></url></urlset>',
        "<urlset><url><loc>/<!-- -->a</loc></url></urlset>",
        "<urlset><url><loc>&#47;&#x61;</loc></url></urlset>",
        "<urlset><url><loc>/<b>not this</b>a</loc></url></urlset>",
        "<urlset><url><loc> </loc><loc>/a</loc><loc>/b</loc></url></urlset>",
        "<urlset><group><url><loc>/a</loc></url></group></urlset>",
        "<rss><channel><item><title>&nbsp;&eacute;</title><link>/a</link></item></channel></rss>",
    ],
)
def test_sloppy_documents_are_read(body: str) -> None:
    assert urls(body) == ["http://example.com/a"]


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "<url><loc>/c",
        "<url><loc>/c</loc>",
        "</wrong>",
        "\0",
        "<url",
        "<![CDATA[",
        "&",
    ],
)
def test_what_stands_before_an_error_is_kept(rest: str) -> None:
    assert urls(f"<urlset><url><loc>/a</loc></url><url><loc>/b</loc></url>{rest}") == [
        "http://example.com/a",
        "http://example.com/b",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"<",
        b"<!DOCTYPE html><html><head><title>x</title></head><body><a href='/a'>a</a></body></html>",
        b"<!doctype html><p>x",
        b"<html><urlset><url><loc>/a</loc></url></urlset></html>",
        b"<svg><url><loc>/a</loc></url></svg>",
        b'{"urls": ["http://example.com/a"]}',
        b"url,lastmod\nhttp://example.com/a,2020-01-01\n",
        b"See:\nhttp://example.com/a\n",
        b"User-agent: *\nSitemap: http://example.com/a\n",
        b"/relative\n",
        b"\x89PNG\r\n\x1a\nhttp://example.com/a",
        b"\x1f\x8b",
        b"\x1f\x8bgarbage",
        gzip.compress(b"", mtime=0),
        gzip.compress(gzip.compress(b"<urlset><url><loc>/a</loc></url></urlset>", mtime=0), mtime=0),
    ],
)
def test_what_is_no_sitemap_has_no_entries(body: bytes) -> None:
    assert urls(body) == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1997", datetime(1997, 1, 1, tzinfo=UTC)),
        ("1997-07", datetime(1997, 7, 1, tzinfo=UTC)),
        ("1997-07-16", datetime(1997, 7, 16, tzinfo=UTC)),
        ("1997-07-16T19:20+01:00", datetime(1997, 7, 16, 18, 20, tzinfo=UTC)),
        ("1997-07-16T19:20:30+01:00", datetime(1997, 7, 16, 18, 20, 30, tzinfo=UTC)),
        ("1997-07-16T19:20:30.45+01:00", datetime(1997, 7, 16, 18, 20, 30, 450_000, tzinfo=UTC)),
        ("1997-07-16T19:20:30-0930", datetime(1997, 7, 17, 4, 50, 30, tzinfo=UTC)),
        ("1997-07-16T19:20:30.5Z", datetime(1997, 7, 16, 19, 20, 30, 500_000, tzinfo=UTC)),
        ("1997-07-16T19:20:30", datetime(1997, 7, 16, 19, 20, 30, tzinfo=UTC)),
        (" \n1997-07-16 19:20:30 \n", datetime(1997, 7, 16, 19, 20, 30, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-14:00", 253402300799 + 14 * 3600),
        ("Wed, 16 Jul 1997 19:20:30 +0100", datetime(1997, 7, 16, 18, 20, 30, tzinfo=UTC)),
        ("16 Jul 97 19:20 EST", datetime(1997, 7, 17, 0, 20, tzinfo=UTC)),
        ("Wed, 16 Jul 1997 19:20:30 -0000", datetime(1997, 7, 16, 19, 20, 30, tzinfo=UTC)),
    ],
)
def test_a_lastmod_becomes_unix_seconds(text: str, moment: datetime | float) -> None:
    assert lastmod_of(text) == (moment.timestamp() if isinstance(moment, datetime) else moment)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2020-13-01", "2020-02-30", "2020-01-01T24:00Z", "2020-01-01T10:61Z", "x"),
        *(
            "2020-01-01T10:00+25:00",
            "20",
            "20200",
            "20200101",
            "2020-1-1",
            "2020-01-01T",
            "2020-01-01T10",
            "-2020-01-01",
            "12020-01-01",
        ),
        *("0000-01-01", "0001-01-01T00:00:00", "1969-12-31T23:59:59Z", "2020-01-01x", "Mon, 99 Foo 2020"),
        "Mon, 01 Jan 2020 10:00:00 +999999999999",
        *("1 Jan 99999999999999999999 1:1:1", "\u0662\u0660\u0662\u0660", "2020-01-01T00:00:00.1" + "1" * 200),
    ],
)
def test_a_lastmod_that_is_no_date_since_1970_is_none(text: str) -> None:
    assert lastmod_of(text) is None


def test_a_date_without_a_zone_is_utc_wherever_the_crawler_runs() -> None:
    script = (
        "from crawler.content.sitemap import read_sitemap\n"
        "for date in ('Sun, 19 May 2002 15:21:36 -0000', '19 May 2002 15:21:36', '2002-05-19T15:21:36'):\n"
        "    body = f'<rss><item><link>/a</link><pubDate>{date}</pubDate></item></rss>'.encode()\n"
        "    print(read_sitemap(body, 'http://example.com/')[0].lastmod)\n"
    )
    in_japan = {**os.environ, "TZ": "JST-9"}
    done = subprocess.run([sys.executable, "-c", script], env=in_japan, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(MAY_19)] * 3, done.stderr


# --- bodies that mean harm --------------------------------------------------------------------------------------------


def test_an_entity_that_a_document_declares_is_never_expanded() -> None:
    """A URL with one in it is left out; the others are read."""
    laughs = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 30))
    bomb = f"<!DOCTYPE urlset [<!ENTITY l0 'ha'>{laughs}]>"
    assert urls(f"{bomb}<urlset><url><loc>/&l29;</loc></url></urlset>") == []
    assert urls(bomb + urlset("/a", "/&l0;", "/&amp;")) == ["http://example.com/a", "http://example.com/&"]
    assert urls(f"<!DOCTYPE urlset [<!ENTITY e 'x'>]>{urlset('/a')}") == ["http://example.com/a"]
    assert urls(f"<!DOCTYPE urlset [<!ENTITY % e 'x'>]>{urlset('/a')}") == ["http://example.com/a"]
    assert urls(f"<!DOCTYPE urlset [<!ENTITY e ']>'> ] >{urlset('/a')}") == ["http://example.com/a"]
    assert urls(f"<!DOCTYPE urlset [<!ENTITY amp 'x'>]>{urlset('/?a=1&amp;b')}") == ["http://example.com/?a=1&b"]


def test_external_entities_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("/secret")
    assert urls(f"<!DOCTYPE urlset [<!ENTITY e SYSTEM '{secret.as_uri()}'>]>{urlset('&e;')}") == []
    assert urls(f"<!DOCTYPE urlset SYSTEM '{secret.as_uri()}'>{urlset('/a&e;', '/b')}") == ["http://example.com/b"]


def test_a_url_with_an_unknown_entity_in_it_is_left_out() -> None:
    assert urls(urlset("/a&nbsp;b", "/c")) == ["http://example.com/c"]


def test_a_gzip_bomb_is_unpacked_up_to_the_limit() -> None:
    head = urlset("/a").removesuffix("</urlset>").encode()
    within = head + b" " * (MAX_DECODED_BYTES - 1000) + b"<url><loc>/b</loc></url>"
    beyond = head + b" " * MAX_DECODED_BYTES + b"<url><loc>/b</loc></url>"
    assert urls(gzip.compress(within, 1)) == ["http://example.com/a", "http://example.com/b"]
    assert urls(gzip.compress(beyond, 1)) == ["http://example.com/a"]


def test_a_plain_body_is_read_up_to_the_same_limit() -> None:
    assert urls(b"http://example.com/a\n" + b"\n" * MAX_DECODED_BYTES + b"http://example.com/b") == [
        "http://example.com/a"
    ]


def test_gzip_members_are_read_one_after_the_other_up_to_a_limit() -> None:
    member = gzip.compress(b"http://example.com/a\n")
    assert len(urls(member * MAX_GZIP_MEMBERS)) == MAX_GZIP_MEMBERS
    assert len(urls(member * (MAX_GZIP_MEMBERS + 10))) == MAX_GZIP_MEMBERS


@pytest.mark.parametrize("damage", ["cut", "garbage after", "zeros after", "bad checksum", "bad member"])
def test_what_can_be_unpacked_of_a_damaged_gzip_is_read(damage: str) -> None:
    whole = gzip.compress(urlset("/a", "/b").encode())
    damaged = {
        "cut": whole[:-9],
        "garbage after": whole + b"garbage",
        "zeros after": whole + b"\0" * 10_000,
        "bad checksum": gzip.compress(b" " * 10_000)[:-8] + b"\0" * 8 + whole,
        "bad member": whole + whole[:10] + b"\xff" * 50,
    }[damage]
    read = urls(damaged)
    assert read == ([] if damage == "bad checksum" else ["http://example.com/a", "http://example.com/b"])


def test_highly_packed_entries_are_all_read() -> None:
    body = urlset(*["/same"] * 40_000)
    assert len(urls(gzip.compress(body.encode(), 9))) == 40_000


@pytest.mark.parametrize("opening", ["<urlset>", ""])
def test_entries_are_limited_in_number(opening: str) -> None:
    line = "<url><loc>/a</loc></url>" if opening else "http://example.com/a\n"
    assert len(urls(opening + line * MAX_ENTRIES)) == MAX_ENTRIES
    assert len(urls(opening + line * (MAX_ENTRIES + 5))) == MAX_ENTRIES


def test_elements_nest_up_to_a_limit() -> None:
    entry = "<url><loc>/a</loc></url>"
    assert urls("<urlset>" + "<a>" * (MAX_DEPTH - 3) + entry) == ["http://example.com/a"]
    assert urls("<urlset>" + "<a>" * (MAX_DEPTH - 2) + entry) == []
    assert urls(f"<urlset>{entry}" + "<a>" * 1_000_000) == ["http://example.com/a"]


@pytest.mark.thorough
@pytest.mark.parametrize("nodes", ["<a/>" * 100, "<a " + " ".join(f"a{n}=''" for n in range(99)) + "/>"])
def test_nodes_are_limited_in_number(nodes: str) -> None:
    entry = "<url><loc>/a</loc></url>"
    assert len(urls("<urlset>" + entry + nodes * (MAX_NODES // 100 - 1) + entry)) == 2
    assert len(urls("<urlset>" + entry + nodes * (MAX_NODES // 100) + entry)) == 1


@pytest.mark.parametrize("token", ["<!--{}-->", "<?a {}?>", "<a b='{}'/>"])
def test_a_giant_tag_or_comment_ends_the_reading(token: str) -> None:
    entry = "<url><loc>/a</loc></url>"
    assert len(urls("<urlset>" + entry + token.format("x" * (MAX_TOKEN_BYTES // 2)) + entry)) == 2
    assert len(urls("<urlset>" + entry + token.format("x" * (MAX_TOKEN_BYTES * 2)) + entry)) == 1


@pytest.mark.thorough
def test_lines_are_limited_in_number() -> None:
    line = "http://example.com/a\n"
    assert len(urls(line + " \n" * (MAX_NODES // 2) + line)) == 2
    assert len(urls(line + " \n" * (MAX_NODES * 2) + line)) == 1


def test_a_giant_field_is_left_out() -> None:
    giant = "/" + "x" * MAX_FIELD_CHARS
    assert urls(urlset(giant, "/b")) == ["http://example.com/b"]
    assert urls(f"http://example.com/b\nhttp://example.com{giant * 3}\nhttp://example.com/c") == [
        "http://example.com/b"
    ]
    assert urls(f"<urlset><url><loc>/a</loc><lastmod>{giant}</lastmod></url></urlset>") == ["http://example.com/a"]


# --- properties -------------------------------------------------------------------------------------------------------

URL_ELEMENTS = [
    *("<url><loc>/a</loc></url>", "<url><loc>/b</loc><loc>/c</loc></url>", "<url><loc/><loc> /d </loc></url>"),
    *("<url>e<x><loc>/f</loc></x></url>", "<url><loc>/<b>g</b>h<!-- --></loc></url>", "<url><LOC>/i</LOC></url>"),
    *("<url><loc><![CDATA[/j]]>&amp;</loc></url>", "<url><lastmod>2020</lastmod><loc>/k</loc></url>", "<url/>"),
]
XML_WORDS = [
    *("<urlset>", "</urlset>", "<sitemapindex>", "<rss>", "<feed>", "<url>", "</url>", "<sitemap>", "</sitemap>"),
    *("<item>", "</item>", "<entry>", "</entry>", "<loc>", "</loc>", "<link>", "</link>", "<link href='/a'/>"),
    *("<lastmod>", "</lastmod>", "<![CDATA[", "]]>", "<!--", "-->", "&amp;", "&x;", "&", "<!DOCTYPE a [", "]>"),
    *(
        "<!ENTITY x 'y'>",
        "<?xml version='1.0'?>",
        "http://a/b",
        "/c",
        "\n",
        " ",
        "\ufeff",
        "\0",
        "2020-01-01",
        "\u00e9",
    ),
]
bodies = st.one_of(
    st.lists(st.sampled_from(URL_ELEMENTS)).map(lambda urls: f"<urlset>{''.join(urls)}</urlset>".encode()),
    st.lists(st.sampled_from(["http://a/b", "https://c/", " ", "\ufeff", "x"])).map("\r\n".join).map(str.encode),
    st.binary(),
    st.lists(st.sampled_from(XML_WORDS)).map(lambda words: "".join(words).encode()),
    st.lists(st.sampled_from(XML_WORDS)).map(lambda words: ("<urlset>" + "".join(words)).encode()),
    st.lists(st.sampled_from(XML_WORDS)).map(lambda words: "".join(words).encode("utf-16")),
)


@given(
    st.one_of(bodies, bodies.map(gzip.compress), st.tuples(bodies.map(gzip.compress), st.binary()).map(b"".join)),
    st.lists(st.integers(0, 200), max_size=3),
)
@example(b"\0<\0", [])
@example(b"\xff\xfe\x00\xd8", [])
def test_any_bytes_give_sound_entries(body: bytes, places: list[int]) -> None:
    """Whatever the bytes: the entries are sound, and the same when gzipped."""
    check_sitemap(body, places)


def test_a_declaration_is_read_as_far_when_it_comes_in_pieces() -> None:
    far = f"<?xml version='1.0'{' ' * 5000} encoding='koi8-r'?><urlset><url><loc>/\u0430</loc></url></urlset>"
    body = far.encode("koi8-r")
    assert urls(body) == urls(gzip.compress(body, 0)) == urls(gzip.compress(body))


@given(st.text(max_size=120))
@example("Mon, 1 Jan 2020 99:99:99 +0000")
@example("0001-01-01T00:00:00+23:59")
@example("1 1 1 1:1:1:1")
@example("Mon, , ")
@example("1 Jan 2020 10:00:00 +999999999999")
def test_no_date_raises(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    for entry in read_sitemap(f"<rss><item><link>/a</link><pubDate>{escaped}</pubDate></item></rss>".encode(), URL):
        assert entry.lastmod is None or entry.lastmod >= 0


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)))
def test_every_moment_since_1970_survives_the_w3c_form(moment: datetime) -> None:
    assert lastmod_of(moment.isoformat()) == pytest.approx(moment.timestamp(), abs=1e-4)


@given(st.lists(st.from_regex(r"[a-z0-9/]{1,20}", fullmatch=True), max_size=20), st.integers(0, 400))
def test_a_cut_sitemap_yields_the_beginning_of_the_whole(paths: list[str], cut_at: int) -> None:
    whole = urlset(*("http://example.com/" + path for path in paths))
    expected = urls(whole)
    assert len(expected) == len(paths)
    assert urls(whole[:cut_at]) == expected[: len(urls(whole[:cut_at]))]
