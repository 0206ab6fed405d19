"""Sends requests through an app, so that their responses are stored. Knows ASGI, and no stores."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from fastapi_caching_route._core.asgi import App, Message, Scope
from fastapi_caching_route._http.cache_status import detail_of
from fastapi_caching_route._http.fields import Field
from fastapi_caching_route._http.sending import legal
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.warming import Warmed, WarmReport

FAILURE = 500


class WarmUp:
    """One warm-up of one app."""

    __slots__ = ('_app', '_base', '_headers', '_settings', '_timeout')

    def __init__(
        self, settings: Settings, app: Any, base_url: str, headers: Mapping[str, str] | None, timeout: float
    ) -> None:
        """The requests have these headers, and the host and the scheme of the `base_url`."""
        self._settings = settings
        if not callable(app):
            msg = f'warm takes an ASGI app, got {type(app).__name__}'
            raise ConfigurationError(msg)
        self._app: App = app
        self._base = _base_of(base_url)
        self._headers = _fields_of(headers or {})
        self._timeout = timeout

    async def run(
        self, urls: Iterable[str], concurrency: int, progress: Callable[[Warmed], object] | None
    ) -> WarmReport:
        """Ask for all URLs, so many at a time."""
        wanted = list(urls)
        results: list[Warmed | None] = [None] * len(wanted)
        numbered = iter(enumerate(wanted))
        workers = [
            asyncio.ensure_future(self._work(numbered, results, progress)) for _ in range(min(concurrency, len(wanted)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        return WarmReport(tuple(it for it in results if it is not None))

    async def _work(
        self,
        numbered: Iterator[tuple[int, str]],
        results: list[Warmed | None],
        progress: Callable[[Warmed], object] | None,
    ) -> None:
        for number, url in numbered:
            warmed = results[number] = await self._ask(url)
            if progress is not None:
                progress(warmed)

    async def _ask(self, url: str) -> Warmed:
        """Ask for one URL."""
        began_at, client = time.monotonic(), _Client()
        error: BaseException | None = None
        try:
            await asyncio.wait_for(self._app(self._scope(url), client.receive, client.send), self._timeout)
        except asyncio.TimeoutError:
            error = TimeoutError(f'no response within {self._timeout:g} s')
        except Exception as raised:  # noqa: BLE001, of the app
            error = raised
        finally:
            client.has_gone.set()
        return self._judged(url, client, error, time.monotonic() - began_at)

    def _judged(self, url: str, client: '_Client', error: BaseException | None, seconds: float) -> Warmed:
        if client.status is None or client.status >= FAILURE or error is not None:
            said = None if error is None else f'{type(error).__name__}: {error}'
            return Warmed(url, 'failed', client.status, said, seconds)
        marked = client.headers.get(self._settings.cache_header)
        if marked == self._settings.hit[1]:
            return Warmed(url, 'there', client.status, None, seconds)
        if marked == self._settings.miss[1]:
            return Warmed(url, 'stored', client.status, None, seconds)
        return Warmed(url, 'not stored', client.status, detail_of(client.headers.get(b'cache-status')), seconds)

    def _scope(self, url: str) -> Scope:
        parts = urlsplit(url)
        base = parts if parts.netloc else self._base
        port = base.port or {'https': 443}.get(base.scheme, 80)
        path = parts.path or '/'
        return {
            'type': 'http',
            'asgi': {'version': '3.0', 'spec_version': '2.4'},
            'http_version': '1.1',
            'method': 'GET',
            'scheme': base.scheme,
            'path': unquote(path),
            'raw_path': path.encode(),
            'query_string': parts.query.encode(),
            'root_path': '',
            'headers': [(b'host', base.netloc.encode()), *self._headers],
            'client': ('127.0.0.1', 0),
            'server': (base.hostname or '', port),
            'state': {},
        }


def _base_of(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        parts.netloc.encode('ascii')
        is_base = parts.scheme in {'http', 'https'} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_base = False
    if not is_base:
        msg = f"base_url must be like 'https://shop.example', got {base_url!r}"
        raise ConfigurationError(msg)
    return parts


def _fields_of(headers: Mapping[str, str]) -> list[Field]:
    try:
        found = [(name.lower().encode('ascii'), value.encode('latin-1')) for name, value in headers.items()]
        is_legal = legal(found)
    except ValueError:
        is_legal = False
    if not is_legal:
        msg = f'one of the headers has a name or a value that no header can have: {", ".join(map(repr, headers))}'
        raise ConfigurationError(msg)
    return found


class _Client:
    """A client that waits for its response."""

    __slots__ = ('_was_sent', 'has_gone', 'headers', 'status')

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.has_gone = asyncio.Event()
        self._was_sent = False

    async def receive(self) -> Message:
        if not self._was_sent:
            self._was_sent = True
            return {'type': 'http.request', 'body': b'', 'more_body': False}
        await self.has_gone.wait()
        return {'type': 'http.disconnect'}

    async def send(self, message: Message) -> None:
        if message['type'] == 'http.response.start':
            self.status = message['status']
            self.headers = {bytes(name).lower(): bytes(value) for name, value in message.get('headers', ())}
