"""Have all pages of a host changed at once? Then the whole host is due, and none of the changes is a page's own habit.

Told by looks that came as a surprise: at pages that had been looked at before, had not been announced, and had probably
not changed. Where nearly all of them find a change, and far more than the pages' own rates foretell, their site was
redesigned (a new template, another menu, a new name in the footer). Where many of them find one and the same text, that
is no redesign, but a server that shows everybody the same page: 'please try later'.

Pure. Invariant: of the looks at a host, a bounded number of fingerprints is kept.
"""

from __future__ import annotations

from dataclasses import field

from crawler.statically_frozen import dataclass

AGAIN_AFTER_S = 7 * 86400.0
_UNLIKELY = 0.35  # to have changed
_FEWEST = 12  # looks
_NEARLY_ALL = 0.92
_MORE_THAN_EXPECTED = 2.5  # times
_FINGERPRINTS = 64


@dataclass(slots=True)
class Surprises:
    """The looks of one run at a host's pages."""

    looks: int = 0
    changed: int = 0
    expected: float = 0.0
    _seen: set[bytes] = field(default_factory=set)

    def note(self, chance: float, content_hash: bytes | None) -> None:
        """A look at a page that had changed with this probability; `content_hash` of what it says now, None where it
        had not changed.
        """
        if chance >= _UNLIKELY:
            return
        self.looks += 1
        self.expected += chance
        if content_hash is not None:
            self.changed += 1
            if len(self._seen) < _FINGERPRINTS:
                self._seen.add(content_hash)

    @property
    def are_redesign(self) -> bool:
        """Whether all has changed at once."""
        return (
            self.looks >= _FEWEST
            and self.changed >= _NEARLY_ALL * self.looks
            and self.changed > _MORE_THAN_EXPECTED * self.expected
            and 2 * len(self._seen) >= min(self.changed, _FINGERPRINTS)
        )
