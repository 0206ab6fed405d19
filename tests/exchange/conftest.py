"""Here, a cache is in memory, and its clock is set by the test."""

import pytest

from fastapi_caching_route._store import held_tokens, lock
from tests.exchange.herds import Waits
from tests.support import memory_cache


@pytest.fixture
def cache(clock):
    return memory_cache(clock=clock)


@pytest.fixture
def waits(monkeypatch):
    """The time of locks, which passes only as they wait."""
    found = Waits()
    monkeypatch.setattr(lock, 'time', found)
    monkeypatch.setattr(lock, 'sleep', found.sleep)
    monkeypatch.setattr(held_tokens, 'time', found)
    return found
