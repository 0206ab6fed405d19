"""`KeyValueCache`: a cache of aiocache over a store of py-key-value-aio, such as DynamoDB, MongoDB or PostgreSQL."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final

from aiocache.serializers import JsonSerializer
from typing_extensions import Doc

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.clients import close
from fastapi_caching_route.errors import ConfigurationError

BYTES, TEXT = 'b', 't'
"""The fields of a stored value: these stores keep what JSON keeps, so bytes are base64."""

NEEDED = ('get', 'get_many', 'put', 'delete')


class KeyValueCache(BaseCache):
    """A cache of aiocache over a store of py-key-value-aio: `KeyValueCache(DynamoDBStore(table_name='cache'))`.

    Most of these stores belong to the event loop in which they are used first. For several event loops, pass a function
    that makes a store: it is called once for each, and again after a store that hangs was dropped.

    These stores have no atomic `add`, so there are no locks: `lock=True` and `cache.lock(...)` are refused. Their
    client must not send a command twice, because a mark that is written late would revive what was invalidated, and it
    must read what was written last.

    Raises:
        ConfigurationError: it is no such store.

    """

    NAME: str = 'key-value'
    adds_at_once: Final = False
    """Whether `add` is one step. If not, there are no locks."""

    def __init__(
        self,
        store: Annotated[Any, Doc('A store of py-key-value-aio, or a function that makes one.')],
        *,
        collection: Annotated[str | None, Doc('The collection of all keys; None: the default of the store.')] = None,
        namespace: Annotated[str | None, Doc('The prefix of all keys.')] = None,
        ttl: Annotated[float | None, Doc('Seconds for values that are set without a ttl; None: forever.')] = None,
        serializer: Annotated[Any, Doc('For your own values; responses have a format of this library.')] = None,
        plugins: Annotated[Sequence[Any] | None, Doc('As in every cache of aiocache.')] = None,
        timeout: Annotated[float | None, Doc('Seconds for your own commands; responses use `store_timeout`.')] = 5,
    ) -> None:
        """Connect when the first command is sent."""
        super().__init__(
            serializer=serializer or JsonSerializer(), plugins=plugins, namespace=namespace, ttl=ttl, timeout=timeout
        )
        is_store = all(callable(getattr(store, it, None)) for it in NEEDED)
        if isinstance(store, type) or not (is_store or callable(store)):
            msg = f'KeyValueCache takes a store of py-key-value-aio, or a function that makes one, got {store!r}'
            raise ConfigurationError(msg)
        self._collection = collection
        self._client: Any = store if is_store else None
        if not is_store:
            self.new_client: Callable[[], Any] = store

    @property
    def client(self) -> Any:
        """The store: the one that was given, or else a new one, made at first use."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    @client.setter
    def client(self, store: Any) -> None:
        self._client = store

    async def _get(self, key: str, encoding: str | None = 'utf-8', _conn: Any = None) -> Any:
        return _value(await self.client.get(key, collection=self._collection), encoding)

    async def _gets(self, key: str, encoding: str | None = 'utf-8', _conn: Any = None) -> Any:
        return await self._get(key, encoding)

    async def _multi_get(self, keys: Sequence[str], encoding: str | None = 'utf-8', _conn: Any = None) -> list[Any]:
        found = await self.client.get_many([*keys], collection=self._collection)
        return [_value(it, encoding) for it in found]

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        if _cas_token is not None:
            msg = 'KeyValueCache has no compare-and-set'
            raise NotImplementedError(msg)
        span = max(ttl, SHORTEST) if ttl else None
        await self.client.put(key, _stored(value), collection=self._collection, ttl=span)
        return True

    async def _multi_set(self, pairs: Iterable[tuple[str, Any]], ttl: float | None = None, _conn: Any = None) -> bool:
        return all([await self._set(key, value, ttl) for key, value in pairs])

    async def _add(self, key: str, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        """Store a value if there is none, in two steps. A mark bears that: whoever adds one reads it back."""
        if await self._exists(key):
            msg = f'Key {key} already exists, use .set to update the value'  # aiocache's own words for it
            raise ValueError(msg)
        return await self._set(key, value, ttl)

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return await self.client.get(key, collection=self._collection) is not None

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(await self.client.delete(key, collection=self._collection))

    async def _close(self, *args: Any, _conn: Any = None, **options: Any) -> None:  # noqa: ARG002, aiocache's
        if self._client is not None:
            store, self._client = self._client, None
            await close(store)

    # `_expire` is missing on purpose: to read a value and to write it again would revive a mark that was replaced.

    def _build_key(self, key: str, namespace: str | None = None) -> str:
        """Build keys as aiocache's `RedisCache` does."""
        namespace = self.namespace if namespace is None else namespace
        return f'{namespace}:{key}' if namespace else key


def _stored(value: Any) -> dict[str, str]:
    """A value as these stores keep it."""
    if isinstance(value, bytes):
        return {BYTES: b64encode(value).decode('ascii')}
    if isinstance(value, str):
        return {TEXT: value}
    msg = f'KeyValueCache stores str and bytes, which its serializer makes; got {type(value).__qualname__}'
    raise TypeError(msg)


def _value(stored: Any, encoding: str | None) -> Any:
    """The value in what was stored; None if it is not ours."""
    if not isinstance(stored, dict):
        return None
    if isinstance(stored.get(TEXT), str):
        return stored[TEXT]
    if not isinstance(stored.get(BYTES), str):
        return None
    try:
        raw = b64decode(stored[BYTES], validate=True)
    except ValueError:
        return None
    return raw if encoding is None else raw.decode(encoding)
