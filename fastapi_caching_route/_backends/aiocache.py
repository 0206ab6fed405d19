"""aiocache as type checkers see it, since it has no types: what we use of it, and what users use of our caches."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:

    class BaseCache:
        """The base of all backends. Spans are in seconds."""

        NAME: str
        namespace: str | None
        ttl: float | None
        timeout: float | None
        serializer: Any
        plugins: Sequence[Any]
        build_key: Callable[..., Any]

        def __init__(  # noqa: PLR0917, as aiocache has it
            self,
            serializer: Any = None,
            plugins: Sequence[Any] | None = None,
            namespace: str | None = None,
            key_builder: Callable[[str, str], str] | None = None,
            timeout: float | None = 5,
            ttl: float | None = None,
        ) -> None: ...
        def _build_key(self, key: Any, namespace: str | None = None) -> Any: ...
        async def _expire(self, key: Any, ttl: float, _conn: Any = None) -> bool: ...
        async def add(self, key: Any, value: Any, ttl: Any = ..., namespace: str | None = None) -> bool: ...
        async def get(self, key: Any, default: Any = None, *, namespace: str | None = None) -> Any: ...
        async def multi_get(self, keys: Sequence[Any], *, namespace: str | None = None) -> list[Any]: ...
        async def set(self, key: Any, value: Any, ttl: Any = ..., *, namespace: str | None = None) -> bool: ...
        async def multi_set(
            self, pairs: Iterable[tuple[Any, Any]], ttl: Any = ..., *, namespace: str | None = None
        ) -> bool: ...
        async def delete(self, key: Any, namespace: str | None = None) -> int: ...
        async def exists(self, key: Any, namespace: str | None = None) -> bool: ...
        async def increment(self, key: Any, delta: int = 1, namespace: str | None = None) -> int: ...
        async def expire(self, key: Any, ttl: float, namespace: str | None = None) -> bool: ...
        async def clear(self, namespace: str | None = None) -> bool: ...
        async def raw(self, command: str, *args: Any, **kwargs: Any) -> Any: ...
        async def close(self, *args: Any, **kwargs: Any) -> Any: ...

else:
    from aiocache.base import BaseCache

__all__ = ['Backend', 'BaseCache']


class Backend(Protocol):
    """A cache of aiocache: `RedisCache(...)`, `MemcachedCache(...)`, `MemoryCache(...)`."""

    @property
    def namespace(self) -> Any:
        """The prefix of all its keys."""

    @property
    def ttl(self) -> Any:
        """Seconds for values that are set without a ttl."""


SHORTEST = 0.001
"""The shortest ttl, in seconds. Redis takes none below, and aiocache takes 0 to mean forever."""
