"""CPU time of requests through cached routes, against a hand-written route in the same app.

The hand-written route (`limit_route`) sends two prebuilt messages: nothing that answers through FastAPI's routing can
be cheaper. Each case is an app of its own with three routers: the limit, the case, and the limit again, so that the
mean of both limits stands at the same place in the app as the case. All are interleaved round by round in one process;
the ratio is the median of those of all rounds, so that what the machine does meanwhile meets both sides alike. Where
several requests are under way at a time, each asks for a key of its own; a cold miss asks for one that nobody has asked
for before. What the servers of backends use is not counted.

    uv run --group bench --group peers python benchmarks/speed.py
        [--rounds N] [--requests N] [--only TEXT] [--json FILE]
"""

import argparse
import asyncio
import atexit
import itertools
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import fastapi
import starlette
import uvloop
from aiocache import RedisCache, SimpleMemoryCache
from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer

from fastapi_caching_route import CachingRoute, FastAPICache, LMDBCache, MemoryCache, NearCopies

sys.path.insert(0, str(Path(__file__).parent))
from observed import OBSERVED
from peers import litestar, peers
from servers import redis_server

SMALL = {'items': [{'id': n, 'name': f'item {n}'} for n in range(7)]}
LARGE = b'x' * 100_000
BODY = json.dumps({'wanted': 'x' * 1000}).encode()
TOGETHER = 16

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


async def receive() -> dict[str, Any]:
    return {'type': 'http.request', 'body': b'', 'more_body': False}


async def receive_body() -> dict[str, Any]:
    return {'type': 'http.request', 'body': BODY, 'more_body': False}


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


def scope_of(
    path: str, query: bytes = b'', headers: tuple[tuple[bytes, bytes], ...] = (), method: str = 'GET'
) -> dict[str, Any]:
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
        'headers': [(b'host', b'bench'), (b'user-agent', b'bench'), (b'accept', b'*/*'), *headers],
        'client': ('127.0.0.1', 1),
        'server': ('127.0.0.1', 80),
    }


async def to_nobody(_message: Any) -> None:
    pass


async def answer(
    app: FastAPI, scope: dict[str, Any], receive: Callable[[], Any] = receive
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(dict(scope), receive, send)
    return sent[0]['status'], dict(sent[0]['headers'])


Scopes = Iterator[dict[str, Any]]

renewals: list[asyncio.Task[Any]] = []
"""Those that never end."""


async def prepared(case: Case) -> tuple[FastAPI, Scopes]:
    """The app of a case, and its requests, after a look at whether they are answered as they should be."""
    app, backend = FastAPI(), case.backend()
    suffix = '/{number}' if case.together > 1 else ''
    for router in (limit(f'/before{suffix}'), case.router(backend), limit(f'/after{suffix}')):
        app.include_router(router)
    if case.forgets:
        app = forgetting(app, backend)
    if case.app is not None:
        app = beside(app, case.app)
    scopes = scopes_of(case)
    for _ in range(case.together):
        _, headers = await answer(app, next(scopes), case.receive)
    if case.asks_for_304:
        scopes = itertools.repeat(scope_of('/case', case.query, ((b'if-none-match', headers[b'etag']),)))
    if case.renews:
        await asyncio.sleep(0.05)
        renewals.append(asyncio.create_task(answer(app, next(scopes))))
        await asyncio.sleep(0.05)
    for _ in range(3 * case.together):
        status, headers = await answer(app, next(scopes), case.receive)
        assert status == (304 if case.asks_for_304 else 200), (case.name, status)
        assert case.expected is None or headers.get(b'x-cache') == case.expected, (case.name, headers)
    return app, scopes


def scopes_of(case: Case) -> Scopes:
    """The requests of a case, without end."""
    if case.is_cold:
        return (scope_of(f'/case/{number}') for number in itertools.count())
    if case.together > 1 and 'MGET' not in case.name:
        return itertools.cycle([scope_of(f'/case/{number}') for number in range(case.together)])
    method = 'GET' if case.receive is receive else 'POST'
    return itertools.repeat(scope_of('/case', case.query, case.headers, method))


def beside(app: Any, other: Any) -> Any:
    """The app, with the case in another one."""

    def serve(scope: Any, receive: Any, send: Any) -> Any:
        return (other if scope['path'].startswith('/case') else app)(scope, receive, send)

    return serve


def forgetting(app: Any, memory: Any) -> Any:
    """The app, before each request of which what is stored is taken away: that counts as a part of the request."""

    async def forget(scope: Any, receive: Any, send: Any) -> None:
        for key in memory.keys() if isinstance(memory, MemoryCache) else [*memory._cache]:
            memory.remove(key) if isinstance(memory, MemoryCache) else memory._cache.pop(key)
        await app(scope, receive, send)

    return forget


async def spent(
    app: FastAPI, scopes: Scopes, requests: int, together: int, receive: Callable[[], Any] = receive
) -> float:
    """Seconds of CPU time for each request."""
    asked = list(itertools.islice(scopes, requests // together * together))
    began = time.process_time()
    if together == 1:
        for scope in asked:
            await app(dict(scope), receive, to_nobody)
    else:
        for at in range(0, len(asked), together):
            await asyncio.gather(*(app(dict(scope), receive, to_nobody) for scope in asked[at : at + together]))
    return (time.process_time() - began) / len(asked)


async def measure(found: list[Case], rounds: int, requests: int) -> None:
    apps = [(case, *await prepared(case)) for case in found]
    for _ in range(rounds):
        for case, app, scopes in apps:
            of_round = max(requests, case.least)
            suffix = '/1' if case.together > 1 else ''
            before, after = (itertools.repeat(scope_of(f'/{place}{suffix}')) for place in ('before', 'after'))
            first = await spent(app, before, of_round // 2, case.together)
            case.spent.append(await spent(app, scopes, of_round, case.together, case.receive))
            case.limits.append((first + await spent(app, after, of_round // 2, case.together)) / 2)


def table(found: list[Case]) -> list[dict[str, Any]]:
    spent = {case.name: case.spent for case in found}
    rows = []
    for case in found:
        least = case.limits if case.against is None else spent.get(case.against)
        if least is not None:
            ratios = statistics.quantiles((mine / its for mine, its in zip(case.spent, least, strict=True)), n=4)
            rows.append(
                {
                    'case': case.name,
                    'against': case.against or 'limit_route',
                    'us': statistics.median(case.spent) * 1e6,
                    'against_us': statistics.median(least) * 1e6,
                    'ratio': ratios[1],
                    'quartiles': [ratios[0], ratios[2]],
                    'target': case.target,
                }
            )
    return rows


def versions() -> dict[str, str]:
    return {
        'python': platform.python_version(),
        'fastapi': fastapi.__version__,
        'starlette': starlette.__version__,
        'uvloop': uvloop.__version__,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--rounds', type=int, default=40)
    arguments.add_argument('--requests', type=int, default=192, help='of each case in a round')
    arguments.add_argument('--only', default='', help='cases with this in their names')
    arguments.add_argument('--json', type=Path, help='also write the numbers to this file')
    given = arguments.parse_args()
    uvloop.install()
    with redis_server() as port:
        redis = None if port is None else lambda: RedisCache(endpoint='127.0.0.1', port=port)
        if redis is None:
            print('(no redis-server in PATH: its cases are left out)')
        every = cases(redis)
        chosen = {it for case in every if given.only in case.name for it in (case.name, case.against)}
        found = [case for case in every if case.name in chosen]
        asyncio.run(measure(found, given.rounds, given.requests))
    print(', '.join(f'{name} {version}' for name, version in versions().items()), f'median of {given.rounds} rounds')
    print(f'{"case":<32}{"µs":>8}{"against":>10}{"ratio":>8}{"quartiles":>14}{"target":>8}')
    rows = table(found)
    for row in rows:
        target = '' if row['target'] is None else f'{row["target"]:.2f}'
        low, high = row['quartiles']
        print(
            f'{row["case"]:<32}{row["us"]:>8.1f}{row["against_us"]:>10.1f}{row["ratio"]:>8.2f}'
            f'{f"{low:.2f} {high:.2f}":>14}{target:>8}'
        )
    if given.json:
        given.json.write_text(json.dumps({'versions': versions(), 'rows': rows}, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
