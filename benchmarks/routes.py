"""Routes that benchmarks measure: the limit, and the same endpoints with a cache and without one."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer

from fastapi_caching_route import CachingRoute, FastAPICache

SMALL = {'items': [{'id': n, 'name': f'item {n}'} for n in range(7)]}
LARGE = b'x' * 100_000

Router = Callable[[Any], APIRouter]
"""A router for a case, given a backend."""


class LimitRoute(APIRoute):
    """The limit: two messages, built beforehand."""

    async def handle(self, _scope: Any, _receive: Any, send: Any) -> None:
        body = b'x' * 200
        headers = [(b'content-length', b'200'), (b'content-type', b'application/json')]
        await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
        await send({'type': 'http.response.body', 'body': body})


def limit(path: str) -> APIRouter:
    router = APIRouter(route_class=LimitRoute)
    router.get(path)(lambda: None)
    return router


def cached(
    answer: Callable[..., Any],
    guards: Any = (),
    of_cache: Mapping[str, Any] = MappingProxyType({}),
    observed: Callable[[FastAPICache], None] = lambda _: None,
    **options: Any,
) -> Router:
    """A router with one cached route."""

    def router_of(backend: Any) -> APIRouter:
        router, cache = APIRouter(route_class=CachingRoute), FastAPICache(backend, **of_cache)
        observed(cache)
        endpoint = cache(**{'ttl': 3600, **options})(answer)
        methods = ['POST' if answer is by_body else 'GET']
        router.api_route(path_of(answer), methods=methods, dependencies=list(guards))(endpoint)
        return router

    return router_of


def path_of(answer: Callable[..., Any]) -> str:
    return '/case/{number}' if answer in (small_of, large_of) else '/case'


async def small():
    return SMALL


async def four(a: int = 1, b: int = 2, c: str = '', d: str = ''):
    return SMALL


async def large():
    return Response(LARGE)


async def small_of(number: int):
    return SMALL


async def large_of(number: int):
    return Response(LARGE)


by_key = APIKeyHeader(name='x-key')
by_token = OAuth2PasswordBearer('token')


async def reads_nothing(request: Request):
    return SMALL


async def reads_two(request: Request):
    language, theme = request.headers.get('accept-language'), request.cookies.get('theme')
    return {**SMALL, 'for': [language, theme]}


async def checked(request: Request):
    """A guard of the user's: let in whoever has a key."""
    assert request.headers['x-key']


async def by_header(x_part: Annotated[str, Header()] = ''):
    return SMALL


async def by_body(wanted: dict[str, str]):
    return SMALL


async def once():
    """Answers one request; all others wait."""
    if next(runs_of_once):
        await asyncio.Event().wait()
    return SMALL


runs_of_once = itertools.count()


async def checked_by_parameters(x_key: Annotated[str, Header()], page: int = 1):
    assert x_key


def checked_in_a_thread(x_key: Annotated[str, Header()], page: int = 1):
    assert x_key


async def checked_with_teardown(x_key: Annotated[str, Header()], page: int = 1):
    assert x_key
    yield


async def settings_of_app():
    return SMALL


async def current_user(
    token: Annotated[str, Depends(by_token)], settings: Annotated[Any, Depends(settings_of_app)]
) -> str:
    return token


async def small_for_user(user: Annotated[str, Depends(current_user)]):
    return SMALL


def uncached(answer: Callable[..., Any], guards: Any = ()) -> Router:
    """A router with the same route, without a cache."""

    def router_of(_backend: Any) -> APIRouter:
        router = APIRouter()
        router.get(path_of(answer), dependencies=list(guards))(answer)
        return router

    return router_of


def two_gets(backend: Any) -> APIRouter:
    """A route that asks redis-py for two keys, and has the answer ready."""

    class Asking(LimitRoute):
        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await backend.client.mget('one', 'two')
            await super().handle(scope, receive, send)

    router = APIRouter(route_class=Asking)
    router.get('/case')(lambda: None)
    return router
