"""The wishes of the endpoint and its dependencies for one response.

`CacheContext` writes them into the scope, and the exchange reads them.
"""

from msgspec import Struct, field


class Wishes(Struct):
    """The wishes for one response; None if there is none."""

    key: str | None = None
    """Not a wish, but for user code to read: the cache key without its namespace."""
    full_key: str = ''
    """The cache key with its namespace, as in the store."""
    ttl: float | None = None
    tags: set[str] = field(default_factory=set)
    refused: str | None = None
    """Why the response must not be stored."""
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None
