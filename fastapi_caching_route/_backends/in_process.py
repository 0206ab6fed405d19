"""A driver for a backend in the memory of this process: see `Driver`."""

from collections.abc import Sequence
from typing import Any

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.clients import MAX_CONCURRENT
from fastapi_caching_route._backends.drivers import ToSet


class InProcessDriver:
    """Sends commands to a backend in this process. Entries are immutable, so they are stored as they are, uncoded.

    The backend is not copied: aiocache's `clear()` gives the original a new dict, which a copy would not see.
    """

    __slots__ = ('_backend', 'address', 'concurrency', 'is_ours', 'may_be_cancelled', 'sets_many')

    def __init__(self, backend: BaseCache) -> None:
        """Use the backend itself."""
        self._backend: Any = backend
        self.address: str = ''
        self.concurrency: int = MAX_CONCURRENT
        self.is_ours: bool = False
        self.may_be_cancelled: bool = True
        self.sets_many: bool = False

    def knows(self, key: str) -> bool:  # noqa: ARG002, see `Driver`
        """See `Driver`. Nothing is sent."""
        return True

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """See `Driver`."""
        found: Sequence[object] = await self._backend.multi_get(keys, namespace='', loads_fn=_as_it_is, timeout=None)
        return found or [None] * len(keys)  # empty if AIOCACHE_DISABLE is set

    async def heads(self, keys: Sequence[str]) -> list[object]:
        """See `Driver`. Nothing is sent."""
        return [*await self.get_many(keys)]

    async def set(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        ttl = max(span, SHORTEST)
        return bool(await self._backend.set(key, value, ttl=ttl, namespace='', dumps_fn=_as_it_is, timeout=None))

    async def set_many(self, objects: Sequence[ToSet]) -> list[bool | Exception]:
        """See `Driver`."""
        return [await self.set(*it) for it in objects]

    async def add(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        ttl = max(span, SHORTEST)
        try:
            return bool(await self._backend.add(key, value, ttl=ttl, namespace='', dumps_fn=_as_it_is, timeout=None))
        except ValueError:  # how aiocache says that the key exists
            return False

    async def delete(self, key: str) -> int:
        """See `Driver`."""
        try:
            return int(await self._backend.delete(key, namespace='', timeout=None))
        except NotImplementedError:  # a backend may lack this command
            return 0

    async def erase(self, key: str) -> None:
        """See `Driver`."""
        await self._backend.delete(key, namespace='', timeout=None)

    async def release(self, key: str, token: str) -> bool:
        """See `Driver`."""
        was_ours = await self._backend.get(key, namespace='', loads_fn=_as_it_is, timeout=None) == token
        if was_ours:
            await self.erase(key)
        return bool(was_ours)

    def failed(self, error: Exception) -> None:
        """See `Driver`."""

    async def close(self) -> None:
        """See `Driver`."""


def _as_it_is(value: Any) -> Any:
    return value
