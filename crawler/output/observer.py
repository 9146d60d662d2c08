"""The interface through which a crawl reports what happens."""

from __future__ import annotations

from crawler.counters import Counters
from crawler.output.meter import HostSource
from crawler.output.summary import Summary


class Observer:
    """Ignores every event; subclasses override those that they show."""

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """The crawl starts, in the running loop; both objects keep changing as it runs."""

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """One line that a person should know; an `urgent` one is shown even to those who asked for no progress."""

    def finished(self, summary: Summary) -> None:
        """The crawl has ended and everything is committed."""

    def close(self) -> None:
        """Nothing more will come. Needed only after a crawl has failed while its event loop keeps running."""
