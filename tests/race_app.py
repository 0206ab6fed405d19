"""A server that reads and writes numbers which it shares with other processes; see `race`."""

import asyncio
import mmap
import os
import random
import struct
from pathlib import Path
from secrets import token_hex
from typing import Annotated

from aiocache import MemcachedCache, RedisCache
from fastapi import APIRouter, Depends, FastAPI

from fastapi_caching_route import CacheContext, CachingRoute, FastAPICache, LMDBCache, NearCopies
from fastapi_caching_route._store import opening
from tests.left_out import copies_code, ledger_class, run_again

kind = 'marks' if os.environ['RACE_BACKEND'] == 'memcached' else 'journal'
setattr(opening, 'Marks' if kind == 'marks' else 'JournalLedger', ledger_class(kind, os.environ.get('RACE_LEFT_OUT')))
of_copies = run_again(copies_code(os.environ.get('RACE_LEFT_OUT')))
opening.Copies, opening.LookUpNear = of_copies.Copies, of_copies.LookUpNear
namespace, port = os.environ['RACE_NAMESPACE'], int(os.environ['RACE_PORT'])
match os.environ['RACE_BACKEND']:
    case 'redis':
        backend = RedisCache(endpoint='127.0.0.1', port=port, namespace=namespace)
    case 'memcached':
        backend = MemcachedCache(endpoint='127.0.0.1', port=port, namespace=namespace)
    case 'lmdb':
        backend = LMDBCache(os.environ['RACE_FOLDER'], namespace=namespace)
near = NearCopies(trust=float(os.environ['RACE_NEAR'])) if os.environ['RACE_NEAR'] else None
cache = FastAPICache(backend, store_timeout=10, near=near)
router, plain = APIRouter(route_class=CachingRoute), APIRouter()

with open(os.environ['RACE_TRUTH'], 'r+b') as file:  # noqa: PTH123, a mapping of it outlives it
    truth = mmap.mmap(file.fileno(), 0)


def number(item: int) -> int:
    return struct.unpack_from('q', truth, 8 * item)[0]


def key_file(item: int) -> Path:
    return Path(os.environ['RACE_TRUTH']).with_name(f'key {item}')


def tell_key(item: int, key: str) -> None:
    half = key_file(item).with_suffix(f'.{token_hex(4)}')
    half.write_text(key)
    half.rename(key_file(item))


@router.get('/items/{item}')
@cache(ttl=60, tags=['item:{item}'])
async def read(item: int, context: Annotated[CacheContext, Depends()]) -> int:
    if not key_file(item).exists():
        tell_key(item, str(context.key))  # the same in all servers
    await asyncio.sleep(random.uniform(0, 0.01))
    found = number(item)
    await asyncio.sleep(random.uniform(0, 0.03))
    return found


@plain.post('/invalidate/{item}')
async def invalidate(item: int) -> None:
    await cache.invalidate_tags(f'item:{item}')


@cache.invalidates(tags=['item:{item}'])
async def write(item: int) -> int:
    struct.pack_into('q', truth, 8 * item, number(item) + 1)
    return number(item)


async def write_and_say(item: int, context: Annotated[CacheContext, Depends()]) -> int:
    context.invalidate(tags=[f'item:{item}'])
    struct.pack_into('q', truth, 8 * item, number(item) + 1)
    return number(item)


async def write_and_name_the_key(item: int) -> int:
    struct.pack_into('q', truth, 8 * item, number(item) + 1)
    found, risen = key_file(item), number(item)
    if found.exists():  # else nothing has run that could be stored
        await cache.invalidate_cached(found.read_text())
    return risen


async def write_and_name_the_path(item: int) -> int:
    struct.pack_into('q', truth, 8 * item, number(item) + 1)
    risen = number(item)
    await cache.invalidate_path(f'/items/{item}')
    return risen


app = FastAPI()
writes = {
    'decorator': (router, write),
    'context': (router, write_and_say),
    'plain context': (plain, write_and_say),
    'key': (plain, write_and_name_the_key),
    'path': (plain, write_and_name_the_path),
}
written, endpoint = writes[os.environ['RACE_WRITE']]
written.post('/items/{item}/rise')(endpoint)
app.include_router(router)
app.include_router(plain)
