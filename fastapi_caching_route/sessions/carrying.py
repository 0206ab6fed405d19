"""What one request carries for sessions: those that were loaded, and the cookies that its response is to set.

An ASGI layer around the routes of an app adds the cookies to whatever response leaves: one that an endpoint returns
itself, a redirect, an error. FastAPI would drop what dependencies write on its `Response` there. The layer loads
nothing, and waits for nothing, unless no response has begun: then it ends the sessions whose tokens no client has got.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response

from fastapi_caching_route._concurrency.tasks import keep_running
from fastapi_caching_route._core.asgi import READ_LOG, SESSIONS, WISHES, App, Message, Receive, Scope, Send
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._http.fields import Field, lines, with_vary, without
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions.errors import SessionStoreError

REASON = 'session'
"""Why a response is not stored, for `Cache-Status`."""

NO_PLACE = (
    'there is no response to set the cookie of a session or a state on: call install(app) once, or give response=... '
    'with the response that the endpoint returns, or with the Response that FastAPI gives it. Once a response is sent, '
    'as in a background task, it is too late'
)


class Installed:
    """What is installed on one app."""

    __slots__ = ('keeper',)

    def __init__(self) -> None:
        """Nothing, but the layer."""
        self.keeper: Any = None
        """The `Keeper` that `SessionDep` and `OptionalSession` mean."""


def installed_on(app: Any) -> Installed:
    """What is installed on an app, which gets the layer if it does not have it yet.

    Raises:
        ConfigurationError: this is not an app of FastAPI or Starlette.

    """
    if not isinstance(app, Starlette):
        msg = f'install(app) takes an app of FastAPI or Starlette, got an object of {type(app).__qualname__}'
        raise ConfigurationError(msg)
    found: Installed | None = getattr(app.state, _ON_APP, None)
    if found is None:
        found = Installed()
        app.add_middleware(SessionLayer, installed=found)
        setattr(app.state, _ON_APP, found)
    return found


_ON_APP = 'fastapi_caching_route_sessions'


class Carried:
    """What one request carries."""

    __slots__ = (
        *(
            'begun_for',
            'cookies',
            'has_layer',
            'installed',
            'is_open',
            'is_sent',
            'loaded',
            'named',
            'sessions',
            'unsent',
            'vary',
        ),
    )

    def __init__(self, *, has_layer: bool) -> None:
        """Nothing yet."""
        self.has_layer: bool = has_layer
        self.begun_for: HTTPConnection | None = None
        """For which connection it was begun without a layer."""
        self.is_open: bool = True
        """Whether the layer is still there to add cookies."""
        self.is_sent: bool = False
        """Whether the response has begun to leave, so that no cookie can be added."""
        self.installed: list[Installed] = []
        """What is installed on the apps of this request, the innermost last."""
        self.loaded: dict[object, Any] = {}
        """What there was for this request, by the `Keeper` that has looked it up."""
        self.named: set[object] = set()
        """Each `Keeper` whose session is named in the key of this request."""
        self.sessions: dict[object, Any] = {}
        """The `Session` of this request, by its `Keeper`, as it is after all that was done to it."""
        self.unsent: dict[Any, Any] = {}
        """The session that this request has created, or given another id, as it is stored, by its `Keeper`."""
        self.cookies: dict[str, Field] = {}
        self.vary: dict[bytes, None] = {}
        """The request headers in which a session was looked for: the response may depend on it."""


def carried_in(scope: Scope) -> Carried | None:
    """What this request carries; None if it has no layer, and nothing was loaded for the key of a cached route."""
    carried: Carried | None = scope.get(SESSIONS)
    return carried if carried is not None and carried.is_open else None


def begun_in(connection: HTTPConnection) -> Carried:
    """What this request carries, begun anew if there is no layer: the scope may be that of an earlier request."""
    scope = connection.scope
    carried = carried_in(scope)
    if carried is None or not (carried.has_layer or carried.begun_for is connection):
        carried = scope[SESSIONS] = Carried(has_layer=False)
        carried.begun_for = connection
    return carried


def check_place(connection: HTTPConnection | None, response: Response | None) -> None:
    """See that there is a response to set a cookie on: this one, or the one that will be sent for this request.

    Raises:
        ConfigurationError: there is none.

    """
    carried = None if connection is None else carried_in(connection.scope)
    if response is None and (carried is None or not carried.has_layer or carried.is_sent):
        raise ConfigurationError(NO_PLACE)


def send_cookie(connection: HTTPConnection | None, response: Response | None, name: str, field: Field) -> None:
    """Set a cookie on this response, or on the one that will be sent for this request, if there is one."""
    carried = None if connection is None else carried_in(connection.scope)
    if response is not None:
        response.raw_headers.append(field)
    elif carried is not None:
        carried.cookies[name] = field


def forbid_storing(scope: Scope) -> None:
    """See that the response to this request is not stored by the cache: it is for this session alone, or changes it."""
    wishes: Wishes = scope.setdefault(WISHES, Wishes())
    wishes.refused = wishes.refused or REASON


def keep_unshared_unless_named(scope: Scope, keeper: object) -> None:
    """See that a response made from a session that is not in the key is not stored, where the route shares by itself.

    So it is where code calls a finder that no dependency of the route names. A route may say who shares instead.
    """
    log: ReadLog | None = scope.get(READ_LOG)
    carried = carried_in(scope)
    is_named = carried is not None and keeper in carried.named
    if log is not None and log.is_personal and not log.is_quiet and not is_named:
        forbid_storing(scope)


class SessionLayer:
    """Adds cookies to responses, and says that those that were made from a session are for one client."""

    def __init__(self, app: App, installed: Installed) -> None:
        """Go around an app."""
        self._app = app
        self._installed = installed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope['type'] not in ('http', 'websocket'):
            await self._app(scope, receive, send)
            return
        outer = carried_in(scope)
        if outer is not None and outer.has_layer:  # of an app in which this one is mounted
            outer.installed.append(self._installed)
            await self._app(scope, receive, send)
            return
        carried = scope[SESSIONS] = Carried(has_layer=True)
        carried.installed.append(self._installed)

        async def send_with_cookies(message: Message) -> None:
            if message['type'] in ('http.response.start', 'websocket.accept'):
                message = {**message, 'headers': _headers(message, carried)}
                carried.is_sent = True
            await send(message)

        try:
            await self._app(scope, receive, send_with_cookies)
        finally:
            carried.is_open = False
            if carried.unsent and not carried.is_sent:
                # In a task, since this one may be cancelled.
                ending = keep_running(asyncio.get_running_loop().create_task(_end_unsent(carried)), _under_way)
                await asyncio.shield(ending)


_under_way: set['asyncio.Task[Any]'] = set()


async def _end_unsent(carried: Carried) -> None:
    """End the sessions of a request whose response has not begun: its endpoint has raised, or was cancelled."""
    for keeper, kept in carried.unsent.items():
        with suppress(SessionStoreError):  # nobody knows its token
            await keeper.end(kept, 'not-sent')


def _headers(message: Mapping[str, Any], carried: Carried) -> list[Field]:
    """The headers of a response, with cookies, and with what caches must know of it."""
    headers: list[Field] = [*message.get('headers', ()), *carried.cookies.values()]
    if message['type'] != 'http.response.start' or not (carried.vary or carried.cookies):
        return headers
    said = b','.join(lines(headers, b'cache-control')).lower()  # a cookie is for one client, whatever is said
    if carried.cookies and b'private' not in said and b'no-store' not in said:
        headers = [
            *without(headers, (b'cache-control',)),
            (b'cache-control', b'no-store'),
        ]  # a cookie is for one client
    elif not said:
        headers.append((b'cache-control', b'private'))
    return with_vary(headers, carried.vary) if carried.vary else headers
