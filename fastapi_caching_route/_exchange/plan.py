"""What is known of a cached route before any request comes, and what of its declaration an exchange has to know."""

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from inspect import isawaitable
from math import floor
from zlib import crc32

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.pauses import Pauses
from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry, Recording
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import full_key, user_key
from fastapi_caching_route._core.names import Naming, are_tags, coarser
from fastapi_caching_route._core.reasons import EXPLAINED, MISTAKES, OF_THE_ANSWER, WHAT
from fastapi_caching_route._core.recorder import Budget
from fastapi_caching_route._core.variants import Variants, may_be_for_all
from fastapi_caching_route._http import cache_status
from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._store.remote import Store

logger = logging.getLogger('fastapi_caching_route')


def tell(reason: str, path: str, told: set[str]) -> None:
    """Say in the log why, the first time that it comes to this on a route."""
    if reason not in told:
        told.add(reason)
        level = logging.WARNING if reason in MISTAKES else logging.INFO
        what = 'is not stored' if reason in OF_THE_ANSWER else WHAT.get(reason, 'bypasses the cache')
        logger.log(level, '%r %s: %s', path, what, EXPLAINED[reason])


OF_OTHER_CACHES = frozenset((b'age', b'cache-status'))
"""Fields that those add to who is nearer to the client; ours come after theirs."""


@dataclass(frozen=True, slots=True)
class Herds:
    """What a route says about many requests for one answer. Spans in seconds."""

    collapse: bool
    collapse_timeout: float
    lock: bool
    eager_refresh: float | None
    """The fraction of a lifetime after which a hit has the entry renewed."""
    endpoint_timeout: float | None

    def is_due(self, entry: Entry, age: float) -> bool:
        """Whether an entry of this age is to be renewed before it is stale: in each process at another moment."""
        eager = self.eager_refresh
        if eager is None or age < entry.lifetime * eager:
            return False
        share = crc32(f'{os.getpid()} {entry.key} {entry.stored_at}'.encode()) / 2**33  # from 0 to a half
        return age >= entry.lifetime * (eager + (1 - eager) * share)


@dataclass(slots=True)
class Switch:
    """How many `with cache.disabled()` are open: the cache is in use at 0."""

    times_off: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a cached route before any request comes."""

    store: Store
    clock: Callable[[], float]
    """Seconds since the epoch."""
    namespace: str
    declared: Callable[[], Declared]
    """What the route declares; asked anew for each request, since tests override dependencies while the app runs."""
    key_builder: Callable[[Scope], object] | None
    naming: Naming
    skip: Callable[[Scope], Awaitable[bool]] | None
    """Gives something to await that says whether a request bypasses the cache."""
    wanted: Callable[[Recording], bool] | None
    """Says whether a complete answer that may be kept is kept."""
    tags: Callable[[Scope], object] | None
    """Gives the tags of an answer, or something to await that does."""
    flights: Flights
    """The runs of endpoints that are under way in this process."""
    alone: Pauses
    """Keys of which answers were not for sharing lately."""
    failed: Pauses
    """Keys of which the endpoint failed lately, where there was something stale to answer from."""
    unrenewed: Pauses
    """Keys of entries that could not be renewed lately."""
    herds: Herds
    ttl_jitter: float
    """By which part of itself a lifetime may be shorter."""
    who: Callable[[Scope], object] | None
    """Names with whom a request shares, or gives something to await that does."""
    watch: Callable[[Scope, Callable[[], None]], Mapping[str, object]]
    """What a scope is to be given so that a function is called when an exception handler of the user's answers."""
    terms: Terms
    switch: Switch
    """Whether the cache is in use."""
    methods: frozenset[str]
    """Those whose answers are cached; answers to all others come from the endpoint."""
    heeds_demands: bool
    """Whether the Cache-Control of a request counts."""
    budget: Budget
    status_name: bytes | None
    """The name of this cache in Cache-Status; None where that is not sent."""
    told: set[str]
    """Why requests bypassed the cache, as far as the log says it already."""
    emitted: RawHeaders
    """Cache-Control and CDN-Cache-Control of ours, and below for answers that others must not get."""
    emitted_for_one: RawHeaders
    hit: tuple[bytes, bytes]
    """The field that marks an answer from an entry, and below the one on an answer that is being stored."""
    miss: tuple[bytes, bytes]

    def serves(self, method: str) -> bool:
        """Whether answers to this method are cached, and the cache is in use."""
        return method in self.methods and not self.switch.times_off

    def passes_by(self, scope: Scope) -> tuple[bytes, str | None] | None:
        """Why nothing is looked up or stored for a request, in the words of Cache-Status; None if that is not so."""
        if not self.serves(scope['method']):
            return (b'bypass', 'disabled') if self.switch.times_off else (b'method', None)
        if on_asyncio():
            return None
        tell('no-asyncio', scope['path'], self.store.told)
        return b'bypass', 'no-asyncio'

    async def names(self, scope: Scope, built: str | None) -> tuple[str, ...] | None:
        """The names of an answer to this request; `built` is its key where a key builder has made it.

        None if its tags cannot be told: then it could not be invalidated by them, and must not be stored.
        """
        tags: object = () if self.tags is None else await ask_user(self.tags, scope)
        if are_tags(tags) and not self.naming.unknown:
            by_user = None if built is None else full_key(self.namespace, user_key(built))
            return self.bounded(self.naming.names(scope, by_user, tags), scope)
        tell('tags' if are_tags(tags) else 'tags-callable', scope['path'], self.told)
        return None

    def bounded(self, names: tuple[str, ...], scope: Scope) -> tuple[str, ...]:
        """The names of an entry: of its tags only the groups, if there are very many."""
        fewer = coarser(names)
        if fewer is not names:
            tell('many-tags', scope['path'], self.told)
        return fewer

    def emission(self, headers: RawHeaders, inputs: Inputs, variants: Variants | None) -> RawHeaders:
        """The headers that say how others may store the response, as far as the endpoint has not said it."""
        if not self.emitted:
            return ()
        emitted = self.emitted if may_be_for_all(inputs, variants) else self.emitted_for_one
        present = {name for name, _ in headers}
        return [field for field in emitted if field[0] not in present]

    def signs_of_a_hit(
        self,
        age: float,
        left: float,
        headers: RawHeaders,
        inputs: Inputs,
        variants: Variants | None = None,
        *,
        detail: bytes | None = None,
    ) -> RawHeaders:
        """The fields that mark an answer with these headers from an entry of this age, fresh for so many seconds more."""
        if not self.emitted and detail is None:
            return _signs_of_a_hit(int(age), floor(left), self.hit, self.status_name)
        emission = self.emission(headers, inputs, variants)
        signs = [*age_field(age, emission), *emission, self.hit]
        if self.status_name is not None:
            signs.append((b'cache-status', cache_status.hit(self.status_name, left, detail)))
        return signs

    def signs_of_a_miss(self, why: bytes, emission: RawHeaders) -> RawHeaders:
        """The fields that mark an answer that is being stored."""
        return (*emission, self.miss, *self.status(why, stored=True))

    def signs_of_what_was_held(
        self, why: bytes, fields: RawHeaders, emission: RawHeaders, age: float, reason: str | None
    ) -> RawHeaders:
        """The fields that mark an answer of the endpoint of this age, which has these fields; `reason` is why it is not stored."""
        signs = self.status(why, detail=reason) if reason else self.signs_of_a_miss(why, emission)
        if OF_OTHER_CACHES.isdisjoint(dict(fields)):
            return signs
        if lines(fields, b'age'):  # it was not new when it came (RFC 9111 §5.1)
            signs = (*age_field(age, signs), *signs)
        return (*((b'cache-status', it) for it in lines(fields, b'cache-status')), *signs)

    def signs_of_a_follower(self, age: float, why: bytes, emission: RawHeaders) -> RawHeaders:
        """The fields that mark an answer from what another request has brought."""
        signs = [*age_field(age, emission), *emission, self.hit]
        if self.status_name is not None:
            signs.append((b'cache-status', cache_status.forwarded(self.status_name, why, collapsed=True)))
        return signs

    def signs_of_an_entry(
        self, age: float, why: bytes, status: int | None, emission: RawHeaders, *, left: float, detail: str | None
    ) -> RawHeaders:
        """The fields that mark an answer from an entry, after the endpoint was asked and has given this status, or none.

        Without a detail that says why not, it is stored.
        """
        signs = [*age_field(age, emission), *emission, self.hit]
        if self.status_name is not None:
            stored = detail is None
            value = cache_status.forwarded(
                self.status_name, why, status=status, ttl=floor(left), stored=stored, detail=detail
            )
            signs.append((b'cache-status', value))
        return signs

    def status(self, why: bytes | None, *, stored: bool = False, detail: str | None = None) -> RawHeaders:
        """The Cache-Status of an answer of the endpoint."""
        if self.status_name is None:
            return ()
        return ((b'cache-status', cache_status.forwarded(self.status_name, why, stored=stored, detail=detail)),)


@lru_cache(1024)
def _signs_of_a_hit(age: int, left: int, hit: tuple[bytes, bytes], status_name: bytes | None) -> RawHeaders:
    """The same for most hits, of which there are many in one second."""
    status = [] if status_name is None else [(b'cache-status', cache_status.hit(status_name, left))]
    return ((b'age', b'%d' % age), hit, *status)


def age_field(age: float, emission: RawHeaders) -> RawHeaders:
    """Age, but not beside a Cache-Control of ours: that counts from now on."""
    return [] if any(name == b'cache-control' for name, _ in emission) else [(b'age', b'%d' % age)]


async def ask_user(named: Callable[[Scope], object], scope: Scope) -> object:
    """What a callable of the user's makes of a request; None if it raises."""
    try:
        made = named(scope)
        return await made if isawaitable(made) else made
    except Exception as error:  # noqa: BLE001, the user's; its text may hold a credential
        logger.debug('a callable for the request raised %s', type(error).__name__)
        return None
