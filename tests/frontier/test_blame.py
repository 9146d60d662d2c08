"""Who is to blame, and for how long: a fault at one origin or page costs the rest of its host only its own turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crawler.fakeweb import Answer, FakeWeb, Fault, Site
from crawler.run import Run
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, a_site, crawled, rows
from tests.frontier.virtual_time import VirtualLoop

HOUR_S = 3600.0
ALLOW = "User-agent: *\nAllow: /\n"


def a_good_site(web: FakeWeb, *beside: str, pages: int = 41, delay_s: float = 0.1) -> Site:
    """A site with a sound robots.txt whose home links to these other origins as well."""
    site = a_site(web, "a.test", pages, delay_s=delay_s, tls=True)
    site.robots(ALLOW)
    site.page("/", links=[*beside, *(f"/{number}" for number in range(1, pages))], delay_s=delay_s)
    return site


def by_http(bad: Answer | Fault) -> Callable[[FakeWeb], str]:
    """The same host by http: its robots.txt says this."""

    def declare(web: FakeWeb) -> str:
        sound = Answer(body=ALLOW, content_type="text/plain")
        web.sites["a.test"].answer("/robots.txt", lambda request: sound if request.scheme == "https" else bad)
        return "http://a.test/other"

    return declare


def at_a_port(bad: Answer | Fault) -> Callable[[FakeWeb], str]:
    """Another port of the host: everything there says this."""

    def declare(web: FakeWeb) -> str:
        web.sites["a.test"].origin(8081).answer("*", bad)
        return "http://a.test:8081/other"

    return declare


def at_a_closed_port(web: FakeWeb) -> str:
    web.sites["a.test"].origin(8081, listening=False)
    return "http://a.test:8081/other"


def behind_a_redirect_to_a_blocked_address(web: FakeWeb) -> str:
    web.host("inside.test", dns=["10.0.0.1"])
    web.sites["a.test"].origin(8081).redirect("/robots.txt", "http://inside.test/robots.txt")
    return "http://a.test:8081/other"


FAULTS = {
    "http, 503": by_http(Answer(status=503)),
    "http, 503 for two hours": by_http(Answer(status=503, headers={"Retry-After": "7200"})),
    "http, 500": by_http(Answer(status=500)),
    "http, 429": by_http(Answer(status=429)),
    "http, hangs": by_http(Fault.HANG),
    "port, 503": at_a_port(Answer(status=503)),
    "port, hangs": at_a_port(Fault.HANG),
    "port, disconnects": at_a_port(Fault.DISCONNECT),
    "port, no HTTP": at_a_port(Fault.GARBAGE),
    "port, closed": at_a_closed_port,
    "port, redirects to a blocked address": behind_a_redirect_to_a_blocked_address,
}


def crawled_beside(tmp_path: Path, fault: Callable[[FakeWeb], str] | None, **options: Any) -> Crawled:
    web = FakeWeb()
    site = a_good_site(web)
    if fault is not None:
        other = fault(web)
        site.page("/", links=[other, *(f"/{number}" for number in range(1, 41))], delay_s=0.1)
    return crawled(web, tmp_path / f"{fault is None}.db", "https://a.test/", **options)


def good_pages(done: Crawled) -> int:
    return len([url for url in done.pages() if url.startswith("https://a.test/")])


@pytest.mark.parametrize("per_host", [1, 2])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_an_origin_that_is_closed_costs_its_host_nothing_but_its_own_turns(
    tmp_path: Path, fault: Callable[[FakeWeb], str], per_host: int
) -> None:
    """A request that hangs holds one slot, and where that is the only one, for at most five seconds."""
    alone = crawled_beside(tmp_path, None, delay_s=1.0, per_host=per_host)
    done = crawled_beside(tmp_path, fault, delay_s=1.0, per_host=per_host)
    assert good_pages(done) == good_pages(alone) == 41
    good = [hit for hit in done.hits("a.test") if hit.scheme == "https"]
    own = [hit for hit in done.hits("a.test") if hit.scheme == "http"]
    held_s = sum(min((hit.end or hit.start) - hit.start, 5.0) for hit in own) if per_host == 1 else 0.0
    slowed_s = 8.0  # by 429 and 503: at most once for each of three attempts
    assert len(own) <= 3
    assert good[-1].start <= alone.times("a.test")[-1] + 3.0 + held_s + slowed_s
    assert all(gap >= 1.0 for gap in done.gaps("a.test"))


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "port, closed"])
def test_the_pages_of_an_origin_that_is_closed_stay_pending_and_are_fetched_once_it_answers(
    tmp_path: Path, fault: str
) -> None:
    web = FakeWeb()
    site = a_good_site(web)
    other = FAULTS[fault](web)
    site.page("/", links=[other, *(f"/{number}" for number in range(1, 41))], delay_s=0.1)
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "https://a.test/")
    assert first.urls()[other] == ("pending", None)
    origin = other.removesuffix("/other")
    [waiting] = first.summary.waiting
    assert (first.summary.end_reason, first.summary.complete, waiting.name) == ("waiting", False, origin)
    assert waiting.until - NIGHT - first.took_s == pytest.approx(
        HOUR_S if "two hours" not in fault else 2 * HOUR_S, abs=99
    )
    within = crawled(web, db, at=NIGHT + first.took_s + 600.0)
    assert within.log == []
    assert within.summary.end_reason == "waiting"
    site.robots(ALLOW)
    site.page("/other", title="at last")
    if 8081 in site.ports:
        site.ports[8081].answer("*", Answer(status=404))
        site.ports[8081].robots(ALLOW)
        site.ports[8081].page("/other", title="at last")
    healed = crawled(web, db, at=NIGHT + 3 * HOUR_S)
    assert healed.urls()[other] == ("fetched", None)
    assert healed.summary.end_reason == "complete"


@pytest.mark.parametrize("has_answered", [False, True])
@pytest.mark.parametrize(("per_host", "slot_s"), [(2, 1.0), (1, 5.0)])
def test_an_origin_that_cannot_be_connected_to_holds_a_slot_and_not_the_turns_of_the_others(
    tmp_path: Path, per_host: int, slot_s: float, has_answered: bool
) -> None:
    """Its attempts to connect hang, and with a delay nobody knows when their requests will be sent: each costs a turn.
    Where the host has one slot alone, that is held for five seconds, too.
    """
    alone = crawled_beside(tmp_path, None, delay_s=1.0, per_host=per_host)
    web = FakeWeb()
    site = a_good_site(web, "http://a.test:8081/other", "http://a.test:8081/another")
    silent = site.origin(8081, listening=True if has_answered else "silent")
    silent.page("/other")

    def close_it(request: object) -> Answer:
        silent.listening = "silent"
        return Answer(body=ALLOW, content_type="text/plain", close=True)

    silent.answer("/robots.txt", close_it)
    done = crawled(web, tmp_path / "beside.db", "https://a.test/", delay_s=1.0, per_host=per_host)
    assert good_pages(done) == good_pages(alone) == 41
    good = [hit for hit in done.hits("a.test") if hit.scheme == "https"]
    hung = 2 * 3 if has_answered else 3  # attempts: of two pages, or of its robots.txt
    held_s = hung * (slot_s + (per_host == 1)) + 6.0 * has_answered  # the first hangs for as long as any connect
    assert done.summary.by_failure["timeout"] == hung
    assert good[-1].start <= alone.times("a.test")[-1] + held_s
    assert all(gap >= 1.0 for gap in done.gaps("a.test"))


def test_four_closed_ports_cost_no_more_than_the_turns_of_their_attempts(tmp_path: Path) -> None:
    """Today 74 s; and where a page of one was stored earlier, all others are fetched again all the same."""
    web = FakeWeb()
    ports = range(8081, 8085)
    site = a_good_site(web)
    for port in ports:
        site.origin(port, listening=False)
    links = [f"http://a.test:{port}/x" for port in ports]
    site.page("/", links=[*links, *(f"/{number}" for number in range(1, 41))], delay_s=0.1)
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "https://a.test/")
    assert good_pages(done) == 41
    assert done.times("a.test")[-1] < 3.0
    for port in ports:
        site.ports[port].listening = True
        site.ports[port].page("/x", title=f"{port}")
    again = crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0, retry_failed=True)
    assert again.summary.urls["fetched"] == 45
    site.ports[8081].listening = False
    nightly = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=0.0)
    asked_again = {hit.target for hit in nightly.hits("a.test") if hit.scheme == "https"}
    assert len(asked_again - {"/robots.txt"}) == 41
    assert {hit.port for hit in nightly.hits("a.test", "/x")} == {8082, 8083, 8084}


@pytest.mark.thorough
@pytest.mark.parametrize("max_wait_s", [60.0, 7200.0])
def test_a_backlog_of_a_closed_origin_hides_nothing_of_the_others(tmp_path: Path, max_wait_s: float) -> None:
    """Thousands of URLs that are due before the others' and may not be asked for: more than are kept in memory.

    They go back to the store where the pause is longer than the run waits, and are left there where it is not.
    """
    web = FakeWeb()
    site = a_good_site(web, pages=600, delay_s=0.01)
    site.origin(8081).answer("*", Answer(status=503, delay_s=0.01))
    backlog = [f"http://a.test:8081/{number}" for number in range(3000)]
    site.page("/", links=[*backlog, *(f"/{number}" for number in range(1, 600))], delay_s=0.01)
    in_memory: list[int] = []

    def look(run: Run, loop: VirtualLoop) -> None:
        in_memory.extend(len(host.claims) + host.waiting for host in run.frontier.hosts())
        loop.call_later(0.1, look, run, loop)

    options: dict[str, Any] = {"max_wait_s": max_wait_s, "max_runtime_s": 600.0}
    done = crawled(web, tmp_path / "crawl.db", "https://a.test/", during=look, **options)
    assert max(in_memory) < 2000
    assert good_pages(done) == 600
    assert done.summary.pending == 3000
    assert len([hit for hit in done.hits("a.test") if hit.port == 8081]) == 3
    assert done.times("a.test", "/599")[-1] < 12.0


def test_what_is_found_while_an_origin_pauses_waits_too_in_the_next_run_as_well(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 3)
    site.status("/1", 503, headers={"Retry-After": "7200"})
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/", per_host=1)
    new = crawled(web, db, "http://a.test/new", at=NIGHT + HOUR_S)
    assert new.log == []
    assert new.urls()["http://a.test/new"] == ("pending", None)
    site.page("/1")
    assert crawled(web, db, at=NIGHT + 3 * HOUR_S).times("a.test", "/new") != []


def test_refusals_of_requests_that_were_under_way_together_count_once(tmp_path: Path) -> None:
    """Three pairs of them are three in a row, so that Retry-After is still taken at its word."""
    web = FakeWeb()
    site = a_site(web, "a.test", 3, delay_s=0.1)
    refusal = Answer(status=503, delay_s=0.1, headers={"Retry-After": "1"})
    for number in (1, 2):
        site.sequence(f"/{number}", refusal, refusal, refusal, Answer.page(title=f"{number}"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", per_host=2, adaptive_pace=False)
    assert [gap for gap in done.gaps("a.test") if gap > 0.2] == [1.1, 1.1, 1.1]
    assert done.summary.urls["fetched"] == 3


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [500, 502, 599])
def test_errors_of_pages_count_in_no_pause(tmp_path: Path, bad: int) -> None:
    """Eight pages of HTTP 500 and then the first 503 ever: a pause of five seconds, as for any first one."""
    web = FakeWeb()
    site = a_site(web, "a.test", 20)
    for number in range(1, 9):
        site.status(f"/{number}", bad)
    site.sequence("/9", Answer(status=503), Answer.page(title="at last"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", retries=1, per_host=1, adaptive_pace=False)
    [refused, stored] = done.times("a.test", "/9")
    assert refused == 0.0, "nobody has waited for those that failed"
    after = min(at for at in done.times("a.test") if at > refused)
    assert 5.0 <= after - refused <= 6.25
    assert stored >= after
    assert done.summary.urls["fetched"] == 12
    assert done.summary.complete


def test_pauses_are_counted_from_zero_in_each_run(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 4)
    site.status("/1", 503)
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/", max_wait_s=0.0)
    assert first.urls()["http://a.test/1"] == ("pending", "http 503")
    second = crawled(web, db, at=NIGHT + HOUR_S, max_wait_s=0.0)
    [asked] = second.times("a.test", "/1")
    [until] = rows(db, "SELECT paused_until FROM origins")[0]
    assert 5.0 <= until - (NIGHT + HOUR_S + asked) <= 6.25
    assert second.summary.urls["fetched"] == 3 or second.summary.waiting


@pytest.mark.parametrize(
    "broken",
    [Fault.DISCONNECT, Fault.HANG, Fault.GARBAGE, Answer(body="short", headers={"Content-Length": "99"}, close=True)],
    ids=str,
)
def test_pages_that_break_off_or_hang_close_nobody(tmp_path: Path, broken: Answer | Fault) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 41)
    for number in range(1, 11):
        site.answer(f"/{number}", broken)
    site.keep_alive = False
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_wait_s=10.0)
    assert done.summary.urls["fetched"] == 31
    assert done.summary.urls["failed"] == 10
    assert done.summary.complete


def test_a_page_that_hangs_does_not_make_the_others_wait_for_it(tmp_path: Path) -> None:
    """It holds its slot until its time is up. The others answer meanwhile, so that its host is not slow."""
    web = FakeWeb()
    site = a_site(web, "a.test", 200, delay_s=0.5)
    site.answer("/7", Fault.HANG)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", per_host=2, max_wait_s=60.0)
    assert done.summary.urls["fetched"] == 199
    first, *_again = done.hits("a.test", "/7")
    assert first.end is not None
    waited = [hit.start for hit in done.hits("a.test") if first.start + 6.0 < hit.start < first.end]
    assert len(waited) > 20


@pytest.mark.thorough
def test_what_hangs_at_several_origins_leaves_the_last_slot_to_one_that_answers(tmp_path: Path) -> None:
    """A page of one of them hangs in one slot; those that have not answered yet hang one after the other."""
    web = FakeWeb()
    site = a_site(web, "a.test", 200, delay_s=0.5)
    site.origin(8080, keep_alive=False).answer("*", Fault.HANG)
    site.ports[8080].robots(ALLOW)
    for port in range(8081, 8089):
        site.origin(port).answer("/robots.txt", Fault.HANG)
    hanging = [f"http://a.test:{port}/other" for port in reversed(site.ports)]
    site.page("/", links=[*hanging, *(f"/{number}" for number in range(1, 200))], delay_s=0.5)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", per_host=2, max_wait_s=0.0)
    good = [hit.start for hit in done.hits("a.test") if hit.port == 80]
    first = next(hit for hit in done.hits("a.test", "/other") if hit.port == 8080)
    assert first.end is not None
    while_it_hangs = [at for at in good if first.start + 6.0 < at < first.end]
    assert len(while_it_hangs) > 20, "its slot and that of the next one that hangs were all there are"


def test_a_name_that_is_gone_closes_its_host(tmp_path: Path) -> None:
    """The third look-up in a row that fails; all that is left there waits."""
    web = FakeWeb()
    web.host("a.test", dns="nxdomain")
    paths = [f"http://a.test/{number}" for number in range(9)]
    done = crawled(web, tmp_path / "crawl.db", *paths, ignore_robots=True, retries=9, max_wait_s=10.0)
    assert done.log == []
    [waiting] = done.summary.waiting
    assert (waiting.name, waiting.blame, waiting.why) == ("a.test", "host", "dns")
    assert done.summary.backing_off == ("a.test",)


def test_a_page_that_waits_for_its_own_retry_for_longer_than_the_run_is_waited_for_by_name(tmp_path: Path) -> None:
    """Nothing is closed, and yet not all is done."""
    web = FakeWeb()
    site = a_site(web, "a.test", 4)
    site.status("/1", 500)
    site.answer("/2", Fault.DISCONNECT)
    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/", max_wait_s=1.0)
    assert (done.summary.pending, done.summary.complete, done.summary.end_reason) == (2, False, "waiting")
    [waiting] = done.summary.waiting
    assert (waiting.name, waiting.blame) == ("a.test", "host")
    [(until, why)] = rows(db, "SELECT next_fetch_at, reason FROM urls WHERE status = 'pending' ORDER BY 1 LIMIT 1")
    assert (waiting.until, waiting.why) == (until, why)
    site.page("/1")
    site.page("/2")
    again = crawled(web, db, at=NIGHT + 60.0)
    assert (again.summary.end_reason, again.summary.waiting, again.summary.pending) == ("complete", (), 0)


def test_a_stored_page_that_waits_for_its_own_retry_is_waited_for_too(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 4)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.status("/1", 500)
    done = crawled(web, db, at=NIGHT + DAY_S, max_age_s=12 * HOUR_S, max_wait_s=1.0)
    assert done.summary.end_reason == "waiting"
    assert [(one.name, one.why) for one in done.summary.waiting] == [("a.test", "a retry")]
    over = crawled(web, db, at=NIGHT + DAY_S + 60.0, max_age_s=12 * HOUR_S)
    assert (over.summary.end_reason, over.summary.waiting) == ("complete", ())
    assert rows(db, "SELECT url FROM failing_urls") == [("http://a.test/1",)]


def test_pages_that_a_limit_leaves_are_not_waited_for(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 9).status("/1", 500)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_pages_per_host=3, max_wait_s=1.0)
    assert (done.summary.end_reason, done.summary.waiting, done.summary.pending) == ("complete", (), 6)
    [(later,)] = rows(done.db, "SELECT count(*) FROM urls WHERE next_fetch_at > ?", NIGHT + 1.0)
    assert later == 1


# --- Retry-After ------------------------------------------------------------------------------------------------------


def a_server_of_one_page_a_second(web: FakeWeb, pages: int, retry_after: str | None) -> Site:
    """It answers one request a second, and 429 to all others."""
    site = a_site(web, "a.test", pages)
    served_at: list[float] = []
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    for path, page in list(site.routes.items()):
        assert isinstance(page, Answer)

        def limited(request: object, page: Answer = page) -> Answer:
            now = request.start  # type: ignore[attr-defined]
            if served_at and now - served_at[-1] < 1.0:
                return Answer(status=429, headers=headers)
            served_at.append(now)
            return page

        site.answer(path, limited)
    return site


@pytest.mark.parametrize("adaptive", [True, False])
def test_a_server_of_one_page_a_second_loses_none(tmp_path: Path, adaptive: bool) -> None:
    """A 429 with Retry-After is no attempt of its page; without adaptive pacing half of all requests are refused."""
    web = FakeWeb()
    a_server_of_one_page_a_second(web, 41, "1")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", adaptive_pace=adaptive)
    assert done.summary.urls["fetched"] == 41
    assert done.took_s < 41 * 3
    refused = done.summary.by_status.get("429", 0)
    assert refused <= (15 if adaptive else 99)


def test_the_page_that_was_refused_goes_first_after_the_pause(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 30)
    refusal = Answer(status=429, headers={"Retry-After": "7"})
    site.sequence("/9", refusal, refusal, Answer.page(title="at last"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", per_host=1)
    first, second, third = done.times("a.test", "/9")
    assert (second, third) == (first + 7.0, second + 7.0)
    asked = done.targets("a.test")
    place = asked.index("/9")
    assert asked[place : place + 3] == ["/9", "/9", "/9"]
    assert rows(done.db, "SELECT attempts FROM urls WHERE url = 'http://a.test/9'") == [(0,)]
    assert done.summary.urls["fetched"] == 30


def test_a_page_that_is_always_refused_is_given_up_in_the_end(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 10)
    site.status("/5", 503, headers={"Retry-After": "1"})
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_wait_s=600.0)
    assert done.urls()["http://a.test/5"] == ("failed", "http 503")
    assert len(done.times("a.test", "/5")) == 12
    assert done.summary.urls["fetched"] == 9


# --- robots.txt -------------------------------------------------------------------------------------------------------

RULES = "User-agent: *\nDisallow: /3\n"


@pytest.mark.parametrize("bad", [Answer(status=503), Answer(status=500), Answer(status=429), Fault.HANG, Fault.GARBAGE])
def test_a_robots_txt_that_cannot_be_had_is_replaced_by_the_last_copy(tmp_path: Path, bad: Answer | Fault) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 6)
    site.robots(RULES)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.answer("/robots.txt", bad)
    for night in (1, 20, 29):
        done = crawled(web, db, at=NIGHT + night * DAY_S, max_age_s=0.0)
        assert done.summary.by_status["200"] == 5
        assert "/3" not in done.targets("a.test")
        assert done.summary.complete
        [notice] = done.notices
        assert notice.startswith("http://a.test: robots.txt is unavailable (")
        assert notice.endswith(f"obeying the last copy, read {night} day{'s' if night > 1 else ''} ago")
    [(status, fetched_at, failures)] = rows(db, "SELECT robots_status, robots_fetched_at, robots_failures FROM origins")
    assert (status, fetched_at, failures) == (bad.status if isinstance(bad, Answer) else None, NIGHT, 3)
    too_old = crawled(web, db, at=NIGHT + 31 * DAY_S, max_age_s=0.0)
    assert set(too_old.targets("a.test")) == {"/robots.txt"}
    assert too_old.summary.end_reason == "waiting"
    site.robots(ALLOW)
    healed = crawled(web, db, at=NIGHT + 32 * DAY_S, max_age_s=0.0)
    assert healed.urls()["http://a.test/3"] == ("fetched", None)


def test_that_there_was_no_robots_txt_is_a_copy_too(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 6)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.status("/robots.txt", 503)
    done = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=0.0)
    assert done.summary.by_status["200"] == 6


def test_with_a_copy_too_the_pause_that_a_robots_txt_asks_for_is_kept_to(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 6)
    db = tmp_path / "crawl.db"
    crawled(web, db, "http://a.test/")
    site.status("/robots.txt", 503, headers={"Retry-After": "30"})
    done = crawled(web, db, at=NIGHT + 2 * DAY_S, max_age_s=0.0)
    assert done.summary.by_status["200"] == 6
    assert done.times("a.test")[1] == 30.0
