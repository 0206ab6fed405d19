"""The aliases that endpoints take: the session of the client, of the `Sessions` that are installed on the app."""

from typing import Annotated

from fastapi import Depends

from fastapi_caching_route.sessions.finding import Finder, required_session_of, session_of, user_of
from fastapi_caching_route.sessions.session import Session
from fastapi_caching_route.sessions.stored import SessionUser

SessionDep = Annotated[Session, Depends(Finder(required_session_of))]
"""The session of the client; without one, 401."""

OptionalSession = Annotated[Session | None, Depends(Finder(session_of, is_optional=True))]
"""The session of the client, or None."""

UserDep = Annotated[SessionUser, Depends(Finder(user_of))]
"""The user of the session; without one, 401."""
