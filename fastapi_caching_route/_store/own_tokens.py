"""Tokens of this process alone, for locks over a backend that no other process uses. Its threads share them."""

import asyncio
import time
from collections.abc import Coroutine
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from fastapi_caching_route._concurrency.tasks import keep_running

T = TypeVar('T')


class OwnTokens:
    """See `Tokens`. They are not kept in the backend, which may evict them."""

    __slots__ = ('_lock', '_tokens', '_under_way')

    def __init__(self) -> None:
        """There is no token."""
        self._lock = Lock()
        self._tokens: dict[str, tuple[str, float]] = {}
        """The token under each key, and when it expires, in seconds of the monotonic clock."""
        self._under_way: set[asyncio.Task[Any]] = set()

    async def add(self, key: str, token: str, span: float, *, mends: bool = False) -> bool:  # noqa: ARG002
        """See `Tokens`. There is nothing to mend."""
        with self._lock:
            if self._current(key) is not None:
                return False
            self._tokens[key] = token, time.monotonic() + span
            return True

    async def release(self, key: str, token: str) -> bool:
        """See `Tokens`."""
        with self._lock:
            is_ours = self._current(key) == token
            if is_ours:
                del self._tokens[key]
            return is_ours

    async def holds(self, key: str, token: str) -> bool:
        """See `Tokens`."""
        with self._lock:
            return self._current(key) == token

    def _current(self, key: str) -> str | None:
        found = self._tokens.get(key)
        if found is not None and found[1] <= time.monotonic():
            del self._tokens[key]
            return None
        return None if found is None else found[0]

    def go_on(self, work: Coroutine[Any, Any, T]) -> 'asyncio.Task[T]':
        """See `Tokens`."""
        return keep_running(asyncio.get_running_loop().create_task(work), self._under_way)


_all: WeakKeyDictionary[object, OwnTokens] = WeakKeyDictionary()


def tokens_of(backend: object) -> OwnTokens:
    """The tokens of a backend. All caches over the backend share them."""
    return _all.setdefault(backend, OwnTokens())
