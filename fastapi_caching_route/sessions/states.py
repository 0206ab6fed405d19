"""`States`: one-time state, for OAuth and other flows in which a value is used once and by one browser.

A state is a random text under whose digest its data is stored. To consume it is to replace its record by one that says
that it is used, if the record is still the same: of all that race, in all processes, one does that.
"""

import logging
import time
from collections.abc import Callable
from hmac import compare_digest
from typing import Annotated, Any, Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import Doc

from fastapi_caching_route._core.checks import check_flag, check_option, check_positive
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions.carrying import check_place, forbid_storing, installed_on, send_cookie
from fastapi_caching_route.sessions.errors import SessionStoreError, StateRefusedError
from fastapi_caching_route.sessions.places import TIMEOUT_SECONDS, Place, StoreOfSessions
from fastapi_caching_route.sessions.stored import StoredState, checked, decoded, encoded
from fastapi_caching_route.sessions.tokens import handle_of, is_id, new_id
from fastapi_caching_route.sessions.transport import cookies_of, set_cookie

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

STATE = 'state'
"""The kind of records."""

KEPT_SECONDS = 300.0
"""How long a state is kept after its end, so that the log can tell that it has expired."""

COOKIE_SECONDS = 86400.0
"""How long a browser keeps the cookie at least: other states of longer life are bound to it, too."""

NO_BROWSER = (
    'a state is bound to a browser by a cookie, so it needs the request: create(data, request=request) and '
    'consume(state, request=request); States(..., bind=False) is for states that are not for one browser'
)


class States:
    """One-time state, in the store of a cache or in one of its own.

        states = States(store=cache)

        @app.get('/login')
        async def log_in(request: Request) -> RedirectResponse:
            state = await states.create({'next': '/me'}, ttl=600, request=request)
            ...

        @app.get('/callback')
        async def come_back(request: Request, state: str, code: str) -> RedirectResponse:
            data = await states.consume(state, request=request)
            ...

    Raises:
        ConfigurationError: the store cannot consume a state in one step, or an option is not valid.

    """

    def __init__(
        self,
        *,
        store: Annotated[
            StoreOfSessions,
            Doc('A `FastAPICache`, whose backend is used; or a backend: Redis, memcached, LMDB, memory; or its URL.'),
        ],
        purpose: Annotated[str, Doc('What the states are for. One of another purpose is unknown.')] = 'oauth',
        bind: Annotated[
            bool, Doc('Whether a state is only for the browser that it was created for, which gets a cookie.')
        ] = True,
        cookie: Annotated[str, Doc('The name of that cookie; with `secure`, behind `__Host-`.')] = 'state',
        secure: Annotated[bool, Doc('False: the cookie is also sent over plain HTTP. For tests.')] = True,
        same_site: Annotated[
            Literal['lax', 'none'], Doc("`'none'` for a provider that comes back with a form, by POST.")
        ] = 'lax',
        timeout: Annotated[float, Doc('Seconds to wait for the store; then the request is a 503.')] = TIMEOUT_SECONDS,
        clock: Annotated[Callable[[], float], Doc('Seconds since the epoch; for tests.')] = time.time,
    ) -> None:
        """Check all options. This opens no connection."""
        _check(purpose, cookie, same_site, bind=bind, secure=secure)
        self._place = Place(store, timeout)
        self._purpose = purpose
        self._bind = bind
        self._cookie = f'__Host-{cookie}' if secure else cookie
        self._secure = secure
        self._same_site: str = same_site
        self._clock = clock

    def install(self, app: Annotated[Any, Doc('An app of FastAPI, before it starts.')]) -> None:
        """Let the cookies be set on every response of an app. `Sessions.install` does that, too.

        Raises:
            ConfigurationError: this is no app.

        """
        installed_on(app)

    async def create(
        self,
        data: Annotated[Any, Doc('What `consume` is to return: a JSON value.')] = None,
        *,
        ttl: Annotated[float, Doc('Seconds for which it can be used.')] = 600.0,
        request: Annotated[HTTPConnection | None, Doc('The request of the browser that it is for.')] = None,
        response: Annotated[
            Response | None, Doc('The response to set the cookie on. Not needed where `install` was called.')
        ] = None,
    ) -> str:
        """Create a state, and return it: 43 letters and digits.

        Raises:
            ConfigurationError: it is bound to a browser, and there is no request, or no response to set the cookie on.
            TypeError: JSON cannot hold the data.
            ValueError: the data is larger than 256 KB.
            SessionStoreError: the store is in trouble.

        """
        check_positive('ttl', ttl)
        state = new_id()
        browser = self._browser_of(self._checked(request)) or new_id() if self._bind else None
        record = StoredState(self._clock() + ttl, checked(data), None if browser is None else handle_of(browser))
        if request is not None:
            forbid_storing(request.scope)
        if browser is not None:
            check_place(request, response)
            age = max(ttl + KEPT_SECONDS, COOKIE_SECONDS)
            cookie = set_cookie(self._cookie, browser, secure=self._secure, same_site=self._same_site, max_age=age)
            send_cookie(request, response, self._cookie, cookie)
        if not await self._place.add(STATE, self._handle(state), encoded(record), ttl + KEPT_SECONDS):
            raise SessionStoreError
        return state

    async def consume(
        self,
        state: Annotated[str, Doc('What the client came back with.')],
        *,
        request: Annotated[HTTPConnection | None, Doc('Its request, which has the cookie.')] = None,
    ) -> Any:
        """Use a state, and return its data. It cannot be used again.

        Raises:
            StateRefusedError: it is unknown, used, expired or of another browser. Only the log tells which.
            ConfigurationError: it is bound to a browser, and there is no request.
            SessionStoreError: the store is in trouble. The state may be used.

        """
        connection = self._checked(request) if self._bind else None
        if request is not None:
            forbid_storing(request.scope)
        if not isinstance(state, str) or not is_id(state):
            raise self._refused('', 'unknown')
        handle = self._handle(state)
        [raw] = await self._place.read((STATE, handle))
        record = decoded(raw, StoredState)
        wrong = self._wrong(record, connection)
        if raw is None or record is None or wrong is not None:
            raise self._refused(handle, wrong or 'unknown')
        used = encoded(StoredState(record.ends_at, is_used=True))
        if not await self._place.swap(STATE, handle, raw, used, record.ends_at - self._clock() + KEPT_SECONDS):
            raise self._refused(handle, 'used')
        return record.data

    def _wrong(self, record: StoredState | None, connection: HTTPConnection | None) -> str | None:
        """Why a state is refused; None if it is not."""
        if record is None:
            return 'unknown'
        if record.is_used:
            return 'used'
        if self._clock() >= record.ends_at:
            return 'expired'
        if not self._bind:
            return None
        browser = None if connection is None else self._browser_of(connection)
        is_same_browser = browser is not None and compare_digest(handle_of(browser), record.browser or '')
        return None if is_same_browser else 'of another browser'

    def _refused(self, handle: str, reason: str) -> StateRefusedError:
        logger.info('a state is refused: it is %s (%s)', reason, handle[:8] or 'malformed')
        return StateRefusedError()

    def _checked(self, request: HTTPConnection | None) -> HTTPConnection:
        if not isinstance(request, HTTPConnection):
            raise ConfigurationError(NO_BROWSER)
        return request

    def _browser_of(self, connection: HTTPConnection) -> str | None:
        """What the cookie of a browser says; None if it has none, or several that differ."""
        found = set(cookies_of(connection.scope['headers'], self._cookie))
        text = found.pop().decode('latin-1') if len(found) == 1 else ''
        return text if is_id(text) else None

    def _handle(self, state: str) -> str:
        return handle_of(f'{self._purpose}\0{state}')

    async def close(self) -> None:
        """Close the connections of this event loop. Otherwise, they are closed when the loop ends."""
        await self._place.close()


def _check(purpose: object, cookie: object, same_site: object, *, bind: bool, secure: bool) -> None:
    for option, value in (('bind', bind), ('secure', secure)):
        check_flag(option, value)
    has_mode = same_site in ('lax', 'none') and (secure or same_site == 'lax')
    check_option('same_site', same_site, holds=has_mode, wanted="must be 'lax', or 'none' with secure")
    is_named = isinstance(cookie, str) and cookie.isascii() and cookie.replace('-', '').replace('_', '').isalnum()
    check_option('cookie', cookie, holds=is_named, wanted='must be letters, digits, - and _')
    check_option('purpose', purpose, holds=isinstance(purpose, str) and bool(purpose), wanted='must be a str')
