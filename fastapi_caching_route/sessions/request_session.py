"""`RequestSessionMiddleware`: `request.session` as Starlette's `SessionMiddleware` has it, over the same sessions.

For code that expects it, such as Authlib. In your own code, use `SessionDep`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from typing_extensions import Doc

from fastapi_caching_route._core.asgi import App, Message, Receive, Scope, Send
from fastapi_caching_route.sessions.carrying import Installed, SessionLayer
from fastapi_caching_route.sessions.errors import SessionEndedError, SessionStoreError
from fastapi_caching_route.sessions.session import Session
from fastapi_caching_route.sessions.sessions import Sessions
from fastapi_caching_route.sessions.stored import checked


class RequestSessionMiddleware:
    """Provides `request.session`: a dict whose changes are stored before the response is sent.

        app.add_middleware(RequestSessionMiddleware, sessions=sessions)

    Concurrent requests can change different keys; for one key, the last change counts. If there was no session and the
    dict is not empty at the end, an anonymous session is created. If the dict was emptied, the session ends.
    If the store fails, every response is a 503, including those of endpoints that do not use the session.
    """

    def __init__(
        self, app: App, sessions: Annotated[Sessions, Doc('The sessions. They need not be installed on the app.')]
    ) -> None:
        """Wrap an app."""
        self._sessions = sessions
        self._app = app
        self._layer = SessionLayer(self._pass_on, Installed())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await self._layer(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] not in ('http', 'websocket'):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            session = await self._sessions.optional(connection)
        except SessionStoreError as error:
            await _refuse(error, scope, receive, send)
            return
        before = {} if session is None else session.data
        given = scope['session'] = {} if session is None else session.data
        has_failed = False

        async def send_stored(message: Message) -> None:
            nonlocal has_failed
            if message['type'] == 'http.response.start':
                try:
                    await self._store(connection, session, before, given)
                except SessionStoreError as error:
                    has_failed = True
                    await _refuse(error, scope, receive, send)
            if not has_failed:
                await send(message)

        await self._app(scope, receive, send_stored)

    async def _store(
        self, connection: HTTPConnection, session: Session | None, before: Mapping[str, Any], given: dict[str, Any]
    ) -> None:
        """Store what has changed in the dict."""
        if session is None or session.has_ended:
            if given and given != before:
                await self._sessions.create(connection, data=given)
            return
        if before and not given:
            await session.invalidate()
            return
        changed = {key: value for key, value in checked(given).items() if key not in before or before[key] != value}
        removed = [key for key in before if key not in given]
        try:
            if changed:
                await session.update(changed)
            if removed:
                await session.remove(*removed)
        except SessionEndedError:  # another request has ended it: there is nothing to change any more
            return


async def _refuse(error: SessionStoreError, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = JSONResponse({'detail': error.detail}, error.status_code, error.headers)
    await refusal(scope, receive, send)
