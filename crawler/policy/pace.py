"""How fast a host is asked: its delay grows where it refuses or takes longer than it used to, and falls back slowly.

Pure: what is known of a host is a `HostPace`, and each answer makes another one of it. Invariant: the delay is never
below the base, which is the longer of `--delay` and the host's Crawl-delay; so this only ever slows down.

What was chosen, and why:

- A refusal (429, 503) doubles the delay, from `FLOOR_S` up: the multiplicative decrease of AIMD (Chiu and Jain, 1989),
  since whoever refuses is already over what it can bear. Of refusals in a row of one origin only the first counts:
  those that were under way together say the same thing once, and who refuses at any pace says nothing about it.
- Rising latency: as in Scrapy's AutoThrottle, the delay goes half of the way to the latency, which is to say to one
  request at a time; further would help nobody. AutoThrottle takes the latency as it is; here it has to have risen to
  twice what the host usually takes, so that a host that always takes long is not asked less often for it. With a base
  of 0 (the site is the user's own) only refusals slow it.
- Each success takes back a twentieth of the delay. AIMD adds a fixed step to the rate instead, but one step does not
  fit a host that bears one page a second and one that bears fifty. A host that bears one page a second is refused about
  once in 14 pages.
- Only successes speed up, as in AutoThrottle: errors come quickly. Latency is the server's own
  (`Response.first_byte_s`), and that of documents alone: a 304 or a redirect takes nothing to make.
- A host that is slow (a request over `SLOW_AFTER_S`, or a time-out), or has not shown yet that it is quick, gets one
  request at a time.

Durations are seconds.
"""

from __future__ import annotations

from crawler.statically_frozen import dataclass

FLOOR_S = 0.25  # the first delay of a host that had none
MAX_S = 60.0  # to which adaptive pacing slows a host; Scrapy's AUTOTHROTTLE_MAX_DELAY
SLOW_AFTER_S = 5.0
_BACK = 0.95  # of the delay is left by a success
_SMOOTHING = 1 / 4  # of a new latency in the smoothed one; and in what is usual, where that falls
_HABIT = 1 / 64  # the same where it rises: what lasts for some hundred pages is usual by then
_RISEN = 2.0  # times what is usual
_MARGIN_S = 0.25  # less is chance


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPace:
    """`delay_s` 0: the host is not slowed. Latencies are None until there is one."""

    delay_s: float = 0.0
    latency_s: float | None = None  # smoothed
    usual_s: float | None = None


AT_REST = HostPace()


def after_refusal(pace: HostPace, base_s: float) -> HostPace:
    """The host has answered 429 or 503 to a request at this pace."""
    doubled_s = max(2 * max(pace.delay_s, base_s), FLOOR_S)
    return HostPace(delay_s=max(base_s, min(doubled_s, MAX_S)), latency_s=pace.latency_s, usual_s=pace.usual_s)


def after_success(pace: HostPace, base_s: float, latency_s: float | None) -> HostPace:
    """The host has answered as it should; `latency_s` None: in a time that says nothing."""
    smoothed_s, usual_s = pace.latency_s, pace.usual_s
    if latency_s is not None and base_s > 0:
        smoothed_s = latency_s if smoothed_s is None else _moved(smoothed_s, latency_s, _SMOOTHING)
        rate = _HABIT if usual_s is not None and latency_s > usual_s else _SMOOTHING
        usual_s = latency_s if usual_s is None else _moved(usual_s, latency_s, rate)
        if smoothed_s > max(_RISEN * usual_s, usual_s + _MARGIN_S):
            delay_s = max(pace.delay_s, base_s)
            target_s = min(smoothed_s, MAX_S)
            if target_s > delay_s:
                return HostPace(delay_s=(delay_s + target_s) / 2, latency_s=smoothed_s, usual_s=usual_s)
            if target_s > base_s:
                return HostPace(
                    delay_s=max(_recovered(pace.delay_s, base_s), target_s), latency_s=smoothed_s, usual_s=usual_s
                )
    return HostPace(delay_s=_recovered(pace.delay_s, base_s), latency_s=smoothed_s, usual_s=usual_s)


def slots(*, quick: bool, per_host: int) -> int:
    """Requests that may be under way to a host at once; `quick`: it has shown that it is."""
    return per_host if quick else 1


def _moved(value: float, towards: float, share: float) -> float:
    return value + (towards - value) * share


def _recovered(delay_s: float, base_s: float) -> float:
    """A twentieth less; 0 once the base is reached, or half of the floor where there is none."""
    shorter_s = delay_s * _BACK
    return 0.0 if shorter_s <= max(base_s, FLOOR_S / 2) else shorter_s
