"""What `speed.py` measures: each case is a router over a backend, and the requests to it."""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiocache import SimpleMemoryCache
from fastapi import APIRouter, Depends

from fastapi_caching_route import LMDBCache, MemoryCache, NearCopies

sys.path.insert(0, str(Path(__file__).parent))
from messages import receive, receive_body
from observed import OBSERVED
from peers import litestar, peers
from routes import (
    Router,
    by_body,
    by_header,
    by_key,
    cached,
    checked,
    checked_by_parameters,
    checked_in_a_thread,
    checked_with_teardown,
    four,
    large,
    large_of,
    once,
    reads_nothing,
    reads_two,
    small,
    small_for_user,
    small_of,
    two_gets,
    uncached,
)

TOGETHER = 16


@dataclass
class Case:
    name: str
    router: Router
    target: float | None = None
    """The ratio to the limit that it is to have at most."""
    query: bytes = b''
    headers: tuple[tuple[bytes, bytes], ...] = ()
    backend: Callable[[], Any] = MemoryCache
    together: int = 1
    """How many requests there are at a time, for as many keys."""
    least: int = 0
    """How many requests a round has at least."""
    is_cold: bool = False
    """Whether each request asks for a key that was not asked for before."""
    asks_for_304: bool = False
    receive: Callable[[], Any] = receive
    renews: bool = False
    """Whether what is stored is stale all the time, and a renewal is under way that never ends."""
    app: Any = None
    """The app of another framework that has the route."""
    forgets: bool = False
    """Whether nothing is stored any more when the next request comes."""
    against: str | None = None
    """The case that it is compared with in place of the limit."""
    expected: bytes | None = b'HIT'
    spent: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)


KEY = ((b'x-key', b'secret'),)
JSON = ((b'content-type', b'application/json'),)
TOKEN = ((b'authorization', b'Bearer secret'),)
FOUR = b'a=5&b=6&c=x&d=y'


def cases(redis: Callable[[], Any] | None) -> list[Case]:
    found = [
        Case('hit, 200 B', cached(small), 1.20),
        Case('hit, 200 B, SimpleMemoryCache', cached(small), 1.20, backend=SimpleMemoryCache),
        Case('hit, four query parameters', cached(four), 1.40, FOUR),
        Case('hit, 100 kB', cached(large), 1.20),
        *cases_of_keys(),
        *guarded_cases(),
        *raw_cases(),
        *observed_cases(),
        Case('not cached', uncached(small), expected=None),
        *(Case(f'{name}: hit, 200 B', router, expected=None) for name, router in peers(small)),
        *cases_of_litestar(),
        Case('miss', cached(small), 1.5, **FORGETTING),
        Case('miss, SimpleMemoryCache', cached(small), 1.5, backend=SimpleMemoryCache, **FORGETTING),
        Case('hit, 16 keys at a time', cached(small_of), together=TOGETHER),
        Case('lmdb, 200 B', cached(small_of), 1.45, backend=lmdb, together=TOGETHER),
        Case('lmdb, 100 kB', cached(large_of), 1.6, backend=lmdb, together=TOGETHER),
        Case('not cached, 16 at a time', uncached(small_of), expected=None, together=TOGETHER, is_cold=True),
        Case('lmdb, cold miss', cached(small_of), 2.0, backend=lmdb, **COLD),
    ]
    if redis is None:
        return found
    return [
        *found,
        Case('redis, 200 B, 16 at a time', cached(small_of), 2.5, backend=redis, together=TOGETHER),
        Case('redis, 100 kB, 16 at a time', cached(large_of), 4.5, backend=redis, together=TOGETHER),
        *near_cases(redis),
        Case('redis, cold miss, 16 at a time', cached(small_of), 2.5, backend=redis, **COLD),
        Case('redis, one MGET of two keys', two_gets, backend=redis, expected=None),
        Case('redis, 200 B', cached(small), 1.3, backend=redis, against='redis, one MGET of two keys'),
    ]


def cases_of_keys() -> Iterator[Case]:
    """Hits that depend on more than the request line, and one whose client has the response already."""
    yield Case('304', cached(small), 1.22, asks_for_304=True)
    yield Case('hit, a declared header', cached(by_header), 1.45, headers=((b'x-part', b'one'),))
    yield Case('hit, vary_headers', cached(small, vary_headers=['accept']), 1.4)
    yield Case('hit, POST with 1 kB in the key', cached(by_body), 1.6, headers=JSON, receive=receive_body)
    yield Case('hit, stale, a renewal runs', cached(once, **LONG_STALE), 1.1, against='hit, 200 B', renews=True)


def raw_cases() -> Iterator[Case]:
    """Routes that take the raw request. What they read selects their responses."""
    many = ((b'accept-language', b'de'), (b'cookie', b'_ga=1; theme=dark; _gid=2'), (b'user-agent', b'Firefox'))
    yield Case('raw: hit, nothing is read', cached(reads_nothing), 1.5, headers=many)
    yield Case('raw: hit, a header and a cookie are read', cached(reads_two), 1.7, headers=many)
    yield Case('raw: hit, all of it is in the key', cached(reads_two, reads='all', identity='shared'), headers=many)
    yield Case('raw: not cached', uncached(reads_two), expected=None, headers=many)
    of_miss = {'against': 'raw: not cached', 'expected': b'MISS', 'forgets': True, 'headers': many}
    yield Case('raw: miss, noted', cached(reads_two), **of_miss)
    yield Case('raw: miss, not noted', cached(reads_two, reads='declared'), **of_miss)


def observed_cases() -> Iterator[Case]:
    """Hits of a cache that is observed."""
    for name, observed in OBSERVED.items():
        yield Case(f'hit, {name}', cached(small, observed=observed), against='hit, 200 B')


LONG_STALE: Any = {'ttl': 0.01, 'stale_while_revalidate': 1e6, 'collapse_timeout': 1e6}


def guarded_cases() -> Iterator[Case]:
    """Hits behind dependencies that run before them, and the same routes without a cache."""
    both, key = [Depends(by_key)], {'headers': KEY}
    for name, target, answer, guards, of_case, options in (
        ('a scheme', 1.45, small, both, key, {}),
        ('a scheme in both places', 1.6, small, both, key, {'dependencies': both}),
        ('raw request', None, small, [Depends(checked)], key, {}),
        ('async, two parameters', 2.6, small, [Depends(checked_by_parameters)], key, {}),
        ('in a thread', 9.2, small, [Depends(checked_in_a_thread)], key, {}),
        ('yield', 3.6, small, [Depends(checked_with_teardown)], key, {}),
        ('current user', 2.7, small_for_user, [], {'headers': TOKEN}, {}),
        ('current user, shared', 2.6, small_for_user, [], {'headers': TOKEN}, {'identity': 'shared'}),
    ):
        yield Case(f'guards: {name}', cached(answer, guards, **options), target, **of_case)
        yield Case(f'guards: {name}, not cached', uncached(answer, guards), expected=None, **of_case)


def cases_of_litestar() -> Iterator[Case]:
    """The framework of its own that is the fastest peer: its app stands beside ours, and has no limits in it."""
    cached_there, uncached_there = (litestar(small, is_cached=it) for it in (True, False))
    if cached_there is not None and uncached_there is not None:
        plain = 'Litestar: not cached'
        yield Case('Litestar: hit, 200 B', foreign, expected=None, app=cached_there)
        guarded: Any = {'expected': None, 'headers': KEY}
        for is_cached, name in ((True, 'Litestar: hit behind a guard'), (False, 'Litestar: not cached, behind it')):
            yield Case(name, foreign, app=litestar(small, is_cached=is_cached, is_guarded=True), **guarded)
        yield Case(plain, foreign, expected=None, app=uncached_there, together=TOGETHER, is_cold=True)
        cold: Any = {'together': TOGETHER, 'is_cold': True, 'expected': None}
        yield Case('Litestar: cold miss', foreign, against=plain, app=cached_there, **cold)


def foreign(_backend: Any) -> APIRouter:
    """Nothing: the route is in the app of another framework."""
    return APIRouter()


def near_cases(redis: Callable[[], Any]) -> Iterator[Case]:
    for trust, target in ((0, 1.9), (0.1, 1.3)):
        near = {'near': NearCopies(trust=trust)}
        for size, answer in (('200 B', small_of), ('100 kB', large_of)):
            name = f'redis, near, trust {trust}, {size}'
            # A round outlasts the trust, so that the share of look-ups that renew it is what it is under load.
            least = 3000 if trust else 0
            yield Case(name, cached(answer, of_cache=near), target, backend=redis, together=TOGETHER, least=least)


FORGETTING: Any = {'against': 'not cached', 'expected': b'MISS', 'forgets': True}

COLD: Any = {'together': TOGETHER, 'is_cold': True, 'against': 'not cached, 16 at a time', 'expected': b'MISS'}


def lmdb() -> LMDBCache:
    folder = tempfile.mkdtemp(dir='/dev/shm' if Path('/dev/shm').is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return LMDBCache(folder)
