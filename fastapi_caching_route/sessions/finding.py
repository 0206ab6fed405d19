"""The dependencies that find the session of a request, and name it for the keys of cached routes."""

from collections.abc import Callable, Coroutine
from secrets import token_hex
from typing import Any, Generic, TypeVar

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from fastapi_caching_route._core.key import digest
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions.carrying import begun_in, carried_in, keep_unshared_unless_named
from fastapi_caching_route.sessions.keeping import Keeper
from fastapi_caching_route.sessions.live import Loaded
from fastapi_caching_route.sessions.session import Session
from fastapi_caching_route.sessions.stored import SessionUser

T = TypeVar('T')

ANONYMOUS = 'nobody'
"""Names all clients without a session."""

NOT_INSTALLED = (
    'SessionDep and OptionalSession need to know which sessions they mean: call sessions.install(app) once, for this '
    'app or one that it is mounted in; or name them, as in Annotated[Session, Depends(sessions.required)]'
)


Find = Callable[[Keeper, HTTPConnection], Coroutine[Any, Any, T]]
"""Finds something of the session of a request."""


class Finder(Generic[T]):
    """A dependency: something of the session of a request. A store in trouble is a 503, and never a missing session.

    On a cached route, it names the session by all that pages can show of it: the user and the data. So a response is
    shared by clients to whose sessions it would be the same, and whatever changes in a session is seen at once.
    """

    __slots__ = ('_find', 'is_optional', 'keeper')

    def __init__(self, find: Find[T], keeper: Keeper | None = None, *, is_optional: bool = False) -> None:
        """Find it in the sessions of this keeper; without one, in those that are installed on the app."""
        self._find = find
        self.keeper: Keeper | None = keeper
        self.is_optional: bool = is_optional
        """Whether it lets requests in that have no session."""

    async def __call__(self, connection: HTTPConnection) -> T:
        """What it finds.

        Raises:
            HTTPException: there is none, unless it is optional.
            SessionStoreError: the store is in trouble.

        """
        return await self._find(self._keeper_for(connection), connection)

    async def __cache_identity__(self, connection: HTTPConnection) -> str:
        """See `NamesClients`."""
        return await _name_of(self._keeper_for(connection), connection)

    def _keeper_for(self, connection: HTTPConnection) -> Keeper:
        return _keeper_of_app(connection) if self.keeper is None else self.keeper


async def session_of(keeper: Keeper, connection: HTTPConnection) -> Session | None:
    """The session of a request, as it is after all that this request has done to it.

    Raises:
        SessionStoreError: the store is in trouble.

    """
    keep_unshared_unless_named(connection.scope, keeper)
    carried = carried_in(connection.scope)
    session: Session | None = None if carried is None else carried.sessions.get(keeper)
    if session is None:
        loaded = await _loaded(keeper, connection)
        kept = loaded.found()
        if kept is None:
            return None
        session = Session(keeper, kept, loaded.token, connection)
        if carried is not None:
            carried.sessions[keeper] = session
    return None if session.has_ended else session


async def required_session_of(keeper: Keeper, connection: HTTPConnection) -> Session:
    """The same, but a request without a session is a 401.

    Raises:
        HTTPException: there is none.
        SessionStoreError: the store is in trouble.

    """
    session = await session_of(keeper, connection)
    if session is None:
        raise _not_signed_in(keeper)
    return session


async def user_of(keeper: Keeper, connection: HTTPConnection) -> SessionUser:
    """The user of the session of a request; one without a user is a 401.

    Raises:
        HTTPException: there is none.
        SessionStoreError: the store is in trouble.

    """
    session = await session_of(keeper, connection)
    if session is None or session.user is None:
        raise _not_signed_in(keeper)
    return session.user


async def _name_of(keeper: Keeper, connection: HTTPConnection) -> str:
    """A name for the session of a request. What is named here is what the endpoint gets, whatever others change."""
    begun_in(connection).named.add(keeper)
    loaded = await _loaded(keeper, connection)
    if loaded.trouble is not None:
        return token_hex(16)  # no other request has this name, and the guard refuses this one
    return ANONYMOUS if loaded.kept is None else digest(loaded.kept.record.content())


async def _loaded(keeper: Keeper, connection: HTTPConnection) -> Loaded:
    loaded = await keeper.loaded(connection)
    carried = carried_in(connection.scope)
    if carried is not None:
        carried.vary.update(dict.fromkeys(keeper.config.looked_at))
    return loaded


def _not_signed_in(keeper: Keeper) -> HTTPException:
    return HTTPException(401, 'Not signed in', {'WWW-Authenticate': keeper.config.challenge})


def _keeper_of_app(connection: HTTPConnection) -> Keeper:
    """The keeper of the sessions that are installed on the app of a request.

    Raises:
        ConfigurationError: none are.

    """
    carried = carried_in(connection.scope)
    for installed in reversed(carried.installed if carried is not None else []):
        if isinstance(installed.keeper, Keeper):
            return installed.keeper
    raise ConfigurationError(NOT_INSTALLED)
