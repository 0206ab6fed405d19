"""What a cache takes and leaves: keys after short-lived responses, bytes of an entry, and memory under a million keys.

    uv run --group bench python benchmarks/footprint.py [left] [bytes] [growth]     only these parts
        [--paths 5000] [--keys 1000000] [--only LMDB]

- left: so many distinct paths with `ttl=1` are requested once each. 10 seconds later, how many keys are there?
- bytes: what an entry takes in each store.
- growth: the memory of a process, and the file of an `LMDBCache`, while it is asked for so many distinct keys. Each
  store has a process of its own, and 64 MiB for entries.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import redis
from aiocache import MemcachedCache, RedisCache
from fastapi import APIRouter, FastAPI, Response
from servers import memcached_server, redis_server

from fastapi_caching_route import CachingRoute, FastAPICache, LMDBCache, MemoryCache, NearCopies

BODIES, TOGETHER, ENTRIES = (200, 2048, 20_000), 16, 1000
BODY = 2048
MAX_BYTES = 64 * 1024 * 1024
SECONDS = 10

Counted = Callable[[], tuple[int, int]]
"""How many keys a store has, and how many bytes they take."""


def in_memory() -> tuple[MemoryCache, Counted]:
    memory = MemoryCache(max_bytes=MAX_BYTES)

    def counted() -> tuple[int, int]:
        memory.read('')  # a command, which frees what has expired
        return memory.stats().entries, memory.stats().bytes

    return memory, counted


def in_lmdb(folder: str) -> tuple[LMDBCache, Counted]:
    cache = LMDBCache(folder, max_bytes=MAX_BYTES)

    def counted() -> tuple[int, int]:
        return cache.store.look(lambda table: (len(table.keys_from(b'', 10**9)), table.taken()))

    return cache, counted


def in_redis(port: int) -> tuple[RedisCache, Counted]:
    server = redis.Redis(port=port)

    def counted() -> tuple[int, int]:
        alive = sum(server.exists(key) for key in server.scan_iter())  # which frees those that have expired
        return alive, server.info('memory')['used_memory_dataset']

    return RedisCache(endpoint='127.0.0.1', port=port), counted


def in_memcached(port: int) -> tuple[MemcachedCache, Counted]:
    def counted() -> tuple[int, int]:
        with socket.create_connection(('127.0.0.1', port)) as connection, connection.makefile('rwb') as file:

            def lines(command: bytes) -> Iterator[bytes]:
                file.write(command + b'\r\n')
                file.flush()
                yield from iter(file.readline, b'END\r\n')

            ends = [int(line.split()[1].removeprefix(b'exp=')) for line in lines(b'lru_crawler metadump all')]
            stats = dict(line.split()[1:3] for line in lines(b'stats'))
        return sum(end == -1 or end > time.time() for end in ends), int(stats[b'bytes'])

    return MemcachedCache(endpoint='127.0.0.1', port=port, pool_size=4), counted


SERVED: dict[str, Any] = {'Redis': (in_redis, redis_server), 'memcached': (in_memcached, memcached_server)}
NAMES = ('MemoryCache', 'LMDBCache', 'Redis', 'memcached')


@contextmanager
def stores(*only: str) -> Iterator[dict[str, tuple[Any, Counted]]]:
    """These stores, or all of them, empty; without those whose server is not installed."""
    with ExitStack() as stack:
        found: dict[str, tuple[Any, Counted]] = {}
        for name in only or NAMES:
            match name:
                case 'MemoryCache':
                    found[name] = in_memory()
                case 'LMDBCache':
                    found[name] = in_lmdb(stack.enter_context(folder()))
                case _:
                    new, server = SERVED[name]
                    port = stack.enter_context(server())
                    if port is not None:
                        found[name] = new(port)
        yield found


@contextmanager
def folder() -> Iterator[str]:
    found = tempfile.mkdtemp(dir='/dev/shm' if Path('/dev/shm').is_dir() else None)
    try:
        yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)


def asking(backend: Any, **options: Any) -> tuple[FastAPICache, Callable[[str], Awaitable[None]]]:
    """A cache in front of one route, and what requests a path of it."""
    app, router, cache = (
        FastAPI(),
        APIRouter(route_class=CachingRoute),
        FastAPICache(backend, store_timeout=5, **options),
    )

    @router.get('/short/{number}')
    @cache(ttl=1)
    async def short(number: int) -> Response:
        return Response(b'x')

    @router.get('/long/{size}/{number}')
    @cache(ttl=3600)
    async def long(size: int, number: int) -> Response:
        return Response(os.urandom(size), media_type='application/octet-stream')

    app.include_router(router)

    async def receive() -> dict[str, Any]:
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    async def send(_message: Any) -> None: ...

    async def ask(path: str) -> None:
        await app(
            {
                'type': 'http',
                'asgi': {'version': '3.0', 'spec_version': '2.4'},
                'http_version': '1.1',
                'method': 'GET',
                'scheme': 'http',
                'path': path,
                'raw_path': path.encode(),
                'query_string': b'',
                'root_path': '',
                'headers': [(b'host', b'bench')],
                'client': ('127.0.0.1', 1),
                'server': ('127.0.0.1', 80),
            },
            receive,
            send,
        )

    return cache, ask


async def all_of(ask: Callable[[str], Awaitable[None]], paths: list[str]) -> None:
    for first in range(0, len(paths), TOGETHER):
        await asyncio.gather(*map(ask, paths[first : first + TOGETHER]))


async def left(paths: int) -> None:
    """Print how many keys are left of short-lived responses."""
    print(f'{paths} distinct paths with ttl=1, and how many keys there are')
    with stores() as found:
        for name, (backend, counted) in found.items():
            cache, ask = asking(backend)
            async with cache:
                await all_of(ask, [f'/short/{number}' for number in range(paths)])
                at_once, _ = counted()
                await asyncio.sleep(SECONDS)
                quiet, _ = counted()
                await all_of(ask, [f'/long/{BODY}/{number}' for number in range(paths // 5)])
                later, _ = counted()
                print(
                    f'  {name:12} at once {at_once:6}   {SECONDS} s later {quiet:6}'
                    f'   and after {paths // 5} other requests, which stay {later:6}'
                )


async def bytes_of_an_entry() -> None:
    """Print what an entry takes in each store."""
    print(f'bytes of an entry with a body of {BODIES} bytes')
    for name in NAMES:
        taken = []
        for size in BODIES:
            with stores(name) as found:
                for backend, counted in found.values():
                    cache, ask = asking(backend)
                    async with cache:
                        await all_of(ask, [f'/long/{size}/{number}' for number in range(100)])
                        _, before = counted()
                        await all_of(ask, [f'/long/{size}/{number}' for number in range(100, 100 + ENTRIES)])
                        taken.append(f'{(counted()[1] - before) / ENTRIES:8.0f}')
        print(f'  {name:12}', *taken)


def resident() -> int:
    """Bytes of memory that the system has given to this process, without what it shares with others."""
    size, shared = map(int, Path('/proc/self/statm').read_text().split()[1:3])
    return (size - shared) * os.sysconf('SC_PAGESIZE')


async def growing(name: str, keys: int, backend: Any, file: Callable[[], int], **options: Any) -> None:
    cache, ask = asking(backend, **options)
    async with cache:
        await ask(f'/long/{BODY}/-1')
        gc.collect()
        before = resident()
        print(f'  {name:24} after each tenth, MiB:', end='', flush=True)
        for part in range(10):
            await all_of(
                ask, [f'/long/{BODY}/{number}' for number in range(part * keys // 10, (part + 1) * keys // 10)]
            )
            gc.collect()
            print(f' {(resident() - before) / 2**20:.0f}', end='', flush=True)
        print(f', file {file() / 2**20:.0f} MiB' if file() else '', flush=True)


def grow(kind: str, keys: int, port: int | None) -> None:
    """Ask one store for many keys, in this process."""
    match kind:
        case 'MemoryCache':
            asyncio.run(growing(kind, keys, MemoryCache(max_bytes=MAX_BYTES), int))
        case 'LMDBCache':
            with folder() as where:
                store = LMDBCache(where, max_bytes=MAX_BYTES)
                asyncio.run(growing(kind, keys, store, store.store.environment.size))
        case _:
            near = NearCopies(max_bytes=MAX_BYTES) if 'near' in kind else None
            asyncio.run(growing(kind, keys, RedisCache(endpoint='127.0.0.1', port=port), int, near=near))


def growth(keys: int, only: str) -> None:
    """Print how much memory processes take."""
    print(f'{keys} distinct keys with bodies of {BODY} bytes; memory of the process beyond that of the app')
    with redis_server('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru') as port:
        for kind in ('MemoryCache', 'LMDBCache', *(('Redis', 'Redis with near copies') if port else ())):
            if only not in kind:
                continue
            process = multiprocessing.get_context('spawn').Process(target=grow, args=(kind, keys, port))
            process.start()
            process.join()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('parts', nargs='*', metavar='part', help='left, bytes or growth; all if none is named')
    arguments.add_argument('--paths', type=int, default=5000)
    arguments.add_argument('--keys', type=int, default=1_000_000)
    arguments.add_argument('--only', default='', help='of the stores in `growth`, those with this in their name')
    given = arguments.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        'left': lambda: asyncio.run(left(given.paths)),
        'bytes': lambda: asyncio.run(bytes_of_an_entry()),
        'growth': partial(growth, given.keys, given.only),
    }
    for name in given.parts or parts:
        parts[name]()


if __name__ == '__main__':
    main()
