"""What rules give for one document whose truth is known."""

from __future__ import annotations

import tomllib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.content.extracting import MAX_BYTES, MAX_ROWS, MAX_VALUES, extracts
from crawler.content.reader import read
from crawler.records import Extract, Page, UrlKind
from crawler.rule_tables import read_rules

URL = "http://shop.test/products/5?x=1"
PAGE = """<!doctype html><html lang=en><head><base href="/shop/">
<meta property="og:title" content="Widget, social"><meta name=rating content="4.5">
<script type="application/ld+json">{"@context": "https://schema.org", "@graph": [
  {"@type": "Organization", "name": "Acme Inc"},
  {"@type": ["Product", "Thing"], "sku": "A-1", "brand": {"@type": "Brand", "name": "Acme"}, "gtin": 12345,
   "offers": [{"@type": "Offer", "price": "1.234", "priceCurrency": "EUR", "availability": "InStock"},
              {"@type": "https://schema.org/Offer", "price": 20, "priceCurrency": "USD"}]}]}</script>
<script id=state>{"stock": {"left": 3}}</script></head>
<body data-id="77"><h1> Big<br><b>W</b>id<i>get</i> <script>var x = 1</script></h1><h1>Second</h1>
<p class=empty> </p><p class=price>was 1.299,00 &euro;</p><p class=empty>late</p>
<div itemscope itemtype="https://schema.org/Product"><span itemprop=name>Micro</span>
 <div itemprop=offers itemscope itemtype="http://schema.org/Offer"><span itemprop=price content="9.50">9</span>
  <meta itemprop=priceCurrency content=GBP><a itemprop=url href=buy>buy</a></div></div>
<ul class=tags><li>a<li> b <li>&nbsp;<li>c</ul><time datetime="2024-05-06T07:08">May</time><i class=d>6 May 2024</i>
<a class=more href="more?a=1#f">more</a><img src="../i.png"><table>
<tr class=v><td class=s>S<td class=p>$5.00<tr class=v><td class=s>M<td class=p>6<tr class=v><td class=p>7</table>
"""


def page_of(markup: str | bytes, content_type: str = "text/html; charset=utf-8", url: str = URL) -> tuple[Page, bytes]:
    body = markup.encode() if isinstance(markup, str) else markup
    page = read(UrlKind.PAGE, body, url, content_type)
    assert isinstance(page, Page)
    return page, body


def found(toml: str, markup: str | bytes = PAGE, **options: Any) -> Extract:
    """What one rule gives; `toml` is its table, or its fields alone."""
    text = toml if "[extract.fields]" in toml else f"[extract.fields]\n{toml}"
    head = "" if "match" in toml else 'match = "*"\n'
    rules = read_rules(tomllib.loads(f'[[extract]]\nname = "r"\n{head}{text}')["extract"])
    (one,) = extracts(rules, *page_of(markup, **options))
    return one


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('"h1"', "Big Widget"),
        ('"h1::text"', "Big Widget"),
        ('["h1"]', ["Big Widget", "Second"]),
        ('{ from = "h1", list = true }', ["Big Widget", "Second"]),
        ('".empty"', "late"),  # the first that is not blank
        ('["ul.tags li"]', ["a", "b", "c"]),
        ('"b::html"', "<b>W</b>"),
        ('"body::attr(data-id)"', "77"),
        ('"script#state"', '{"stock": {"left": 3}}'),
        ('{ from = "script#state", type = "json" }', {"stock": {"left": 3}}),
        ('{ from = ".price", type = "price" }', {"amount": 1299.0, "currency": "EUR"}),
        ('{ from = ".price", type = "number" }', 1299.0),
        ('{ from = "td.p", type = "price", currency = "USD", list = true }', "three"),
        ('{ from = "a.more", type = "url" }', "http://shop.test/shop/more?a=1"),
        ('{ from = "img", type = "url" }', "http://shop.test/i.png"),
        ('{ from = "time", type = "date" }', "2024-05-06T07:08:00"),
        ('{ from = "i.d", type = "date" }', "2024-05-06"),
        ('"json-ld:Product.sku"', "A-1"),
        ('"json-ld:Product.brand"', "Acme"),
        ('"json-ld:Product.gtin"', "12345"),
        ('"json-ld:Organization.name"', "Acme Inc"),
        ('["json-ld:Offer.price"]', ["1.234", "20"]),
        ('{ from = "json-ld:Product.offers.price", type = "price" }', {"amount": 1.234, "currency": "EUR"}),
        ('{ from = "json-ld:Product.offers", type = "price" }', {"amount": 1.234, "currency": "EUR"}),
        ('{ from = "json-ld:Product.brand", type = "json" }', {"@type": "Brand", "name": "Acme"}),
        ('"microdata:Product.name"', "Micro"),
        ('{ from = "microdata:Offer.price", type = "price" }', {"amount": 9.5, "currency": "GBP"}),
        ('{ from = "microdata:Product.offers.url", type = "url" }', "http://shop.test/shop/buy"),
        ('"og:title"', "Widget, social"),
        ('{ from = "meta:rating", type = "number" }', 4.5),
        ('"page:url"', URL),
        ('"page:language"', "en"),
        ('{ from = "page:url", re = "/products/([0-9]+)", type = "number" }', 5),
        ("{ re = 'data-id=\"([0-9]+)\"' }", "77"),
        ('{ from = "h1", re = "Wid" }', "Wid"),
        ('{ from = "ul.tags", re = "[a-c]", list = true }', ["a", "b", "c"]),
        ('"h5"', None),
        ('["h5"]', []),
        ('{ from = "h5", default = "none" }', "none"),
        ('{ from = "h1", type = "number" }', None),
        ('{ from = "h1", type = "date" }', None),
        ('"json-ld:Recipe.name"', None),
        ('"microdata:Recipe.name"', None),
    ],
)
def test_a_field_is_what_stands_at_its_source(field: str, value: Any) -> None:
    if value == "three":
        value = [{"amount": amount, "currency": "USD"} for amount in (5.0, 6, 7)]
    row = found(f'always = "h1"\nx = {field}').rows[0]
    assert row == {"always": "Big Widget", "x": value}
    assert type(row["x"]) is type(value)


def test_each_gives_a_row_for_each_element() -> None:
    one = found('each = "tr.v"\n[extract.fields]\nsize = ".s"\np = { from = ".p", type = "number" }')
    assert one.rows == ({"size": "S", "p": 5.0}, {"size": "M", "p": 6}, {"size": None, "p": 7})
    assert not one.lacking


def test_an_element_without_what_is_required_gives_no_row_and_that_is_said() -> None:
    one = found('each = "tr.v"\n[extract.fields]\nsize = { from = ".s", required = true }\np = ".p"')
    assert [row["size"] for row in one.rows] == ["S", "M"]
    assert one.lacking == ("size",)


def test_each_of_data_gives_a_row_for_each_object() -> None:
    one = found('each = "json-ld:Offer"\n[extract.fields]\np = { from = "price", type = "price" }\na = "availability"')
    assert one.rows == (
        {"p": {"amount": 1.234, "currency": "EUR"}, "a": "InStock"},
        {"p": {"amount": 20, "currency": "USD"}, "a": None},
    )


def test_objects_within_a_row() -> None:
    one = found('v = { each = "tr.v", fields = { size = { from = ".s", required = true }, p = ".p" } }')
    assert one.rows[0]["v"] == [{"size": "S", "p": "$5.00"}, {"size": "M", "p": "6"}]
    assert one.lacking == ("v.size",)
    one = found('v = { each = "tr.v", list = false, fields = { size = ".s" } }')
    assert one.rows[0]["v"] == {"size": "S"}


def test_the_element_itself_has_no_selector() -> None:
    one = found('each = "a"\n[extract.fields]\nhref = "::attr(href)"\ntext = "::text"')
    assert one.rows[1] == {"href": "more?a=1#f", "text": "more"}


def test_a_rule_that_finds_nothing_gives_no_row() -> None:
    assert found('x = "h5"\ny = { from = "h6", default = 1 }') == Extract("r")


def test_a_rule_is_silent_on_pages_that_it_is_not_for() -> None:
    rules = read_rules([{"name": "r", "match": "/other/*", "fields": {"x": "h1"}}])
    assert extracts(rules, *page_of(PAGE)) == ()


def test_documents_that_are_not_html_have_what_was_read_of_them() -> None:
    one = found('id = { re = "no ([0-9]+)" }\nx = "h1"\nt = "page:text"', "order no 17", content_type="text/plain")
    assert one.rows == ({"id": "17", "x": None, "t": "order no 17"},)


def test_xhtml_is_read_by_its_own_rules() -> None:
    markup = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><script/><h1>T</h1></body></html>'
    assert found('x = "h1"', markup, content_type="application/xhtml+xml").rows == ({"x": "T"},)


def test_text_is_decoded_as_the_page_was() -> None:
    body = "<meta charset=koi8-r><h1>Привет</h1>".encode("koi8-r")
    assert found('x = "h1"\ny = { re = "При" }', body, content_type="text/html").rows == ({"x": "Привет", "y": "При"},)


# --- hostile ----------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_elements_give_so_many_rows_and_no_more() -> None:
    one = found('each = "b"\n[extract.fields]\nx = "::text"', "<b>x</b>" * 100_000)
    assert len(one.rows) == MAX_ROWS
    assert one.cut


def test_a_list_has_a_bound() -> None:
    assert len(found('x = ["b"]', "<b>x</b>" * 20_000).rows[0]["x"]) == MAX_VALUES


def test_rows_have_room_for_so_many_bytes_and_no_more() -> None:
    one = found('each = "b"\n[extract.fields]\nx = "::text"', "<b>" + ("x" * 50_000) + "</b>" + "<b>y</b>")
    assert [len(row["x"]) for row in one.rows] == [50_000, 1]
    one = found('each = "p"\n[extract.fields]\nx = "::text"', ("<p>" + "x" * 50_000) * 100)
    assert one.cut
    assert MAX_BYTES * 0.9 < len(orjson.dumps(one.rows)) <= MAX_BYTES + len(one.rows) + 2


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 3_000 + "x",
        "<b itemscope><i itemprop=a>" * 2_000,
        '<script type="application/ld+json">' + "[" * 900 + "]" * 900 + "</script>",
        '<script type="application/ld+json">' + '{"offers":' * 900 + "1" + "}" * 900 + "</script>",
        '<script type="application/ld+json">{"@type": "Product", "offers": {"price": 1e999}}</script>',
        '<script type="application/ld+json">{"@type": "Product", "name": "\\u0000\\ud800"}</script>',
        '<script type="application/ld+json">{"@type": {"a": 1}, "name": [[["x"]]]}</script>',
        "<base href='::::'><a href='http://[/'>x</a>",
        "",
    ],
)
def test_what_no_author_would_write_harms_nothing(markup: str) -> None:
    one = found(
        'a = "div"\nb = "json-ld:Product.name"\nc = "microdata:*.a"\nd = { from = "a", type = "url" }\n'
        'e = { from = "json-ld:*", type = "json" }\nf = { from = "json-ld:Product.offers", type = "price" }\n'
        'g = { from = "json-ld:*.offers", type = "json", list = true }',
        markup,
    )
    assert isinstance(orjson.dumps(one.rows), bytes)


@given(markup=st.text(st.sampled_from('<>/ab="itemscope prop{}[]1.,€:'), max_size=200))
def test_any_markup_gives_rows_that_are_json(markup: str) -> None:
    one = found('a = "*"\nb = "microdata:*.a"\nc = { from = "b", type = "price" }\nd = ["a::attr(b)"]', markup)
    assert orjson.loads(orjson.dumps(one.rows)) == list(one.rows)
