"""The options of a route that affect its key."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyRules:
    """The options of a route that affect its key, besides its declarations."""

    vary: tuple[bytes, ...]
    """Further request headers that are in the key."""
    left_out: frozenset[bytes]
    """Request headers that are not in the key of a route that takes the raw request."""
    raw: bool
    """Whether the route reads the request in a way that no declaration shows."""
    shared: bool
    """Whether credentials and the inputs of guards are not in the key, because `identity` chooses which clients
    share."""
    answered: frozenset[str]
    """Request headers that the endpoint never receives from the client, because the cache handles them."""
    public: bool
    """Whether the route itself lets caches in front share its responses, whatever clients the guards accept."""
    reads: str
    """What counts of the raw request: what is 'noted' when code reads it, 'all', or only what is 'declared'."""
    gets: bool
    """Whether the route answers GET or HEAD, of which caches in front do not see the body."""
    queries: bool
    """Whether the route answers QUERY, whose content is always in the key (RFC 10008)."""
    early: bool
    """Whether explicit dependencies run before the key is made."""
    guards_select: bool
    """Whether responses may depend on credentials and inputs of guards nevertheless, through an `identity` callable."""
    extended: bool
    """Whether a `key` callable adds to the key."""
    host: bool
    """Whether scheme and host are in the key."""
    json: bool
    """Whether JSON bodies that are equal by value share."""
    equal: bool
    """Whether parameters that are equal share even if code can tell them apart: sets and instants."""
    skips: bool
    """Whether a callable of the request lets some requests bypass the cache."""
    is_of_lifespan: Callable[[str, object], bool]
    """Whether an object in the state of a request is one that the lifespan of the app has yielded under this name."""

    @property
    def named_by(self) -> tuple[str, ...]:
        """What names clients for the key, in words: `identity`, or a dependency that gives the session."""
        if not self.guards_select:
            return ()
        return ('the name from identity',) if self.shared else ('the user and the data of the session',)
