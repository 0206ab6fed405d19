"""Entries in an aiocache backend.

Knows keys and entries as wholes; knows nothing of requests, of HTTP, or of the framework.
"""

from typing import Any

from aiocache.base import BaseCache

from fastapi_caching_route._entry import Entry, Variants

Stored = Entry | Variants


class Store:
    """Keeps entries where a cache of aiocache keeps its values."""

    __slots__ = ('_backend', 'namespace', 'ttl')

    def __init__(self, backend: BaseCache) -> None:
        """Use the backend as the user built it, its namespace and ttl (seconds) included."""
        self._backend: Any = backend
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl

    async def get(self, key: str) -> Stored | None:
        """What is stored under a full key; anything that was not stored under just this key is nothing."""
        found = await self._backend.get(key, namespace='', timeout=None)
        return found if isinstance(found, Entry | Variants) and found.key == key else None

    async def put(self, stored: Stored, span: float) -> None:
        """Store under its own key for `span` seconds."""
        await self._backend.set(stored.key, stored, ttl=span, namespace='', timeout=None)

    async def delete(self, key: str) -> int:
        """Delete what is stored under a full key; return how many keys that were (0 or 1)."""
        return int(await self._backend.delete(key, namespace='', timeout=None))
