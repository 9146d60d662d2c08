"""The database's clock, as a process knows it that cannot tell how long answers are on their way."""

from __future__ import annotations

from crawler.storage.postgres.clock import DatabaseClock


def test_late_answers_do_not_make_the_time_jump() -> None:
    boot = [100.0]
    clock = DatabaseClock(lambda: boot[0])
    clock.set(1000.0, asked_at=100.0)
    for way_there_s, way_back_s in ((0.5, 0.0), (0.0, 0.5), (0.2, 0.2)):
        asked_at = boot[0]
        boot[0] += way_there_s + way_back_s
        clock.set(900.0 + asked_at + way_there_s, asked_at=asked_at)
        assert abs(clock.now() - (900.0 + boot[0])) < 1e-9


def test_a_clock_that_runs_at_another_rate_is_followed() -> None:
    boot = [100.0]
    clock = DatabaseClock(lambda: boot[0])
    clock.set(1000.0, asked_at=100.0)
    boot[0] = 200.0
    clock.set(1100.5, asked_at=199.9)
    assert 1100.5 <= clock.now() <= 1100.6
    boot[0] = 300.0
    clock.set(1200.2, asked_at=299.9)
    assert 1200.2 <= clock.now() <= 1200.61
