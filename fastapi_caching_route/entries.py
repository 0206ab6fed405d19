"""`EntryInfo`: what is stored, without the bodies. Knows nothing of stores."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """One stored response."""

    key: str
    """The full key, with its namespace. The one of a `key_builder` is as it was made."""
    route: str
    """The path template; empty for responses that were stored by `set_cached`."""
    endpoint: str
    """The module and the name of the endpoint."""
    path: str
    """The path of the request; empty for responses that were stored by `set_cached`. A very long one is cut, and ends
    in a digest."""
    status: int
    stored_at: float
    """Seconds since the epoch."""
    age: float
    """Seconds since the endpoint began its response."""
    ttl_left: float
    """Seconds for which it is fresh yet; negative: for how long it has been stale."""
    size: int
    """About how many bytes it takes in memory, with headers and names, compressed if it is kept so."""
    body_bytes: int
    """The size of its body, not compressed."""
    tags: tuple[str, ...]
    """Of very many, the first 256."""
    coding: str
    """Its `Content-Encoding`, or that in which it is kept; empty if it has none."""
    endpoint_seconds: float
    """How long the endpoint took for it, in whichever process; 0 if that is not known."""
    variant_of: str | None
    """The key that it shares with other variants (`Vary`), if its own key shows that."""
    is_alive: bool
    """Whether it can still be used: it was not invalidated since."""

    @property
    def is_fresh(self) -> bool:
        """Whether it answers a request without running the endpoint first."""
        return self.is_alive and self.ttl_left > 0
