"""The algorithm of invalidation, held by simulation: see `simulation`, and run it for more schedules."""

import pytest

from fastapi_caching_route._store import moments as _moments
from tests.simulation import KINDS, STEPS, simulate

SCHEDULES = 300
MOST = 3000


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_older_than_an_invalidation_that_has_returned_is_served_after_it(kind):
    worlds = simulate(SCHEDULES, **KINDS[kind])
    assert sum(it.violations for it in worlds) == 0
    # There was something to get wrong, if less where much is not stored.
    assert sum(it.served for it in worlds) > (2 if KINDS[kind].get('fills') else 3) * SCHEDULES
    assert sum(it.shared for it in worlds) > SCHEDULES
    assert sum(it.invalidations for it in worlds) > 5 * SCHEDULES
    # Only what is trusted may be late, and sometimes it was.
    assert (sum(it.late for it in worlds) > 0) == KINDS[kind].get('trusts', False)


@pytest.mark.parametrize('kind', ['moments of one process', 'journals'])
def test_moments_that_are_forgotten_for_newer_ones_revive_nothing(kind, monkeypatch):
    monkeypatch.setattr(_moments, 'MAX_NAMES', 1)
    worlds = simulate(SCHEDULES, **KINDS[kind])
    assert sum(it.violations for it in worlds) == 0
    assert sum(it.served for it in worlds) > SCHEDULES


@pytest.mark.parametrize(('kind', 'step'), [(kind, step) for kind, steps in STEPS.items() for step in steps])
def test_without_any_one_step_something_older_is_served(kind, step):
    worlds = simulate(MOST, step, first_only=True, **KINDS[kind])
    assert worlds[-1].violations, f'not in {MOST} schedules'
