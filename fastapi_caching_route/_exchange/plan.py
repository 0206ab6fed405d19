"""What is known of a cached route before any request comes. Does not know how it was found out."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from inspect import isawaitable
from traceback import format_tb
from typing import Protocol
from weakref import WeakSet
from zlib import crc32

from msgspec.structs import replace

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.pauses import Pauses
from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry, Recording
from fastapi_caching_route._core.inputs import Inputs, has_user
from fastapi_caching_route._core.key import full_key, user_key
from fastapi_caching_route._core.labels import Labels
from fastapi_caching_route._core.minutes import Minutes
from fastapi_caching_route._core.names import Named, are_tags, coarser
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.recorder import Budget
from fastapi_caching_route._core.variants import Brought, RecentRecords
from fastapi_caching_route._exchange.negotiating import CodedEntries, PlainBodies
from fastapi_caching_route._exchange.switch import Switch
from fastapi_caching_route._http.cache_control import is_public
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.surrogates import SurrogateKeys

logger = logging.getLogger('fastapi_caching_route')


_SET_BY_MIDDLEWARE = (
    '%r does not store responses to requests with Authorization: middleware sets the context variable %r; if the '
    'endpoint reads it, say by identity who shares; if it names no person, list it in harmless_context'
)
MAX_LEARNED = 128
"""How many names of what is read are remembered for a route: code may ask for any."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What all routes of one `FastAPICache` have in common while the app runs."""

    store: Store
    clock: Callable[[], float]
    """Seconds since the epoch."""
    flights: Flights[Brought]
    """The runs of endpoints that are under way in this process."""
    unshareable: Pauses
    """Keys whose responses could not be shared lately."""
    failing: Pauses
    """Keys whose endpoint failed lately, while something stale could answer."""
    unrenewable: Pauses
    """Keys whose entries could not be renewed lately."""
    budget: Budget
    switch: Switch
    told: set[str]
    """The reasons that were logged once for all routes."""
    observers: Observers
    counts: dict[tuple[str, str], Counts]
    """The numbers of each route, by its path template and its endpoint."""
    records: RecentRecords = field(default_factory=RecentRecords)
    plain_bodies: PlainBodies = field(default_factory=PlainBodies)
    coded_entries: CodedEntries = field(default_factory=CodedEntries)
    compressing: 'set[asyncio.Task[None]]' = field(default_factory=set)
    """What is being compressed behind its first response."""
    minutes: Minutes = field(default_factory=Minutes)
    """What the last minutes have brought."""

    def counts_of(self, route: str, endpoint: str) -> Counts:
        """The numbers of a route. They are the same object wherever the route is reached."""
        return self.counts.setdefault((route, endpoint), Counts(route, endpoint))


@dataclass(frozen=True, slots=True)
class Hooks:
    """The callables of the user's, each given a scope; None where there is none.

    What they return may have to be awaited.
    """

    key_builder: Callable[[Scope], object] | None
    key: Callable[[Scope], object] | None
    """Returns what a request adds to its key."""
    identity: Callable[[Scope], object] | None
    """Names the clients with whom a request shares."""
    skip: Callable[[Scope], Awaitable[bool]] | None
    """Says whether a request bypasses the cache."""
    tags: Callable[[Scope], object] | None
    store_if: Callable[[Recording], bool] | None
    """Says whether a complete response that may be stored is stored."""


@dataclass(frozen=True, slots=True)
class Herds:
    """What a route says about many requests for one response. Spans in seconds."""

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


class GivesNames(Protocol):
    """Gives the entries of a route their names, see `Naming`."""

    @property
    def unknown(self) -> AbstractSet[str]:
        """Parameters in the tags that do not exist."""
        ...

    def names(self, scope: Scope, key: str | None, tags: Collection[str], /) -> Named:
        """The names of a response to this request."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a cached route before any request comes."""

    runtime: Runtime
    hooks: Hooks
    namespace: str
    declared: Callable[[], Declared]
    """What the route declares; asked anew for each request, since tests override dependencies while the app runs."""
    naming: GivesNames
    terms: Terms
    herds: Herds
    labels: Labels
    methods: frozenset[str]
    """Those whose responses are stored; all others are answered by the endpoint."""
    labelled: frozenset[str]
    """Those whose responses are labelled like stored ones, and not stored here."""
    heeds_demands: bool
    """Whether the Cache-Control of a request counts."""
    ttl_jitter: float
    """By which part of itself a lifetime may be shorter."""
    watch: Callable[[Scope, ReadLog], Mapping[str, object]]
    """Returns items for a scope by which it is noted what a user's exception handlers read."""
    told: set[str]
    """The reasons that the log has told of this route."""
    set_by_middleware: Callable[[], str | None]
    """Returns the name of a context variable by which code may know who asks, or None."""
    learned: set[str]
    """What code was seen to read of raw requests, in this process."""
    learned_variables: set[str]
    """The context variables that middleware was seen to set."""
    counts: Counts
    """What has become of its requests in this process."""
    surrogates: SurrogateKeys | None
    """In which header caches in front get the tags of a response."""
    compression: Compression | None = None
    """How responses are kept compressed, if they are."""
    sends_plain: bool = False
    """Whether the route forbids to transform its responses: what is kept compressed, from before, is decoded."""

    def covers_authorization(self, scope: Scope, inputs: Inputs) -> bool:
        """Whether Authorization is accounted for: it is in the key, or code has no way to know what it says.

        What code reads of the header is noted. But it could know the person by what middleware has left.
        Deviation from RFC 9111 §3.5 in the default mode; test_a_client_that_always_sends_authorization_shares.
        """
        if inputs.authorization_covered or not self.labels.stores:
            return True
        if self.terms.by_the_book or not inputs.accounted or has_user(scope):
            return False
        variable = self.set_by_middleware()
        if variable is not None and variable not in self.learned_variables:
            self.learned_variables.add(variable)
            logger.info(_SET_BY_MIDDLEWARE, scope['path'], variable)
        return variable is None

    def learn(self, read: Collection[str]) -> None:
        """Remember what was read of a raw request."""
        if len(self.learned) < MAX_LEARNED:
            self.learned.update(read)

    def passes_by(self, scope: Scope) -> tuple[bytes, str | None] | None:
        """Why nothing is looked up or stored for a request, in the words of Cache-Status; None if that is not so."""
        if not self.serves(scope['method']):
            return self._passes_unserved(scope)
        if on_asyncio():
            return None
        tell(reasons.NO_ASYNCIO, scope['path'], self.runtime.told)
        return b'bypass', reasons.NO_ASYNCIO.name

    def _passes_unserved(self, scope: Scope) -> tuple[bytes, str | None] | None:
        switch = self.runtime.switch
        if scope['method'] in self.labelled and not switch.times_off and on_asyncio():
            return None
        if switch.waits and switch.times_off == 1:
            tell(reasons.NO_BACKEND, scope['path'], self.runtime.told, logging.ERROR)
            return b'bypass', reasons.NO_BACKEND.name
        return (b'bypass', reasons.DISABLED.name) if switch.times_off else (b'method', None)

    def names(self, scope: Scope, built: str | None, tags: object) -> Named | None:
        """The names of a response to this request; `built` is its key if a key builder has made it.

        The `tags` are those that the route gives it, if that is what they are. None if they cannot be told: then it
        could not be invalidated by them, and must not be stored.
        """
        if are_tags(tags) and not self.naming.unknown:
            by_user = None if built is None else full_key(self.namespace, user_key(built))
            named = self.naming.names(scope, by_user, tags)
            bounded = self.bounded(named.names, scope)
            return named if bounded is named.names else replace(named, names=bounded)
        tell(reasons.TAGS if are_tags(tags) else reasons.TAGS_CALLABLE, scope['path'], self.told)
        return None

    def bounded(self, names: tuple[str, ...], scope: Scope) -> tuple[str, ...]:
        """The names of an entry: of its tags only the groups, if there are very many."""
        fewer = coarser(names)
        if fewer is not names:
            tell(reasons.MANY_TAGS, scope['path'], self.told)
        return fewer

    def tagged(self, headers: RawHeaders, names: tuple[str, ...], path: str) -> RawHeaders:
        """The headers of a response, with its tags for caches in front."""
        if self.surrogates is None:
            return headers
        added, is_cut = self.surrogates.added(headers, names)
        if is_cut:
            tell(reasons.CUT_TAGS, path, self.told)
        return added

    def doubt_public(self, headers: RawHeaders, path: str) -> None:
        """Warn, once, of an endpoint that lets caches in front mix up what they cannot tell apart."""
        if not (self.terms.by_the_book or reasons.PUBLIC.name in self.told) and is_public(headers):
            tell(reasons.PUBLIC, path, self.told)

    def serves(self, method: str) -> bool:
        """Whether responses to this method are cached, and the cache is in use."""
        return method in self.methods and not self.runtime.switch.times_off


def tell(reason: reasons.Reason, path: str, told: set[str], level: int | None = None) -> None:
    """Log a reason, the first time that it applies on a route."""
    if reason.name not in told:
        told.add(reason.name)
        usual = logging.WARNING if reason.is_mistake else logging.INFO
        logger.log(level or usual, '%r %s: %s', path, reason.effect, reason.text)


async def ask_user(named: Callable[[Scope], object], scope: Scope) -> object:
    """What a callable of the user's makes of a request; None if it raises."""
    try:
        made = named(scope)
        return await made if isawaitable(made) else made
    except Exception as error:  # noqa: BLE001, the user's
        tell_raised(named, error)
        return None


def tell_raised(named: Callable[..., object], error: Exception) -> None:
    """Log where a callable of the user's has raised an exception, the first time.

    The text of the exception is left out: it may hold what the callable has read, such as a credential.
    """
    if named not in _raised:
        _raised.add(named)
        places = ''.join(format_tb(error.__traceback__))
        logger.warning('a callable of a cached route raised %s:\n%s', type(error).__qualname__, places)


_raised: WeakSet[Callable[..., object]] = WeakSet()
