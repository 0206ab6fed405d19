"""What is said about an answer while it is being made: by `CacheContext`, to the exchange, through the scope."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Wishes:
    """What endpoint and dependencies have said about this one answer; None where they said nothing."""

    key: str | None = None
    """Not said, but known: the key without its namespace."""
    full_key: str = ''
    """With its namespace, as the store has it."""
    ttl: float | None = None
    tags: set[str] = field(default_factory=set)
    refused: str | None = None
    """Why it must not be stored."""
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None
