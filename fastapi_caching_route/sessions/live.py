"""A session as it was found in the store for one request."""

from dataclasses import dataclass

from fastapi_caching_route.sessions.errors import SessionStoreError
from fastapi_caching_route.sessions.stored import StoredSession
from fastapi_caching_route.sessions.tokens import Ticket


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session as it is stored."""

    ticket: Ticket
    raw: bytes
    record: StoredSession

    @property
    def handle(self) -> str:
        """Names the session without opening it."""
        return self.ticket.handle


@dataclass(frozen=True, slots=True)
class Loaded:
    """What there was for a request: a session, none, or a store in trouble."""

    kept: LiveSession | None
    token: str = ''
    trouble: SessionStoreError | None = None

    def found(self) -> LiveSession | None:
        """The session, or None.

        Raises:
            SessionStoreError: the store was in trouble.

        """
        if self.trouble is not None:
            raise self.trouble
        return self.kept
