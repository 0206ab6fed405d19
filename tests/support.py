"""What many tests need: a client, a clock that is set by hand, and names for what is looked at."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import fastapi
from aiocache import RedisCache, SimpleMemoryCache
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache

FASTAPI = tuple(int(number) for number in fastapi.__version__.split('.')[:2])


class Clock:
    """Seconds since the epoch, as the test sets them."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


TURN_SECONDS = 0.00001
"""What a turn of the event loop takes in a time that skips: a loop that waits for a moment by turns ends, too."""


class SkippingTime:
    """A monotonic time that passes only where a test waits, and at once, however slow the machine is.

    For tests without sockets and other processes. A function in a thread of anyio is waited for, at most ten seconds.
    """

    def __init__(self, select: Callable[[float | None], list[Any]], threads: anyio.CapacityLimiter) -> None:
        self.now = time.monotonic()
        self.turns = 0
        """How often the event loop has looked whether anything has come."""
        self._select, self._threads = select, threads
        self._thread, self._sleep = threading.get_ident(), time.sleep

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if threading.get_ident() == self._thread:
            self.now += seconds
        else:
            self._sleep(seconds)

    def select(self, timeout: float | None = None) -> list[Any]:
        """What an event loop waits in: if nothing has come, the time until its next timer is skipped."""
        self.turns += 1
        if timeout is None or timeout <= 0:
            self.now += TURN_SECONDS
            return self._select(timeout)
        ready = self._select(10 if self._threads.borrowed_tokens else 0)
        if not ready:
            self.now += timeout
        return ready


def memory_cache(**options: Any) -> FastAPICache:
    return FastAPICache(SimpleMemoryCache(), **options)


async def all_written(store: Any) -> None:
    """Wait until the backend has taken all invalidations of a store."""
    debts = getattr(store, 'debts', None)  # none where nothing has to be written
    while debts:
        debts.retry_later(store._parts.write)
        await asyncio.sleep(0.01)


def caching_router(**options: Any) -> APIRouter:
    return APIRouter(route_class=CachingRoute, **options)


def client_of(*routers: APIRouter, **options: Any) -> TestClient:
    app = FastAPI(**options)
    for router in routers:
        app.include_router(router)
    return TestClient(app)


def twins(endpoint: Any) -> tuple[TestClient, TestClient]:
    """The endpoint in two apps, cached and not."""
    router, cache, plain = caching_router(), memory_cache(), FastAPI()
    cache(ttl=60)(router.get('/')(endpoint))
    plain.get('/')(endpoint)
    return client_of(router), TestClient(plain)


async def closing(backend: Any) -> None:
    """Close the clients that a backend has opened, in the event loop that used it."""
    await (backend.client.aclose() if isinstance(backend, RedisCache) else backend.close())


def marks(*responses: Any) -> list[str | None]:
    """The X-Cache of each response; None where there is none."""
    return [response.headers.get('x-cache') for response in responses]


def found(client: TestClient, *paths: str) -> list[str | None]:
    """The X-Cache of the response to each path."""
    return marks(*(client.get(path) for path in paths))


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


def patient(body: bytes = b'') -> Any:
    """The `receive` of a client that sends its request and waits."""
    received = iter([{'type': 'http.request', 'body': body, 'more_body': False}])

    async def receive() -> dict[str, Any]:
        message = next(received, None)
        return message or await asyncio.get_running_loop().create_future()

    return receive


async def until(condition: Callable[[], object]) -> None:
    """Wait until this is so, a minute at most."""
    for _ in range(12000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError('it did not come')


async def asgi_call(app: Any, scope: dict[str, Any], body: bytes = b'') -> list[dict[str, Any]]:
    """The messages with which an app answers one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, patient(body), send)
    return sent
