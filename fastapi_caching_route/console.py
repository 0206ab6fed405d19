"""The console: a router with a page that shows what a cache does, and JSON for scripts.

Needs nothing to be installed. Knows the guards of the user's only as dependencies.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import wraps
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.params import Depends
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from typing_extensions import Doc

from fastapi_caching_route._console.acting import Invalidation, invalidate
from fastapi_caching_route._console.asking import Asked, outlook
from fastapi_caching_route._console.counting import counted, reports
from fastapi_caching_route._console.ending import server_ends
from fastapi_caching_route._console.guarding import ConsoleRoute
from fastapi_caching_route._console.listing import one, page
from fastapi_caching_route._console.messages import json_response, received
from fastapi_caching_route._core.as_json import as_json
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import CacheError, ConfigurationError

TICK_SECONDS = 2.0
"""How often the page gets new numbers."""

STREAM_SECONDS = 10.0
"""After these seconds, the page connects again, so that the guards run again and a server can shut down."""

LOOK_SECONDS = 0.2
"""How often a stream looks whether the server ends: it would wait for the stream."""

LAST = 2**64
"""No cursor of Redis is as large."""

STATIC = {
    '': ('console.html', 'text/html; charset=utf-8'),
    'console.css': ('console.css', 'text/css; charset=utf-8'),
    'console.js': ('console.js', 'text/javascript; charset=utf-8'),
    'icon.svg': ('icon.svg', 'image/svg+xml'),
}


def console_router(
    cache: Annotated[FastAPICache, Doc('The cache that it shows.')],
    *,
    dependencies: Annotated[
        Sequence[Depends], Doc('The guards: `[Depends(admin)]`. They run before every response of the console.')
    ] = (),
    unguarded: Annotated[bool, Doc('Whether it may be without guards: everybody may then invalidate.')] = False,
) -> APIRouter:
    """A router with the console of a cache: `app.include_router(console_router(...), prefix='/cache')`.

    The page is at the prefix with a slash. Scripts get JSON from `stats.json`, `routes.json`, `entries.json`,
    `entry.json`, `lookup.json` and `invalidate.json` beside it; see `docs/watching.md`.

    Raises:
        ConfigurationError: there are no guards, and it is not `unguarded`; or they are no list of `Depends(...)`.

    """
    _check_guards(dependencies, unguarded=unguarded)
    router = APIRouter(route_class=ConsoleRoute, dependencies=list(dependencies), include_in_schema=False)
    for place, (name, kind) in STATIC.items():
        router.add_api_route(f'/{place}', _sending(name, kind), methods=['GET', 'HEAD'])
    _add_reading(router, cache)
    _add_asking(router, cache)
    return router


def _check_guards(dependencies: Any, *, unguarded: bool) -> None:
    if not isinstance(dependencies, list | tuple) or not all(isinstance(it, Depends) for it in dependencies):
        msg = f'console_router: dependencies must be a list like [Depends(admin)], got {dependencies!r}'
        raise ConfigurationError(msg)
    if not dependencies and not unguarded:
        msg = (
            'console_router: everybody could see what is stored, and invalidate it; '
            'give dependencies=[Depends(admin)], or say unguarded=True if something else guards it'
        )
        raise ConfigurationError(msg)
    if dependencies and unguarded:
        raise ConfigurationError('console_router: its dependencies guard it, and unguarded=True denies it; remove one')


def _sending(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    """An endpoint that sends a static file of this package."""
    content = (files('fastapi_caching_route') / '_console' / 'static' / name).read_bytes()

    async def file() -> Response:
        return Response(content, media_type=kind)

    return file


def _add_reading(router: APIRouter, cache: FastAPICache) -> None:
    """Add the routes that only read."""

    @router.get('/stats.json')
    async def stats() -> Response:
        return json_response(await counted(cache))

    @router.get('/events')
    async def events(request: Request) -> Response:
        return StreamingResponse(_ticks(cache, request), media_type='text/event-stream')

    @router.get('/routes.json')
    async def routes(request: Request) -> Response:
        return json_response(await run_in_threadpool(reports, cache, _outermost(request)))

    @router.get('/entries.json')
    @_answering_errors
    async def entries(
        route: str | None = None,
        path: str | None = None,
        tag: str | None = None,
        dead: bool = False,  # noqa: FBT001, FBT002, a query parameter
        after: int = 0,
    ) -> Response:
        if not 0 <= after < LAST:
            raise HTTPException(422, 'after must be the `next` of a page')
        return json_response(await page(cache, route=route, path=path, tag=tag, dead=dead, after=after))

    @router.get('/entry.json')
    @_answering_errors
    async def entry(request: Request, key: str, personal: bool = False) -> Response:  # noqa: FBT001, FBT002, as above
        found = await one(cache, _outermost(request), key, personal=personal)
        if found is None:
            raise HTTPException(404, 'there is no such entry any more')
        return json_response(found)


def _add_asking(router: APIRouter, cache: FastAPICache) -> None:
    """Add the routes that take a body."""

    @router.post('/lookup.json')
    @_answering_errors
    async def lookup(request: Request) -> Response:
        return json_response(await outlook(await received(request, Asked), request.scope))

    @router.post('/invalidate.json')
    @_answering_errors
    async def invalidation(request: Request) -> Response:
        asked = await received(request, Invalidation)
        done = await invalidate(cache, _outermost(request), asked)
        return json_response(done, 202 if done['pending'] else 200)


def _answering_errors(endpoint: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """The endpoint, with errors as responses: 422 for wrong arguments, 503 if the store fails."""

    @wraps(endpoint)
    async def answering(**arguments: Any) -> Response:
        try:
            return await endpoint(**arguments)
        except ConfigurationError as error:
            raise HTTPException(422, str(error)) from None
        except CacheError as error:
            raise HTTPException(503, str(error)) from None

    return answering


def _outermost(request: Request) -> Any:
    """The app that got the request from its server."""
    return request.scope.get('router') or request.scope['app']


async def _ticks(cache: FastAPICache, request: Request) -> AsyncGenerator[str, None]:
    """Server-sent events: the numbers of now, every few seconds, for some seconds."""
    until = time.monotonic() + STREAM_SECONDS
    yield 'retry: 500\n\n'
    while not await request.is_disconnected():
        found = await counted(cache)
        del found['routes']
        yield f'data: {as_json(found)}\n\n'
        if time.monotonic() + TICK_SECONDS > until:
            return
        following = time.monotonic() + TICK_SECONDS
        while time.monotonic() < following:
            if server_ends():
                return
            await asyncio.sleep(LOOK_SECONDS)
