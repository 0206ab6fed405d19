"""One run of the endpoint for a key in all processes: a token in the store, which ends by itself.

Who has added the token under the key is the owner, and only the owner takes it away. It is for saving work and not for
correctness: if it is lost, or ends before its owner, the endpoint runs twice.
"""

import random
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable
from secrets import token_urlsafe

from fastapi_caching_route._concurrency.tasks import after
from fastapi_caching_route._core.key import shortened
from fastapi_caching_route._store.visit import Tokens

FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.25
"""Seconds between two looks at whether the owner is done; at random around that, so that not all look at once."""


class Lock:
    """A lock on what is stored under one key."""

    __slots__ = ('_key', '_lease', '_patience', '_token', '_tokens')

    def __init__(self, tokens: Tokens, key: str, *, patience: float) -> None:
        """Wait for it `patience` seconds. It ends after half of them, so that another one of those who wait can have it."""
        self._tokens = tokens
        self._key = shortened(f'%lock:{key}')
        self._patience = patience
        self._lease = patience / 2
        self._token = token_urlsafe(9)

    async def take(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Whether to run the endpoint: not if another process has stored something meanwhile, which `look` tells.

        A lock that cannot be had, since the store is in trouble or its owner takes too long, is gone without.
        """
        until, poll, waited = time.monotonic() + self._patience, FIRST_POLL_SECONDS, False
        while await self.is_taken() and time.monotonic() < until:
            await sleep(poll * (0.5 + random.random()))  # noqa: S311, it is no secret
            poll, waited = min(1.5 * poll, MAX_POLL_SECONDS), True
            if await look():
                return False
        return not (waited and await look())  # it may have been stored between the last look and now

    async def is_taken(self) -> bool:
        """Whether somebody else has it; if not, it is ours now, or there is none to be had."""
        return await self._tokens.add(self._key, self._token, self._lease) is False

    def release_after(self, landing: Awaitable[object]) -> None:
        """Take it away when that is done which it is for, whoever waits for it."""
        self._tokens.go_on(after(landing, self.release))

    async def release(self) -> None:
        """Take it away, if it is ours."""
        await self._tokens.release(self._key, self._token)
