"""A lock for all processes, so that only one of them runs the endpoint for a key: a token in the store, which expires.

The process that has added the token owns the lock, and only the owner deletes it. A lock saves work; correctness does
not depend on it. If the token is lost, or expires before the owner is done, the endpoint runs twice.
"""

import random
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable
from secrets import token_urlsafe

from fastapi_caching_route._concurrency.tasks import after
from fastapi_caching_route._core.key import shortened
from fastapi_caching_route._store.tokens import Tokens

FIRST_POLL_SECONDS, MAX_POLL_SECONDS = 0.02, 0.25
"""How often to check whether the owner is done. Chosen at random around that, so that not all processes check at
once."""


RELEASED_AGAIN_AFTER = (0.1, 0.4)
"""Seconds after which a token is deleted once more, if the store could not do it: others wait for it."""


class Lock:
    """A lock on a key."""

    __slots__ = ('_added', '_key', '_lease', '_patience', '_token', '_tokens')

    def __init__(self, tokens: Tokens, key: str, *, patience: float) -> None:
        """Wait for it at most `patience` seconds. It expires after half of that, so that the next one can take it."""
        self._tokens = tokens
        self._key = shortened(f'%lock:{key}')
        self._patience = patience
        self._lease = patience / 2
        self._token = token_urlsafe(9)
        self._added: bool | None = False
        """Whether the token was stored, and was not deleted since; None if the store has not told."""

    async def take(self, look: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for the lock. Return whether to run the endpoint: not if `look` finds what another process has stored.

        If the lock cannot be had, because the store is failing or its owner is too slow, run without it.
        """
        until, poll, waited = time.monotonic() + self._patience, FIRST_POLL_SECONDS, False
        while not await self.try_to_take() and time.monotonic() < until:
            await sleep(poll * (0.5 + random.random()))  # noqa: S311, it is no secret
            poll, waited = min(1.5 * poll, MAX_POLL_SECONDS), True
            if await look():
                return False
        return not (waited and await look())  # the owner may have stored it after the last look

    async def try_to_take(self) -> bool:
        """Try once to take the lock. Return False if another process has it; if True, it is ours or the store fails."""
        self._added = None  # until the reply is there: if this is cancelled, the command goes on
        self._added = await self._tokens.add(self._key, self._token, self._lease, mends=True)
        return self._added is not False

    def release_after(self, landing: Awaitable[object]) -> None:
        """Release the lock in the background, after `landing`: by then, other processes can find what was stored."""
        self._tokens.go_on(after(landing, self._release))

    def release_now(self) -> None:
        """Release the lock in the background: nothing will be stored that other processes could wait for."""
        self._tokens.go_on(self._release())

    async def _release(self) -> None:
        """Delete the token, if it is ours."""
        if self._added is False:
            return
        if await released(self._tokens, self._key, self._token, was_added=self._added is True):
            self._added = False


async def released(tokens: Tokens, key: str, token: str, *, was_added: bool) -> bool:
    """Delete a token, with a few attempts while the store fails; return whether it is gone for certain.

    Unless it `was_added`, the command for that may still be under way.
    """
    for pause in (0.0, *RELEASED_AGAIN_AFTER):
        await sleep(pause)
        is_gone = await tokens.release(key, token)
        if is_gone or (is_gone is False and was_added):
            return True
    return False
