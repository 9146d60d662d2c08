"""Where one process, one machine and one primary end, by what a page costs; and what very large crawls would take.

Arithmetic on measured costs: no queues, no faults, and as many hosts as it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

PLANS = (10**9, 10**11)  # pages
RATES = (1_000, 5_000, 10_000)  # pages a second
_KB, _MB, _TB = 1e3, 1e6, 1e12
_HOUR_S, _DAY_S = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a page costs, and what there is. `loop_ms` is the part of `client_ms` that only the process's own thread can
    do; `busy` is how much of their time cores may be in use. `server_cores` and `log_mb_s` (megabytes a second that its
    disk and its standby can take) are the primary's.
    """

    client_ms: float = 2.0
    loop_ms: float = 1.0
    server_ms: float = 0.5
    log_kb: float = 23.0
    cores: int = 16
    server_cores: int = 16
    log_mb_s: float = 250.0
    busy: float = 0.7
    urls_a_page: float = 6.5
    row_bytes: float = 280.0
    delay_s: float = 1.0

    @property
    def process_per_s(self) -> float:
        """Pages a second of one process, however many cores it has for its parsers."""
        return 1e3 / self.loop_ms

    @property
    def machine_per_s(self) -> float:
        """Of a machine full of workers, the database elsewhere."""
        return self.cores * self.busy * 1e3 / self.client_ms

    @property
    def shared_machine_per_s(self) -> float:
        """Of one that has the database as well."""
        return min(self.cores * self.busy * 1e3 / (self.client_ms + self.server_ms), self.log_per_s)

    @property
    def server_per_s(self) -> float:
        """By the primary's CPU."""
        return self.server_cores * self.busy * 1e3 / self.server_ms

    @property
    def log_per_s(self) -> float:
        """By its write-ahead log."""
        return self.log_mb_s * _MB / (self.log_kb * _KB)

    @property
    def primary_per_s(self) -> float:
        """Of one primary."""
        return min(self.server_per_s, self.log_per_s)

    @property
    def primary_ends_by(self) -> str:
        """What it runs out of first."""
        return "log" if self.log_per_s < self.server_per_s else "CPU"


def ends(costs: Costs) -> list[tuple[str, str, str]]:
    """What, pages a second, and what limits it."""
    return [
        ("one process", f"{costs.process_per_s:,.0f}", "its event loop"),
        (f"one machine of {costs.cores} cores, with the database", f"{costs.shared_machine_per_s:,.0f}", "its cores"),
        (f"one machine of {costs.cores} cores, without it", f"{costs.machine_per_s:,.0f}", "its cores"),
        (f"one primary of {costs.server_cores} cores", f"{costs.primary_per_s:,.0f}", f"its {costs.primary_ends_by}"),
    ]


def server(rate: int, costs: Costs) -> list[str]:
    """For so many pages a second: cores of the server and of the workers, and log."""
    cores = [-(-rate * cpu_ms // (1e3 * costs.busy)) for cpu_ms in (costs.server_ms, costs.client_ms)]
    return [f"{rate:,}", *(f"{number:.0f}" for number in cores), f"{rate * costs.log_kb * _KB / _MB:,.0f} MB/s"]


def plan(pages: int, costs: Costs) -> list[str]:
    """For so many pages through one primary at its limit: how long, workers, hosts at a time, and rows of URLs."""
    rate = costs.primary_per_s
    seconds = pages / rate
    rows = pages * costs.urls_a_page
    return [
        f"10^{len(str(pages)) - 1}",
        f"{seconds / _HOUR_S:,.0f} hours" if seconds < 3 * _DAY_S else f"{seconds / _DAY_S:,.0f} days",
        f"{-(-rate // costs.machine_per_s):.0f}",
        f"{-(-rate // (costs.busy * costs.process_per_s)):.0f}",
        f"{rate * costs.delay_s:,.0f}",
        f"{rate * costs.log_kb * _KB / _MB:,.0f} MB/s",
        f"{rows:.2g}".replace("e+0", " × 10^").replace("e+", " × 10^"),
        f"{rows * costs.row_bytes / _TB:,.1f} TB",
    ]
