"""`Session`: the session of one request, as endpoints see it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response

from fastapi_caching_route.sessions.carrying import carried_in, check_place, forbid_storing, send_cookie
from fastapi_caching_route.sessions.errors import SessionEndedError
from fastapi_caching_route.sessions.keeping import Keeper
from fastapi_caching_route.sessions.live import LiveSession
from fastapi_caching_route.sessions.stored import Flash, SessionUser, StoredSession, checked
from fastapi_caching_route.sessions.transport import set_cookie


class Session:
    """The session of a client: its user, and the values that the app stores for it.

    Read it like a mapping: `session['theme']`, `session.get('theme')`, `'theme' in session`. Methods that change it are
    async, and the change is stored when they return. Concurrent requests can change different keys; for one key, the
    last change counts.

    On a cached route, all clients whose sessions have the same user and the same data share a response. A response is
    not stored if its endpoint has read `id`, `token`, `created_at` or `expires_at`, or has changed the session.
    """

    __slots__ = ('_connection', '_keeper', '_kept', '_token', 'has_ended')

    def __init__(self, keeper: Keeper, kept: LiveSession, token: str, connection: HTTPConnection | None) -> None:
        """Dependencies build it, and `Sessions.create`."""
        self._keeper = keeper
        self._kept = kept
        self._token = token
        self._connection = connection
        self.has_ended: bool = False
        """Whether this request has ended the session. It can still be read, but not changed."""

    def __repr__(self) -> str:
        """Shows neither the id nor the data."""
        return f'<Session of {self.user.id!r}>' if self.user is not None else '<Session>'

    @property
    def _record(self) -> StoredSession:
        return self._kept.record

    def _current(self) -> LiveSession:
        if self.has_ended:
            raise SessionEndedError(self._keeper.config.challenge)
        return self._kept

    def __bool__(self) -> bool:
        """Always true, even without values."""
        return True

    def __getitem__(self, key: str) -> Any:
        """The value of a key."""
        return self._record.data[key]

    def __contains__(self, key: object) -> bool:
        """Whether a key has a value."""
        return key in self._record.data

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(dict(self._record.data))

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._record.data)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
        return self._record.data.get(key, default)

    @property
    def data(self) -> dict[str, Any]:
        """A copy of all values."""
        return dict(checked(self._record.data))

    @property
    def user(self) -> SessionUser | None:
        """The user; None if the session is anonymous."""
        return self._record.user

    @property
    def is_anonymous(self) -> bool:
        """Whether the session has no user."""
        return self._record.user is None

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the user; none if the session is anonymous."""
        return () if self._record.user is None else self._record.user.roles

    @property
    def id(self) -> str:
        """The name of the session, for logs and lists: a digest, which does not give access to it.

        A response is not stored if `id`, `token`, `created_at` or `expires_at` was read for it.
        """
        self._keep_unshared()
        return self._kept.handle

    @property
    def token(self) -> str:
        """The token that the client sends. Send it in a response to clients that do not use the cookie.

        Reading it prevents that the response is stored.
        """
        self._keep_unshared()
        return self._token

    @property
    def created_at(self) -> float:
        """When the session was created, in seconds since the epoch. Reading it prevents that the response is stored."""
        self._keep_unshared()
        return self._record.created_at

    @property
    def expires_at(self) -> float:
        """When the session ends if it is not used again, in seconds since the epoch.

        Reading it prevents that the response is stored.
        """
        self._keep_unshared()
        return min(self._record.ends_at, self._record.idle_at)

    async def update(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Store JSON values under keys.

        Raises:
            TypeError: JSON cannot represent a value.
            ValueError: the session would be larger than 256 KB.
            SessionEndedError: the session has ended.
            SessionStoreError: the store is in trouble.

        """
        noted = checked({**(values or {}), **more})
        await self._change(lambda record: msgspec.structs.replace(record, data={**record.data, **noted}))

    async def remove(self, *keys: str) -> None:
        """Remove the values of keys. Keys without a value are ignored.

        Raises:
            SessionEndedError: the session has ended.
            SessionStoreError: the store is in trouble.

        """
        await self._change(lambda record: msgspec.structs.replace(record, data=_without(record.data, keys)))

    async def flash(self, message: str, category: str = 'info') -> None:
        """Store a message for the next request that calls `flashes`.

        Raises:
            ValueError: the session would be larger than 256 KB.
            SessionEndedError: the session has ended.
            SessionStoreError: the store is in trouble.

        """
        left = Flash(str(message), str(category))
        await self._change(lambda record: msgspec.structs.replace(record, flashes=[*record.flashes, left]))

    async def flashes(self, category: str | None = None) -> list[Flash]:
        """Return and remove the stored messages, of one category or of all. One request gets each message.

        Raises:
            SessionEndedError: the session has ended.
            SessionStoreError: the store is in trouble.

        """
        taken: list[Flash] = []

        def take(record: StoredSession) -> StoredSession:
            taken[:] = [it for it in record.flashes if category in (None, it.category)]
            left = [it for it in record.flashes if category not in (None, it.category)]
            return msgspec.structs.replace(record, flashes=left)

        if self._record.flashes:
            await self._change(take)
        return taken

    async def _change(self, change: Callable[[StoredSession], StoredSession]) -> None:
        self._keep_unshared()
        self._kept = await self._keeper.change(self._current(), change)
        self._remember()

    async def sign_in(self, user: SessionUser | str, *, response: Response | None = None) -> None:
        """Set the user. The session gets a new id, which prevents session fixation, and keeps its data.

        Raises:
            TypeError: JSON cannot represent an attribute of the user.
            ValueError: the session would be larger than 256 KB.
            ConfigurationError: there is no response to set the cookie on.
            SessionEndedError: the session has ended.
            SessionStoreError: the store is in trouble.

        """
        who = checked_user(user)
        await self._move(lambda record: msgspec.structs.replace(record, user=who), response)

    async def regenerate(self, *, response: Response | None = None) -> None:
        """Give the session a new id. The old id and token are no longer accepted.

        Raises:
            ConfigurationError: there is no response to set the cookie on.
            SessionEndedError: the session has ended.
            SessionStoreError: the store is in trouble.

        """
        await self._move(lambda record: record, response)

    async def _move(self, change: Callable[[StoredSession], StoredSession], response: Response | None) -> None:
        self._keep_unshared()
        if self._has_cookie:
            check_place(self._connection, response)
        self._keeper.tokens.check_signing()
        current, self.has_ended = self._current(), True
        self._kept, self._token = await self._keeper.move(current, change)
        self.has_ended = False
        self.send(response)

    async def invalidate(self, *, response: Response | None = None) -> None:
        """End the session: sign out. Calls after the first one do nothing.

        Raises:
            SessionStoreError: the store is in trouble. The session may not have ended.

        """
        self._keep_unshared()
        if self.has_ended:
            return
        await self._keeper.end(self._kept, 'signed-out')
        self.has_ended = True
        self.send(response)
        if self._record.user is not None:
            await self._keeper.on_sign_out(self._record.user.id)

    def send(self, response: Response | None = None) -> None:
        """Set the current cookie of the session, or delete it. Does nothing if `cookie` is not a transport."""
        self._remember_unsent()
        config = self._keeper.config
        if 'cookie' not in config.transports or (self._connection is None and response is None):
            return
        max_age = 0.0 if self.has_ended else self._record.ends_at - self._keeper.clock()
        value = '' if self.has_ended else self._token
        shown = max_age if config.persistent or self.has_ended else None
        cookie = set_cookie(config.cookie_name, value, secure=config.secure, same_site=config.same_site, max_age=shown)
        send_cookie(self._connection, response, config.cookie_name, cookie)

    @property
    def _has_cookie(self) -> bool:
        return self._connection is not None and 'cookie' in self._keeper.config.transports

    def _remember(self) -> None:
        """Let what asks for the session later in this request find it as it is now."""
        carried = None if self._connection is None else carried_in(self._connection.scope)
        if carried is not None:
            carried.sessions[self._keeper] = self

    def _remember_unsent(self) -> None:
        """Let the session end if no response leaves, for then no client has its token."""
        self._remember()
        carried = None if self._connection is None else carried_in(self._connection.scope)
        if carried is not None and self.has_ended:
            carried.unsent.pop(self._keeper, None)
        elif carried is not None:
            carried.unsent[self._keeper] = self._kept

    def _keep_unshared(self) -> None:
        if self._connection is not None:
            forbid_storing(self._connection.scope)


def checked_user(user: SessionUser | str) -> SessionUser:
    """A user whose attributes JSON can represent.

    Raises:
        TypeError: JSON cannot represent one of them.

    """
    who = SessionUser(id=user) if isinstance(user, str) else user
    return SessionUser(id=who.id, name=who.name, roles=who.roles, extra=checked(who.extra))


def _without(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
