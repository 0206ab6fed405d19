"""What a write invalidates, and when: before its response is sent, so that the client then reads its own write.

Knows names and ASGI messages, and neither routes nor the framework.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core.asgi import Message, Scope, Send
from fastapi_caching_route._core.given_paths import meant_by
from fastapi_caching_route._core.names import (
    EVERYTHING,
    PathValues,
    are_tags,
    below_path_name,
    fields_of,
    filled,
    names_of_tags,
    path_name,
    path_of,
)
from fastapi_caching_route._exchange.runtime import Runtime
from fastapi_caching_route._exchange.user_code import call_hook
from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.errors import ConfigurationError, InvalidationError

logger = logging.getLogger('fastapi_caching_route')

Targets = list[tuple[Store, tuple[str, ...]]]
"""Names to invalidate, each group with its store."""

REMEDY = 'for another value, call context.invalidate(tags=[...]) of a CacheContext in the endpoint'

SAFE = frozenset({'GET', 'HEAD', 'OPTIONS', 'QUERY', 'TRACE'})
"""Methods that change nothing: those of RFC 9110 §9.2.1, and QUERY, which is defined to be one of them."""


def is_write(method: str, *, cached: bool) -> bool:
    """Whether a request with this method invalidates its own path (RFC 9111 §4.4). A cached POST only reads."""
    return method not in SAFE and not (cached and method == 'POST')


def targets_of_a_write(scope: Scope, headers: RawHeaders) -> list[Scope]:
    """The scope of a write, and one for each path in its Location and Content-Location (RFC 9111 §4.4).

    `headers` are those of its response. URLs of other origins are ignored.
    """
    scheme, host = scope.get('scheme', 'http'), b''.join(lines(scope['headers'], b'host')).decode('latin-1')
    here = urlsplit(f'{scheme}://{host}{quote(scope["path"])}')
    targets = [scope]
    for value in (*lines(headers, b'location'), *lines(headers, b'content-location')):
        with suppress(ValueError):
            target = urlsplit(value.decode('latin-1'))
            if _is_of(here, target):
                path = _path_from(here.path, target)
                # A client that does not resolve the dots of an absolute path has stored something under it as it is.
                paths = dict.fromkeys(
                    (_without_dots(path), path) if target.path.startswith('/') else (_without_dots(path),)
                )
                targets += [{**scope, 'path': unquote(it)} for it in paths]
    return targets


def _is_of(here: SplitResult, target: SplitResult) -> bool:
    """Whether a reference leads to the origin of the URL in which it stands."""
    if not target.netloc:
        return target.scheme in ('', here.scheme)
    return _origin(target._replace(scheme=target.scheme or here.scheme)) == _origin(here)


def _path_from(here: str, target: SplitResult) -> str:
    """The path of a reference in a URL with the path `here`, not without its dots yet (RFC 3986 §5.2.2 and §5.2.3)."""
    if target.netloc or target.path.startswith('/'):
        return target.path or '/'
    return here.rpartition('/')[0] + f'/{target.path}' if target.path else here


def _without_dots(path: str) -> str:
    """A path without the segments `.` and `..` (RFC 3986 §5.2.4). `urljoin` would drop empty segments, too."""
    kept: list[str] = []
    for segment in path.split('/')[1:]:
        if segment == '..':
            del kept[-1:]
        elif segment != '.':
            kept.append(segment)
    return '/' + '/'.join([*kept, ''] if path.endswith(('/.', '/..')) else kept)


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {'http': 80, 'https': 443}.get(url.scheme)


@dataclass(frozen=True, slots=True)
class Invalidates:
    """The options of one `@cache.invalidates(...)`."""

    runtime: Runtime
    """That of the cache which has decorated the write."""
    tags: tuple[str, ...] | Callable[[Scope], object]
    """Templates with path parameters, or a callable that returns the tags for a request."""
    endpoints: Callable[[], tuple[str, ...]]
    """Returns their names. It is called at a request, when all routes exist."""
    paths: tuple[str, ...]
    """Templates with path parameters."""
    own_path: bool
    in_words: tuple[str, ...] = ()
    """The names of the endpoints, for people."""

    @property
    def store(self) -> Store:
        """The store of the cache."""
        return self.runtime.store

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates with path parameters."""
        return (*self.paths, *(() if callable(self.tags) else self.tags))

    @property
    def fields(self) -> frozenset[str]:
        """The parameters that the templates name."""
        return frozenset(field for template in self.templates for field in fields_of(template))

    async def names(self, scope: Scope, values: PathValues) -> tuple[str, ...]:
        """The names that this request invalidates; the name of everything if they cannot be determined."""
        try:
            paths = [name for template in self.paths for name in _names_of_path(template, values)]
            tags = (
                await call_hook(self.tags, scope) if callable(self.tags) else [filled(it, values) for it in self.tags]
            )
            endpoints = self.endpoints()
        except KeyError as error:
            said = '%r has no path or query parameter %s, so all entries are invalidated; ' + REMEDY
            logger.error(said, scope['path'], error)  # noqa: TRY400, it says all
            return (EVERYTHING,)
        except ConfigurationError as error:
            logger.error('%s; all entries are invalidated', error)  # noqa: TRY400, it says all
            return (EVERYTHING,)
        if not are_tags(tags):
            logger.error(
                '%r: the tags callable must return a list of str; it returned something else or raised an exception, '
                'so all entries are invalidated',
                scope['path'],
            )
            return (EVERYTHING,)
        own = [path_name(path_of(scope))] if self.own_path else []
        return tuple(dict.fromkeys((*names_of_tags(tags), *endpoints, *paths, *own)))


def _names_of_path(template: str, values: PathValues) -> tuple[str, ...]:
    """The name of one path, or that of all paths below it if the template, and not a value, ends in `/*`."""
    names = []
    for it in meant_by(template):  # before values are filled in, which are decoded
        stem = it.removesuffix('/*')
        names.append(path_name(filled(it, values)) if stem == it else below_path_name(filled(stem, values)))
    return tuple(names)


async def invalidate_for_all(targets: Iterable[tuple[Store, Collection[str]]]) -> None:
    """Invalidate names in each store. If a backend fails, that is logged and the invalidation is pending."""
    together: dict[Store, dict[str, Any]] = {}
    for store, names in targets:
        if on_asyncio():
            together.setdefault(store, {}).update(dict.fromkeys(names))
        else:
            store.invalidate_soon(tuple(names))
    # All invalidations start before the first `await`: one that is slow must not delay the others.
    begun = [store.begin_invalidation(tuple(all_names)) for store, all_names in together.items()]
    for invalidating in begun:
        with suppress(InvalidationError):
            await asyncio.shield(invalidating)


class InvalidatingSend:
    """The `send` of a write: calls `invalidate` before a 2xx or 3xx is sent.

    An endpoint that streams may write while it does. So `invalidate` is called again before the end of a stream, even
    if that comes early. It is called once more when the request is over, if `runs_after_answer` returns true: code that
    runs after the response may have written, too.
    """

    __slots__ = ('_headers', '_invalidate', '_runs_after_answer', '_send', '_streams', '_succeeds')

    def __init__(
        self,
        send: Send,
        invalidate: Callable[[RawHeaders], Awaitable[RawHeaders]],
        runs_after_answer: Callable[[], bool],
    ) -> None:
        """`invalidate` gets the headers of the response, and returns those to add.

        `runs_after_answer` is called when the request is over.
        """
        self._send = send
        self._invalidate = invalidate
        self._runs_after_answer = runs_after_answer
        self._succeeds = False
        self._headers: RawHeaders = ()
        self._streams = False

    async def send(self, message: Message) -> None:
        """Send a message of the response."""
        if message['type'] == 'http.response.start':
            self._succeeds = 200 <= message['status'] < 400
            if self._succeeds:
                self._headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get('headers', ())]
                more = await self._invalidate(self._headers)
                message = {**message, 'headers': [*message.get('headers', ()), *more]} if more else message
        elif message['type'] == 'http.response.body' and self._succeeds:
            if message.get('more_body', False):
                self._streams = True
            elif self._streams:
                self._streams = False
                await self._invalidate(self._headers)
        await self._send(message)

    async def end(self) -> None:
        """The request is over, even if the response is not complete."""
        if self._succeeds and (self._streams or self._runs_after_answer()):
            await self._invalidate(self._headers)
