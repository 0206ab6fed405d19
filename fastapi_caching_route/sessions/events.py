"""What happens to sessions, for whoever wants to know. No token and no id that opens a session is in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from typing_extensions import Doc

EventKind = Literal['created', 'renewed', 'regenerated', 'ended', 'expired', 'refused']


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """Something that happened to a session."""

    kind: EventKind
    session: Annotated[str, Doc('The `id` of the session, by which nobody can use it; empty if it is not known.')]
    user: Annotated[str | None, Doc('The id of its user; None for an anonymous session.')] = None
    reason: Annotated[
        str,
        Doc(
            "Of `'refused'`: `'token'`, `'cookies'`, `'unknown'`, `'user-agent'` or `'address'`. Of `'ended'`: "
            "`'signed-out'`, `'replaced'`, `'too-many'`, `'all-of-user'` or `'not-sent'`. Of `'expired'`: `'idle'` "
            "or `'lifetime'`."
        ),
    ] = ''


SessionHandler = Callable[[SessionEvent], Any]
"""A plain function of one event. It runs in the request, so it must be quick; if it raises, that is logged."""
