"""Do the pages of one place on a host say the same again and again? Then it is closed: no more of its URLs are fetched.

A place is a pattern of URLs (`traps.pattern_of`). Of each, the last texts are remembered, without the words that hold
digits, so that the months of an empty calendar and the pages of a numbered maze are alike. A page that is like one of
those counts one up, a page that says something new nine down (a CUSUM test, Page 1954): only a place where fewer than
one page in ten is new ever reaches ALIKE_PAGES, and then it is closed.
Invariant: what is kept has a bounded size, however many the pages and hosts.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from crawler.policy.traps import pattern_of
from crawler.urls import host_of

ALIKE_PAGES = 125  # beyond those that make up for new ones
_WORTH = 9  # pages that one new text makes up for
_TEXTS = 128  # remembered for each place
_PLACES_PER_HOST = 64
_MAX_PLACES = 16_384  # about 18 MB
_SAMPLE = 2048  # characters, of the middle of a text: menus stand at its ends
ELSEWHERE = "elsewhere"  # all other places of a host that has too many, as a maze of random words has


@dataclass(slots=True)
class _Place:
    texts: array[int] = field(default_factory=lambda: array("q"))
    next: int = 0
    score: int = 0

    def note(self, title: str, text: str) -> None:
        """Most pages are told apart by their titles; only where those are alike are the texts looked at."""
        if self._is_new(hash(("title", _words(title)))) or self._is_new(hash(_words(_middle(text)))):
            self.score = max(0, self.score - _WORTH)
        else:
            self.score += 1

    def _is_new(self, fingerprint: int) -> bool:
        if fingerprint in self.texts:
            return False
        if len(self.texts) < _TEXTS:
            self.texts.append(fingerprint)
        else:
            self.texts[self.next] = fingerprint
            self.next = (self.next + 1) % _TEXTS
        return True


class RepetitionDetector:
    """The places of all hosts."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str], _Place] = OrderedDict()
        self._per_host: Counter[str] = Counter()
        self._closed: dict[str, set[str]] = {}  # by host; as many as were found to be traps

    def note(self, url: str, title: str | None, text: str) -> str | None:
        """A page is stored; returns the place that it closes, if it does."""
        host = host_of(url)
        name = self._name(host, pattern_of(url))
        place = self._places.get((host, name))
        if place is None:
            place = self._add(host, name)
        self._places.move_to_end((host, name))
        place.note(title or "", text)
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


def _words(text: str) -> str:
    return " ".join(filter(str.isalpha, text.split()))


def _middle(text: str) -> str:
    start = max(0, (len(text) - _SAMPLE) // 2)
    return text[start : start + _SAMPLE]
