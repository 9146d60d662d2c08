"""How gently hosts are asked: delays, requests at once, addresses, slow hosts, pauses."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from crawler.fakeweb import Answer, FakeWeb, Fault, Request
from crawler.run import Run
from tests.frontier.crawls import NIGHT, a_site, crawled, most_at_once, rows
from tests.frontier.virtual_time import VirtualLoop

AGENT = "User-agent: *\n"


def test_requests_to_a_host_start_its_delay_apart(tmp_path: Path) -> None:
    """And hosts do not wait for each other."""
    web = FakeWeb()
    for number in range(5):
        a_site(web, f"h{number}.test", 6, delay_s=0.7)
    done = crawled(web, tmp_path / "crawl.db", *(f"http://{name}/" for name in web.sites), delay_s=2.0)
    assert {name: done.gaps(name) for name in web.sites} == dict.fromkeys(web.sites, [2.0] * 6)


def test_the_delay_counts_from_the_request_that_was_sent(tmp_path: Path) -> None:
    """An answer that takes longer than the delay is not waited for twice."""
    web = FakeWeb()
    a_site(web, "a.test", 4, delay_s=5.0)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=3.0)
    home = done.times("a.test", "/")[0]
    assert done.times("a.test", "/1")[0] == home + 5.0
    assert done.gaps("a.test")[2:] == [3.0, 3.0]


@pytest.mark.parametrize("per_host", [1, 2, 5])
def test_a_host_has_so_many_requests_at_once_and_no_more(tmp_path: Path, per_host: int) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 40, delay_s=1.0)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", per_host=per_host)
    assert most_at_once(done.hits("a.test")) == per_host


def test_an_address_has_so_many_requests_at_once_whatever_the_names(tmp_path: Path) -> None:
    web = FakeWeb()
    for number in range(8):
        site = a_site(web, f"h{number}.test", 5, delay_s=1.0, address="127.9.9.9")
        site.robots(delay_s=1.0)  # before the first is over, nobody knows who shares the address
    a_site(web, "other.test", 5, delay_s=1.0)
    done = crawled(web, tmp_path / "crawl.db", *(f"http://{name}/" for name in web.sites), per_ip=3)
    assert most_at_once(hit for hit in done.log if hit.address == "127.9.9.9") == 3
    assert most_at_once(done.log) > 3
    assert done.summary.urls["fetched"] == 45


def test_hosts_that_hang_leave_workers_to_the_others(tmp_path: Path) -> None:
    """At most three quarters before anything is known of them, and half once they are slow."""
    web = FakeWeb()
    paths = ("/", "/1", "/2", "/3")
    for number in range(12):
        site = web.host(f"slow{number}.test")
        for path in paths:
            site.answer(path, Fault.HANG)
    a_site(web, "good.test", 200, delay_s=0.1)
    slow_seeds = [f"http://slow{number}.test{path}" for number in range(12) for path in paths]
    done = crawled(
        web,
        tmp_path / "crawl.db",
        "http://good.test/",
        *slow_seeds,
        concurrency=8,
        timeout_s=20.0,
        retries=0,
        max_wait_s=60.0,
        ignore_robots=True,  # else its answer would prove each host quick
    )
    slow = [hit for hit in done.log if hit.host.startswith("slow")]
    assert most_at_once(slow) == 6
    assert most_at_once(hit for hit in slow if hit.start >= 80.0) == 4  # all have shown by then that they hang
    assert len(done.hits("good.test")) == 200
    assert done.times("good.test")[-1] < 20.0  # before the first of those that hang has timed out


# --- robots.txt -------------------------------------------------------------------------------------------------------


def test_nothing_of_an_origin_is_asked_before_its_rules_are_there(tmp_path: Path) -> None:
    """Its other origin, and other hosts, wait for nothing."""
    web = FakeWeb()
    site = a_site(web, "a.test", 3, tls=True)
    site.page("/", links=["http://a.test/plain", "/1"])
    site.answer("/robots.txt", lambda request: Answer(status=404, delay_s=3.0 if request.scheme == "https" else 1.0))
    site.page("/plain")
    a_site(web, "b.test", 3)
    done = crawled(web, tmp_path / "crawl.db", "https://a.test/", "http://a.test/plain", "http://b.test/")
    assert [hit.start for hit in done.hits("a.test", "/plain")] == [1.0]
    secure = [hit for hit in done.hits("a.test") if hit.scheme == "https"]
    assert (secure[0].target, [hit.start for hit in secure[:2]]) == ("/robots.txt", [1.0, 4.0])
    assert done.times("b.test", "/") == [0.0]


def test_a_robots_txt_is_asked_for_once_however_many_wait_for_it(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 30)
    site.robots(AGENT + "Disallow: /1\n", delay_s=2.0)
    done = crawled(web, tmp_path / "crawl.db", *(f"http://a.test/{number}" for number in range(1, 30)))
    assert len(done.hits("a.test", "/robots.txt")) == 1
    assert done.urls()["http://a.test/11"] == ("excluded", "robots: line 2: Disallow: /1")
    assert done.summary.urls["fetched"] == 18  # /2 to /9 and /20 to /29


@pytest.mark.parametrize(("asked", "kept"), [("0.5", 1.0), ("4", 4.0), ("3600", 60.0)])
def test_a_crawl_delay_makes_the_delay_longer_up_to_a_minute(tmp_path: Path, asked: str, kept: float) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 3).robots(f"{AGENT}Crawl-delay: {asked}\n")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0)
    assert done.gaps("a.test") == [kept] * 3


@pytest.mark.parametrize("longest", ["http", "https"])
def test_the_longest_crawl_delay_of_a_host_s_origins_counts(tmp_path: Path, longest: str) -> None:
    """Also on the next night, when both copies of robots.txt come from the database, in whichever order."""
    web = FakeWeb()
    site = a_site(web, "a.test", 2, tls=True)
    site.page("/", links=["http://a.test/1", "https://a.test/1"])

    def robots(request: Request) -> Answer:
        return Answer(body=f"{AGENT}Crawl-delay: {9 if request.scheme == longest else 4}\n", content_type="text/plain")

    site.answer("/robots.txt", robots)
    first = crawled(web, tmp_path / "crawl.db", "http://a.test/", "https://a.test/", delay_s=1.0)
    assert first.gaps("a.test")[-1] == 9.0
    again = crawled(web, tmp_path / "crawl.db", at=NIGHT + 3600.0, delay_s=1.0, max_age_s=0.0)
    assert "/robots.txt" not in again.targets("a.test")
    assert again.gaps("a.test") == [9.0] * 3


@pytest.mark.parametrize("robots", [Answer(status=503), Answer(status=429), Fault.HANG, Fault.DISCONNECT])
def test_while_robots_txt_is_unreachable_nothing_else_is_asked(tmp_path: Path, robots: Answer | Fault) -> None:
    """Its pages stay pending; it is asked again, less often each time; another host goes on."""
    web = FakeWeb()
    a_site(web, "a.test", 3).answer("/robots.txt", robots)
    a_site(web, "b.test", 3)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", "http://b.test/", retries=2, max_wait_s=600.0)
    assert set(done.targets("a.test")) == {"/robots.txt"}
    first, second = done.gaps("a.test")
    assert 5.0 <= first < second
    assert done.urls()["http://a.test/"] == ("pending", None)
    assert done.summary.urls["fetched"] == 3
    assert done.summary.backing_off == ("a.test",)


def test_the_first_request_to_an_origin_is_given_up_after_five_seconds(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 2).sequence("/robots.txt", Fault.HANG, Answer(status=404, delay_s=9.0))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", timeout_s=30.0)
    first, second = done.hits("a.test", "/robots.txt")
    assert first.end == 5.0
    assert second.end == second.start + 9.0
    assert done.summary.urls["fetched"] == 2


def test_the_redirects_of_a_robots_txt_keep_the_delay(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 2)
    site.redirect("/robots.txt", "/r1")
    site.redirect("/r1", "/r2")
    site.answer("/r2", Answer(body=AGENT + "Disallow: /1", content_type="text/plain"))
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=2.0)
    assert done.targets("a.test") == ["/robots.txt", "/r1", "/r2", "/"]
    assert done.gaps("a.test") == [2.0] * 3


def test_a_second_request_of_a_visit_takes_a_turn_of_its_host_s(tmp_path: Path) -> None:
    """A robots.txt redirects while the host's other origin is crawled; a kept connection ends under a request."""
    web = FakeWeb()
    site = a_site(web, "a.test", 6, tls=True)
    site.answer("/robots.txt", lambda hit: Answer.redirect("/rules") if hit.scheme == "http" else Answer(status=404))
    site.redirect("/rules", "/rules2")
    site.sequence("/2", Fault.DISCONNECT, Answer.page(title="at last"))
    done = crawled(web, tmp_path / "crawl.db", "https://a.test/", "http://a.test/", delay_s=2.0)
    assert set(done.gaps("a.test")) == {2.0}
    assert done.times("a.test", "/rules2")
    assert len(done.times("a.test", "/2")) == 3
    assert done.summary.urls["fetched"] == 12


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_to_and_the_page_is_tried_again(tmp_path: Path, status: int) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", 4)
    site.sequence("/1", Answer(status=status, headers={"Retry-After": "40"}), Answer.page(title="at last"))
    a_site(web, "b.test", 4)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", "http://b.test/", per_host=1)
    refused, stored = done.times("a.test", "/1")
    assert stored >= refused + 40.0
    assert not [at for at in done.times("a.test") if refused < at < refused + 40.0]
    assert done.times("b.test")[-1] < refused + 40.0
    assert done.summary.urls["fetched"] == 8


def test_a_host_that_asks_for_a_longer_pause_than_a_run_waits_is_left(tmp_path: Path) -> None:
    """Its pages stay pending, and a run within the pause asks for none of them."""
    web = FakeWeb()
    a_site(web, "a.test", 4).status("/", 503, headers={"Retry-After": "7200"})
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/", max_wait_s=60.0)
    assert first.took_s < 60.0
    assert first.urls() == {"http://a.test/": ("pending", "http 503")}
    within = crawled(web, db, at=NIGHT + 3600.0)
    assert within.log == []
    web.sites["a.test"].page("/", links=["/1"])
    after = crawled(web, db, at=NIGHT + 7300.0)
    assert after.summary.urls["fetched"] == 2


def test_failures_in_a_row_make_an_origin_pause_longer_each_time(tmp_path: Path) -> None:
    """Connections that fail; nothing else does (see test_blame)."""
    web = FakeWeb()
    site = a_site(web, "a.test", 9)
    db = tmp_path / "crawl.db"
    crawled(web, db, *(f"http://a.test/{number}" for number in range(1, 9)), max_pages=1)
    site.listening = False
    done = crawled(web, db, at=NIGHT + 60.0, retries=0, per_host=1, max_wait_s=3000.0, ignore_robots=True)
    failed = sorted(
        started_at - NIGHT - 60.0
        for (started_at,) in rows(db, "SELECT started_at FROM fetches WHERE failure = 'connect'")
    )
    gaps = [later - earlier for earlier, later in pairwise(failed)]
    assert max(gaps[:2]) < 5.0
    assert [5.0 * 2**n <= gap <= 6.25 * 2**n for n, gap in enumerate(gaps[2:])] == [True] * len(gaps[2:])
    assert len(gaps) == 6
    assert done.log == []


def test_an_answer_makes_up_for_failures(tmp_path: Path) -> None:
    """Two connections that fail, an answer, two that fail ..."""
    web = FakeWeb()
    site = a_site(web, "a.test", 30)
    site.keep_alive = False

    def open_and_close(_run: Run, loop: VirtualLoop) -> None:
        for start in range(3, 60, 3):
            loop.call_later(start - 0.5, setattr, site, "listening", False)
            loop.call_later(start + 1.5, setattr, site, "listening", True)

    db = tmp_path / "crawl.db"
    done = crawled(web, db, "http://a.test/", during=open_and_close, delay_s=1.0, retries=9, max_wait_s=3000.0)
    asked = [started_at for (started_at,) in rows(db, "SELECT started_at FROM fetches ORDER BY started_at")]
    assert max(later - earlier for earlier, later in pairwise(asked)) < 5.0
    assert done.summary.by_failure["connect"] > 20
    assert done.summary.urls["fetched"] == 30


def test_the_delay_holds_from_one_run_to_the_next(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", 2)
    db = tmp_path / "crawl.db"
    first = crawled(web, db, "http://a.test/", delay_s=30.0)
    began_at = NIGHT + first.took_s + 1.0
    second = crawled(web, db, "http://a.test/2", at=began_at, delay_s=30.0)
    assert second.log[0].start + began_at == NIGHT + first.log[-1].start + 30.0
