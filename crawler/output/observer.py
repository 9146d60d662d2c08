"""The interface through which a crawl reports what happens."""

from __future__ import annotations

from collections.abc import Sequence

from crawler.counters import Counters
from crawler.output.meter import HostSource
from crawler.output.summary import Summary
from crawler.records import Result, Visit


class Observer:
    """Ignores every event; subclasses override those that they show."""

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """The crawl starts, in the running loop; both objects keep changing as it runs."""

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """One line that a person should know; an `urgent` one is shown even to those who asked for no progress."""

    @property
    def follows_visits(self) -> bool:
        """Whether `visited` is to be called: nobody else pays for it."""
        return False

    def visited(self, visit: Visit, results: Sequence[Result]) -> None:
        """A visit is over, and this is what will be stored of it."""

    def finished(self, summary: Summary) -> None:
        """The crawl has ended and everything is committed."""

    def restarts(self) -> None:
        """What was started is over without an end: the process begins anew, and `started` comes once more."""
        self.close()

    def close(self) -> None:
        """Nothing more will come. Needed only after a crawl has failed while its event loop keeps running."""
