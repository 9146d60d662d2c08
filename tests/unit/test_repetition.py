"""Which places are closed for their repetition: made-up sites, endless and honest, crawled breadth first.

`pytest -s` prints how many pages of each were fetched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from hashlib import sha256
from html import escape

import pytest

from crawler.config import ScopeConfig
from crawler.content.accelerated import fastest_walk
from crawler.content.html import read_page
from crawler.frontier.bounds import Bounds
from crawler.policy.traps import trap_of
from crawler.records import Target
from crawler.urls import host_of

Site = Callable[[str], str | None]  # target -> HTML; None: there is no such page

HONEST_PAGES = 2_400  # a place is closed after about 1,000
GIVEN_UP = 6_000
MONTHS = tuple("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())  # noqa: SIM905 - easier to read
MONATE = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "Sept.", "Okt.", "Nov.", "Dez.")
NAV = ("/", "/about", "/contact", "/login?next=/x")
MENU = [f"/menu/{number}" for number in range(150)]


def a_page(title: str, text: str = "", links: Iterable[str] = (), *, head: str = "", markup: str = "") -> str:
    anchors = "".join(f'<a href="{escape(link)}">more</a> ' for link in (*NAV, *links))
    return f"<!doctype html><title>{title}</title>{head}<h1>{title}</h1><p>{text}</p>{markup}{anchors}<p>The end of it"


def words(number: object, most: int = 3) -> str:
    """Words of their own for each number."""
    digits = sha256(str(number).encode()).hexdigest()[: 5 * most]
    letters = digits.translate({48 + digit: 103 + digit for digit in range(10)})
    return " ".join(letters[start : start + 5] for start in range(0, len(letters), 5))


def number_of(target: str) -> int:
    return int("".join(filter(str.isdigit, target)) or 0)


def near(number: int, *, of: int = HONEST_PAGES) -> list[int]:
    """Where a numbered page leads in its own place."""
    return [other for other in (number - 1, number + 1, 2 * number, 2 * number + 1) if 0 < other <= of]


# --- endless ----------------------------------------------------------------------------------------------------------


def months(target: str) -> str | None:
    """Its days are on the page; a link for another program, and one to share it, with each."""
    number = number_of(target)
    days = " ".join(map(str, range(1, 29 + number % 4)))
    here = f"/calendar?m={number}"
    links = [f"/calendar?m={number + 1}", f"/calendar?m={max(number - 1, 0)}", f"/ics/calendar-{number}.ics"]
    share = [f"http://social.test/share?url=http%3A%2F%2Fa.test{here}", f"/mail?page={here.replace('/', '%2F')}"]
    return a_page(f"{MONTHS[number % 12]} {2000 + number // 12}", f"What is on? {days}", [*links, *share])


def months_and_days(target: str) -> str | None:
    """Each in a place of its own, which links to the other."""
    number = number_of(target)
    if target.startswith("/day/"):
        return a_page(f"Day {number}", "Nothing is on.", [f"/month/{number // 30}", f"/day/{number + 1}"])
    days = [f"/day/{30 * number + day}" for day in range(30)]
    return a_page(f"{MONTHS[number % 12]} {number}", "Mo Tu We", [*days, f"/month/{number + 1}"])


def years_and_views(target: str) -> str | None:
    """Three parameters, and what recurs has its structured data on each page."""
    number, view = number_of(target), target.rpartition("=")[2] or "month"
    views = [f"/events?year={number + step}&view={name}" for step in (0, 1, 2) for name in ("month", "week", "list")]
    event = f'<script type="application/ld+json">{{"@type":"Event","startDate":"{number}-05-07"}}</script>'
    frame = f'<script type="application/ld+json">{{"@type":"WebPage","url":"{escape(target)}"}}</script>'
    return a_page(f"{view} {number}", "Choir practice", views, head=event + frame)


def maze(target: str) -> str | None:
    """With a menu that is longer than what is remembered of a place."""
    if target.startswith("/menu/"):
        return a_page(words(target), words(f"text of {target}", 9))
    rooms = [f"/maze/{sha256(f'{target} {n}'.encode()).hexdigest()}" for n in range(5)]
    return a_page("A room", "Twisty passages", [*MENU, *rooms])


def random_folders(target: str) -> str | None:
    links = [f"/{words(f'{target} {n}', 1)}/{words(f'{n} {target}', 1)}" for n in range(5)]
    return a_page("A room", "Twisty passages", links)


def facets(target: str) -> str | None:
    """Any choice can be asked for, and nothing answers to most of them."""
    names = ("brand", "colour", "size")
    chosen = dict(part.split("=") for part in target.partition("?")[2].split("&") if part.startswith(names))
    choices = [chosen | {name: str(n)} for name in names for n in range(20)]
    further = [f"/search?{'&'.join(f'{name}={one[name]}' for name in sorted(one))}" for one in choices]
    return a_page("Search", "Nothing was found." if len(chosen) > 1 else words(target), further)


def sessions(target: str) -> str | None:
    session = sha256(target.encode()).hexdigest()
    place = target.partition(";")[0]
    return a_page(place, place, [f"/p{n};jsessionid={session}" for n in range(20)])


def relative(target: str) -> str | None:
    return a_page("Where am I?", "Here.", ["docs/", "docs/api/", "api/"])


def relative_numbers(target: str) -> str | None:
    depth = target.count("/")
    return a_page("Where am I?", "Here.", [f"{depth}/", f"{depth + 1}/", "x/"])


def offsets(target: str) -> str | None:
    """The URL is numbered, and the title names the month, in a language of its own."""
    number = number_of(target)
    links = [f"/termine?seite={number + 1}", f"/termine?seite={max(number - 1, 0)}"]
    return a_page(f"{MONATE[number % 12]} {2000 + number // 12}", "Keine Veranstaltungen", links)


def grids(target: str) -> str | None:
    """Nothing but the days on the page."""
    number = number_of(target)
    days = " ".join(map(str, range(1, 29 + number % 4)))
    return a_page(f"{number % 12 + 1} {2000 + number // 12}", days, [f"/v/{number + 1}", f"/v/{max(number - 1, 0)}"])


def dates(target: str) -> str | None:
    day = number_of(target) or 20_240_101
    return a_page(f"Visite {day}", "Rien", [f"/v?d={day + 1}", f"/v?d={day - 1}"])


def one_page(target: str) -> str | None:
    """Any number can be asked for, and the page is the same."""
    number = number_of(target)
    return a_page("Results", "No more results.", [f"/results?page={number + 1}", f"/results?page={number + 2}"])


def numbers_and_letters(target: str) -> str | None:
    """One digit in each name, and letters at random."""
    names = (f"{words(f'{target} {n}', 1)}7{words(f'{n} {target}', 1)}" for n in range(5))
    return a_page(f"A room {target}", f"Twisty passages {number_of(target)}", [f"/maze/{name}" for name in names])


def long_numbers(target: str) -> str | None:
    number = number_of(target)
    links = [f"/room/{int(sha256(f'{number} {n}'.encode()).hexdigest()[:10], 16) + 10**9}" for n in range(5)]
    return a_page(f"Room {number}", "Twisty passages", links)


ENDLESS: dict[str, Site] = {
    "calendar, months": months,
    "calendar, months and days": months_and_days,
    "calendar, years and views": years_and_views,
    "maze, numbers": maze,
    "maze, random folders": random_folders,
    "faceted search": facets,
    "session loop": sessions,
    "relative links": relative,
    "relative links, numbered": relative_numbers,
    "calendar, numbered, German": offsets,
    "calendar, days alone": grids,
    "calendar, days as numbers": dates,
    "the same page under any number": one_page,
    "maze, letters about a digit": numbers_and_letters,
    "maze, long numbers": long_numbers,
}

# --- honest -----------------------------------------------------------------------------------------------------------


def numbered(target: str, prefix: str) -> int | None:
    """The number of a page of the place; None for a page of another one."""
    return number_of(target) if target.startswith(prefix) and number_of(target) <= HONEST_PAGES else None


def gallery(target: str) -> str | None:
    number = numbered(target, "/photo/") or 1
    links = [f"/photo/{other}" for other in near(number)]
    image = f'<img src="/logo.png"><img src="/photos/{number}.jpg" width=800 height=600>'
    return a_page(f"Photo {number}", "One of our photos.", links, markup=image)


def lazy_gallery(target: str) -> str | None:
    number = numbered(target, "/photo/") or 1
    links = [f"/photo/{other}" for other in near(number)]
    return a_page("Photo", "", links, markup=f'<img src="data:image/gif;base64,R0=" data-src="/{number}.jpg">')


def product_list(target: str) -> str | None:
    """One number each, which is said once more for programs."""
    number = numbered(target, "/item/") or 1
    product = f'<script type="application/ld+json">{{"@type": "Product", "sku": "{number}"}}</script>'
    return a_page(f"Item {number}", "In stock.", [f"/item/{other}" for other in near(number)], head=product)


def shared_products(target: str) -> str | None:
    number = numbered(target, "/item/") or 1
    head = f'<meta property="og:image" content="http://cdn.test/{number}.webp">'
    return a_page(f"Item {number}", "In stock.", [f"/item/{other}" for other in near(number)], head=head)


def parts(target: str) -> str | None:
    """Each has its data sheet, which is no page."""
    number = numbered(target, "/part?") or 1
    links = [f"/part?number={other}" for other in near(number)]
    return a_page(f"Part {number}", f"Weight: {number % 90} g", [*links, f"/sheets/{number}.pdf"])


def archive(target: str) -> str | None:
    """Pages that only lead to others, which have something to say."""
    if target.startswith("/story/"):
        return a_page(words(target), words(f"text of {target}", 9))
    number = numbered(target, "/archive?") or 1
    pages = [f"/archive?page={other}" for other in near(number)]
    return a_page(f"Page {number}", "Stories", [*pages, *(f"/story/{number}-{n}" for n in range(2))])


def glossary(target: str) -> str | None:
    """Stubs that lead to the entries elsewhere."""
    number = numbered(target, "/term/") or 1
    links = [f"/term/{other}" for other in near(number)]
    return a_page(f"Term {number}", "See:", [*links, f"http://words.test/entry/{number}"])


def described_glossary(target: str) -> str | None:
    number = numbered(target, "/term/") or 1
    head = f'<meta name="description" content="{words(number)}">'
    return a_page(f"Term {number}", "See the book.", [f"/term/{other}" for other in near(number)], head=head)


def forum(target: str) -> str | None:
    """Topics without a reply, and members without a word, but with a face."""
    if target.startswith("/member/"):
        return a_page(f"Member {number_of(target)}", "No posts", markup=f'<img src="/faces/{number_of(target)}.png">')
    number = numbered(target, "/topic/") or 1
    links = [f"/topic/{other}" for other in near(number)]
    return a_page(f"Topic {number}", "No replies yet.", [*links, f"/member/{number}"])


def stubs(target: str) -> str | None:
    """Nothing but a number tells one from the other, and they link only to each other."""
    number = numbered(target, "/item/") or 1
    return a_page(f"Item {number}", f"Our item {number}.", [f"/item/{other}" for other in near(number)])


def stubs_in_queries(target: str) -> str | None:
    number = numbered(target, "/shop/list?") or 1
    links = [f"/shop/list?page={other}" for other in (number - 1, number + 1) if 0 < other <= HONEST_PAGES]
    return a_page("Our list", f"Entries from {20 * number} on", links)


HONEST: dict[str, Site] = {
    "gallery": gallery,
    "gallery, loaded late": lazy_gallery,
    "product list": product_list,
    "product list, pictures for others": shared_products,
    "part catalogue": parts,
    "paginated archive": archive,
    "glossary stubs": glossary,
    "glossary stubs, described": described_glossary,
    "forum stubs": forum,
    "numbered stubs": stubs,
    "numbered stubs, in a row": stubs_in_queries,
}


def fetched(site: Site, most: int = GIVEN_UP) -> tuple[int, set[str]]:
    """How many pages of it are fetched, and the targets of those that are."""
    config = ScopeConfig()
    bounds = Bounds(config)
    walk, _its_name = fastest_walk()  # as a crawl reads them
    waiting = deque(["http://a.test/"])
    known = {*waiting}
    targets: set[str] = set()
    while waiting and len(targets) < most:
        url = waiting.popleft()
        if bounds.closed(url, "a.test") is not None:
            continue
        html = site(url.removeprefix("http://a.test"))
        if html is None or url.endswith((".pdf", ".ics")):
            continue
        targets.add(url)
        page = read_page(html.encode(), url, "text/html", walk=walk)
        bounds.note(page)
        for link in page.links:
            if link.url in known:
                continue
            target = Target(url=link.url, host=host_of(link.url))
            if target.host == "a.test":
                known.add(link.url)
                if trap_of(link.url, config) is None and bounds.reason(target) is None:
                    waiting.append(link.url)
    return len(targets), targets


@pytest.mark.thorough
@pytest.mark.parametrize("name", ENDLESS)
def test_endless_places_are_closed(name: str) -> None:
    pages, _targets = fetched(ENDLESS[name])
    print(f"{name}: {pages} pages, then closed")
    assert pages < GIVEN_UP


@pytest.mark.thorough
@pytest.mark.parametrize("name", HONEST)
def test_honest_thin_places_are_not(name: str) -> None:
    pages, targets = fetched(HONEST[name], most=5 * HONEST_PAGES)
    thin = {url for url in targets if not url.partition("a.test")[2].startswith(("/story/", "/member/"))}
    print(f"{name}: {pages} pages, {len(thin)} of them thin")
    assert len(thin) >= HONEST_PAGES
