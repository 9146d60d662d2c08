"""Who is told what happens in a crawl."""

from __future__ import annotations

from crawler.counters import Counters
from crawler.output.meter import HostSource
from crawler.output.summary import Summary


class Observer:
    """Is told, and does nothing about it: others override what they show."""

    def started(self, frontier: HostSource, counters: Counters) -> None:
        """The crawl begins, in the running loop; both objects are live."""

    def notify(self, text: str, *, urgent: bool = False) -> None:
        """Something that a person should know, in one line; what is `urgent`, even one who wants no news."""

    def finished(self, summary: Summary) -> None:
        """The crawl has ended and everything is committed."""

    def close(self) -> None:
        """Nothing more will come. Needed only where a crawl failed and its event loop runs on."""
