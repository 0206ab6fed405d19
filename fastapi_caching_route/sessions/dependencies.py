"""The aliases that endpoints take: the session of the client, of the `Sessions` that are installed on the app."""

from typing import Annotated

from fastapi import Depends

from fastapi_caching_route.sessions.finding import OptionalFinder, RequiredFinder, UserFinder, keeper_of_app
from fastapi_caching_route.sessions.session import Session
from fastapi_caching_route.sessions.stored import SessionUser

SessionDep = Annotated[Session, Depends(RequiredFinder(keeper_of_app))]
"""The session of the client; without one, 401."""

OptionalSession = Annotated[Session | None, Depends(OptionalFinder(keeper_of_app))]
"""The session of the client, or None."""

UserDep = Annotated[SessionUser, Depends(UserFinder(keeper_of_app))]
"""The user of the session; without one, 401."""
