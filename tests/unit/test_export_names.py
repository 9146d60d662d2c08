"""Names of exported files: any URL has one that is harmless anywhere, and no two have the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crawler.output.exports.names import file_name
from crawler.urls import normalize

RESERVED = {"con", "prn", "aux", "nul", *(f"{one}{n}" for one in ("com", "lpt") for n in range(10))}
SEGMENTS = st.one_of(
    st.sampled_from(
        [
            "a",
            "A",
            "a.txt",
            "a.txt~",
            "index",
            "index.html",
            "con",
            "CON",
            "nul.txt",
            "..",
            ".",
            "%2e%2e",
            "%2F",
            "~",
            "a~b",
            "%00",
            "a.",
            "-",
            "aux.b.c",
            ".git",
        ]
    ),
    st.sampled_from(["", "a ", "_manifest.jsonl", "x" * 300, "\u00e9", "e\u0301", "K", "\u212a"]),
    st.text(max_size=12),
)
HOSTS = st.sampled_from(
    ["a.test", "A.test", "b.test:8080", "con", "nul.test", "[::1]", "[::1]:81", "127.0.0.1", "x_y.test", "a.test.",
     "xn--bcher-kva.test", f"{'h' * 63}.{'h' * 63}.test", "_manifest.jsonl", "a.test+http"]
)  # fmt: skip
QUERIES = st.one_of(
    st.just(""), st.sampled_from(["?", "?q=1", "?Q=1", "?q=1&", "?q=a/b"]), st.text(max_size=8).map("?{}".format)
)


@st.composite
def urls(draw: st.DrawFn) -> str:
    scheme, path = draw(st.sampled_from(["http", "https"])), "/".join(draw(st.lists(SEGMENTS, max_size=12)))
    return normalize(f"{scheme}://{draw(HOSTS)}/{path}{draw(QUERIES)}") or "https://a.test/"


def parts_of(names: Iterable[PurePosixPath]) -> Iterable[str]:
    return (part for name in names for part in name.parts)


@given(st.lists(urls(), max_size=40, unique=True))
@example(["https://a.test/a", "https://a.test/a/", "https://a.test/A", "https://a.test/a/index", "https://a.test/a?"])
@example(["https://a.test/", "https://a.test/index", "http://a.test/", "https://a.test:8080/"])
@example(["https://a.test/a", "https://a.test/a.txt/b", "https://a.test/a.txt"])
def test_no_two_urls_have_the_same_file_nor_one_the_name_of_the_folder_of_another(given: list[str]) -> None:
    names = [PurePosixPath(file_name(url, ".txt").casefold()) for url in given]
    assert len(set(names)) == len(names)
    folders = {folder for name in names for folder in name.parents}
    assert not folders & set(names)


@given(urls())
@example("https://a.test/../../etc/passwd")
@example("https://a.test/%2e%2e/%2e%2e/x")
@example("https://a.test/con")
@example("https://con/nul.html")
@example("https://a.test/" + "very-long/" * 400)
def test_a_name_is_harmless_on_any_file_system(url: str) -> None:
    name = PurePosixPath(file_name(url, ".txt"))
    assert not name.is_absolute()
    assert name.suffix == ".txt"
    assert len(str(name)) <= 300
    for part in name.parts:
        assert part.isascii()
        assert part.islower() or not any(map(str.isalpha, part))
        assert part[0] not in " .-" or part == "_"
        assert part[-1] not in " ."
        assert not set(part) & set('<>:"/\\|?*\0')
        assert part.partition(".")[0] not in RESERVED
        assert len(part) <= 120
    assert not str(name).startswith("_manifest")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/", "example.com/index.txt"),
        ("https://example.com/docs/", "example.com/docs/index.txt"),
        ("https://example.com/docs/a", "example.com/docs/a.txt"),
        ("https://example.com/docs/a.html", "example.com/docs/a.html.txt"),
        ("http://example.com:8080/x", "example.com+http+8080/x.txt"),
    ],
)
def test_a_url_that_says_it_all_is_named_by_its_path(url: str, name: str) -> None:
    assert file_name(url, ".txt") == name


def test_what_is_left_of_another_is_told_apart_by_a_hash() -> None:
    name = file_name("https://example.com/Docs/List?page=2&sort=Name", ".md")
    assert name.startswith("example.com/docs/list-page-2-sort-name~")
    assert name == file_name("https://example.com/Docs/List?page=2&sort=Name", ".md")
