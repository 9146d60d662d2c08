"""By which name a run goes: what robots.txt says to it, what another name changes, and how the user can be reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.config import DEFAULT_USER_AGENT
from crawler.fakeweb import FakeWeb
from tests.frontier.crawls import NIGHT, Crawled, crawled

FORBIDDEN = ("excluded", "robots: line 2: Disallow: /private")


def a_private_site(group: str) -> FakeWeb:
    web = FakeWeb()
    site = web.host("a.test")
    site.robots(f"User-agent: {group}\nDisallow: /private\n")
    site.page("/", links=["/private"])
    site.page("/private")
    return web


def contact_notices(done: Crawled) -> list[str]:
    return [notice for notice in done.notices if "reach you" in notice]


@pytest.mark.parametrize(
    ("user_agent", "group", "is_forbidden"),
    [
        (DEFAULT_USER_AGENT, "onefile-crawler", True),
        (DEFAULT_USER_AGENT, "crawler", False),
        ("crawler/1.0", "crawler4j", False),
        ("my2bot/1.0", "my2bot", True),
        ("my2bot/1.0", "my", True),
        ("my2bot/1.0", "my2", False),
        ("360bot/1.0", "360bot", True),
    ],
)
def test_rules_are_matched_against_the_whole_name(
    tmp_path: Path, user_agent: str, group: str, is_forbidden: bool
) -> None:
    done = crawled(a_private_site(group), tmp_path / "crawl.db", "http://a.test/", user_agent=user_agent)
    assert done.urls()["http://a.test/private"] == (FORBIDDEN if is_forbidden else ("fetched", None))


def test_what_a_name_was_forbidden_is_decided_again_for_another(tmp_path: Path) -> None:
    """At once, and by the copy of robots.txt that is there; under the same name nothing is decided again."""
    web, db = a_private_site("mybot"), tmp_path / "crawl.db"
    assert crawled(web, db, "http://a.test/", user_agent="mybot/1.0").urls()["http://a.test/private"] == FORBIDDEN
    again = crawled(web, db, at=NIGHT + 60.0, user_agent="MyBot/2.0")
    assert (again.log, again.urls()["http://a.test/private"]) == ([], FORBIDDEN)
    other = crawled(web, db, at=NIGHT + 120.0, user_agent="otherbot/1.0")
    assert other.targets("a.test") == ["/private"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"user_agent": DEFAULT_USER_AGENT}, 1),
        ({"user_agent": "mybot/1.0"}, 1),
        ({"user_agent": "mybot/1.0 (+https://me.example/bot)"}, 0),
        ({"user_agent": DEFAULT_USER_AGENT, "headers": {"From": "me@me.example"}}, 0),
    ],
)
def test_a_run_without_a_contact_says_once_how_to_give_one(tmp_path: Path, options: dict[str, Any], told: int) -> None:
    web, db = a_private_site("*"), tmp_path / "crawl.db"
    assert len(contact_notices(crawled(web, db, "http://a.test/", "http://a.test/private", **options))) == told
    again = crawled(web, db, at=NIGHT + 60.0, **options)
    assert len(contact_notices(again)) == told
    assert all("--user-agent" in notice for notice in contact_notices(again))
