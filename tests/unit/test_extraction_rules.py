from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.extraction_rules import UrlPattern
from crawler.rule_tables import read_rules, rule_of_fields

FIELDS = {"title": "h1"}


def rules_of(text: str) -> Any:
    return read_rules(tomllib.loads(text)["extract"], "crawl.toml: ")


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        ("/products/*", "http://a.test/products/1", True),
        ("/products/*", "http://a.test/products/1/reviews?page=2", True),
        ("/products/*", "http://a.test/shop/products/1", False),
        ("/products", "http://a.test/products/1", False),
        ("/products", "http://a.test/products", True),
        ("*/products/*", "http://a.test/shop/products/1", True),
        ("/a?b", "http://a.test/axb", False),
        ("/search?q=*", "http://a.test/search?q=1", True),
        ("/search?q=*", "http://a.test/search", False),
        ("/[ab]", "http://a.test/a", False),
        ("*", "http://a.test/", True),
        ("https://*.example.com/p/*", "https://shop.example.com/p/1", True),
        ("https://*.example.com/p/*", "http://shop.example.com/p/1", False),
        ("*://shop.example/*", "http://shop.example/x", True),
        ("/*.html", "http://a.test/x.html.html", True),
        ("/a*a", "http://a.test/a", False),
        ("/büro/*", "http://a.test/b%C3%BCro/1", True),
        ("http://bücher.example/*", "http://xn--bcher-kva.example/1", True),
    ],
)
def test_a_pattern_matches_paths_or_whole_urls(pattern: str, url: str, matches: bool) -> None:
    (rule,) = read_rules([{"name": "r", "match": pattern, "fields": FIELDS}])
    assert rule.is_for(url) is matches


@given(parts=st.lists(st.text("ab/", max_size=3), min_size=1, max_size=5), fill=st.text("ab/", max_size=4))
def test_what_a_pattern_was_made_of_matches_it(parts: list[str], fill: str) -> None:
    assert UrlPattern("/" + "*".join(parts)).matches("http://a.test/" + fill.join(parts))


@given(pattern=st.text("ab*/", max_size=8), path=st.text("ab/", max_size=8))
def test_a_pattern_matches_what_a_slow_and_plain_search_finds(pattern: str, path: str) -> None:
    def plainly(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(plainly(pattern[1:], text[start:]) for start in range(len(text) + 1))
        return text[:1] == pattern[0] and plainly(pattern[1:], text[1:])

    assert UrlPattern("/" + pattern).matches("http://a.test/" + path) is plainly("/" + pattern, "/" + path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[extract]]\nmatch="/x"', "[[extract]] 1: name takes a word"),
        ('[[extract]]\nname="A"', "[[extract]] A: name takes a word"),
        ('[[extract]]\nname="a"', "[[extract]] a: it has no fields"),
        ('[[extract]]\nname="a"\nmatch="x"\n[extract.fields]\nt="h1"', "a: match takes a path"),
        ('[[extract]]\nname="a"\nmach="/x"\n[extract.fields]\nt="h1"', "a: there is no key 'mach'; there are name"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt="h1["', "a: t: 'h1[' is no CSS selector"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt="> h1"', "within each, a selector looks at all"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt="h1::foo"', "a: t: 'h1::foo' takes ::text, ::html or ::attr"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt=1', "a: t: it takes a selector"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",type="money"}', "a: t: there is no type 'money'"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",re="("}', "a: t: re '(' is no regular expression"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",typ="text"}', "a: t: there is no key 'typ'"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={type="text"}', "a: t: it says not where to look"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",list=1}', "a: t: list takes true or false"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",default=1,required=true}', "is never missing"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",default=2024-01-02}', "default takes a text"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",decimal=","}', 'decimal goes with type = "price" only'),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",type="price",currency="€"}', "a code of three letters"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={from="h1",type="date",format="x"}', "as strptime has it"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={each="li"}', "each and fields belong together"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={each="li::text",fields={x="b"}}', "a selector of elements"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={each="li",re="x",fields={x="b"}}', "re does not go with each"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt={each="li",fields={x="b["}}', "a: t: x: 'b[' is no CSS selector"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt="page:nothing"', "after page: stands one of url, title"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt="json-ld:"', "'json-ld:' is no path"),
        ('[[extract]]\nname="a"\neach="json-ld:Offer"\n[extract.fields]\nt="a b"', "takes a path such as offers.price"),
        ('[[extract]]\nname="a"\n[extract.fields]\nt="h1"\nT="h2"', "two fields of this name"),
        ('[[extract]]\nname="a"\n[extract.fields]\nURL="h1"', "the column URL would also be a column of every"),
        (
            '[[extract]]\nname="a"\n[extract.fields]\np={from="b",type="price"}\np_currency="h1"',
            "the column p_currency would also be that of p",
        ),
        ('[[extract]]\nname="a"\n[extract.fields]\n"a\\"b"="h1"', "a name takes letters"),
        (
            '[[extract]]\nname="a"\n[extract.fields]\nt="h1"\n[[extract]]\nname="a"\n[extract.fields]\nt="h1"',
            "two rules of this name",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file_the_rule_and_the_field(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules_of(text)
    message = str(caught.value)
    assert message.startswith("crawl.toml: ")
    assert told in message
    assert "\n" not in message


def test_a_rule_is_read_again_from_what_it_was_read_from() -> None:
    rules = rules_of(
        '[[extract]]\nname="a"\nmatch=["/x/*"]\neach="li"\n[extract.fields]\n"t[]"="b::attr(href)"\n'
        'p={from="i",type="price",required=true,decimal=","}\nv={each="u",fields={s="og:title"}}'
    )
    assert read_rules(json.loads(json.dumps([dict(rule.data) for rule in rules]))) == rules


def test_fields_of_the_command_line_make_a_rule_for_all_pages() -> None:
    (rule,) = read_rules([rule_of_fields(["title=h1", "price:price=.price", "tags[]=li::attr(a=b)", "x:url[]=a"])])
    assert rule.is_for("http://a.test/anything?x")
    assert [(one.name, str(one.type), one.is_list) for one in rule.fields] == [
        ("title", "text", False),
        ("price", "price", False),
        ("tags", "text", True),
        ("x", "url", True),
    ]


@pytest.mark.parametrize("given", [["title"], ["=h1"], ["title="], ["a=h1", "a=h2"], ["a:money=h1"], ["a=h1["]])
def test_fields_of_the_command_line_that_are_wrong(given: list[str]) -> None:
    with pytest.raises(ValueError, match=r"takes NAME=CSS|twice|no type 'money'|no CSS selector"):
        rule_of_fields(given)
