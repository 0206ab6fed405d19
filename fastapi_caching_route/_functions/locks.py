"""`cache.lock`: one holder at a time, in all processes that share the backend. Knows tokens and times.

A holder has its token in the store. The token expires after the lease, so a holder that died keeps nobody out for
longer. Its own clock begins before the token is sent: when the token expires, the holder knows it already.
"""

import asyncio
import random
import time
from functools import partial
from secrets import token_urlsafe
from types import TracebackType

from typing_extensions import Self

from fastapi_caching_route._concurrency.tasks import after
from fastapi_caching_route._core.checks import check_positive
from fastapi_caching_route._core.durations import Seconds, checked_seconds
from fastapi_caching_route._core.key import escaped, full_key, shortened
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.lock import released
from fastapi_caching_route._store.tokens import Tokens
from fastapi_caching_route.errors import ConfigurationError, LockLostError, LockTimeoutError

FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.01, 0.25
"""Seconds between attempts to take the lock. Each wait is randomized, so that waiters do not retry in step."""


class CacheLock:
    """A lock in the backend of a cache: `async with cache.lock('report', timeout=5, lease=30):`.

    Each object is for one holder at a time, and can be used again. It is not reentrant.
    """

    def __init__(self, settings: Settings, key: str, *, timeout: Seconds, lease: Seconds) -> None:
        """Describe the lock. It is taken by `async with`.

        Raises:
            ConfigurationError: an argument is not valid.

        """
        if not isinstance(key, str) or not key:
            msg = f'lock takes the name of the lock, a str, got {key!r}'
            raise ConfigurationError(msg)
        self._settings = settings
        self._name = key
        self._timeout = checked_seconds('timeout', timeout)
        self._lease = checked_seconds('lease', lease)
        check_positive('lease', self._lease)
        self._token: str | None = None
        self._ends_at = 0.0

    async def __aenter__(self) -> Self:
        """Wait for the lock.

        Raises:
            LockTimeoutError: it was not free within `timeout`, or the backend failed all the while.
            ConfigurationError: this object holds it already, or the cache has no backend yet.

        """
        if self._token is not None:
            msg = f'this lock of {self._name!r} is held: each holder needs a cache.lock(...) of its own'
            raise ConfigurationError(msg)
        tokens = self._tokens()
        until, poll = time.monotonic() + self._timeout, FIRST_POLL_SECONDS
        while True:
            token = token_urlsafe(15)  # a new one each time: a release of an earlier one may be under way
            self._ends_at = time.monotonic() + self._lease
            taken = await self._taken(tokens, token)
            if taken or time.monotonic() >= until:
                break
            await asyncio.sleep(min(poll * (0.5 + random.random()), max(until - time.monotonic(), 0)))  # noqa: S311
            poll = min(1.5 * poll, MAX_POLL_SECONDS)
        if not taken:
            why = 'the backend failed' if taken is None else 'another holder has it'
            msg = f'the lock {self._name!r} was not free within {self._timeout:g} seconds: {why}'
            raise LockTimeoutError(msg)
        self._token = token
        return self

    async def _taken(self, tokens: Tokens, token: str) -> bool | None:
        """Try once to take the lock; None if the backend fails."""
        told: list[bool | None] = []
        adding, was_cancelled = tokens.go_on(_added(tokens, self._key(), token, self._lease, told)), True
        try:
            await asyncio.shield(adding)
            was_cancelled = False
        finally:
            # A command that took too long may succeed yet. One whose caller was cancelled may just have succeeded.
            if was_cancelled or told in ([], [None]):
                tokens.go_on(after(adding, partial(released, tokens, self._key(), token, was_added=False)))
        return told[0]

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Release the lock.

        Raises:
            LockLostError: it was lost before, so another holder may have run meanwhile. Not raised in place of an
                exception of the block.

        """
        told: list[bool | None] = []
        token, self._token = self._token, None
        assert token is not None
        tokens = self._tokens()
        await asyncio.shield(tokens.go_on(_released(tokens, self._key(), token, told)))
        if told == [None]:
            tokens.go_on(released(tokens, self._key(), token, was_added=True))
        if error is None and (time.monotonic() >= self._ends_at or told == [False]):
            raise LockLostError(self._lost())

    async def check(self) -> None:
        """Check that the lock is still held, as before a step that cannot be undone.

        Raises:
            LockLostError: it is not, or the backend cannot tell.

        """
        token = self._token
        is_held = token is not None and await self._tokens().holds(self._key(), token)
        if not is_held or self.seconds_left <= 0:
            raise LockLostError(self._lost())

    @property
    def seconds_left(self) -> float:
        """The longest time, in seconds, for which it is still held; 0 if it is not held."""
        return 0.0 if self._token is None else max(self._ends_at - time.monotonic(), 0.0)

    def _lost(self) -> str:
        return (
            f'the lock {self._name!r} was lost before its holder was done: its lease of {self._lease:g} seconds has '
            'ended, or the backend has lost it; give a longer lease'
        )

    def _key(self) -> str:
        return shortened(f'%lock:{full_key(self._settings.full_namespace(None), f"LOCK:{escaped(self._name)}")}')

    def _tokens(self) -> Tokens:
        tokens = self._settings.store.locks
        if tokens is None:
            backend = type(self._settings.checked_backend()).__qualname__
            msg = f'{backend} has no locks, because its add is not atomic'
            raise ConfigurationError(msg)
        return tokens


async def _added(tokens: Tokens, key: str, token: str, lease: float, told: 'list[bool | None]') -> None:
    """Take a lock, and tell whether that was possible."""
    told.append(await tokens.add(key, token, lease))


async def _released(tokens: Tokens, key: str, token: str, told: 'list[bool | None]') -> None:
    """Release a lock, and tell whether it was held."""
    told.append(await tokens.release(key, token))
