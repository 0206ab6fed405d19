"""Fixtures for all tests: real servers, started from PATH on free ports."""

import asyncio
import gc
import inspect
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import anyio
import pytest
from aiocache import MemcachedCache, RedisCache, SimpleMemoryCache
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._backends import breaker
from fastapi_caching_route._concurrency import flights
from fastapi_caching_route._concurrency.flights import Flight
from fastapi_caching_route._routes.unserved import Unserved
from fastapi_caching_route.options import DEFAULTS
from tests.servers import free_port, listens, wait_until
from tests.support import Clock, SkippingTime

serials = itertools.count()

for it in ('connect', 'read', 'write', 'pool'):
    setattr(DEFAULT_TIMEOUT_CONFIG, it, 60)

DEFAULTS['store_timeout'] = 5
"""In place of 0.25: the server of a test is waited for as long as a busy machine takes. What hangs is given less."""


@pytest.fixture
def anyio_backend():
    """Coroutine tests run on asyncio alone, as aiocache does."""
    return 'asyncio'


warn_later = Unserved._warn_later
Unserved._warn_later = lambda self: None
"""Tests, and modules as they are imported, decorate many endpoints that never meet a route: a warning a second later
would come in the middle of another test."""


@pytest.fixture(autouse=True)
def timers(request, monkeypatch):
    """The tests of these warnings get them."""
    if request.module.__name__.rpartition('.')[2] == 'test_missing_route_class':
        monkeypatch.setattr(Unserved, '_warn_later', warn_later)


def serve(program: str, *options: str) -> Iterator[int]:
    """Run a server for as long as the fixture lives; gives its port."""
    for server in run(program, *options):
        yield server.port


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen
    port: int

    def freeze(self):
        """It accepts and does not answer, until it goes on."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


def run(program: str, *options: str) -> Iterator[Server]:
    """The same, with a hand on its process."""
    if shutil.which(program) is None:
        if os.environ.get('CI') == 'true':
            pytest.fail(f'{program} is missing, and under CI=true it must not be')
        pytest.skip(f'{program} is not on the PATH')
    port = free_port()
    folder = tempfile.mkdtemp()
    command = [program, *(it.format(port=port) for it in options)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603, our own command
    try:
        wait_until(lambda: listens(port))
        yield Server(server, port)
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        server.wait(timeout=60)
        shutil.rmtree(folder)


@pytest.fixture(scope='session')
def redis_port():
    yield from serve('redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no')


@pytest.fixture
def redis_server():
    """A Redis of one test alone, which may do to it what it likes."""
    yield from run('redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no')


@pytest.fixture(scope='session')
def memcached_port():
    yield from serve('memcached', '-p', '{port}', '-l', '127.0.0.1', '-U', '0', '-u', 'nobody')


@pytest.fixture
def memcached_server():
    """A memcached of one test alone."""
    yield from run('memcached', '-p', '{port}', '-l', '127.0.0.1', '-U', '0', '-u', 'nobody')


@pytest.fixture(params=['memory', 'redis', 'memcached'])
def backend_kind(request):
    return request.param


@pytest.fixture
def new_backend(request, backend_kind) -> Callable[..., object]:
    """Builds a backend with aiocache's default settings, each time in a namespace of its own if none is given."""
    if backend_kind == 'memory':
        return SimpleMemoryCache
    port = request.getfixturevalue(f'{backend_kind}_port')
    kind = RedisCache if backend_kind == 'redis' else MemcachedCache
    return lambda **options: kind(endpoint='127.0.0.1', port=port, **options)


@pytest.fixture
def namespace():
    return f'test{next(serials)}'


@pytest.fixture
def backend(new_backend, namespace):
    """A backend of each kind, in a namespace of its own."""
    return new_backend(namespace=namespace)


@pytest.fixture
def cache(backend):
    """A cache on that backend."""
    return FastAPICache(backend, store_timeout=5)


@pytest.fixture
def clock():
    return Clock()


OUTSIDE = {'two', 'machine', 'new_backend', 'tmp_path'}
"""Fixtures with which something goes on outside the event loop, beside those of servers."""


@pytest.fixture
def no_machine_is_slow(request):
    """`skipping_time` for each coroutine test of a module in which nothing goes on outside the event loop."""
    served = any(it in OUTSIDE or it.endswith(('_port', '_server')) for it in request.fixturenames)
    if inspect.iscoroutinefunction(request.function) and not served:
        request.getfixturevalue('skipping_time')


@pytest.fixture
def new_objects():
    """A collection of garbage looks at what the test has made, and not at all that there is."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def later(monkeypatch):
    """Sets the time of day forward by so many seconds: for stores that live in this process."""
    real, ahead = time.time, []
    monkeypatch.setattr(time, 'time', lambda: real() + sum(ahead))
    return ahead.append


@pytest.fixture
async def skipping_time(monkeypatch):
    """A time in which no machine is slow, for tests that wait without sockets and threads."""
    selector = asyncio.get_running_loop()._selector
    found = SkippingTime(selector.select, anyio.to_thread.current_default_thread_limiter())
    monkeypatch.setattr(selector, 'select', found.select)
    for name in ('monotonic', 'sleep'):
        monkeypatch.setattr(time, name, getattr(found, name))
    monkeypatch.setattr(breaker, 'monotonic', found.monotonic)
    monkeypatch.setattr(flights, 'Flight', lambda *given, **known: Flight(*given, began_at=found.now, **known))
    return found
