"""Here, a cache is in memory, and its clock is set by the test."""

import pytest

from tests.support import memory_cache


@pytest.fixture
def cache(clock):
    return memory_cache(clock=clock)
