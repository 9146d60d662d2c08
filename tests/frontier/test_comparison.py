"""What differs between any two of some nights in which anything may happen to a page, against a model of the site."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiosqlite
import pytest

from crawler.archive.comparison import Difference, Word, compare
from crawler.archive.moments import Moment, after_run, last_two_runs, snapshot
from crawler.archive.reading import open_archive
from crawler.errors import UsageError
from crawler.fakeweb import FakeWeb, Site
from crawler.storage.location import database_at
from tests.frontier.crawls import DAY_S, NIGHT, crawled
from tests.frontier.test_change_log import ORIGIN, feed

PATHS = [f"/{letter}" for letter in "abcdefghijkl"]
NIGHTS = 6
LEFT = ("gone", "moved", "withdrawn")
WHAT = ("page", "page", "page", "page", "edited", "edited", "metadata", "gone", "moved", "forbidden", "fails")


@dataclass(frozen=True)
class Known:
    """What the crawl has to know of a path after a night."""

    has_page: bool = False
    place: str | None = None
    broken: bool = False
    answered: bool = False
    failures: int = 0
    text: int = 0  # of the version that is stored
    meta: int = 0
    links: frozenset[str] = field(default_factory=frozenset)

    @property
    def stands(self) -> bool:
        return self.has_page and self.place not in LEFT

    @property
    def bad(self) -> bool:
        return self.broken or self.place == "gone"


class Model:
    """A site, and what of it is known after each night."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"comparison {seed}")
        self.web = FakeWeb()
        self.site: Site = self.web.host("a.test")
        self.site.page("/", title="root", links=PATHS)
        self.text = dict.fromkeys(PATHS, 0)
        self.meta = dict.fromkeys(PATHS, 0)
        self.links: dict[str, frozenset[str]] = {path: self._some() for path in PATHS}
        self.nights: list[dict[str, Known]] = [dict.fromkeys(PATHS, Known())]
        self.told: list[set[tuple[str, str]]] = []

    def next_night(self) -> None:
        """Change the site, and say what will be known of it."""
        chosen = {path: self._chance.choice(WHAT) for path in PATHS}
        forbidden = [path for path, what in chosen.items() if what == "forbidden"]
        self.site.robots("User-agent: *\n" + "".join(f"Disallow: {path}\n" for path in forbidden))
        before = self.nights[-1]
        told: set[tuple[str, str]] = set()
        after = {path: self._night_of(path, what, before[path], told) for path, what in chosen.items()}
        self.nights.append(after)
        self.told.append(told)

    def _some(self) -> frozenset[str]:
        return frozenset(self._chance.sample(PATHS, 3))

    def _night_of(self, path: str, what: str, known: Known, told: set[tuple[str, str]]) -> Known:
        if what == "fails" and known.failures >= 3:  # which would be looked at again only some nights later
            what = "page"
        if what == "edited":
            self.text[path] += 1
            self.links[path] = self._some()
        self.meta[path] += what == "metadata"
        head = f'<meta name="description" content="{self.meta[path]}">'
        text, links = f"text {self.text[path]} of {path}", sorted(self.links[path])
        self.site.page(path, title=f"page {path}", text=text, head=head, links=links)
        word, after = getattr(self, f"_{what}", self._page)(path, known)
        told |= {(one, path) for one in word if one is not None}
        return after

    def _page(self, path: str, known: Known) -> tuple[list[str | None], Known]:
        turned = "back" if known.place in LEFT else "healed" if known.broken else None
        after = Known(
            has_page=True,
            place=turned if turned == "back" else known.place,
            answered=True,
            text=self.text[path],
            meta=self.meta[path],
            links=self.links[path],
        )
        stood = replace(known, place=None) if known.has_page else known
        return [turned, _page_word(stood, replace(after, place=None))], after

    def _gone(self, path: str, known: Known) -> tuple[list[str | None], Known]:
        self.site.status(path, 404)
        if not known.has_page:
            return [None if known.broken else "broken"], replace(known, broken=True, answered=True, failures=0)
        word = None if known.place == "gone" else "gone"
        return [word], replace(known, place="gone", broken=False, answered=True, failures=0)

    def _moved(self, path: str, known: Known) -> tuple[list[str | None], Known]:
        self.site.redirect(path, "/")
        healed = "healed" if known.broken else None
        if not known.has_page:
            return [healed], replace(known, broken=False, answered=True, failures=0)
        word = healed if known.place == "moved" else "moved"
        return [word], replace(known, place="moved", broken=False, answered=True, failures=0)

    def _forbidden(self, _path: str, known: Known) -> tuple[list[str | None], Known]:
        """It has to be answered anew before a failure is forgiven."""
        if not known.stands:
            healed = "healed" if known.broken else None
            return [healed], replace(known, broken=False, failures=0, answered=False)
        return ["withdrawn"], replace(known, place="withdrawn", broken=False, failures=0, answered=False)

    def _fails(self, path: str, known: Known) -> tuple[list[str | None], Known]:
        self.site.status(path, 500)
        failures = known.failures + 1
        breaks = (failures > 1 or not known.answered) and not known.bad
        return ["broken" if breaks else None], replace(known, broken=known.broken or breaks, failures=failures)

    def differences(self, first: int, second: int) -> set[tuple[str, str, str | None]]:
        """(word, URL, target) of all that differs between two nights; 0: before the first."""
        found: set[tuple[str, str, str | None]] = set()
        olds, news = self.nights[first], self.nights[second]
        for path in PATHS:
            old, new = olds[path], news[path]
            if (word := _page_word(old, new)) is not None:
                found.add((word, path, "/" if word == "moved" else None))
            if new.bad and not old.bad and word != "gone":
                found.add(("broken", path, None))
            if old.bad and not new.bad and word != "back":
                found.add(("healed", path, None))
            if word == "changed":
                found |= {("link added", path, target) for target in new.links - old.links}
                found |= {("link removed", path, target) for target in old.links - new.links}
        return found | self._links_differing(first, second) | ({("new", "/", None)} if not first else set())

    def _links_differing(self, first: int, second: int) -> set[tuple[str, str, str | None]]:
        olds, news = self.nights[first], self.nights[second]
        found: set[tuple[str, str, str | None]] = set()
        had, has = _links(olds, has_root=first > 0), _links(news, has_root=True)
        for path, target in has:
            is_new = (path, target) not in had
            if news[target].bad and (is_new or not olds[target].bad):
                found.add(("link broken", path, target))
            if not is_new and olds[target].bad and not news[target].bad:
                found.add(("link healed", path, target))
        healed = {(path, target) for path, target in had - has if news[path].stands and olds[target].bad}
        return found | {("link healed", path, target) for path, target in healed}


def _page_word(old: Known, new: Known) -> str | None:
    if not old.has_page:
        return "new" if new.stands else None
    if old.stands != new.stands:
        return "back" if new.stands else new.place
    if not old.stands:
        return new.place if new.place != old.place else None
    if (old.text, old.links) != (new.text, new.links):
        return "changed"
    return "metadata" if old.meta != new.meta else None


def _links(night: dict[str, Known], *, has_root: bool) -> set[tuple[str, str]]:
    """Of the pages that stand."""
    found = {(path, target) for path, known in night.items() if known.stands for target in known.links}
    return found | ({("/", path) for path in PATHS} if has_root else set())


def crawl(model: Model, db: Path, night: int) -> None:
    model.next_night()
    max_age_s = 0.0 if night else None
    crawled(model.web, db, f"{ORIGIN}/", at=NIGHT + night * 10 * DAY_S, delay_s=1.0, max_age_s=max_age_s)


def differing(db: Path, first: int, second: int, limit: int | None = None) -> tuple[dict[Word, int], list[Difference]]:
    """Between the ends of two runs; 0: the beginning."""

    async def read() -> tuple[dict[Word, int], list[Difference]]:
        async with open_archive(db) as connection, snapshot(db, connection):
            before = await after_run(db, connection, first) if first else Moment.beginning()
            after = await after_run(db, connection, second)
            comparison = await compare(db, connection, before, after)
            return dict(comparison.counts), [one async for one in comparison.rows(limit)]

    return asyncio.run(read())


def as_set(found: list[Difference]) -> set[tuple[str, str, str | None]]:
    short = [
        (one.change.value, one.url.removeprefix(ORIGIN), one.target_url and one.target_url.removeprefix(ORIGIN))
        for one in found
    ]
    assert len(short) == len(set(short)), "something stands twice"
    return set(short)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(4))
def test_between_any_two_nights_exactly_what_differs_is_listed_and_each_change_is_told_once(
    tmp_path: Path, seed: int
) -> None:
    model, db = Model(seed), tmp_path / "crawl.db"
    cursor = None
    for night in range(NIGHTS):
        crawl(model, db, night)
        entries = feed(db, cursor) if cursor else feed(db)
        cursor = entries[-1].cursor if entries else cursor
        told = [(one.change, one.url.removeprefix(ORIGIN)) for one in entries if one.url != f"{ORIGIN}/"]
        assert Counter(told) == Counter(model.told[night]), f"night {night + 1}"
    for first in range(NIGHTS):
        for second in range(first + 1, NIGHTS + 1):
            counts, found = differing(db, first, second)
            assert as_set(found) == model.differences(first, second), (first, second)
            assert counts == Counter(one.change for one in found)
            for word, number in Counter(one.change for one in differing(db, first, second, limit=2)[1]).items():
                assert number == min(2, counts[word])


def test_what_prune_has_removed_cannot_be_compared_but_what_came_later_can(tmp_path: Path) -> None:
    model, db = Model(0), tmp_path / "crawl.db"
    for night in range(NIGHTS):
        crawl(model, db, night)
    asyncio.run(database_at(db).prune(keep_versions=99, before=NIGHT + 25 * DAY_S))
    with pytest.raises(UsageError, match=r"compare with run \d or a later one"):
        differing(db, 1, 5)
    for first in range(4, NIGHTS):
        for second in range(first + 1, NIGHTS + 1):
            assert as_set(differing(db, first, second)[1]) == model.differences(first, second), (first, second)


def test_what_is_broken_off_leaves_a_connection_that_can_be_used(tmp_path: Path) -> None:
    """As Ctrl-C does, at any moment."""
    web, db = FakeWeb(), tmp_path / "crawl.db"
    web.host("a.test").page("/", title="only")
    crawled(web, db, f"{ORIGIN}/")

    async def read() -> dict[Word, int]:
        async with open_archive(db) as connection:
            for steps in range(20):
                comparing = asyncio.create_task(_compared(db, connection))
                for _step in range(steps):
                    await asyncio.sleep(0)
                comparing.cancel()
                await asyncio.wait([comparing])
                assert comparing.cancelled() or comparing.exception() is None
            return await _compared(db, connection)

    assert asyncio.run(read()) == {Word.NEW: 1}


async def _compared(db: Path, connection: aiosqlite.Connection) -> dict[Word, int]:
    async with snapshot(db, connection):
        moments = await last_two_runs(db, connection)
        return dict((await compare(db, connection, *moments)).counts)


def test_a_database_without_two_runs_is_compared_with_its_beginning(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    web.host("a.test").page("/", title="only")
    crawled(web, db, f"{ORIGIN}/")

    async def read() -> dict[Word, int]:
        async with open_archive(db) as connection:
            return await _compared(db, connection)

    assert asyncio.run(read()) == {Word.NEW: 1}
