"""Sitemaps and feeds that are not what the book says: the good entries are read, and no URL is stored that had to be
guessed. The two ways of reading XML agree wherever both can.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.content.sitemap import read_listing, read_sitemap
from crawler.content.xml_events import NotWellFormedError, scan_leniently, scan_strictly
from crawler.content.xml_listing import Found, XmlListing
from crawler.records import UrlKind
from tests.fuzz.damaged import DAMAGE, ENTRIES, FORMATS, TRUE_URL, documents

URL = "http://example.com/folder/document.xml"
LOSES = {"an unknown entity in a URL": 1, "a control character in a URL": 1}  # entries whose URL is not known


def urls(text: str) -> list[str]:
    return [entry.url for entry in read_sitemap(text.encode(), URL)]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [name for name, _make, _is_feed in FORMATS])
def test_what_is_damaged_gives_its_good_entries(name: str, damage: str) -> None:
    whole = next(make() for other, make, _is_feed in FORMATS if other == name)
    read, expected = urls(DAMAGE[damage](whole)), urls(whole)
    assert len(expected) == ENTRIES - 1
    if damage == "cut off":
        assert read == expected[: len(read)]
        assert len(read) >= 2
    elif damage == "two documents":
        assert read == [*expected, *(url.replace("/page/", "/more/") for url in expected)]
    elif damage in LOSES and DAMAGE[damage](whole) != whole:
        about = name == "rss 1.0"  # which names each URL twice
        assert len(read) == len(expected) - (0 if about else LOSES[damage])
        assert set(read) <= set(expected)
    else:
        assert read == expected


def test_no_url_is_stored_that_the_document_does_not_name() -> None:
    """Damaged in two ways at a time."""
    for document in documents():
        for url in urls(document.text):
            assert TRUE_URL.fullmatch(url), (document.name, url)


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<url><loc>http://a/?x=1&y=2</loc></url>", ["http://a/?x=1&y=2"]),
        ("<url><loc>http://a/?x=1&copy=2</loc></url>", ["http://a/?x=1&copy=2"]),
        ("<url><loc>http://a/?x=1&#y</loc></url>", []),  # a reference without an end, or a fragment?
        ("<url><loc>http://a/?x=1&#x26;y=2&</loc></url>", ["http://a/?x=1&y=2&"]),
        ("<url><loc>http://a/&amp;&b;</loc></url>", []),
        ("<url><loc>http://a/&#0;</loc></url>&", []),
        ("<url><loc>http://a/1<lastmod>2020</lastmod></url>", ["http://a/1"]),
        ("<url><loc>http://a/1</url><url><loc>http://a/2</url>", ["http://a/1", "http://a/2"]),
        ("<url><loc>http://a/1<url><loc>http://a/2</loc></url>", ["http://a/1", "http://a/2"]),
        ("<url><loc>http://a/1</loc><url><loc>http://a/2</loc></url>", ["http://a/1", "http://a/2"]),
        ("<url><loc>http://a/?q=<b>1</loc></url><url><loc>http://a/2</loc></url>", ["http://a/2"]),
        ("<url><loc>http://a/?q=<b</loc></url>", ["http://a/?q=%3Cb"]),
        ("<url><loc>http://a/1</lo></url><url><loc>http://a/2</loc></url>", ["http://a/1", "http://a/2"]),
        ("<url><loc http://a/1</loc></url><url><loc>http://a/2</loc></url>", ["http://a/2"]),
        ("<url><loc>http://a/1</loc></url></urlset><url><loc>http://a/2</loc></url>", ["http://a/1", "http://a/2"]),
        ("<url><loc><![CDATA[http://a/1]]></loc></url>&", ["http://a/1"]),
        ("<url><loc><![CDATA[http://a/1</loc></url><url><loc>http://a/2]]></loc></url>&", ["http://a/1%3C/loc%3E"]),
    ],
)  # fmt: skip
def test_a_url_is_what_was_written_or_is_left_out(inner: str, expected: list[str]) -> None:
    found = urls(f"<urlset>{inner}</urlset>")
    if "CDATA[http://a/1<" in inner:
        assert not any(url == "http://a/2" for url in found)  # it stands within the text of another
    else:
        assert found == expected


# --- the two scanners -------------------------------------------------------------------------------------------------


def _read(scan: object, pieces: list[str], *, lenient: bool) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []

    def add(entry: Found) -> None:
        found.append((entry.url, entry.lastmod, entry.is_sitemap, tuple(sorted(map(str, entry.facts.items())))))

    listing = XmlListing(URL, add, lenient=lenient)
    (scan_leniently if lenient else scan_strictly)(pieces, listing)
    return found


def _pieces(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


WHOLE = [make() for _name, make, _is_feed in FORMATS]


@pytest.mark.parametrize("text", WHOLE)
def test_both_scanners_read_the_same_where_a_document_is_well_formed(text: str) -> None:
    assert _read(scan_leniently, [text], lenient=True) == _read(scan_strictly, [text], lenient=False) != []


ELEMENTS = st.recursive(
    st.sampled_from(["text", "&amp;", "<![CDATA[<x>&]]>", "<!-- > -->", "<?x >?>", "&#65;", " "]),
    lambda inner: st.tuples(
        st.sampled_from(["a", "url", "item", "title", "guid", "image:image", "lastmod", "news:news"]),
        st.sampled_from(["", ' b="c>d"', " href='/x'", ' xml:base="/y/"']),
        st.lists(inner, max_size=3),
    ).map(lambda parts: f"<{parts[0]}{parts[1]}>{''.join(parts[2])}</{parts[0]}>"),
    max_leaves=12,
)


@given(st.sampled_from(["rss", "feed"]), st.lists(ELEMENTS, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_both_scanners_agree_on_any_well_formed_document(root: str, parts: list[str], places: list[int]) -> None:
    """But where an element stands within one of its own name, which is what an end tag that was forgotten looks like:
    there are none within the entries here.
    """
    entries = "".join(f"<item><x>{part}</x><link>/{number}</link></item>" for number, part in enumerate(parts)
                      if "<item" not in part)  # fmt: skip
    text = f"<{root} xmlns:image='i' xmlns:news='n'>{entries}</{root}>"
    assert _read(scan_strictly, _pieces(text, places), lenient=False) == _read(
        scan_leniently, _pieces(text, places), lenient=True
    )


@given(st.sampled_from([document.text for document in documents()]), st.lists(st.integers(0, 5000), max_size=8))
def test_where_the_pieces_end_changes_nothing(text: str, places: list[int]) -> None:
    assert _read(scan_leniently, _pieces(text, places), lenient=True) == _read(scan_leniently, [text], lenient=True)
    try:
        whole = _read(scan_strictly, [text], lenient=False)
    except NotWellFormedError:
        return
    assert _read(scan_strictly, _pieces(text, places), lenient=False) == whole


# --- formats ----------------------------------------------------------------------------------------------------------


def feed(inner: str, attributes: str = "") -> str:
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {attributes}>{inner}</feed>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (feed("<entry><link href='1'/></entry>", "xml:base='http://b/x/'"), ["http://b/x/1"]),
        (feed("<entry xml:base='y/'><link href='1'/></entry><entry><link href='1'/></entry>", "xml:base='http://b/x/'"),
         ["http://b/x/y/1", "http://b/x/1"]),
        (feed("<entry><link xml:base='http://c/' href='1'/></entry>"), ["http://c/1"]),
        (feed("<entry><link rel='Alternate' href='/1'/></entry>"), ["http://example.com/1"]),
        (feed("<entry><link rel=' alternate nofollow' href='/1'/></entry>"), ["http://example.com/1"]),
        (feed("<entry><link rel='http://www.iana.org/assignments/relation/alternate' href='/1'/></entry>"),
         ["http://example.com/1"]),
        (feed("<entry><link rel='self' href='/1'/></entry>"), []),
        (feed("<entry><id>http://example.com/1</id></entry>"), []),  # a name, not an address (RFC 4287, 4.2.6)
        ("<rss><item><guid>http://b/1</guid></item></rss>", ["http://b/1"]),
        ("<rss><item><guid isPermaLink='true'>http://b/1</guid></item></rss>", ["http://b/1"]),
        ("<rss><item><guid isPermaLink='False'>http://b/1</guid></item></rss>", []),
        ("<rss><item><guid>b-1</guid></item></rss>", []),
        ("<rss><item><guid>http://b/guid</guid><link>http://b/link</link></item></rss>", ["http://b/link"]),
        ("<rss><item><atom:link href='/1'/></item></rss>", ["http://example.com/1"]),
        ("<rss xmlns:a='http://www.w3.org/2005/Atom'><item><a:link rel='self' href='/0'/><guid>http://b/2</guid>"
         "<a:link href='/1' rel='alternate'/></item></rss>", ["http://example.com/1"]),
        ("<rdf:RDF xmlns:rdf='r'><item rdf:about='/1'/></rdf:RDF>", ["http://example.com/1"]),
        ("<rdf:RDF xmlns:rdf='r'><item rdf:about='/1'><link>/2</link></item></rdf:RDF>", ["http://example.com/2"]),
        ("<sitemapindex><sitemap>http://b/1</sitemap><sitemap> <loc>http://b/2</loc> </sitemap></sitemapindex>",
         ["http://b/1", "http://b/2"]),
        ("<urlset><url>\nhttp://b/1\n</url><url>none</url></urlset>", ["http://b/1"]),
        ("# Sitemap\r\n#\n\nhttp://b/1\n# more\nhttp://b/2", ["http://b/1", "http://b/2"]),
        ('{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": "/1"}, {"external_url":'
         ' "http://b/2"}, {"id": "http://b/3"}, {"url": 4}, 5, {"url": "mailto:x"}]}',
         ["http://example.com/1", "http://b/2"]),
        ('\ufeff \n{"version": "https://jsonfeed.org/version/1", "items": [{"url": "http://b/\\ud800"}]}',
         ["http://b/%EF%BF%BD"]),
        ('{"version": "1.0", "items": [{"url": "http://b/1"}]}', []),
        ('{"version": "https://jsonfeed.org/version/1", "items": {"url": "http://b/1"}}', []),
        ("[" * 100_000, []),
        ('{"a":' * 100_000, []),
    ],
)  # fmt: skip
def test_where_a_format_keeps_its_urls(text: str, expected: list[str]) -> None:
    assert urls(text) == expected


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (feed("<entry><link href='/1'/><published>1970-01-02</published></entry>"), 86400),
        (feed("<entry><published>1970-01-02</published><link href='/1'/><updated>1970-01-03</updated></entry>"),
         172800),
        (feed("<entry><updated>soon</updated><link href='/1'/><published>1970-01-02</published></entry>"), 86400),
        (feed("<entry><link href='/1'/><modified>1970-01-02</modified></entry>"), 86400),  # Atom 0.3
        (feed("<entry><link href='/1'/><issued>1970-01-02T00+00:00</issued></entry>"), None),
        ("<urlset><url><loc>/1</loc><news:news><news:publication_date>1970-01-02</news:publication_date></news:news>"
         "</url></urlset>", 86400),
        ("<urlset><url><loc>/1</loc><n:news><n:publication_date>1970-01-02</n:publication_date></n:news>"
         "<lastmod>1970-01-03</lastmod></url></urlset>", 172800),
        ("<urlset><url><loc>/1</loc><lastmod>1970-01-02T02:00+02</lastmod></url></urlset>", 86400),
        ("<urlset><url><loc>/1</loc><lastmod>1970-01-02 02:00:00 +02</lastmod></url></urlset>", 86400),
        ('{"version": "https://jsonfeed.org/version/1", "items": [{"url": "/1", "date_published": "1970-01-02",'
         ' "date_modified": "x"}]}', 86400),
    ],
)  # fmt: skip
def test_where_a_format_keeps_its_dates(text: str, moment: float | None) -> None:
    (entry,) = read_sitemap(text.encode(), URL)
    assert entry.lastmod == moment


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<urlset/>", UrlKind.SITEMAP),
        ("<sitemapindex/>", UrlKind.SITEMAP),
        ("http://a/", UrlKind.SITEMAP),
        ("<rss/>", UrlKind.FEED),
        ("<rdf:RDF/>", UrlKind.FEED),
        ("<feed>&", UrlKind.FEED),
        ('{"version": "https://jsonfeed.org/version/1"}', UrlKind.FEED),
    ],
)
def test_what_is_a_feed(text: str, kind: UrlKind) -> None:
    assert read_listing(text.encode(), URL).kind is kind


LETTERS = {
    "x-sjis": ("cp932", "ツ"),
    "big5-hkscs": ("big5hkscs", "中"),
    "x-cp1251": ("cp1251", "й"),
    "l2": ("latin2", "ł"),
}


@pytest.mark.parametrize("label", LETTERS)
def test_the_names_of_encodings_are_those_of_html(label: str) -> None:
    codec, letter = LETTERS[label]
    body = f"<?xml version='1.0' encoding='{label}'?><rss><item><title>{letter}</title><link>/1</link></item></rss>"
    (entry,) = read_sitemap(body.encode(codec), URL)
    assert entry.facts == f'{{"title":"{letter}"}}'


def test_http_names_the_encoding_before_the_document_does() -> None:
    """RFC 7303, 3; but for a byte order mark."""
    body = "<?xml version='1.0' encoding='koi8-r'?><urlset><url><loc>/й</loc></url></urlset>"
    encoded = body.encode("cp1251")
    (entry,) = read_listing(encoded, URL, "text/xml; charset=windows-1251").entries
    assert entry.url == "http://example.com/%D0%B9"
    (entry,) = read_listing(body.encode("utf-8-sig"), URL, "text/xml; charset=windows-1251").entries
    assert entry.url == "http://example.com/%D0%B9"


def test_a_url_with_bytes_of_another_encoding_is_left_out_of_xml() -> None:
    assert [e.url for e in read_sitemap(b"<urlset><url><loc>/\xe9</loc></url><url><loc>/b</loc></url></urlset>", URL)] \
        == ["http://example.com/b"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("<urlset>" + "<url><loc>/a</loc></url>" * 50_000, None),
        ("<urlset>" + "<url><loc>/a</loc></url>" * 50_001, "it has more than 50,000 entries"),
        ("http://a/\n" * 50_001, "it has more than 50,000 entries"),
        ("<urlset><url><loc>/a</loc></url>" + " " * (50 * 1024**2 + 1), "it is longer than 50 MiB"),
        ("<urlset><url><loc>/a</loc></url>" + "<!--" + "x" * 3 * 1024**2, "a tag or comment is longer than 1 MiB"),
        ("<urlset><url><loc>/a</loc></url>&" + "<!--" + "x" * 3 * 1024**2, "a tag or comment is longer than 1 MiB"),
        ("http://a/\nhttp://a/" + "x" * 200_000, "a line is longer than 65,536 characters"),
    ],
)
def test_what_is_left_out_is_said(text: str, cut: str | None) -> None:
    listing = read_listing(text.encode(), URL)
    assert listing.cut == cut
    assert listing.entries


def test_what_is_said_of_a_url_is_bounded() -> None:
    long = "x" * 3000
    images = "".join(f"<image:image><image:loc>/{number}{long}</image:loc></image:image>" for number in range(50))
    entry = f"<url><loc>/a</loc><priority>1.0</priority><changefreq>Daily</changefreq>{images}</url>"
    (found,) = read_sitemap(f"<urlset>{entry}</urlset>".encode(), URL)
    assert found.facts == '{"priority":1.0,"changefreq":"daily"}'
