"""Hosts without an end beside honest ones: the crawl ends, the honest ones are complete, `status` names the traps."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from crawler.fakeweb import Answer, FakeWeb, Request
from tests.acceptance.conftest import Cli, Serve

pytestmark = pytest.mark.any_store

FAST = ("--delay", "0", "--per-host", "16", "--per-ip", "64", "--concurrency", "64")
MONTHS = tuple("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())  # noqa: SIM905 - easier to read


def _number(request: Request, salt: int = 0) -> str:
    """Other digits for each request target."""
    return sha256(f"{salt} {request.target}".encode()).hexdigest()


def _maze(request: Request) -> Answer:
    """Every URL is there, and leads to ten more."""
    links = [f"/maze/{_number(request, room)}" for room in range(10)]
    return Answer.page(title="A room", text="You are in a maze of twisty little passages, all alike.", links=links)


def _letters(request: Request) -> Answer:
    """The same in random words, each page with a text of its own: nothing tells it from a wiki."""
    words = [_number(request, room).translate({48 + n: 103 + n for n in range(10)}) for room in range(10)]
    return Answer.page(title=words[0], text=" ".join(words), links=[f"/{word[:9]}/{word[9:20]}" for word in words])


def _calendar(request: Request) -> Answer:
    query = request.target.partition("?m=")[2]
    month = int(query or "24000")
    days = " ".join(map(str, range(1, 29 + month % 4)))
    links = [(f"/calendar?m={month + step}", text) for step, text in ((1, "Next month"), (-1, "Last month"))]
    name = f"{MONTHS[month % 12]} {month // 12}"
    return Answer.page(title=name, text=f"What is on in {name}. {days}", links=[*links, ("/", "Home")])


def _loop(_request: Request) -> Answer:
    """A page under every URL, with links that were meant to be absolute."""
    return Answer.page(title="Loop", text="Where am I?", links=["docs/api/", "docs/", "api/"])


def _sessions(request: Request) -> Answer:
    """A new session with each answer."""
    links = [f"/p{number};jsessionid={_number(request)}" for number in range(20)]
    return Answer.page(title=request.target.partition(";")[0], text=request.target, links=links)


def _growing(request: Request) -> Answer:
    """A sort link that is appended to the query that is there."""
    mark = "&" if "?" in request.target else "?"
    links = [f"{request.target}{mark}sort=up", f"{request.target}{mark}v={len(request.target)}"]
    return Answer.page(title="List", text="Some things", links=links)


def _deeper(request: Request) -> Answer:
    """A folder in each folder, of another name each time."""
    return Answer.page(title=request.target, text=request.target, links=[f"{request.target}{_number(request)[:6]}/"])


def _soft_404(_request: Request) -> Answer:
    return Answer.page(title="Not found", text="Sorry, this page is not here.", links=["/"])


TRAPS = {
    "maze.test": _maze,
    "calendar.test": _calendar,
    "loop.test": _loop,
    "sessions.test": _sessions,
    "growing.test": _growing,
    "deep.test": _deeper,
    "soft.test": _soft_404,
}


def _web() -> FakeWeb:
    web = FakeWeb()
    web.hosts(5, pages_each=40)
    for name, answer in TRAPS.items():
        site = web.host(name)
        site.robots("")
        site.answer("*", answer)
    web.sites["soft.test"].page("/", links=[f"/missing/{word}" for word in MONTHS])
    web.sites["h000.test"].page("/", links=[*web.sites["h000.test"].links["/"], *(f"http://{name}/" for name in TRAPS)])
    return web


@pytest.mark.thorough
def test_traps_end_the_honest_hosts_are_complete_and_status_names_the_traps(cli: Cli, serve: Serve) -> None:
    served = serve(_web())
    outcome = cli.crawl(served, served.url("h000.test"), *FAST, "--scope", "any", "--no-bodies")

    assert (outcome.summary["end_reason"], outcome.summary["pending"]) == ("complete", 0)
    honest = "SELECT name, fetched FROM hosts WHERE name LIKE 'h0%' ORDER BY name"
    assert cli.rows(honest) == [(f"h{number:03d}.test", 40) for number in range(5)]
    taken = dict(cli.rows("SELECT name, fetched FROM hosts WHERE name NOT LIKE 'h0%'"))
    assert max(taken.values()) < 4000
    assert taken["soft.test"] == 13  # pages that are alike are suspect, but they are stored

    traps = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)["traps"]
    named = {(trap["host"], trap["rule"]): trap for trap in traps}
    assert {
        ("maze.test", "pages alike in /maze/"),
        ("calendar.test", "pages alike in /calendar?m"),
        ("loop.test", "repeated path segments"),
        ("sessions.test", "session ids"),
        ("growing.test", "repeated query parameters"),
        ("growing.test", "query parameters"),
        ("deep.test", "path segments"),
    } <= named.keys()
    assert all(1 <= len(trap["examples"]) <= 3 and trap["urls"] >= len(trap["examples"]) for trap in traps)
    assert named["maze.test", "pages alike in /maze/"]["examples"][0].startswith(served.url("maze.test", "/maze/"))
    text = cli.command("status", "--db", str(cli.db)).out
    assert "maze.test: pages alike in /maze/" in text


@pytest.mark.thorough
def test_a_second_run_stays_out_and_an_option_lets_it_in(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    for name, answer in (("maze.test", _maze), ("loop.test", _loop)):
        web.host(name).answer("*", answer)
        web.sites[name].robots("")
    served = serve(web)
    seeds = (served.url("maze.test"), served.url("loop.test"))
    cli.crawl(served, *seeds, *FAST, "--no-bodies")
    pages = len(cli.pages())

    outcome = cli.crawl(served, *FAST, "--no-bodies", "--max-depth", "999")  # all exclusions are decided again
    assert outcome.summary["requests"] == 0
    assert len(cli.pages()) == pages

    outcome = cli.crawl(served, *FAST, "--no-bodies", "--max-age", "0s")  # what is stored is none of what never ends
    assert outcome.summary["requests"] >= pages
    assert cli.rows("SELECT count(*) FROM urls WHERE status = 'excluded' AND page_id IS NOT NULL") == [0]
    assert len(cli.pages()) == pages

    fetched = "SELECT name, fetched FROM hosts ORDER BY name"
    before = dict(cli.rows(fetched))
    outcome = cli.crawl(served, *FAST, "--no-bodies", "--no-trap-rules", "--max-pages", "200")
    assert "excluded URLs can be fetched now" in outcome.err
    assert len(cli.pages()) == pages + 200
    assert all(number > before[name] for name, number in cli.rows(fetched))


@pytest.mark.thorough
def test_without_the_rules_any_number_of_sessions_is_followed(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.host("sessions.test").answer("*", _sessions)
    web.sites["sessions.test"].robots("")
    served = serve(web)
    cli.crawl(served, served.url("sessions.test"), *FAST, "--no-bodies", "--no-trap-rules", "--max-pages", "400")
    assert len(cli.pages()) == 400  # sixteen sessions have 320 pages


def test_soft_404s_are_named_as_pages_of_the_same_content(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("soft.test")
    site.answer("*", _soft_404)
    site.robots("")
    site.page("/", links=[f"/missing/{word}" for word in MONTHS])
    served = serve(web)
    cli.crawl(served, served.url("soft.test"), *FAST)

    [trap] = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)["traps"]
    assert (trap["host"], trap["rule"], trap["urls"], len(trap["examples"])) == ("soft.test", "same content", 12, 3)
    assert "soft.test: same content" in cli.command("status", "--db", str(cli.db)).out
    assert len(cli.pages()) == 13


@pytest.mark.thorough
def test_what_no_rule_tells_from_a_wiki_is_bounded_by_the_number_of_urls(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("words.test")
    site.answer("*", _letters)
    site.robots("")
    web.site("a.test", pages=40)
    served = serve(web)
    seeds = (served.url("words.test"), served.url("a.test"))
    outcome = cli.crawl(served, *seeds, *FAST, "--per-host", "2", "--max-urls-per-host", "500", "--no-bodies")

    taken = dict(cli.rows("SELECT name, pending + fetched FROM hosts"))
    assert taken["a.test"] == 40
    assert taken["words.test"] == 500
    assert outcome.summary["pending"] == 0
    assert "words.test has reached 500 URLs" in outcome.err
    assert outcome.summary["unstored_links"] > 1000
    assert "links to URLs that were not stored (--max-urls-per-host)" in outcome.err
    assert "links to URLs that were not stored (--max-urls-per-host)" in cli.command("status", "--db", str(cli.db)).out
    status = json.loads(cli.command("status", "--db", str(cli.db), "--json").out)
    assert status["unstored_links"] == outcome.summary["unstored_links"]
    [trap] = status["traps"]
    assert (trap["host"], trap["rule"]) == ("words.test", "URLs of the host")

    again = cli.crawl(served, *FAST, "--max-urls-per-host", "500", "--max-depth", "999", "--no-bodies")
    assert again.summary["requests"] == 0
    cli.crawl(served, *FAST, "--max-urls-per-host", "3000", "--max-pages", "100", "--no-bodies")
    assert len(cli.pages()) == sum(taken.values()) + 100
    [taken_in] = cli.rows("SELECT pending + fetched FROM hosts WHERE name = 'words.test'")
    assert taken_in == 3000


def test_a_name_in_a_trap_cannot_act_on_the_screen(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/x%1b[2J/x%1b[2J/x%1b[2J/x%1b[2J", "/[red]/[red]/[red]/[red]", "/ok"])
    site.page("/ok")
    served = serve(web)
    cli.crawl(served, served.url("a.test"), *FAST)
    text = cli.command("status", "--db", str(cli.db)).out
    assert "/[red]/[red]/[red]/[red]" in text
    assert "\x1b" not in text
    assert len(cli.pages()) == 2
