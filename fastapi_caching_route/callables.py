"""The types of the callables that users give as options. Knows none of the options themselves."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

KeyBuilder = Callable[[Any], str | Awaitable[str]]
"""Makes the cache key of a `starlette.requests.Request`. May be async.

You are responsible for including everything the response depends on.
"""

Tags = Callable[[Any], Collection[str] | Awaitable[Collection[str]]]
"""Returns the tags of the response to a `starlette.requests.Request`. May be async."""

Identity = Callable[[Any], str | Awaitable[str]]
"""Returns a name for a `starlette.requests.Request`: requests with equal names share entries. May be async."""

Key = Callable[[Any], object]
"""Returns what a `starlette.requests.Request` adds to its key: a str, a number, or a list of them. May be async."""

Skip = Callable[[Any], object]
"""Returns a true value if a `starlette.requests.Request` bypasses the cache. May be async."""

StoreIf = Callable[[Any], object]
"""Returns a true value if a `CachedResponse` is to be stored. Called only for responses that may be stored."""
