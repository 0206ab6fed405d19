"""Here, a cache is in memory, its clock is set by the test, and where no server takes part no test waits for real."""

import pytest

from fastapi_caching_route._store import held_tokens, lock
from tests.exchange.herds import Waits
from tests.support import memory_cache


@pytest.fixture
def cache(clock):
    return memory_cache(clock=clock)


@pytest.fixture(autouse=True)
def quick(no_machine_is_slow):
    """No test waits for real, where that can be."""


@pytest.fixture
def waits(monkeypatch):
    """The time of locks, which passes only as they wait."""
    found = Waits()
    monkeypatch.setattr(lock, 'time', found)
    monkeypatch.setattr(lock, 'sleep', found.sleep)
    monkeypatch.setattr(held_tokens, 'time', found)
    return found
