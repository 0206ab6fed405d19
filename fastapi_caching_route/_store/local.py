"""Entries in a table of this process: at once, so that nothing fails and nothing is pending."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.drivers import AsTheyAre, added, deleted
from fastapi_caching_route.memory import MemoryCache


class Direct:
    """A backend whose commands are done as soon as they are given, and do not fail."""

    __slots__ = ('_backend', '_is_on', '_write', 'read')

    def __init__(self, backend: BaseCache) -> None:
        """Keep objects in this backend as they are, since they cannot be changed."""
        self._backend = AsTheyAre(backend)
        self.read: Callable[[str], Any] = (
            backend.read if isinstance(backend, MemoryCache) else partial(_read_there, backend)
        )
        """What is under a key, or None: by the table itself, since aiocache's `get` takes longer than all else on a hit."""
        self._write: Callable[[str, Any, float], bool] = partial(_write_there, backend)
        if isinstance(backend, MemoryCache):
            self._write = partial(_write_ours, backend)
        self._is_on = os.environ.get('AIOCACHE_DISABLE') != '1'  # by which aiocache's own commands do nothing

    async def get(self, keys: Sequence[str], within: float) -> list[Any]:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return [self.read(key) for key in keys]

    async def set(self, key: str, value: object, span: float, within: float, *, anyway: bool = False) -> bool:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return self.write(key, value, span)

    def write(self, key: str, value: object, span: float) -> bool:
        """The same, at once."""
        return self._is_on and self._write(key, value, max(span, SHORTEST))

    async def add(self, key: str, value: object, span: float, within: float) -> bool:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return await added(self._backend, key, value, max(span, SHORTEST))

    async def delete(self, key: str, within: float) -> int:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return await deleted(key, self._backend)

    async def erase(self, key: str, within: float, *, anyway: bool = False) -> None:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        await deleted(key, self._backend)

    async def release(self, key: str, token: str, within: float) -> None:  # noqa: ARG002, see Shelf
        """See `Shelf`: nobody else is there to have taken a lock."""
        await self.delete(key, within)

    def stores(self) -> bool:
        """See `Shelf`."""
        return True

    def could_begin(self, *, in_time: bool) -> None:
        """See `Shelf`: it always can."""

    def loop(self) -> None:
        """See `Shelf`: it needs none."""

    def late(self) -> float:
        """See `Shelf`: nothing is waited for."""
        return 0.0

    async def close(self) -> None:
        """See `Shelf`: nothing was opened."""


def _write_ours(backend: MemoryCache, key: str, value: Any, span: float) -> bool:
    return backend.write(key, value, span, getattr(value, 'size', None))


def _write_there(backend: Any, key: str, value: object, span: float) -> bool:
    """Have aiocache keep it, without its time-outs, plugins and serializers: then there is nothing in it that waits."""
    try:
        backend._set(key, value, ttl=span).send(None)  # noqa: SLF001
    except StopIteration as end:
        return bool(end.value)
    msg = f'{type(backend).__name__}._set waits for something, and a table must not'
    raise RuntimeError(msg)


def _read_there(backend: Any, key: str) -> Any:
    return backend._cache.get(key)  # noqa: SLF001, aiocache's own table, of which `clear()` makes a new one
