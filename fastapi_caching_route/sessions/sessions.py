"""`Sessions`: creates and finds the sessions of clients, and offers the dependencies that endpoints take."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import Doc

from fastapi_caching_route._routes.building import check_observer
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import ConfigurationError, InvalidationError
from fastapi_caching_route.sessions.carrying import begun_in, check_place, forbid_storing, installed_on
from fastapi_caching_route.sessions.config import SessionConfig
from fastapi_caching_route.sessions.documenting import document
from fastapi_caching_route.sessions.errors import SessionStoreError
from fastapi_caching_route.sessions.events import EventKind, SessionHandler
from fastapi_caching_route.sessions.finding import Finder, required_session_of, session_of, user_of
from fastapi_caching_route.sessions.keeping import Keeper
from fastapi_caching_route.sessions.places import TIMEOUT_SECONDS, Place, StoreOfSessions, cache_of
from fastapi_caching_route.sessions.session import Session, checked_user
from fastapi_caching_route.sessions.stored import SessionUser, checked

USER = '{user}'
"""The placeholder for the id of the user in `sign_out_tags`."""


class Sessions:
    """The sessions of an app, in the store of a cache or in one of their own.

        cache = FastAPICache.from_url('redis://10.0.0.1')
        sessions = Sessions(store=cache, config=SessionConfig(secrets=os.environ['SESSION_SECRET']))
        app = FastAPI(lifespan=cache.lifespan)
        sessions.install(app)

    `cache.clear()` and other invalidations do not affect sessions. `optional`, `required` and `user` are
    dependencies, as in `Annotated[Session, Depends(sessions.required)]`; `SessionDep` and `OptionalSession` are the
    same for the sessions that are installed on the app.

    Raises:
        ConfigurationError: the store cannot change records in one step, an option is not valid, or the extra that
            signs tokens is not installed.

    """

    def __init__(
        self,
        *,
        store: Annotated[
            StoreOfSessions,
            Doc('A `FastAPICache`, whose backend is used; or a backend: Redis, memcached, LMDB, memory; or its URL.'),
        ],
        config: Annotated[SessionConfig, Doc('The lifetime of sessions, and the form and transport of their tokens.')],
        cache: Annotated[
            FastAPICache | None, Doc('The cache of the pages, if `store` is not that cache, for `sign_out_tags`.')
        ] = None,
        sign_out_tags: Annotated[
            Collection[str], Doc("Tags that a sign-out invalidates, like `['user:{user}']`: `{user}` is the user's id.")
        ] = (),
        timeout: Annotated[
            float, Doc('Seconds to wait for the store. After that, the response is a 503.')
        ] = TIMEOUT_SECONDS,
        clock: Annotated[Callable[[], float], Doc('Seconds since the epoch; for tests.')] = time.time,
    ) -> None:
        """Check all options. This opens no connection."""
        self._cache = cache_of(store, cache)
        self._tags = _checked_tags(sign_out_tags, self._cache)
        place = Place(store, timeout)
        self._keeper = keeper = Keeper(place, _checked_config(config), clock)
        keeper.on_sign_out = self._signed_out
        self.optional: Callable[[HTTPConnection], Awaitable[Session | None]] = Finder(
            session_of, keeper, is_optional=True
        )
        """A dependency: the session of the client, or None."""
        self.required: Callable[[HTTPConnection], Awaitable[Session]] = Finder(required_session_of, keeper)
        """A dependency: the session of the client; without one, 401."""
        self.user: Callable[[HTTPConnection], Awaitable[SessionUser]] = Finder(user_of, keeper)
        """A dependency: the user of the session; without one, 401."""

    @property
    def config(self) -> SessionConfig:
        """The configuration of these sessions."""
        return self._keeper.config

    def install(self, app: Annotated[Any, Doc('An app of FastAPI, before it starts.')]) -> None:
        """Make these the sessions of `SessionDep` and `OptionalSession` in an app, if there are none yet.

        Adds a thin layer around the routes of the app. It sets the cookie of a session on every response, including
        those that endpoints return themselves, and adds `Cache-Control: private` and `Vary` if code read a session.
        The OpenAPI of the app gets security schemes for routes that take a session.

        Raises:
            ConfigurationError: it is not an app.

        """
        installed = installed_on(app)
        if installed.keeper is None:
            installed.keeper = self._keeper
            document(app, installed)

    def role(self, *roles: str) -> Callable[..., Awaitable[SessionUser]]:
        """A dependency: the user of the session if it has one of these roles, otherwise 403; without a user, 401.

        Raises:
            ConfigurationError: no role is given.

        """
        if not roles or not all(isinstance(it, str) for it in roles):
            msg = f"role() takes one or more roles, like role('admin'), got {roles!r}"
            raise ConfigurationError(msg)

        async def has_role(user: Annotated[SessionUser, Depends(self.user)]) -> SessionUser:
            if not set(roles).intersection(user.roles):
                raise HTTPException(403, 'This requires another role')
            return user

        return has_role

    async def create(
        self,
        connection: Annotated[
            HTTPConnection | None, Doc('The request of the client. None: the app sends `token` itself.')
        ] = None,
        *,
        user: Annotated[
            SessionUser | str | None, Doc('The user, or the id of one; None: an anonymous session.')
        ] = None,
        roles: Annotated[Collection[str], Doc('The roles of the user, if that is given by its id.')] = (),
        data: Annotated[Mapping[str, Any] | None, Doc('The JSON values to store.')] = None,
        response: Annotated[
            Response | None, Doc('The response to set the cookie on. Not needed where the sessions are installed.')
        ] = None,
    ) -> Session:
        """Create a session with a new id. The session that the request was sent with ends.

        Raises:
            TypeError: JSON cannot represent the data, or an attribute of the user.
            ValueError: the session would be larger than 256 KB.
            SessionStoreError: the store is in trouble.
            ConfigurationError: there is no response to set the cookie on.

        """
        who = SessionUser(id=user, roles=tuple(roles)) if isinstance(user, str) else user
        keeper, noted = self._keeper, checked(dict(data or {}))
        if connection is not None:
            forbid_storing(connection.scope)
            if 'cookie' in keeper.config.transports:
                check_place(connection, response)
        before = None if connection is None else await keeper.current(connection)
        kept, token = await keeper.create(None if who is None else checked_user(who), noted, connection)
        session = Session(keeper, kept, token, connection)
        session.send(response)
        if before is not None:
            await keeper.end(before, 'replaced')
        return session

    async def read(self, token: str) -> Session | None:
        """The session of a token, or None. Bindings to user agent and network are not checked, as there is no request.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        ticket = self._keeper.tokens.read(token)
        kept = None if ticket is None else await self._keeper.find(ticket)
        return None if kept is None else Session(self._keeper, kept, token, None)

    async def delete_user_sessions(
        self, user: Annotated[str, Doc('The id of the user.')], *, keep: Session | None = None
    ) -> int:
        """End all sessions of a user in one step, except `keep`; return the number ended.

        When this returns, no process accepts any of them, including sessions that received a new id meanwhile.

        Raises:
            SessionStoreError: the store is in trouble. They may have ended.

        """
        ended = await self._keeper.end_all(user, None if keep is None else keep.id)
        await self._signed_out(user)
        return ended

    async def user_sessions(self, user: str) -> list[str]:
        """The values of `Session.id` for all sessions of a user. The last one has the latest end.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        return await self._keeper.users.handles(user)

    async def delete_expired(self) -> int:
        """Delete the records of expired sessions; return the number deleted.

        You do not have to call this: stores delete records five minutes after the end of a session. With memcached,
        which cannot list records, it returns 0.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        return await self._keeper.delete_ended()

    async def identity(self, connection: HTTPConnection) -> str:
        """For `@cache(identity=sessions.identity)`: all sessions of one user share a response.

        Responses must then not depend on other data of the session. Without this option, they may.
        """
        return await self._name(connection, _user_of)

    def identity_by(self, name: Callable[[Session | None], str]) -> Callable[[HTTPConnection], Awaitable[str]]:
        """For `@cache(identity=...)`: all clients share a response for whose sessions `name` returns the same text.

        @cache(ttl=60, identity=sessions.identity_by(lambda session: ' '.join(session.roles) if session else ''))
        """

        async def identity(connection: HTTPConnection) -> str:
            return await self._name(connection, name)

        return identity

    async def _name(self, connection: HTTPConnection, name: Callable[[Session | None], str]) -> str:
        begun_in(connection)
        try:
            return name(await self.optional(connection))
        except SessionStoreError:
            return token_hex(16)  # no other request has this name, and the guard refuses this one

    async def tags(self, connection: HTTPConnection) -> list[str]:
        """For `@cache(tags=sessions.tags)`: the `sign_out_tags` of the user; none without a user."""
        session = await self.optional(connection)
        return [] if session is None or session.user is None else self._tags_of(session.user.id)

    def _tags_of(self, user: str) -> list[str]:
        return [it.replace(USER, user) for it in self._tags]

    async def _signed_out(self, user: str) -> None:
        if self._cache is not None and self._tags:
            with suppress(InvalidationError):  # it holds in this process, and is tried again
                await self._cache.invalidate_tags(*self._tags_of(user))

    def on_created(self, handler: SessionHandler) -> SessionHandler:
        """Call a plain function with a `SessionEvent` for each session that is created."""
        return self._on('created', handler)

    def on_renewed(self, handler: SessionHandler) -> SessionHandler:
        """Call a function for each session whose idle time was extended."""
        return self._on('renewed', handler)

    def on_regenerated(self, handler: SessionHandler) -> SessionHandler:
        """Call a function for each session that received a new id, as at a sign-in."""
        return self._on('regenerated', handler)

    def on_ended(self, handler: SessionHandler) -> SessionHandler:
        """Call a function for each session that was ended, by a sign-out or by `delete_user_sessions`."""
        return self._on('ended', handler)

    def on_expired(self, handler: SessionHandler) -> SessionHandler:
        """Call a function for each expired session that a client sent a token of."""
        return self._on('expired', handler)

    def on_refused(self, handler: SessionHandler) -> SessionHandler:
        """Call a function for each request whose token was refused: forged, unknown, or of another client."""
        return self._on('refused', handler)

    def _on(self, kind: EventKind, handler: SessionHandler) -> SessionHandler:
        check_observer(handler)
        self._keeper.observers[kind].add(handler)
        return handler

    async def close(self) -> None:
        """Close the connections of this event loop. Otherwise, they are closed when the loop ends."""
        await self._keeper.place.close()


def _user_of(session: Session | None) -> str:
    return '' if session is None or session.user is None else f'user {session.user.id}'


def _checked_config(config: object) -> SessionConfig:
    if not isinstance(config, SessionConfig):
        msg = f'config must be a SessionConfig(...), got an object of {type(config).__qualname__}'
        raise ConfigurationError(msg)
    return config


def _checked_tags(tags: Collection[str], cache: FastAPICache | None) -> tuple[str, ...]:
    if isinstance(tags, str) or not all(isinstance(it, str) for it in tags):
        msg = f"sign_out_tags must be a list of str, like ['user:{USER}'], got {tags!r}"
        raise ConfigurationError(msg)
    if tags and cache is None:
        msg = 'sign_out_tags needs the cache whose entries have these tags: Sessions(..., cache=cache)'
        raise ConfigurationError(msg)
    return tuple(tags)
