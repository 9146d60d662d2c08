"""Do the pages of one place on a host say the same again and again? Then it is closed: no more of its URLs are fetched.

A place is a pattern of URLs (`traps.pattern_of`). Of each, what its last pages showed is remembered. A page that shows
nothing but that counts one up, a page that shows something new nine down (a CUSUM test, Page 1954): only a place where
fewer than one page in ten is new ever reaches ALIKE_PAGES, and then it is closed.

A page is new by any of these:

    title, text, description  without the words that hold digits: so the months of an empty calendar, and the pages of a
                              numbered maze, are alike
    images                    where they come from, digits included: photographs are numbered
    structured data           a product, an article and the like, digits included; not what frames any page, and no
                              event, since one that recurs fills a calendar for ever
    links                     to another place, where the pages there are not alike themselves

The last is what tells a numbered archive, whose pages lead to articles, from a calendar whose months lead to empty days
and back. Links within a place tell nothing: a maze has as many as anything. What is not crawled is believed.

A page that is not new, but may be one of a numbered set that ends (see `numbering`), counts neither up nor down.
Invariant: what is kept has a bounded size, however many the pages and hosts.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import field
from itertools import islice

from crawler.policy.numbering import is_of_calendar, shape_of
from crawler.policy.traps import pattern_of, session_of
from crawler.records import Page
from crawler.statically_frozen import dataclass
from crawler.urls import host_of, origin_of

ALIKE_PAGES = 125  # beyond those that make up for new ones
_WORTH = 9  # pages that one new text makes up for
_SEEN = 128  # titles, texts and the like that are remembered for each place
_PLACES_PER_HOST = 64
_MAX_PLACES = 16_384  # about 18 MB
_DOUBTFUL_PAGES = 4  # alike, beyond those that make up for new ones: a link to such a place tells nothing new
_MAX_LINKS = 256  # of a page: to look at one takes 3 us, and that only where pages are alike
_SEEN_LINKS = _MAX_LINKS  # remembered for each place: all of a menu
_MAX_LINKING_PLACES = 256  # for which links are remembered; about 6 MB
_SAMPLE = 2048  # characters, of the middle of a text: menus stand at its ends
ELSEWHERE = "elsewhere"  # all other places of a host that has too many, as a maze of random words has

# schema.org types of what a page is about; the others (WebPage, BreadcrumbList, Organization) stand on any page.
_THINGS = re.compile(
    r'"@type"\s*:\s*\[?\s*"(?:Product\w*|Offer|\w*Article|\w*Posting|Recipe|Book|Movie|Review|QAPage|Question|Dataset'
    r'|DefinedTerm|Photograph|VideoObject|AudioObject|VisualArtwork|MusicRecording|Vehicle|Car|SoftwareApplication)"'
)
_CALENDAR_FILE = re.compile(r"\bics\b|\bi?cal\b|\bwebcal", re.IGNORECASE)  # each month of a calendar has its own


@dataclass(slots=True)
class _Place:
    seen: array[int] = field(default_factory=lambda: array("q"))
    next: int = 0
    score: int = 0
    own_score: int = 0  # without what its links tell, and without doubt
    shape: str | None = None  # of the last URL
    said: int = 0  # by the last page, digits included

    @property
    def is_doubtful(self) -> bool:
        return self.own_score >= _DOUBTFUL_PAGES

    def shows_new(self, page: Page) -> bool:
        """Most pages are told apart by their titles; only where those are alike is anything else looked at."""
        return any(map(self._is_new, _shown(page)))

    def count(self, *, shows_new: bool, leads_to_new: bool, may_end: bool) -> None:
        """One page more."""
        self.own_score = _counted(self.own_score, new=shows_new)
        if shows_new or leads_to_new or not may_end:
            self.score = _counted(self.score, new=shows_new or leads_to_new)

    def may_end(self, page: Page) -> bool:
        """Whether the page may be one of a numbered set: its URL differs from the last in a number, and so does it."""
        shape, said = shape_of(page.url), hash((page.title, _middle(page.text)))
        is_another = shape is not None and shape == self.shape and said != self.said
        self.shape, self.said = shape, said
        return is_another and not is_of_calendar(page)

    def _is_new(self, fingerprint: int) -> bool:
        if fingerprint in self.seen:
            return False
        if len(self.seen) < _SEEN:
            self.seen.append(fingerprint)
        else:
            self.seen[self.next] = fingerprint
            self.next = (self.next + 1) % _SEEN
        return True


class RepetitionDetector:
    """The places of all hosts."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str], _Place] = OrderedDict()
        self._per_host: Counter[str] = Counter()
        self._links: OrderedDict[tuple[str, str], dict[int, None]] = OrderedDict()  # of places whose pages are alike
        self._closed: dict[str, set[str]] = {}  # by host; as many as were found to be traps

    def note(self, page: Page) -> str | None:
        """A page is stored; returns the place that it closes, if it does."""
        host = host_of(page.url)
        name = self._name(host, pattern_of(page.url))
        place = self._places.get((host, name))
        if place is None:
            place = self._add(host, name)
        self._places.move_to_end((host, name))
        shows_new = place.shows_new(page)
        leads_to_new = not shows_new and self._leads_to_new(page, host, name)
        may_end = not shows_new and name != ELSEWHERE and place.may_end(page)
        place.count(shows_new=shows_new, leads_to_new=leads_to_new, may_end=may_end)
        if place.score < ALIKE_PAGES or name in self._closed.get(host, ()):
            return None
        self.close(host, name)
        return name

    def close(self, host: str, name: str) -> None:
        """No more URLs of this place."""
        self._closed.setdefault(host, set()).add(name)

    def closed(self, url: str, host: str) -> str | None:
        """The place of this URL, where it is closed."""
        closed = self._closed.get(host)
        if closed is None:
            return None
        name = self._name(host, pattern_of(url))
        return name if name in closed else None

    def _leads_to_new(self, page: Page, host: str, name: str) -> bool:
        """Whether a page of this place links to something elsewhere that the last ones did not."""
        seen = self._links.setdefault((host, name), {})
        self._links.move_to_end((host, name))
        if len(self._links) > _MAX_LINKING_PLACES:
            self._links.popitem(last=False)
        known = len(seen)
        root = f"{origin_of(page.url)}/"
        for link in page.links[:_MAX_LINKS]:
            if hash(link.url) not in seen and not link.nofollow and self._tells(link.url, root, host, name):
                seen[hash(link.url)] = None
        leads_to_new = len(seen) > known
        for oldest in list(islice(seen, max(0, len(seen) - _SEEN_LINKS))):
            del seen[oldest]
        return leads_to_new

    def _tells(self, url: str, root: str, host: str, name: str) -> bool:
        """Whether a link to this URL may tell something new of a page of this place, whose origin's `root` it is."""
        query = url.partition("?")[2]
        if not url.startswith(root) and host_of(url) != host:
            return not query  # else it may well be a button to share the page
        if "/" in query or "%2f" in query.lower() or session_of(url) is not None or _CALENDAR_FILE.search(url):
            return False  # leads back here; is another one each time; is the same once more
        other = self._name(host, pattern_of(url))
        if other == name or other in self._closed.get(host, ()):
            return False
        place = self._places.get((host, other))
        return place is None or not place.is_doubtful

    def _name(self, host: str, pattern: str) -> str:
        own = (host, pattern) in self._places or self._per_host[host] < _PLACES_PER_HOST
        return pattern if own or pattern in self._closed.get(host, ()) else ELSEWHERE

    def _add(self, host: str, name: str) -> _Place:
        self._places[host, name] = place = _Place()
        self._per_host[host] += 1
        if len(self._places) > _MAX_PLACES:
            (oldest, _), _ = self._places.popitem(last=False)
            self._per_host[oldest] -= 1
            if not self._per_host[oldest]:
                del self._per_host[oldest]
        return place


def _shown(page: Page) -> Iterator[int]:
    """Fingerprints of what a page shows, the cheapest first; of what it has not, none."""
    yield hash(("title", _words(page.title or "")))
    yield hash(_words(_middle(page.text)))
    if page.description:
        yield hash(("description", _words(page.description)))
    if page.images_hash:
        yield hash(page.images_hash)
    if image := page.open_graph.get("og:image"):
        yield hash(("image", str(image)))  # several are a list
    yield from (hash(("thing", text)) for text in page.json_ld if _THINGS.search(text))


def _counted(score: int, *, new: bool) -> int:
    return max(0, score - _WORTH) if new else score + 1


def _words(text: str) -> str:
    return " ".join(filter(str.isalpha, text.split()))


def _middle(text: str) -> str:
    start = max(0, (len(text) - _SAMPLE) // 2)
    return text[start : start + _SAMPLE]
