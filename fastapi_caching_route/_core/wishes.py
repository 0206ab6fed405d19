"""What the endpoint and its dependencies wish for one response.

`CacheContext` writes it into the scope, and the exchange reads it.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Wishes:
    """The wishes for one response; None where there is none."""

    key: str | None = None
    """No wish, but for reading: the key without its namespace."""
    full_key: str = ''
    """The same with its namespace, as in the store."""
    ttl: float | None = None
    tags: set[str] = field(default_factory=set)
    refused: str | None = None
    """Why the response must not be stored."""
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None
