"""`RedisClientCache`: a cache of aiocache over redis.asyncio, for a single server, Redis Cluster or Sentinel."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from aiocache.serializers import JsonSerializer
from typing_extensions import Doc

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.clients import close, look_for_nodes, pattern_of
from fastapi_caching_route._backends.redis_clients import maker_of
from fastapi_caching_route._backends.redis_heads import FIRST_BYTES
from fastapi_caching_route._backends.redis_known import is_of_another_type
from fastapi_caching_route._core.key import root_of
from fastapi_caching_route._core.owner import belongs, belongs_by_key, head_ends_at

CLEARED_AT_ONCE = 500
"""How many keys `clear` reads and deletes in one round trip: they take a megabyte at most, but for very long heads."""

_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class RedisClientCache(BaseCache):
    """A cache of aiocache over redis.asyncio. Takes a client, a URL, or a function that returns clients.

        RedisClientCache('redis://10.0.0.1:6379/0')
        RedisClientCache(RedisCluster(host='10.0.0.1'))
        RedisClientCache(Sentinel([('10.0.0.1', 26379)]).master_for('main'))
        RedisClientCache(lambda: MyRedis(host='10.0.0.1', retry=Retry(NoBackoff(), 0)))

    A client of redis.asyncio belongs to one event loop, and a client that hangs is dropped. The client that you pass is
    therefore only a template: the cache creates new clients with the same settings, one for each event loop. These
    never retry a command, because a retry delays others and could store an entry again over a newer one, and they never
    read from replicas. A function is called once for each event loop, and again after a client was dropped. Its clients
    are used as they are, and must not retry commands either.

    Raises:
        ConfigurationError: no new clients can be made, or they are not asynchronous, or they have
            `decode_responses=True`; a URL cannot be used, or redis-py is not installed.

    """

    NAME: str = 'redis'

    def __init__(
        self,
        client: Annotated[
            Any,
            Doc(
                'A client of redis.asyncio (`Redis`, `RedisCluster`, or from `Sentinel.master_for`), a URL as for '
                '`FastAPICache.from_url`, without namespace and ttl, or a function that returns a client.'
            ),
        ],
        *,
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
        self.new_client: Callable[[], Any] = maker_of(client)
        self._client: Any = None if callable(client) or isinstance(client, str) else client

    @property
    def client(self) -> Any:
        """The client for your own commands: the one that was given, or else a new one, created at first use."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    @client.setter
    def client(self, client: Any) -> None:
        self._client = client

    async def _get(self, key: str, encoding: str | None = 'utf-8', _conn: Any = None) -> Any:
        return _decoded(await self.client.get(key), encoding)

    async def _gets(self, key: str, encoding: str | None = 'utf-8', _conn: Any = None) -> Any:
        return await self._get(key, encoding)

    async def _multi_get(self, keys: Sequence[str], encoding: str | None = 'utf-8', _conn: Any = None) -> list[Any]:
        # In a cluster, keys are on several nodes: one round trip to each.
        get_all = getattr(self.client, 'mget_nonatomic', self.client.mget)
        return [_decoded(it, encoding) for it in await get_all(keys)]

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        if _cas_token is not None:
            msg = 'RedisClientCache has no compare-and-set'
            raise NotImplementedError(msg)
        return bool(await self.client.set(key, value, px=_milliseconds(ttl)))

    async def _multi_set(self, pairs: Iterable[tuple[str, Any]], ttl: float | None = None, _conn: Any = None) -> bool:
        return all([await self._set(key, value, ttl) for key, value in pairs])

    async def _add(self, key: str, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        if not await self.client.set(key, value, px=_milliseconds(ttl), nx=True):
            msg = f'Key {key} already exists, use .set to update the value'  # aiocache's own words for it
            raise ValueError(msg)
        return True

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return bool(await self.client.exists(key))

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> int:
        return int(await self.client.incrby(key, delta))

    async def _expire(self, key: str, ttl: float, _conn: Any = None) -> bool:
        milliseconds = _milliseconds(ttl)
        return bool(await (self.client.pexpire(key, milliseconds) if milliseconds else self.client.persist(key)))

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(await self.client.delete(key))

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        look_for_nodes(self.client)
        if namespace:
            for begin in {namespace, root_of(namespace)}:
                page: list[Any] = []
                async for key in self.client.scan_iter(pattern_of(f'{begin}:'), count=CLEARED_AT_ONCE):
                    page.append(key)
                    if len(page) == CLEARED_AT_ONCE:
                        await self._delete_of(namespace, page)
                        page = []
                await self._delete_of(namespace, page)
        else:
            await self.client.flushdb()
        return True

    async def _delete_of(self, namespace: str, keys: Sequence[Any]) -> None:
        """Delete those of the keys that are in a namespace, and not in a longer one of another cache."""
        told = {key: belongs_by_key(_name(key), namespace) for key in keys}
        begins = await self._begins({key: FIRST_BYTES for key, it in told.items() if it is None})
        longer = {key: head_ends_at(begin) for key, begin in begins.items() if head_ends_at(begin) > len(begin)}
        begins |= await self._begins(longer)
        told |= {key: belongs(_name(key), begin, namespace) for key, begin in begins.items()}
        own = [key for key, it in told.items() if it]
        if hasattr(self.client, 'nodes_manager'):
            await self._each('delete', [(key,) for key in own])
        elif own:
            await self.client.delete(*own)

    async def _begins(self, sizes: dict[Any, int]) -> dict[Any, bytes]:
        """The first bytes of the value under each key; of what is no value, such as a list, none."""
        ranges = [(key, 0, size - 1) for key, size in sizes.items()]
        replies = await self._each('getrange', ranges, raise_on_error=False)
        for it in replies:
            if isinstance(it, Exception) and not is_of_another_type(it):
                raise it
        return {key: it if isinstance(it, bytes) else b'' for key, it in zip(sizes, replies, strict=True)}

    async def _each(self, command: str, given: Sequence[tuple[Any, ...]], *, raise_on_error: bool = True) -> list[Any]:
        """Send a command many times, in one round trip; in a cluster, in one to each node."""
        if not given:
            return []
        pipeline = self.client.pipeline(transaction=False)
        for it in given:
            getattr(pipeline, command)(*it)
        replies: list[Any] = await pipeline.execute(raise_on_error=raise_on_error)
        return replies

    async def _raw(
        self, command: str, *args: Any, encoding: str | None = 'utf-8', _conn: Any = None, **options: Any
    ) -> Any:
        return _decoded(await getattr(self.client, command)(*args, **options), encoding)

    async def _redlock_release(self, key: str, value: Any) -> int:
        return int(await self.client.eval(_RELEASE, 1, key, value))

    async def _close(self, *args: Any, _conn: Any = None, **options: Any) -> None:  # noqa: ARG002, aiocache's
        if self._client is not None:
            client, self._client = self._client, None
            await close(client)

    def _build_key(self, key: str, namespace: str | None = None) -> str:
        """Build keys as aiocache's `RedisCache` does."""
        namespace = self.namespace if namespace is None else namespace
        return f'{namespace}:{key}' if namespace else key


def _name(key: Any) -> str:
    return key.decode(errors='replace') if isinstance(key, bytes) else str(key)


def _milliseconds(ttl: float | None) -> int | None:
    return int(max(ttl, SHORTEST) * 1000) if ttl else None


def _decoded(value: Any, encoding: str | None) -> Any:
    if encoding is None and isinstance(value, str):
        msg = 'the client of a RedisClientCache must return bytes: remove decode_responses=True'
        raise TypeError(msg)
    return value.decode(encoding) if encoding is not None and isinstance(value, bytes) else value
