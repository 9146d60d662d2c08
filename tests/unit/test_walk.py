"""The walk in C finds what the walk in Python does, and stands back where it cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, product
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from crawler.content.accelerated import PYTHON_ONLY, fastest_walk, walk_in_c
from crawler.content.hyperlinks import MAX_LINKS, MAX_NAMELESS, read_rel
from crawler.content.resources import MAX_RESOURCES
from crawler.content.visible_text import MAX_BLOCKS, MAX_LABEL_CHARS, MAX_LABEL_NODES, MAX_TOUCHING_NODES
from crawler.content.walk import MAX_HEADINGS, walk
from tests.fuzz.walks import URL, documents, expect_equal_walks, read_both

needs_c = pytest.mark.skipif(fastest_walk()[1] != "C", reason=f"reading HTML in {fastest_walk()[1]}")


@needs_c
@pytest.mark.parametrize("seed", range(4))
def test_documents_made_up_of_what_the_rules_are_about_give_equal_pages(seed: int) -> None:
    for body in documents(500, seed):
        read_both(body, URL)


@needs_c
@pytest.mark.system
@pytest.mark.parametrize("seed", range(100, 120))
def test_in_twenty_thousand_documents_the_walks_find_the_same(seed: int) -> None:
    for body in documents(1_000, seed, Path("/usr/share/doc")):
        expect_equal_walks(body)


def _around(bound: int, below: int = 2) -> Iterator[int]:
    return iter(range(bound - below, bound + 3))


_BOUNDED = chain(
    ("<p>x" * n for n in _around(MAX_BLOCKS)),
    ("<table>" + "<tr><td>x" * n for n in _around(MAX_BLOCKS // 2)),
    ("<br>" * n + "<a href=x>y</a>" for n in _around(MAX_BLOCKS)),
    (f"<a href=x>{'<b>x</b> ' * n}</a>" for n in _around(MAX_LABEL_NODES // 3, 8)),
    (f"<h1>{'<p>x' * n}</h1>" for n in _around(MAX_LABEL_NODES // 4, 8)),
    (f"<h1>{'<br>x' * n}</h1>" for n in _around(MAX_LABEL_NODES // 3, 8)),
    (f"<a href=x>{'<i></i>' * n}<img alt=y></a>" for n in _around(MAX_LABEL_NODES, 8)),
    (f"<a href=x>{'<svg><g></g></svg>' * 600}{'<i></i>' * n}y</a>" for n in _around(MAX_LABEL_NODES, 8)),
    (f"<a href=x>{'<!---->' * n}<rt>y</a>" for n in _around(MAX_LABEL_NODES, 8)),
    (f"<h2>{'y' * n} z</h2>" for n in _around(MAX_LABEL_CHARS)),
    (f"<h2>{'é ' * n}z</h2>" for n in _around(MAX_LABEL_CHARS // 2)),
    ("<h1>x</h1>" * n for n in _around(MAX_HEADINGS)),
    ("<img src=x>" * n for n in _around(MAX_RESOURCES)),
    ("".join(f"<a href={i}>" for i in range(n)) for n in _around(MAX_LINKS)),
    ("".join(f"<a href={i}></a>" for i in range(n)) + "<a href=0>x</a>" for n in _around(MAX_NAMELESS)),
    ("<a href=x></a>" + "<a href=x#y>z</a>" * n + "<a href=b></a><a href=b#c>d</a>" for n in _around(MAX_NAMELESS)),
    (f"<a>x</a>{'<i></i>' * n}<a>y</a>" for n in _around(MAX_TOUCHING_NODES)),
    (f"<a>x</a>{'<b>' * n}<a>y</a>" for n in _around(MAX_TOUCHING_NODES)),
    (f"<svg><tr><a href=y><td>{'<g></g>' * n}z" for n in _around(MAX_LABEL_NODES, 8)),
    (f"{'<b>' * n}<a>x</a>{'</b>' * n}<a>y</a>" for n in _around(MAX_TOUCHING_NODES)),
    ("<svg><base href=/a/></svg>" * n + "<base href=/b/><a href=x>y" for n in _around(10)),
    ("<meta http-equiv=refresh content=x>" * n + "<meta http-equiv=refresh content='0;url=y'>" for n in _around(10)),
    ("<a href=x>y</a>" * n for n in _around(50_000)),
    ("<svg>" + f"<a href={n}>" * n + "x" for n in (700, 3_000)),
)


@pytest.mark.thorough
@needs_c
@pytest.mark.parametrize("html", list(_BOUNDED), ids=lambda html: f"{html[:20]}...{len(html)}")
def test_at_every_bound_the_walks_agree(html: str) -> None:
    read_both(html.encode(), URL)


@needs_c
@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td><p>a</p><td>b<td><tr><td>c<td></table>",
        "<table><tr><td>a\u2003<td>\u2003<p>b<td>\xa0<td>c</table>",
        "<table><tr><td><pre>a\n\n  b </pre><td><pre></pre><td>c</table>",
        "<iframe src=a>b</iframe><svg><a xlink:href=c><iframe src=d><i>e</i></iframe></a></svg>",
        "<pre>a<pre>b</pre>c<br><br>d<table><tr><td>e<td>f</table></pre>",
        "<video><source src=a hidden></video><audio><source src=b></audio><picture><source src=c></picture>",
        "<svg><base hidden href=/a/></svg><base href=/b/><a href=c>d</a>",
        "<svg><g hidden><base href=/a/></g></svg><base href=/b/><a href=c>d</a>",
        "<noscript hidden><meta http-equiv=refresh content='1;url=a'></noscript>",
        "<semantics><annotation>a</annotation></semantics><math><semantics><annotation>b</annotation></semantics></math>",
        "<math><semantics><annotation hidden=until-found>a</annotation></semantics></math>",
        "<p popover hidden=UNTIL-FOUND>a</p><p popover>b</p><html hidden>c<body popover>",
        "<svg><script type=application/ld+json>{<g>1</g>}</script></svg>",
        "<div itemscope><time>a</time><p itemprop=author>b<i hidden>c</i><br>d</div>",
        "<a href=b><br hidden></a><a href=b title='\xadc'><img alt=d></a>",
        "<a href=b rel=nofollow>a</a><a href=b>c</a><a href=b rel=nofollow>d</a>",
        "<a href=b rel='no\u200bfollow'>a</a><a href=b>c</a>",
        "<a href=b><img></a><a href=b>a</a><a href=b#c>d</a><a href=b>e</a><a href=b#c title=f></a>",
        "a\x1db<table><tr><td>c\x1fd<td>e\x1cf</table><pre>g\x0bh\x02</pre>",
    ],
)
def test_what_is_hard_gives_equal_pages(html: str) -> None:
    read_both(html.encode(), URL, "text/html; charset=utf-8")


@needs_c
@pytest.mark.parametrize(
    "url", ["http://a/", "http://a/b?c=/d", "https://a.test/b/c/d/e.html", "http://a.test//b/%20/"]
)
def test_hrefs_lead_where_python_says(url: str) -> None:
    pieces = ["a", "b.c", "..", ".", "/", "../", "?", "=", "#", ":", "%20", "é", " ", "\\", "'", "~;,", "*"]
    for hrefs in (map("".join, product(pieces, repeat=length)) for length in (1, 2, 3)):
        read_both("".join(f'<a href="{href}">x</a>' for href in hrefs).encode(), url, "text/html; charset=utf-8")


@needs_c
def test_a_tree_too_deep_for_any_recursion_is_walked() -> None:
    tree = LexborHTMLParser("<b>" * 200 + "<svg>" + "<g>" * 50_000 + "<a href=x>y")
    assert walk_in_c(tree).text == walk(tree).text


@needs_c
@pytest.mark.parametrize(
    "html",
    ["<template shadowrootmode=open><p>a</template>", "<iframe srcdoc='<p>a</p>'></iframe>", "<p>" * (MAX_BLOCKS + 1)],
)
def test_what_the_walk_in_c_leaves_to_python_is_read(html: str) -> None:
    found = walk_in_c(LexborHTMLParser(html + "<p>b"))
    assert found.text == walk(LexborHTMLParser(html + "<p>b")).text
    assert found.text.endswith(b"b")


@needs_c
def test_without_a_function_of_the_parser_the_walk_is_not_used() -> None:
    from crawler.content import _walk

    with pytest.raises(ImportError, match="lxb_dom_node_type_noi"):
        _walk.load(_walk.__file__, {}, bytes, str, read_rel)
    with pytest.raises(ImportError, match="/nowhere"):
        _walk.load("/nowhere", {}, bytes, str, read_rel)
    assert fastest_walk()[1] == "C"  # nothing is lost


@needs_c
def test_a_node_that_is_none_is_not_looked_at() -> None:
    from crawler.content import _walk

    class Elsewhere:
        mem_id = 1 << 20

    assert _walk.neighbours(Elsewhere()) == ()  # type: ignore[arg-type]


@needs_c
@pytest.mark.parametrize("element", [("a", None), ("a", None, "b", "c"), (1, None, "b"), ["a", None, "b"]])
def test_what_is_no_element_is_not_grouped(element: object) -> None:
    from crawler.content import _walk

    with pytest.raises(TypeError, match="an href, a rel and a caption"):
        _walk.group([element], len, {}, [], {}, "", {}, None)


def test_a_variable_of_the_environment_keeps_to_python() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "crawler", "--version"],
        env=os.environ | {PYTHON_ONLY: "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.endswith("reading HTML in Python (CRAWLER_PYTHON_WALK is set)\n")
