"""Fixtures of pytest for apps with a cache: `pytest_plugins = ['fastapi_caching_route.testing']` in `conftest.py`.

Needs pytest. The context managers of the same purpose work without fixtures.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from fastapi_caching_route._routes.caches import caches_in
from fastapi_caching_route._routes.replacing import replaced

__all__ = ['SettableClock', 'cache_clock', 'cache_disabled', 'disabled_caches', 'fresh_cache', 'fresh_caches']


class SettableClock:
    """A clock that stands still until a test moves it. It can be given to `FastAPICache(clock=...)`, too."""

    def __init__(self, now: float | None = None) -> None:
        """Start at `now`, in seconds since the epoch; None: at the time of the system."""
        self.now: float = time.time() if now is None else now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def move(self, seconds: float) -> None:
        """Move the clock forward by so many seconds; back if they are negative."""
        self.now += seconds


@contextmanager
def disabled_caches() -> Generator[None]:
    """Disable all caches of this process, as `FastAPICache.disabled` does one."""
    switches = [it.runtime.switch for it in caches_in(None)]
    for switch in switches:
        switch.times_off += 1
    try:
        yield
    finally:
        for switch in switches:
            switch.times_off -= 1


@contextmanager
def fresh_caches(clock: SettableClock | None = None) -> Generator[None]:
    """Give all caches of this process an empty store in memory, and the clock if there is one.

    Backends are neither asked nor changed meanwhile, so a test needs no Redis. Afterwards, everything is as it was. A
    cache from `FastAPICache.deferred()` keeps its store: call `cache.use(MemoryCache())` in the lifespan of a test.
    """
    with ExitStack() as stack:
        for settings in caches_in(None):
            stack.enter_context(replaced(settings, clock))
        yield


@pytest.fixture
def cache_disabled() -> Iterator[None]:
    """All caches that exist when the test begins are disabled: every request reaches its endpoint."""
    with disabled_caches():
        yield


@pytest.fixture
def fresh_cache() -> Iterator[None]:
    """All caches that exist when the test begins are empty, and in memory."""
    with fresh_caches():
        yield


@pytest.fixture
def cache_clock() -> Iterator[SettableClock]:
    """All caches that exist when the test begins are empty, in memory, and have this clock: `cache_clock.move(60)`."""
    clock = SettableClock()
    with fresh_caches(clock):
        yield clock
