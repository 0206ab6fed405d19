"""What many tests need: a client, a clock that is set by hand, and names for what is looked at."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import fastapi
from aiocache import SimpleMemoryCache
from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache

FASTAPI = tuple(int(number) for number in fastapi.__version__.split('.')[:2])
EXAMPLES = Path(__file__).parent.parent / 'examples'


class Clock:
    """Seconds since the epoch, as the test sets them."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Elsewhere(BaseCache):
    """A backend as if outside of the process, with nothing but what every backend has; told commands fail, hang or take long."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{'serializer': NullSerializer(), **options})
        self.kept: dict[str, Any] = {}
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.commands: list[str] = []
        self.ended: list[str] = []
        self.slow: dict[str, float] = {}

    async def _command(self, name: str, effect: Callable[[], Any]) -> Any:
        self.commands.append(name)
        if name in self.failing:
            raise ConnectionError(name)
        if name in self.hanging:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.slow.get(name, 0))
        self.ended.append(name)
        return effect()

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Any:
        return await self._command('get', lambda: self.kept.get(key))

    async def _multi_get(self, keys: list[str], encoding: Any = None, _conn: Any = None) -> Any:
        return await self._command('multi_get', lambda: [self.kept.get(key) for key in keys])

    async def _set(self, key: str, value: Any, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> Any:
        return await self._command('set', lambda: self.kept.update({key: value}) or True)

    async def _add(self, key: str, value: Any, ttl: Any = None, _conn: Any = None) -> Any:
        if await self._command('add', lambda: self.kept.setdefault(key, value)) is not value:
            raise ValueError(key)

    async def _delete(self, key: str, _conn: Any = None) -> Any:
        return await self._command('delete', lambda: int(self.kept.pop(key, None) is not None))


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


def patient(body: bytes = b'') -> Any:
    """The `receive` of a client that sends its request and waits."""
    received = iter([{'type': 'http.request', 'body': body, 'more_body': False}])

    async def receive() -> dict[str, Any]:
        message = next(received, None)
        return message or await asyncio.get_running_loop().create_future()

    return receive


async def asgi_call(app: Any, scope: dict[str, Any], body: bytes = b'') -> list[dict[str, Any]]:
    """The messages with which an app answers one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, patient(body), send)
    return sent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_until(ready: Any, seconds: float = 20) -> None:
    """Ask again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, 'it did not come to be in time'
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


def uvicorn_server(app: str, *options: str, cwd: Path = EXAMPLES) -> AbstractContextManager[int]:
    """Uvicorn in a process of its own; gives its port."""
    return real_server(('uvicorn', app, '--port', '{}', '--log-level', 'warning', *options), cwd=cwd)


@contextmanager
def real_server(command: Sequence[str], *, cwd: Path = EXAMPLES) -> Iterator[int]:
    """A server, as a module with options, in a process of its own; braces stand for the port that it is given."""
    port = free_port()
    started = [sys.executable, '-m', *(it.replace('{}', str(port)) for it in command)]
    server = subprocess.Popen(started, cwd=cwd, start_new_session=True)  # noqa: S603, our own command
    try:
        wait_until(lambda: listens(port))
        yield port
    finally:
        stop(server)


def stop(server: subprocess.Popen[Any], seconds: float = 10) -> None:
    """Ask a server that leads its own session to end; kill it and its workers if it does not.

    granian waits for ever for a worker that was asked to end while it started.
    """
    server.terminate()
    try:
        server.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=seconds)
