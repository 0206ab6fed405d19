"""What happens to sessions. Events contain no tokens, and no id that gives access to a session."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from typing_extensions import Doc

EventKind = Literal['created', 'renewed', 'regenerated', 'ended', 'expired', 'refused']


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """Something that happened to a session."""

    kind: EventKind
    session: Annotated[str, Doc('The `Session.id`, which does not give access to it; empty if it is not known.')]
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
"""A plain function of one event. It runs in the request, so it must be fast. Its exceptions are logged."""
