"""Tokens that are held already: those of others end by themselves, and what does not is replaced.

A token has a time to expire. What somebody else has written under its key would stay for ever, as a token would that
has lost its time (`PERSIST`, a backup that was restored without times): every request would wait for it in vain.
"""

import logging
import time

from fastapi_caching_route._backends.linked import LinkedBackend

logger = logging.getLogger('fastapi_caching_route')

MAX_SEEN = 1000
"""Of how many keys it is remembered what was seen there. Without that, it takes longer until one is replaced."""

SPARE_SECONDS = 1.0
"""How much longer a token may be there than it should: backends count whole seconds, and replies take their time."""


class HeldTokens:
    """What this process has seen under keys that it could not add a token to. Threads may share it."""

    __slots__ = ('_backend', '_seen', '_timeout', '_was_told')

    def __init__(self, backend: LinkedBackend, timeout: float) -> None:
        """Nothing has been seen."""
        self._backend = backend
        self._timeout = timeout
        self._seen: dict[str, tuple[str, float]] = {}
        """A token, and when it was seen first, in seconds of the monotonic clock."""
        self._was_told = False

    async def add(self, key: str, token: str, span: float) -> bool:
        """Store a token for `span` seconds, if there is none that others hold; return whether that is so."""
        if await self._add(key, token, span):
            self._seen.pop(key, None)
            return True
        seen, now = self._seen.get(key), time.monotonic()
        if seen is not None and now - seen[1] <= span + SPARE_SECONDS:
            return False
        found = await self._found(key)
        if isinstance(found, str) and (seen is None or found != seen[0]):
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen[key] = found, now
            return False
        # It may have expired between the two commands, and then nothing was found.
        return await self._add(key, token, span) or await self._replace(key, token, span)

    async def _replace(self, key: str, token: str, span: float) -> bool:
        """Replace what does not expire, or is no token. If several processes do that at once, each of them goes on."""
        found = await self._found(key)
        seen = self._seen.pop(key, None)
        if isinstance(found, str) and (seen is None or found != seen[0]):
            return False  # another process has taken it meanwhile
        if not self._was_told:
            self._was_told = True
            logger.warning('a lock in the cache backend does not expire, or is not of this library: it is replaced')
        await self._backend.set(key, token, span, self._timeout)
        return True

    async def _add(self, key: str, token: str, span: float) -> bool:
        return await self._backend.add(key, token, span, self._timeout, alone=True)

    async def _found(self, key: str) -> object:
        (found,), _ = await self._backend.get((key,), self._timeout)
        return found
