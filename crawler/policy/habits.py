"""How the pages of a host change, as far as one tells of the others: which priors its places have (likeness.py), and
whether all of it has changed at once (redesign.py).

The two belong together: without the alarm, one redesign would make all pages of a place look as if they changed alike,
and often. Pure: `now` is passed in. Times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from crawler.policy.likeness import Looks, Places
from crawler.policy.rate import changes_per_s
from crawler.policy.recrawl import has_changed, is_evidence
from crawler.policy.redesign import AGAIN_AFTER_S, Surprises
from crawler.records import ChangeRate, PreviousVisit, UrlStatus


class Habits:
    """Of one host, in one run."""

    def __init__(self, known: Mapping[str, Looks] | None = None, redesigned_at: float | None = None) -> None:
        """`known`: its places by name, faded where an earlier run left them; `redesigned_at`: the last alarm."""
        self._known = {} if known is None else known
        self.redesigned_at = redesigned_at
        self._places = Places(self._known)
        self._surprises = Surprises()
        self._alarm = False

    @property
    def known(self) -> Mapping[str, Looks]:
        """The places as they were when the run came to the host."""
        return self._known

    def place_of(self, url: str) -> str:
        """The place of a URL of this host."""
        return self._places.name_of(url)

    def prior_of(self, place: str) -> ChangeRate:
        """What is expected of a page of that place."""
        return self._places.prior_of(place)

    def note(
        self, place: str, previous: PreviousVisit, status: UrlStatus, now: float, *, news: bytes | None
    ) -> Looks | None:
        """A page of the place was looked at again; returns what is known of the place, where the look tells something.

        `news`: a fingerprint of what it says, where that is something else than at the look before.
        """
        elapsed_s = now - previous.fetched_at
        if previous.rate is None or elapsed_s <= 0:
            return None
        changed = has_changed(previous, status, news=news is not None)
        if changed and not is_evidence(previous, changed=changed, redesigned_at=self.redesigned_at):
            return None
        if previous.status is status is UrlStatus.FETCHED and not previous.hinted:
            per_s = changes_per_s(previous.rate, self.prior_of(place))
            self._surprises.note(-math.expm1(-per_s * elapsed_s), news)
            if self._surprises.are_redesign and not self._was_redesigned_before(now):
                self._raise_alarm(now)
                return None
        return self._places.note(place, previous.rate, elapsed_s, changed=changed)

    def take_alarm(self) -> bool:
        """Whether all of the host has changed at once, as the last look has shown: True once."""
        alarm, self._alarm = self._alarm, False
        return alarm

    def _was_redesigned_before(self, now: float) -> bool:
        return self.redesigned_at is not None and now - self.redesigned_at < AGAIN_AFTER_S

    def _raise_alarm(self, now: float) -> None:
        """What the looks of this run have told of the places was the redesign's, not theirs."""
        self.redesigned_at = now
        self._alarm = True
        self._places = Places(self._known)
