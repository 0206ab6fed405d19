"""The records that observers get: what became of a response, of a name, of an entry, of a store.

Knows nothing of the rest. No record holds a body, the value of a header, or a cache key that a `key_builder` made.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

ResponseOutcome = Literal['hit', 'stale', 'collapsed', 'miss', 'revalidated', 'bypass', 'refused', 'error']
"""Where a response comes from.

`hit`: a fresh entry. `stale`: a stale entry within a window. `collapsed`: another request's run of the endpoint.
`miss`: the endpoint. `revalidated`: an entry that the endpoint has confirmed with a 304. `bypass`: the endpoint, and
nothing was looked up. `refused`: a guard or another dependency, invalid parameters, or `only-if-cached` without an
entry. `error`: the endpoint raised an exception, or returned a 500, 502, 503 or 504 that was not stored.
"""


class Responded(Struct, frozen=True, kw_only=True):
    """One response of a route that is decorated with `@cache(...)`."""

    outcome: ResponseOutcome
    method: str
    route: str
    """The path template, with the prefixes of routers."""
    endpoint: str
    """The module and the name of the endpoint."""
    status: int
    """500 if the endpoint raised an exception before its response began."""
    reason: str | None
    """Why the response is not stored or the cache was bypassed, in the words of `Cache-Status`; None if neither."""
    stored: bool
    """Whether the response is stored."""
    bytes: int
    """The length of the body that was sent."""
    age: float | None
    """The age of the entry in seconds; None if the response is from the endpoint."""
    key: str | None
    """The cache key without its namespace; a digest if a `key_builder` made it; None if there is none."""
    seconds: float
    """From the beginning of the request to the end of its response."""
    look_up_seconds: float
    guard_seconds: float
    """In the dependencies that ran before the entry was sent. On a miss, they run with the endpoint."""
    endpoint_seconds: float
    """In the endpoint, with its dependencies, until its response was complete; 0 if it did not run for this request."""


class Invalidated(Struct, frozen=True, kw_only=True):
    """Names were invalidated by this process."""

    names: tuple[str, ...]
    """The invalidated names: `tag:user:7`, `path:/users/7`, `endpoint:shop.get_user@/users/{id}`, `all`. The key of a
    `key_builder` is a digest."""
    soft: bool
    """Whether the entries become stale; if not, they are not used any more."""
    is_pending: bool
    """Whether the backend has not accepted it yet. It is retried until it has."""
    seconds: float = 0.0
    """How long the backend took for it; 0 if no command was sent."""


EvictingStore = Literal['memory', 'near', 'lmdb']
"""Which store has evicted something: a `MemoryCache`, near copies, or an `LMDBCache`. Redis and memcached do not
tell."""


class Evicted(Struct, frozen=True, kw_only=True):
    """This process has removed entries from a full store, to make room."""

    store: EvictingStore
    entries: int = 1
    """How many were removed; of LMDB, all values that had not expired."""
    bytes: int
    """Their size in bytes, with their keys."""
    cause: Literal['full', 'emptied'] = 'full'
    """`full`: they were used less than others. `emptied`: all was dropped, since not even an invalidation could be
    written."""


class StoreFailed(Struct, frozen=True, kw_only=True):
    """An outage: requests are answered without the store from now on."""

    address: str
    """Where the store is, without credentials; empty if that is not known."""
    error: str
    """The type and the text of the error, without credentials."""


class StoreRecovered(Struct, frozen=True, kw_only=True):
    """The end of an outage."""

    address: str
    seconds: float
    """How long it lasted."""


Event = Responded | Invalidated | Evicted | StoreFailed | StoreRecovered
"""The records that an observer gets. Only the records of responses have an `outcome`."""

Observer = Callable[[Event], object]
"""A plain function. One that raises is logged once, and not called again."""
