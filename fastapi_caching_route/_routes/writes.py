"""What a write makes outdated, and when that is invalidated: before its answer leaves, so that its client reads it.

Knows names and ASGI messages, and neither routes nor the framework.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core.asgi import Message, Scope, Send
from fastapi_caching_route._core.names import (
    EVERYTHING,
    PathValues,
    are_tags,
    filled,
    names_of_tags,
    path_name,
    path_of,
)
from fastapi_caching_route._exchange.plan import ask_user
from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.errors import ConfigurationError, InvalidationError

logger = logging.getLogger('fastapi_caching_route')

Targets = list[tuple[Store, tuple[str, ...]]]
"""Names to invalidate, with the store in which they are to be invalidated."""

SAFE = frozenset({'GET', 'HEAD', 'OPTIONS', 'QUERY', 'TRACE'})
"""Methods that change nothing: those of RFC 9110 §9.2.1, and QUERY, which is defined to be one of them."""


def is_write(method: str, *, cached: bool) -> bool:
    """Whether an answer to this method makes its own path outdated (RFC 9111 §4.4). A POST that is cached is a question."""
    return method not in SAFE and not (cached and method == 'POST')


def targets_of_a_write(scope: Scope, answer: RawHeaders) -> list[Scope]:
    """The request of a write, and such ones for the paths that Location and Content-Location name (RFC 9111 §4.4).

    Only those of the same origin.
    """
    scheme, host = scope.get('scheme', 'http'), b''.join(lines(scope['headers'], b'host')).decode('latin-1')
    here = f'{scheme}://{host}{quote(scope["path"])}'
    targets = [scope]
    for value in (*lines(answer, b'location'), *lines(answer, b'content-location')):
        with suppress(ValueError):
            target = urlsplit(urljoin(here, value.decode('latin-1')))
            if _origin(target) == _origin(urlsplit(here)):
                targets.append({**scope, 'path': unquote(target.path) or '/'})
    return targets


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or {'http': 80, 'https': 443}.get(url.scheme)


@dataclass(frozen=True, slots=True)
class Invalidates:
    """What one `@cache.invalidates(...)` says."""

    store: Store
    tags: tuple[str, ...] | Callable[[Scope], object]
    """Templates over path parameters, or gives the tags of a request."""
    endpoints: Callable[[], tuple[str, ...]]
    """Gives their names; by the first request, all routes are there."""
    paths: tuple[str, ...]
    """Templates over path parameters."""
    own_path: bool
    in_words: tuple[str, ...] = ()
    """The endpoints, by their names."""

    @property
    def templates(self) -> tuple[str, ...]:
        """All that are filled with path parameters."""
        return (*self.paths, *(() if callable(self.tags) else self.tags))

    async def names(self, scope: Scope, values: PathValues) -> tuple[str, ...]:
        """The names that this request has made outdated; all, where that cannot be told."""
        try:
            paths = [filled(template, values) for template in self.paths]
            tags = await ask_user(self.tags, scope) if callable(self.tags) else [filled(it, values) for it in self.tags]
            endpoints = self.endpoints()
        except KeyError as error:
            logger.error('%r has no path parameter %s, so all entries are invalidated', scope['path'], error)  # noqa: TRY400, it says all
            return (EVERYTHING,)
        except ConfigurationError as error:
            logger.error('%s; all entries are invalidated', error)  # noqa: TRY400, it says all
            return (EVERYTHING,)
        if not are_tags(tags):
            logger.error(
                '%r: the tags callable must return a list of str; it returned something else or raised an exception, so all '
                'entries are invalidated',
                scope['path'],
            )
            return (EVERYTHING,)
        own = [path_of(scope)] if self.own_path else []
        return tuple(dict.fromkeys((*names_of_tags(tags), *endpoints, *map(path_name, (*paths, *own)))))


async def invalidate_for_all(targets: Iterable[tuple[Store, Collection[str]]]) -> None:
    """Invalidate names in each store; where one does not answer, that is owed and logged, and the write goes on."""
    together: dict[Store, dict[str, Any]] = {}
    for store, names in targets:
        if on_asyncio():
            together.setdefault(store, {}).update(dict.fromkeys(names))
        else:
            store.invalidate_soon(tuple(names))
    begun = [
        store.begin_invalidation(tuple(all_names)) for store, all_names in together.items()
    ]  # all, before any is waited for
    for invalidating in begun:
        with suppress(InvalidationError):
            await asyncio.shield(invalidating)


class InvalidatingSend:
    """The `send` of a write: calls `invalidate` before an answer of 2xx or 3xx leaves.

    A stream may go on writing while it is sent. So it acts again before its end, whichever that is; and once more when all
    is over, if something `runs_after_answer` that may still write when the answer has left.
    """

    __slots__ = ('_fields', '_invalidate', '_runs_after_answer', '_send', '_streams', '_succeeds')

    def __init__(
        self, send: Send, invalidate: Callable[[RawHeaders], Awaitable[None]], runs_after_answer: Callable[[], bool]
    ) -> None:
        """Send by `send`; `invalidate` gets the fields of the answer. At its end, `runs_after_answer` tells whether there may be more to do."""
        self._send = send
        self._invalidate = invalidate
        self._runs_after_answer = runs_after_answer
        self._succeeds = False
        self._fields: RawHeaders = ()
        self._streams = False

    async def send(self, message: Message) -> None:
        """Take a message of the answer."""
        if message['type'] == 'http.response.start':
            self._succeeds = 200 <= message['status'] < 400
            if self._succeeds:
                self._fields = [(bytes(name).lower(), bytes(value)) for name, value in message.get('headers', ())]
                await self._invalidate(self._fields)
        elif message['type'] == 'http.response.body' and self._succeeds:
            if message.get('more_body', False):
                self._streams = True
            elif self._streams:
                self._streams = False
                await self._invalidate(self._fields)
        await self._send(message)

    async def end(self) -> None:
        """All is over, whether the answer has come to its end or not."""
        if self._succeeds and (self._streams or self._runs_after_answer()):
            await self._invalidate(self._fields)
