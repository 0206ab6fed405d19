"""The algorithm of invalidation, held by simulation: see `simulation`, and run it for more schedules."""

import pytest

from fastapi_caching_route._store import moments as _moments
from tests.simulation import LEFT_OUT, LEFT_OUT_WHERE_FULL, simulate

SCHEDULES = 300
MOST = 3000


def test_nothing_older_than_an_invalidation_that_has_returned_is_served_after_it():
    worlds = simulate(SCHEDULES)
    assert sum(it.violations for it in worlds) == 0
    assert sum(it.served for it in worlds) > 10 * SCHEDULES  # there was something to get wrong
    assert sum(it.invalidations for it in worlds) > 5 * SCHEDULES


def test_nothing_older_is_served_inside_of_one_process_either():
    worlds = simulate(SCHEDULES, inside=True)
    assert sum(it.violations for it in worlds) == 0
    assert sum(it.served for it in worlds) > 10 * SCHEDULES


def test_nothing_older_is_served_where_the_store_is_full_at_times():
    worlds = simulate(2 * SCHEDULES, fills=True)
    assert sum(it.violations for it in worlds) == 0
    assert sum(it.served for it in worlds) > 10 * SCHEDULES


def test_moments_that_are_forgotten_for_newer_ones_revive_nothing(monkeypatch):
    monkeypatch.setattr(_moments, 'MAX_NAMES', 1)
    worlds = simulate(SCHEDULES, inside=True)
    assert sum(it.violations for it in worlds) == 0
    assert sum(it.served for it in worlds) > SCHEDULES


@pytest.mark.parametrize('step', LEFT_OUT)
def test_without_any_one_step_something_older_is_served(step):
    worlds = simulate(MOST, step, first_only=True)
    assert worlds[-1].violations, f'not in {MOST} schedules'


@pytest.mark.parametrize('step', LEFT_OUT_WHERE_FULL)
def test_without_any_one_step_something_older_is_served_where_the_store_is_full(step):
    worlds = simulate(MOST, step, fills=True, first_only=True)
    assert worlds[-1].violations, f'not in {MOST} schedules'
