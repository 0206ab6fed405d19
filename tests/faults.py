"""What a store can do to an app, fault after fault, with real servers; `python -m tests.faults` prints the table.

An app in this process answers requests all the time, through a cache on a real Redis or memcached. In front of the
server stands a proxy, which does to connections what networks do.
"""

import asyncio
import contextlib
import itertools
import logging
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache, InvalidationError
from tests.servers import free_port, listens, wait_until
from tests.support import asgi_call, asgi_scope, caching_router

PATHS = 20
WORKERS = 10
BREATH = 0.01
"""Seconds between two requests of a worker."""


class Proxy:
    """Stands in front of a server. Its mode says what it does to connections, those that are open too."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.mode = 'pass'
        self.latency = 0.4
        self._server: asyncio.Server | None = None
        self._swallowing: list[socket.socket] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def turn(self, mode: str) -> None:
        """Do this from now on."""
        self.mode = mode
        for it in self._swallowing:
            it.close()
        self._swallowing = []
        if self._server is not None:
            self._server.close()
            self._server = None
        if mode not in ('slow', 'pass', 'hang'):
            for writer in list(self._writers):
                writer.transport.abort()
        if mode == 'swallow':  # a queue of connections that is full: the system drops whoever knocks
            await self._swallow()
        elif mode != 'refuse':
            self._server = await asyncio.start_server(self._serve, '127.0.0.1', self.port)

    async def _swallow(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(('127.0.0.1', self.port))
        listening.listen(0)
        self._swallowing.append(listening)
        for _ in range(4):
            knocking = socket.socket()
            knocking.setblocking(False)  # noqa: FBT003, it takes nothing else
            with suppress(BlockingIOError):
                knocking.connect(('127.0.0.1', self.port))
            self._swallowing.append(knocking)
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self.mode == 'reset':
                writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            elif self.mode == 'another protocol':
                await reader.read(100)
                writer.write(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
            else:
                far_reader, far_writer = await asyncio.open_connection('127.0.0.1', self.target)
                self._writers.add(far_writer)
                await asyncio.gather(self._pass_on(reader, far_writer, ''), self._pass_on(far_reader, writer, 'reply'))
        writer.close()
        self._writers.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: str) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65536):
                if self.mode == 'hang':
                    continue
                if self.mode == 'slow' and what:
                    await asyncio.sleep(self.latency)
                if self.mode == 'cut' and what:
                    writer.write(chunk[:-3])
                    break
                writer.write(chunk)
        writer.close()
        self._writers.discard(writer)

    async def close(self) -> None:
        await self.turn('refuse')
        for writer in list(self._writers):
            writer.transport.abort()


@dataclass
class Stage:
    """A server, the proxy before it, and how to start it again."""

    kind: str
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    folder: str = field(default_factory=tempfile.mkdtemp)
    process: subprocess.Popen | None = None
    proxy: Proxy | None = None
    password: str | None = None

    async def start(self, *more: str) -> None:
        program = {'redis': 'redis-server', 'memcached': 'memcached'}[self.kind]
        options = (
            ['--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--dir', self.folder, *more]
            if self.kind == 'redis'
            else ['-p', str(self.port), '-l', '127.0.0.1', '-U', '0', '-u', 'nobody', *self.options, *more]
        )
        self.process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220, S603
        await asyncio.to_thread(wait_until, lambda: listens(self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def redis(self, *command: str) -> Any:
        """Give the server itself a command."""
        client = redis.asyncio.Redis(port=self.port, retry=None, password=self.password)
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()


def network(mode: str) -> Callable[[Stage], AsyncIterator[None]]:
    @asynccontextmanager
    async def fault(stage: Stage):
        await stage.proxy.turn(mode)
        yield
        await stage.proxy.turn('pass')

    return fault


@asynccontextmanager
async def killed(stage: Stage):
    stage.kill()
    yield
    await stage.start()


@asynccontextmanager
async def frozen(stage: Stage):
    stage.process.send_signal(signal.SIGSTOP)
    yield
    stage.process.send_signal(signal.SIGCONT)


def redis_says(*command: str, heal: tuple[str, ...]) -> Callable[[Stage], AsyncIterator[None]]:
    @asynccontextmanager
    async def fault(stage: Stage):
        await stage.redis(*command)
        yield
        await stage.redis(*heal)

    return fault


@asynccontextmanager
async def no_password(stage: Stage):
    await stage.redis('CONFIG', 'SET', 'requirepass', 'secret')
    for writer in list(stage.proxy._writers):
        writer.transport.abort()
    yield
    stage.password = 'secret'
    await stage.redis('CONFIG', 'SET', 'requirepass', '')
    stage.password = None


@asynccontextmanager
async def loading(stage: Stage):
    """Started again with a large dump, which it reads slowly."""
    for number in range(40):
        await stage.redis('SET', f'ballast:{number}', 'x' * 4096)
    await stage.redis('SAVE')
    stage.kill()
    await stage.start('--key-load-delay', '100000', '--loading-process-events-interval-bytes', '1024')
    yield
    stage.kill()
    await stage.start()


@asynccontextmanager
async def wrong_type(stage: Stage):
    """Somebody keeps lists under all of our keys."""
    for key in await stage.redis('KEYS', '*'):
        await stage.redis('DEL', key)
        await stage.redis('RPUSH', key, 'x')
    yield
    await stage.redis('FLUSHALL')


NETWORK = {
    'refused': network('refuse'),
    'reset': network('reset'),
    'hung': network('hang'),
    'connections swallowed': network('swallow'),
    'slow (0.4 s a reply)': network('slow'),
    'another protocol': network('another protocol'),
    'replies cut': network('cut'),
    'killed, started again': killed,
    'frozen, resumed': frozen,
}
REDIS = {
    **NETWORK,
    'out of memory': redis_says('CONFIG', 'SET', 'maxmemory', '1', heal=('CONFIG', 'SET', 'maxmemory', '0')),
    'NOREPLICAS': redis_says(
        'CONFIG', 'SET', 'min-replicas-to-write', '1', heal=('CONFIG', 'SET', 'min-replicas-to-write', '0')
    ),
    'read-only replica': redis_says('REPLICAOF', '127.0.0.1', '1', heal=('REPLICAOF', 'NO', 'ONE')),
    'password missing': no_password,
    'loading': loading,
    'WRONGTYPE': wrong_type,
}
FAULTS = [*itertools.product(['redis'], REDIS), *itertools.product(['memcached'], NETWORK)]


@dataclass
class Row:
    """What was seen of one fault."""

    kind: str
    fault: str
    requests: int = 0
    errors: int = 0
    """Answers other than the endpoint's own, and exceptions."""
    outdated: int = 0
    """Answers from before an invalidation that was made while the fault lasted."""
    median: float = 0
    worst: float = 0
    """Seconds by which answers came later than without a cache, while the fault lasted."""
    recovery: float = 0
    """Seconds from the end of the fault to the first hit."""
    warnings: int = 0
    recoveries: int = 0

    def __str__(self) -> str:
        return (
            f'{self.kind:9} {self.fault:22} {self.requests:6} {self.errors:6} {self.outdated:8}'
            f' {self.median * 1000:8.1f} ms {self.worst * 1000:8.1f} ms {self.recovery:7.2f} s {self.warnings:8}'
            f' {self.recoveries:9}'
        )


HEAD = (
    f'{"store":9} {"fault":22} {"asked":>6} {"errors":>6} {"outdated":>8} {"median":>11} {"worst":>11} {"recovery":>9}'
    ' warnings recovered'
)


class Counting(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def watch(kind: str, fault: str, seconds: float = 2.0) -> Row:
    """Answer requests before, during and after a fault."""
    row, stage, log = Row(kind, fault), Stage(kind), Counting()
    logger = logging.getLogger('fastapi_caching_route')
    logger.addHandler(log)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        await stage.start()
        stage.proxy = Proxy(stage.port)
        await stage.proxy.turn('pass')
        backend = (RedisCache if kind == 'redis' else MemcachedCache)(endpoint='127.0.0.1', port=stage.proxy.port)
        cache = FastAPICache(backend, store_timeout=0.25)
        async with cache:
            await _watch(row, stage, cache, (REDIS if kind == 'redis' else NETWORK)[fault], seconds)
        await asyncio.sleep(0.1)  # what was cancelled is to end
        left = [task for task in asyncio.all_tasks() if '_link' in repr(task) and not task.done()]
        assert not left, left
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)
        logger.propagate = propagate
        await stage.proxy.close()
        stage.process.send_signal(signal.SIGCONT)
        stage.kill()
        shutil.rmtree(stage.folder)
    trouble = [it for it in log.records if 'is failing' in it.getMessage()]
    row.warnings = len(trouble)
    row.recoveries = sum('works again' in it.getMessage() for it in log.records)
    return row


async def _watch(row: Row, stage: Stage, cache: FastAPICache, fault, seconds: float) -> None:
    app, router = FastAPI(), caching_router()
    version = 0

    @router.get('/things/{number}')
    @cache(ttl=300, tags=['all'])
    async def endpoint(number: int):
        return f'{number} of version {version}'

    @app.get('/plain/{number}')
    async def plain_endpoint(number: int):
        return f'{number} of version {version}'

    app.include_router(router)

    async def ask(path: str) -> tuple[str, str | None, float]:
        began = time.perf_counter()
        start, *rest = await asgi_call(app, asgi_scope(path=path))
        took = time.perf_counter() - began
        assert start['status'] == 200
        return rest[0]['body'].decode(), dict(start['headers']).get(b'x-cache', b'').decode() or None, took

    for number in range(PATHS):
        while (await ask(f'/things/{number}'))[1] != 'HIT':
            pass
    plain = statistics.median([(await ask(f'/plain/{number}'))[2] for number in range(100)])
    added: list[float] = []
    oldest = 0

    async def work(worker: int) -> None:
        for number in itertools.cycle(range(PATHS)):
            allowed = oldest
            try:
                body, _, took = await ask(f'/things/{number}')
            except Exception as error:  # noqa: BLE001, each is one that a client would have seen
                print(f'{type(error).__name__}: {error}', file=sys.stderr)
                row.errors += 1
            else:
                thing, _, of = body.strip('"').partition(' of version ')
                row.errors += thing != str(number)
                row.outdated += int(of) < allowed
                added.append(took - plain)
            row.requests += 1
            await asyncio.sleep(BREATH)

    workers = []
    async with fault(stage):
        workers = [asyncio.create_task(work(number)) for number in range(WORKERS)]
        await asyncio.sleep(seconds / 2)
        version += 1
        with contextlib.suppress(InvalidationError):
            await cache.invalidate_tags('all')
        oldest = version
        await asyncio.sleep(seconds / 2)
        row.median, row.worst = statistics.median(added), max(added)
    healed = time.perf_counter()
    while (await ask('/things/0'))[1] != 'HIT':
        assert time.perf_counter() - healed < 60, 'it has not come back'
        await asyncio.sleep(0.02)
    row.recovery = time.perf_counter() - healed
    await asyncio.sleep(0.7)  # writing may have to be looked at too
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def main() -> None:
    wanted = sys.argv[1:]
    print(HEAD)
    for kind, fault in FAULTS:
        if not wanted or any(it in f'{kind} {fault}' for it in wanted):
            print(await watch(kind, fault), flush=True)


if __name__ == '__main__':
    asyncio.run(main())
