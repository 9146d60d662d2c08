"""How often a page changes, as its visits have shown.

It is estimated as a Poisson rate (Cho and Garcia-Molina, 'Estimating Frequency of Change', ACM TOIT 3(3), 2003). Visits
come at irregular intervals and show only whether something changed since the last one, so their regular-access
estimator does not fit, and the maximum likelihood one needs every past interval. Kept instead is a Gamma distribution
over the rate, two numbers (`ChangeRate`): no change in t adds t to the time watched, exactly; a change somewhere in t
multiplies by 1 - exp(-rate t), whose mean and variance are exact and fit a Gamma again (assumed density filtering:
Minka, 'Expectation Propagation', UAI 2001); a change whose moment is known, from a Last-Modified that the visits do not
contradict, adds one change and the quiet time since, which is that paper's estimator for known dates.

The prior is what a first night goes by, and is outvoted by the first look. What a page adds to it is the page's own
evidence, and can be added to another prior: that of a place where all pages change alike (see likeness.py).

Pure. Durations are seconds.
"""

from __future__ import annotations

import math

from crawler.records import ChangeRate

DAY_S = 86400.0
PRIOR = ChangeRate(changes=0.13, watched_s=0.78 * DAY_S)  # a change in 6 days, but who knows
MAX_CHANGES = 8.0  # that are remembered: older ones fade, so that a page may change its habits
_OLDEST_S = 365 * DAY_S
_OUTLIERS = 0.1  # of the pages of a place, that change as they like
LEAST_CHANGES, LEAST_WATCHED_S = 0.01, 1.0  # of what is left where older changes have faded


def first_rate(age_s: float) -> ChangeRate:
    """Of a page that says for how long it has not changed. Half believed, as nothing has been seen of it: half a
    change, and half of the quiet time since.
    """
    return ChangeRate(changes=PRIOR.changes + 0.5, watched_s=PRIOR.watched_s + min(max(age_s, 0.0), _OLDEST_S) / 2)


def observe(rate: ChangeRate, elapsed_s: float, *, changed: bool, changed_ago_s: float | None = None) -> ChangeRate:
    """The rate after a look that came `elapsed_s` after the one before it; `changed_ago_s` where that is known."""
    elapsed_s = max(elapsed_s, 1.0)
    if not changed:
        return ChangeRate(changes=rate.changes, watched_s=rate.watched_s + elapsed_s)
    if changed_ago_s is not None:
        return _faded(rate.changes + 1, rate.watched_s + changed_ago_s)
    a, b = rate.changes, rate.watched_s
    ratio = b / (b + elapsed_s)  # the moments of Gamma(a, b) times 1 - exp(-rate * elapsed)
    whole = -math.expm1(a * math.log(ratio))
    mean = a / b * -math.expm1((a + 1) * math.log(ratio)) / whole
    square = a * (a + 1) / b**2 * -math.expm1((a + 2) * math.log(ratio)) / whole
    variance = square - mean**2
    return _faded(mean**2 / variance, mean / variance)


def unchanged(rate: ChangeRate, elapsed_s: float) -> float:
    """The probability that a page has not changed for so long."""
    return math.exp(-rate.changes * math.log1p(elapsed_s / rate.watched_s))


def unchanged_share(rate: ChangeRate, interval_s: float) -> float:
    """The mean of that over an interval: the share of the time in which a copy is fresh that is renewed so often."""
    more = math.log1p(interval_s / rate.watched_s)
    exponent = 1 - rate.changes
    area = more if abs(exponent) < 1e-9 else math.expm1(exponent * more) / exponent
    return area * rate.watched_s / interval_s


def changes_per_s(rate: ChangeRate, prior: ChangeRate) -> float:
    """Changes a second of a page whose place has this prior: mixed from what it is if the page is like its neighbours,
    and what it is if not.
    """
    alone = rate.changes / rate.watched_s
    if prior is PRIOR:
        return alone
    alike = on_prior(rate, prior)
    odds = _evidence(alike, prior) - _evidence(rate, PRIOR)
    share = 1 / (1 + _OUTLIERS / (1 - _OUTLIERS) * math.exp(min(max(-odds, -50.0), 50.0)))
    return share * alike.changes / alike.watched_s + (1 - share) * alone


def on_prior(rate: ChangeRate, prior: ChangeRate) -> ChangeRate:
    """What the page's own evidence makes of another prior."""
    return ChangeRate(
        changes=max(rate.changes - PRIOR.changes + prior.changes, LEAST_CHANGES),
        watched_s=max(rate.watched_s - PRIOR.watched_s + prior.watched_s, LEAST_WATCHED_S),
    )


def _faded(changes: float, watched_s: float) -> ChangeRate:
    keep = min(1.0, MAX_CHANGES / changes)
    return ChangeRate(changes=keep * changes, watched_s=keep * watched_s)


def _evidence(rate: ChangeRate, prior: ChangeRate) -> float:
    """The logarithm of the probability of what led from the prior to the rate, but for what is the same for all."""
    a, b = rate.changes, rate.watched_s
    return math.lgamma(a) - math.lgamma(prior.changes) + prior.changes * math.log(prior.watched_s) - a * math.log(b)
