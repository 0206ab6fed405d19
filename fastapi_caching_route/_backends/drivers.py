"""Drivers: what a link sends its commands through. The one here sends them to a backend of aiocache.

Knows client libraries, their limits, and the commands that each of them sends in its own way. Knows neither time-outs
nor the breaker.
"""

import copy
import math
import os
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from fastapi_caching_route._backends import redis_heads, redis_journal
from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.clients import (
    accepted_ttl,
    close,
    concurrency,
    look_for_nodes_after,
    may_be_cancelled,
    own_client,
)
from fastapi_caching_route._backends.codec import Codec, dumped
from fastapi_caching_route._backends.journal import JournalHead, Journals, Tail, tail_of_none
from fastapi_caching_route._backends.outage import address_of, refusals
from fastapi_caching_route._backends.plugins import PluginOf
from fastapi_caching_route._backends.redis_known import KnownValues, can_tell_how_values_begin

ToSet = tuple[str, object, float]
"""A key, an object, and for how many seconds to store it."""

A_KEY = 'shop:a::GET:/Users/7:0f%~'
"""A key with all that keys may have."""


class Driver(Protocol):
    """What a link sends commands through. Takes and returns objects; spans are in seconds. Exceptions mean trouble."""

    concurrency: int
    """How many commands may be under way at a time."""
    address: str
    """Where they are sent, for the log; empty if unknown."""
    is_ours: bool
    """Whether nobody else uses its client. Then the client is closed when it hangs, and when its event loop ends."""
    may_be_cancelled: bool
    """Whether a command may be cancelled without disturbing the next ones."""
    sets_many: bool
    """Whether `set_many` stores many objects in one round trip."""

    def knows(self, key: str) -> bool:
        """Whether `get_many` need not be sent what was last under a key, however large it is."""
        ...

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """The object under each key, or None."""
        ...

    async def heads(self, keys: Sequence[str]) -> list[object]:
        """What is under each key, or None: of a large object only its head, where the backend can tell that apart."""
        ...

    async def set(self, key: str, value: object, span: float) -> bool:
        """Store an object, or return False. It may be kept a little longer, if the backend counts whole seconds."""
        ...

    async def set_many(self, objects: Sequence[ToSet]) -> list[bool | Exception]:
        """Store objects; what became of each of them."""
        ...

    async def add(self, key: str, value: object, span: float) -> bool:
        """Store an object if there is none under the key, or return False."""
        ...

    async def delete(self, key: str) -> int:
        """Return how many keys were deleted (0 or 1); 0 also if the backend has no such command."""
        ...

    async def erase(self, key: str) -> None:
        """Delete a key, or raise."""
        ...

    async def release(self, key: str, token: str) -> bool:
        """Delete a key if it holds this token, and return whether it did; in one step, if the server can do that."""
        ...

    def failed(self, error: Exception) -> None:
        """Heed that a command has failed, before the next one is sent."""
        ...

    async def close(self) -> None:
        """Close the client if it is ours."""
        ...


class Prolongs(Protocol):
    """A driver whose backend can give a key another time to expire, see `can_prolong`."""

    async def prolong(self, key: str, span: float) -> bool:
        """Let what is under a key expire `span` seconds from now; return whether there is something."""
        ...


class AiocacheDriver:
    """Sends commands through a copy of a backend, with our codec and, if we can build one, a client of our own."""

    __slots__ = (
        *('_backend', '_codec', '_journals', '_known', '_reads_itself'),
        *('address', 'client', 'concurrency', 'is_ours', 'may_be_cancelled', 'sets_many'),
    )

    def __init__(self, backend: BaseCache, codec: Codec, journals: Journals | None = None) -> None:
        """Copy the backend; connect when the first command is sent. Redis has `journals` of its own."""
        ours: Any = copy.copy(backend)
        ours.serializer = codec
        ours.plugins = [PluginOf(it, backend) for it in backend.plugins]
        ours.timeout = None  # aiocache would cancel a command that takes longer
        client = own_client(backend)
        if client is not None:
            ours.client = client
        self._backend = ours
        self._codec = codec
        self._journals = journals
        self._reads_itself = type(backend).multi_get is BaseCache.multi_get and not backend.plugins
        """Whether the backend's own command reads many keys, which is faster: not if plugins or a subclass have code in
        it."""
        self.is_ours: bool = client is not None
        used: Any = getattr(ours, 'client', None)
        self.client, self.address = used, address_of(used)
        self.concurrency: int = concurrency(used)
        self.may_be_cancelled: bool = may_be_cancelled(used)
        sets_itself = type(backend).set is BaseCache.set and not backend.plugins
        self.sets_many: bool = has_journals(backend) and sets_itself and hasattr(used, 'pipeline')

        self._known: KnownValues | None = None
        if self._reads_itself and can_tell_how_values_begin(backend, used):
            self._known = KnownValues(codec, used, partial(ours._multi_get, encoding=None))

    def builds_keys(self) -> bool:
        """Whether the user's code turns our keys into others."""
        return bool(self._backend.build_key(A_KEY, namespace='') != A_KEY)

    def knows(self, key: str) -> bool:
        """See `Driver`."""
        return self._known is not None and self._known.include(self._backend.build_key(key, namespace=''))

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """See `Driver`."""
        if not self._reads_itself:
            found: Sequence[object] = await self._backend.multi_get(keys, namespace='')
        elif os.environ.get('AIOCACHE_DISABLE') == '1':  # as aiocache's own command does
            found = ()
        else:
            names = [self._backend.build_key(key, namespace='') for key in keys]
            if self._known is not None:
                return await self._known.get_many(names)
            found = [self._codec.loads(it) for it in await self._backend._multi_get(names, encoding=None)]
        return found or [None] * len(keys)

    async def heads(self, keys: Sequence[str]) -> list[object]:
        """See `Driver`."""
        if self._known is None or os.environ.get('AIOCACHE_DISABLE') == '1':
            found = await self._backend.multi_get(keys, namespace='', loads_fn=self._head_in)
            return [*found] or [None] * len(keys)
        names = [self._backend.build_key(key, namespace='') for key in keys]
        return await redis_heads.heads(self.client, names, self._codec)

    def _head_in(self, value: Any) -> Any:
        return self._codec.loads_head(value, len(value)) if isinstance(value, bytes) else None

    async def set(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        return bool(await self._backend.set(key, value, ttl=accepted_ttl(self._backend, span), namespace=''))

    async def set_many(self, objects: Sequence[ToSet]) -> list[bool | Exception]:
        """See `Driver`. For Redis only."""
        if os.environ.get('AIOCACHE_DISABLE') == '1':  # as aiocache's own command does
            return [True] * len(objects)
        pipeline = self._backend.client.pipeline(transaction=False)
        raws = [dumped(value, self._codec.dumps) for _, value, _ in objects]
        for (key, _, span), raw in zip(objects, raws, strict=True):
            if not isinstance(raw, Exception):
                milliseconds = int(max(span, SHORTEST) * 1000)
                pipeline.set(self._backend.build_key(key, namespace=''), raw, px=milliseconds)
        replies = iter(await pipeline.execute(raise_on_error=False))
        outcomes = [raw if isinstance(raw, Exception) else next(replies) for raw in raws]
        return [it if isinstance(it, Exception) else bool(it) for it in outcomes]

    async def add(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        try:
            return bool(await self._backend.add(key, value, ttl=accepted_ttl(self._backend, span), namespace=''))
        except ValueError:  # how aiocache says that the key exists
            return False

    async def prolong(self, key: str, span: float) -> bool:
        """See `Prolongs`."""
        return bool(await self._backend.expire(key, math.ceil(accepted_ttl(self._backend, span)), namespace=''))

    async def delete(self, key: str) -> int:
        """See `Driver`."""
        try:
            return int(await self._backend.delete(key, namespace=''))
        except NotImplementedError:  # a backend may lack this command
            return 0

    async def erase(self, key: str) -> None:
        """See `Driver`."""
        await self._backend.delete(key, namespace='')

    async def release(self, key: str, token: str) -> bool:
        """See `Driver`."""
        client: Any = getattr(self._backend, 'client', None)
        stored = self._codec.dumps(token)
        if hasattr(client, 'eval'):  # Redis
            try:
                return bool(await self._backend._redlock_release(key, stored))
            except refusals():  # without the permission for scripts or for DEL: by the commands that have taken it
                (found,) = await self.get_many((key,))
                return found == token and await self.set(key, token, SHORTEST)
        if hasattr(client, 'gets') and hasattr(client, 'cas'):  # memcached
            name = key.encode()
            found, unchanged = await client.gets(name)
            # Ours, and still unchanged: nobody else can have added one.
            was_ours = found == stored and await client.cas(name, b'', unchanged)
            if was_ours:
                await client.delete(name)
            return bool(was_ours)
        was_ours = await self._backend.get(key, namespace='') == token
        if was_ours:
            await self._backend.delete(key, namespace='')
        return bool(was_ours)

    async def journal(self, key: str, known: JournalHead | None, texts: Sequence[str], note: str) -> Tail:
        """See `Journals`. Raises if the backend has none."""
        if os.environ.get('AIOCACHE_DISABLE') == '1':  # as aiocache's own commands do, nothing is sent
            return tail_of_none(known, texts)
        if self._journals is not None:
            return await self._journals.journal(key, known, texts, note)
        client, prefix = self._backend.client, self._codec.prefix_of_texts
        return await redis_journal.journal(client, self._keys_of(key), prefix, known=known, texts=texts, note=note)

    def _keys_of(self, journal: str) -> tuple[str, str]:
        head, texts = (self._backend.build_key(it, namespace='') for it in (journal, f'{journal}:texts'))
        return head, texts

    def failed(self, error: Exception) -> None:
        """See `Driver`."""
        look_for_nodes_after(error, self.client)

    async def close(self) -> None:
        """See `Driver`."""
        if self.is_ours:
            await close(self._backend.client)


def has_journals(backend: BaseCache) -> bool:
    """Whether a backend can append to a journal in one step."""
    return getattr(backend, 'NAME', '') == 'redis'
