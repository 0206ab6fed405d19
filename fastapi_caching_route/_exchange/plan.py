"""What is known of a cached route before any request comes. Does not know how it was found out."""

import logging
import os
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from msgspec.structs import replace

from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.inputs import Inputs, has_user
from fastapi_caching_route._core.key import full_key, user_key
from fastapi_caching_route._core.labels import Labels
from fastapi_caching_route._core.names import Named, are_tags, coarser
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.reasons import Bypass
from fastapi_caching_route._exchange.runtime import Runtime
from fastapi_caching_route._exchange.user_code import Hooks, tell
from fastapi_caching_route._http.cache_control import is_public
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.terms import Terms
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
class RunOptions:
    """How often, and when, a route runs its endpoint for many requests of one response. Spans in seconds."""

    collapse: bool
    collapse_timeout: float
    lock: bool
    eager_refresh: float | None
    """The fraction of a lifetime after which a hit has the entry renewed."""
    endpoint_timeout: float | None = None

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
    """Returns the declarations of the route; called for each request, since tests override dependencies at any time."""
    naming: GivesNames
    terms: Terms
    run_options: RunOptions
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
    """The names of all that code was seen to read of raw requests, in this process."""
    learned_variables: set[str]
    """The context variables that middleware was seen to set."""
    counts: Counts
    """The counters of its requests in this process."""
    surrogates: SurrogateKeys | None
    """In which header caches in front get the tags of a response."""
    stores: bool = True
    """Whether responses are stored here. If not, the headers for other caches go with those that could be."""
    compression: Compression | None = None
    """How responses are kept compressed, if they are."""
    sends_plain: bool = False
    """Whether the route forbids to transform its responses: what is kept compressed, from before, is decoded."""

    def covers_authorization(self, scope: Scope, inputs: Inputs) -> bool:
        """Whether Authorization is accounted for: it is in the key, or code has no way to know what it says.

        What code reads of the header is noted. But it could know the person by what middleware has left.
        Deviation from RFC 9111 §3.5 in the default mode; test_a_client_that_always_sends_authorization_shares.
        """
        if inputs.authorization_covered or not self.stores:
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

    def bypass_of(self, scope: Scope) -> Bypass | None:
        """Why a request bypasses the cache, as far as that is known before any of its dependencies runs."""
        if not self.serves(scope['method']):
            return self._bypass_of_unserved(scope)
        if on_asyncio():
            return None
        tell(reasons.NO_ASYNCIO, scope['path'], self.runtime.told)
        return Bypass(reasons.NO_ASYNCIO.name)

    def _bypass_of_unserved(self, scope: Scope) -> Bypass | None:
        switch = self.runtime.switch
        if scope['method'] in self.labelled and not switch.times_off and on_asyncio():
            return None
        if switch.waits and switch.times_off == 1:
            tell(reasons.NO_BACKEND, scope['path'], self.runtime.told, logging.ERROR)
            return Bypass(reasons.NO_BACKEND.name)
        return Bypass(reasons.DISABLED.name) if switch.times_off else Bypass(None, b'method')

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
