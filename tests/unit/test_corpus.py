"""The made-up site of the benchmarks is one of real size, the same in every run, and connected."""

from __future__ import annotations

import gzip
from statistics import median

import pytest

from crawler.content.html import read_page
from tests.benchmarks.corpus import CARDS, CHILDREN, MENU, document, path_of

PAGES = 40


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return [document(number, PAGES) for number in range(PAGES)]


def test_pages_are_as_large_as_real_ones_and_compress_like_them(documents: list[str]) -> None:
    sizes = [len(content) for content in documents]
    assert 80_000 < median(sizes) < 240_000
    assert max(sizes) > 1.5 * median(sizes)
    assert 3 < sum(sizes) / sum(len(gzip.compress(content.encode())) for content in documents) < 6


def test_a_page_is_the_same_in_every_run_and_no_two_are_equal(documents: list[str]) -> None:
    assert document(7, PAGES) == documents[7]
    assert len(set(documents)) == PAGES


def test_every_page_is_reached_by_links_and_none_leads_nowhere(documents: list[str]) -> None:
    urls = {f"http://a.test{path_of(number)}" for number in range(PAGES)}
    found = {"http://a.test/"}
    for number, content in enumerate(documents):
        page = read_page(content.encode(), "http://a.test/", "text/html")
        inner = [link.url for link in page.links if link.url.startswith("http://a.test/")]
        assert len(page.text) > 10_000
        assert page.title is not None
        assert set(inner) <= urls
        assert number * CHILDREN + 1 >= PAGES or f"http://a.test{path_of(number * CHILDREN + 1)}" in inner
        found.update(inner)
    assert found == urls
    assert MENU + CARDS > 50
