"""The clock of the database, by which all processes of a crawl go: read now and then, advanced by the boot clock."""

from __future__ import annotations

from collections.abc import Callable

_JITTER_S = 1.0  # an answer may take so much longer on its way than another


class DatabaseClock:
    """Unix seconds. It goes back only where the database's clock was set back."""

    def __init__(self, boot_clock: Callable[[], float]) -> None:
        self._boot_clock = boot_clock
        self._offset_s: float | None = None
        self._latest = 0.0

    def set(self, database_s: float, asked_at: float) -> None:
        """The database has said what time it is, asked at that time of the boot clock.

        It said so at some time since then. What agrees with that is left as it is: else the time would jump by as much
        as answers are late, and a host's requests would seem to be nearer to each other than they are.
        """
        least, most = database_s - self._boot_clock(), database_s - asked_at
        offset_s = (least + most) / 2 if self._offset_s is None else min(max(self._offset_s, least), most)
        if self._offset_s is not None and offset_s < self._offset_s - _JITTER_S:
            self._latest = 0.0
        self._offset_s = offset_s

    def now(self) -> float:
        """The time in the database, as far as is known."""
        if self._offset_s is None:
            raise AssertionError("the database has not been asked yet")
        self._latest = max(self._latest, self._offset_s + self._boot_clock())
        return self._latest
