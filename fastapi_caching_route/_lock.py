"""One run of the endpoint for a key in all processes: a token in the store, which ends by itself.

Who has added the token under the key is the owner, and only the owner takes it away. It is for saving work and not for
correctness: if it is lost, or ends before its owner, the endpoint runs twice.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from secrets import token_urlsafe

from fastapi_caching_route._key import full_key
from fastapi_caching_route._store import Store

FIRST_POLL, LONGEST_POLL = 0.02, 0.25
"""Seconds between two looks at whether the owner is done; at random around that, so that not all look at once."""


class Lock:
    """A lock on what is stored under one key."""

    __slots__ = ('_is_ours', '_key', '_lease', '_store', '_token')

    def __init__(self, store: Store, key: str, lease: float) -> None:
        """It ends `lease` seconds after it was taken."""
        self._store = store
        self._key = full_key('', f'%lock:{key}')
        self._lease = lease
        self._token = token_urlsafe(9)
        self._is_ours = False

    async def take(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Whether to run the endpoint: not if another process has stored something meanwhile, which `look` tells.

        A lock that cannot be had, since the store is in trouble or its owner takes too long, is gone without.
        """
        until, poll, waited = time.monotonic() + 2 * self._lease, FIRST_POLL, False
        while not await self._add() and time.monotonic() < until:
            await asyncio.sleep(poll * (0.5 + random.random()))  # noqa: S311, it is no secret
            poll, waited = min(1.5 * poll, LONGEST_POLL), True
            if await look():
                return False
        return not (waited and await look())  # it may have been stored between the last look and now

    async def _add(self) -> bool:
        """Whether the lock is ours, or there is none to be had."""
        added = await self._store.add(self._key, self._token, self._lease)
        self._is_ours = added is True
        return added is not False

    def release(self) -> None:
        """Take it away, if it is ours; nobody waits for that."""
        if self._is_ours:
            self._is_ours = False
            self._store.go_on(self._store.release(self._key, self._token))
