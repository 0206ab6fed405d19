"""What many tests need: a client, a clock that is set by hand, and names for what is looked at."""

from typing import Any

from aiocache import SimpleMemoryCache
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache


class Clock:
    """Seconds since the epoch, as the test sets them."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def memory_cache(**options: Any) -> FastAPICache:
    return FastAPICache(SimpleMemoryCache(), **options)


def caching_router(**options: Any) -> APIRouter:
    return APIRouter(route_class=CachingRoute, **options)


def client_of(*routers: APIRouter, **options: Any) -> TestClient:
    app = FastAPI(**options)
    for router in routers:
        app.include_router(router)
    return TestClient(app)


def marks(*responses: Any) -> list[str | None]:
    """The X-Cache of each response; None where there is none."""
    return [response.headers.get('x-cache') for response in responses]


def asgi_scope(method: str = 'GET', path: str = '/', *, query: bytes = b'', headers: Any = ()) -> dict[str, Any]:
    return {
        'type': 'http',
        'asgi': {'version': '3.0', 'spec_version': '2.4'},
        'http_version': '1.1',
        'method': method,
        'scheme': 'http',
        'path': path,
        'raw_path': path.encode(),
        'query_string': query,
        'root_path': '',
        'headers': list(headers),
        'client': ('127.0.0.1', 1),
        'server': ('127.0.0.1', 80),
        'state': {},
    }


async def asgi_call(app: Any, scope: dict[str, Any], body: bytes = b'') -> list[dict[str, Any]]:
    """The messages with which an app answers one request."""
    sent: list[dict[str, Any]] = []
    received = iter([{'type': 'http.request', 'body': body, 'more_body': False}])

    async def receive() -> dict[str, Any]:
        return next(received, {'type': 'http.disconnect'})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
