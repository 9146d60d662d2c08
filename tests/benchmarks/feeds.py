"""Sitemaps and feeds, real shapes and broken in every way that we know, beside feedparser and ultimate-sitemap-parser.

    pip install -e '.[bench]' && python -m tests.benchmarks.feeds

Prints each URL that a library gives and we do not, and how many of ours the libraries lack. Ends with status 1 where
something is missing that `EXPECTED` does not explain, or where a URL is none of the document's.
"""

from __future__ import annotations

import logging
import sys

import feedparser  # type: ignore[import-untyped,import-not-found,unused-ignore]
from usp.fetch_parse import XMLSitemapParser  # type: ignore[import-untyped,import-not-found,unused-ignore]
from usp.web_client.abstract_client import LocalWebClient  # type: ignore[import-untyped,import-not-found,unused-ignore]

from crawler.content.sitemap import read_sitemap
from crawler.urls import normalize
from tests.fuzz.damaged import TRUE_URL, documents

SITE = "http://example.com/folder/document.xml"

EXPECTED = {  # of what damage we leave out a URL that a library gives, and why
    "an unknown entity in a URL": "what it stands for is not known",
    "a control character in a URL": "what stood in its place is not known",
    "cut off": "the last entry is not whole",
}


def _feedparser(text: str) -> set[str]:
    parsed = feedparser.parse(text.encode(), response_headers={"content-location": SITE})
    return {entry.link for entry in parsed.entries if "link" in entry}


def _usp(text: str) -> set[str]:
    parser = XMLSitemapParser(url=SITE, content=text, recursion_level=0, web_client=LocalWebClient(), parent_urls=set())
    found = parser.sitemap()
    return {page.url for page in found.pages} | {part.url for part in found.sub_sitemaps}


def main() -> int:
    """Compare, print, and return the exit status."""
    logging.disable()
    missing = wrong = more = 0
    for document in documents():
        ours = {entry.url for entry in read_sitemap(document.text.encode(), SITE)}
        for name, library in (("feedparser", _feedparser), ("usp", _usp)):
            if name == "feedparser" and not document.is_feed:
                continue
            theirs = {url for found in library(document.text) if (url := normalize(found.strip(), SITE))}
            for url in sorted(theirs - ours):
                reason = next((EXPECTED[damage] for damage in EXPECTED if damage in document.name), None)
                missing += reason is None
                print(f"{document.name}: {name} has {url}" + (f" ({reason})" if reason else ""))
            more += len(ours - theirs)
        for url in sorted(ours):
            if not TRUE_URL.fullmatch(url):
                wrong += 1
                print(f"{document.name}: {url} is none of its URLs")
    print(f"{missing} missing, {wrong} wrong, {more} more")
    return missing + wrong > 0


if __name__ == "__main__":
    sys.exit(main())
