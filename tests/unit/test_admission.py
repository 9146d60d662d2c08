"""What may enter: links, redirects and sitemap entries judged, by the scope and by what the crawl has seen so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crawler.config import ScopeConfig, ScopeRule
from crawler.frontier.admission import Admission
from crawler.frontier.bounds import Bounds
from crawler.policy.repetition import ALIKE_PAGES, ELSEWHERE
from crawler.records import (
    Claim,
    ExclusionReason,
    FoundBy,
    Link,
    Listing,
    Page,
    PreviousVisit,
    Reason,
    SeedMark,
    SitemapEntry,
    Target,
    UrlKind,
    UrlStatus,
)

A = "http://a.test/"
CALENDAR = f"{A}calendar?day="
ALIKE = "trap: pages alike in /calendar?day"
SESSION = f"{A}page;jsessionid="


def an_admission(notices: list[str] | None = None, **options: Any) -> Admission:
    """Of a site whose home is a seed."""
    told: list[str] = [] if notices is None else notices
    admission = Admission(ScopeConfig(**options), told.append)
    admission.widen(A)
    return admission


def a_claim(url: str = A, **fields: Any) -> Claim:
    return Claim(url_id=1, url=url, host_id=1, host="a.test", origin="http://a.test", **fields)


def a_page(*links: str | Link, **fields: Any) -> Page:
    return Page(url=A, links=tuple(Link(link) if isinstance(link, str) else link for link in links), **fields)


def close_the_calendar(note: Callable[[Page], object]) -> None:
    for _ in range(8 * (2 + ALIKE_PAGES)):
        note(Page(url=f"{CALENDAR}1", title="A day", text="nothing on this day"))


def reasons(targets: tuple[Target, ...]) -> list[str | None]:
    return [target.reason for target in targets]


# --- URLs -------------------------------------------------------------------------------------------------------------


def test_a_url_is_stored_without_credentials_and_unwanted_parameters() -> None:
    admission = an_admission(drop_param=("utm_*",))
    target = admission.target("http://me:secret@a.test/x?utm_source=1&b=2", depth=3, hops=2)
    assert (target.url, target.host, target.depth, target.hops) == (f"{A}x?b=2", "a.test", 3, 2)


def test_what_was_found_is_judged_again_by_the_options_of_now() -> None:
    found = Target(url=f"{A}x", host="a.test", reason=Reason(ExclusionReason.NOFOLLOW))
    assert not an_admission().may_enter(found)
    assert an_admission(follow_nofollow=True).may_enter(found)
    deep = replace(found, depth=3, reason=Reason(ExclusionReason.DEPTH))
    assert not an_admission(max_depth=2).may_enter(deep)
    assert an_admission(max_depth=3).may_enter(deep)


# --- links ------------------------------------------------------------------------------------------------------------


def test_links_lie_a_step_further_and_keep_their_order() -> None:
    targets = an_admission(max_depth=2).links(a_page(f"{A}1", "http://b.test/", f"{A}2"), a_claim(depth=1))
    assert [(target.url, target.depth, target.reason) for target in targets] == [
        (f"{A}1", 2, None),
        ("http://b.test/", 2, "scope"),
        (f"{A}2", 2, None),
    ]
    assert reasons(an_admission(max_depth=2).links(a_page(f"{A}1"), a_claim(depth=2))) == ["depth"]


def test_a_link_that_was_judged_further_away_is_judged_again_and_no_other() -> None:
    admission = an_admission(max_depth=2)
    assert reasons(admission.links(a_page(f"{A}1"), a_claim(depth=2))) == ["depth"]
    [nearer] = admission.links(a_page(f"{A}1"), a_claim(depth=0))
    assert (nearer.depth, nearer.reason) == (1, None)
    assert admission.links(a_page(f"{A}1"), a_claim(depth=2)) == (nearer,), "nothing further away changes its row"


def test_links_that_robots_are_not_to_follow_are_known_and_not_followed() -> None:
    links = (Link(f"{A}1", nofollow=True), Link(f"{A}2"), Link("http://b.test/", nofollow=True))
    assert reasons(an_admission().links(a_page(*links), a_claim())) == ["nofollow", None, "scope"]
    assert reasons(an_admission().links(a_page(*links, nofollow=True), a_claim())) == ["nofollow", "nofollow", "scope"]
    followed = an_admission(follow_nofollow=True).links(a_page(*links, nofollow=True), a_claim())
    assert reasons(followed) == [None, None, "scope"]


@pytest.mark.thorough
def test_judgements_are_kept_within_bounds() -> None:
    admission = an_admission()
    for start in range(0, 140_000, 1000):
        admission.links(a_page(*(f"{A}{number}" for number in range(start, start + 1000))), a_claim())
    assert len(admission._judged) <= 66_536


def test_what_is_kept_is_forgotten_when_the_scope_grows_or_a_place_closes() -> None:
    notices: list[str] = []
    admission = an_admission(notices)
    page = a_page("http://b.test/", f"{CALENDAR}7")
    assert reasons(admission.links(page, a_claim())) == ["scope", None]
    assert admission.widen("http://b.test/")
    assert not admission.widen("http://b.test/")
    assert reasons(admission.links(page, a_claim())) == [None, None]
    close_the_calendar(admission.note)
    assert reasons(admission.links(page, a_claim())) == [None, ALIKE]
    assert notices == ["a.test: pages under /calendar?day keep repeating; skipping the rest (--no-trap-rules)"]


# --- redirects and sitemaps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "moved", "refreshed"),
    [
        (SeedMark.NO, SeedMark.NO, SeedMark.NO),
        (SeedMark.GUESS, SeedMark.GUESS, SeedMark.GUESS),
        (SeedMark.SEED_REDIRECT, SeedMark.SEED_REDIRECT, SeedMark.NO),
        (SeedMark.YES, SeedMark.SEED_REDIRECT, SeedMark.NO),
        (SeedMark.BARE, SeedMark.SEED_REDIRECT, SeedMark.NO),
    ],
)
def test_a_redirect_is_a_hop_and_no_step_and_a_seed_s_is_trusted_with_nothing(
    seed: SeedMark, moved: SeedMark, refreshed: SeedMark
) -> None:
    claim = a_claim(depth=2, hops=3, seed=seed, kind=UrlKind.SITEMAP)
    for moves, mark in ((True, moved), (False, refreshed)):
        target = an_admission().redirect_target(f"{A}x", claim, FoundBy.REDIRECT, moves=moves)
        assert (target.depth, target.hops, target.seed, target.kind) == (2, 4, mark, UrlKind.SITEMAP)
        assert target.found_by is FoundBy.REDIRECT


def test_a_sitemap_names_pages_a_step_further_and_sitemaps_a_hop() -> None:
    entries = (SitemapEntry(url=f"{A}page"), SitemapEntry(url=f"{A}more.xml", is_sitemap=True))
    claim = a_claim(depth=1, hops=2, kind=UrlKind.SITEMAP)
    page, more = (one.target for one in an_admission().listed(Listing(entries=entries), claim))
    assert (page.kind, page.depth, page.hops) == (UrlKind.PAGE, 2, 0)
    assert (more.kind, more.depth, more.hops) == (UrlKind.SITEMAP, 1, 3)


# --- what closes ------------------------------------------------------------------------------------------------------


def test_a_place_that_is_closed_takes_in_nothing_and_keeps_what_is_known() -> None:
    admission = an_admission()
    new = a_claim(f"{CALENDAR}9")
    stored = replace(new, previous=PreviousVisit(status=UrlStatus.FETCHED, fetched_at=1.0))
    assert admission.refusal(new) is None
    admission.restore([("a.test", "/calendar?day")])
    assert admission.refusal(new) == ALIKE
    assert [admission.refusal(one) for one in (stored, replace(new, seed=SeedMark.YES))] == [None, None]
    assert admission.refusal(replace(new, kind=UrlKind.SITEMAP)) is None
    assert admission.new_target(new.url, depth=1).reason == ALIKE
    assert admission.new_target(new.url, depth=0, seed=SeedMark.YES).reason is None
    assert admission.new_target(new.url, depth=1, kind=UrlKind.SITEMAP).reason is None
    assert admission.target(new.url, depth=1).reason is None, "what is no new one of its host is not asked about"
    assert not admission.may_enter(Target(url=new.url, host="a.test", reason=Reason(ExclusionReason.SCOPE)))


def test_without_trap_rules_nothing_closes_and_what_had_closed_is_open() -> None:
    notices: list[str] = []
    admission = an_admission(notices, trap_rules=False)
    close_the_calendar(admission.note)
    admission.restore([("a.test", "/calendar?day")])
    assert admission.new_target(f"{CALENDAR}9", depth=1).reason is None
    assert admission.refusal(a_claim(f"{CALENDAR}9")) is None
    for number in range(40):
        assert admission.new_target(f"{SESSION}{number:016}", depth=1).reason is None
    assert notices == []


def test_other_places_are_others_in_each_run() -> None:
    bounds = Bounds(ScopeConfig())
    bounds.restore([("a.test", ELSEWHERE)])
    for number in range(8 * 65):  # more places than are kept of a host; each eighth page is looked at
        bounds.note(Page(url=f"{A}{'x' * (1 + number // 8)}/page", title="x" * number, text="y" * number))
    assert bounds.closed(f"{A}anywhere/at/all", "a.test") is None


def test_a_host_gives_so_many_session_ids_and_each_that_is_known_goes_on() -> None:
    admission = an_admission(scope=ScopeRule.ANY)
    urls = [f"{SESSION}{number:016}" for number in range(17)]
    assert [admission.new_target(url, depth=1).reason for url in urls] == [None] * 16 + ["trap: session ids"]
    assert admission.new_target(f"{A}another;jsessionid={3:016}", depth=1).reason is None
    elsewhere = urls[16].replace("a.test", "b.test")
    assert admission.new_target(elsewhere, depth=1).reason is None, "each host has its own"


def test_session_ids_of_many_hosts_take_little_memory() -> None:
    admission = an_admission(scope=ScopeRule.ANY)
    for number in range(5000):
        admission.new_target(f"http://h{number}.test/page;jsessionid={1:016}", depth=1)
    assert len(admission._bounds._sessions) <= 4096


def test_hosts_and_domains_that_are_full_are_told() -> None:
    notices: list[str] = []
    admission = an_admission(notices, max_urls_per_host=20_000, max_hosts_per_domain=3)
    admission.note_full_hosts(["a.test"])
    admission.note_full_domains(["b.test"])
    assert notices == [
        "a.test has reached 20,000 URLs; skipping new ones (--max-urls-per-host)",
        "b.test has reached 3 hosts; skipping new ones (--max-hosts-per-domain)",
    ]
