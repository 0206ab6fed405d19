"""What caches for FastAPI do with the same requests, each at its defaults: for docs/comparison.md.

uv run --group peers python benchmarks/behaviour.py
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi_cache import FastAPICache as Cache2
from fastapi_cache.backends.inmemory import InMemoryBackend
from fastapi_cache.decorator import cache as cache2
from fastapi_cachex import BackendProxy
from fastapi_cachex import cache as cachex
from fastapi_cachex.backends import MemoryBackend

from fastapi_caching_route import CachingRoute, FastAPICache

AT_ONCE = 200


def app_of(  # noqa: C901, one route after the other
    decorated: Callable[[Any], Any], router: APIRouter, file: str
) -> tuple[FastAPI, Counter[str]]:
    """An app of cached routes, and how often each has run."""
    runs: Counter[str] = Counter()

    def ran(name: str) -> int:
        runs[name] += 1
        return runs[name]

    def user(x_user: Annotated[str, Header()] = '') -> str:
        return x_user

    def guard(x_key: Annotated[str, Header()] = ''):
        if x_key != 'key':
            raise HTTPException(403)

    @router.get('/dependency')
    @decorated
    async def dependency(name: Annotated[str, Depends(user)]):
        return name

    @router.get('/request')
    @decorated
    async def raw(request: Request):
        return request.headers['x-user']

    @router.get('/vary')
    @decorated
    async def vary(request: Request, response: Response):
        response.headers['vary'] = 'accept-language'
        return request.headers['accept-language']

    @router.get('/slow')
    @decorated
    async def slow():
        ran('slow')
        await asyncio.sleep(0.1)
        return 'slow'

    @router.get('/no-store')
    @decorated
    async def no_store(response: Response):
        response.headers['cache-control'] = 'no-store'
        return ran('no-store')

    @router.get('/file')
    @decorated
    async def a_file():
        return FileResponse(file)

    @router.get('/stream')
    @decorated
    async def stream():
        async def chunks():
            yield b'in '
            yield b'parts'

        return StreamingResponse(chunks())

    @router.get('/query')
    @decorated
    async def query(a: int = 1):
        return ran('query')

    @router.get('/missing')
    @decorated
    async def missing():
        return JSONResponse('missing', 404)

    @router.get('/guarded', dependencies=[Depends(guard)])
    @decorated
    async def guarded():
        return 'secret'

    known = {'key'}

    def by_key(x_key: Annotated[str, Header()] = ''):
        if x_key not in known:
            raise HTTPException(403)
        return x_key

    @router.get('/named')
    @decorated
    async def named(key: Annotated[str, Depends(by_key)]):
        known.clear()  # whoever asks again is to be refused
        return 'secret'

    app = FastAPI()
    app.include_router(router)
    return app, runs


async def behaviour(app: FastAPI, runs: Counter[str]) -> dict[str, str]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url='http://bench') as client:

        async def two(path: str, **fields: tuple[str, str]) -> list[httpx.Response]:
            values = [{name.replace('_', '-'): it[which] for name, it in fields.items()} for which in (0, 1)]
            return [await client.get(path, headers=it) for it in values]

        async def is_right(path: str, name: str, one: str, other: str) -> str:
            answers = [it.json() for it in await two(path, **{name: (one, other)})]
            return 'each gets its own' if answers == [one, other] else 'the second gets the answer of the first'

        found = {
            'what a dependency reads from a header': await is_right('/dependency', 'x_user', 'alice', 'bob'),
            'what an endpoint reads from the raw request': await is_right('/request', 'x_user', 'alice', 'bob'),
            '`Vary: accept-language` of the endpoint': await is_right('/vary', 'accept_language', 'de', 'en'),
        }
        await asyncio.gather(*(client.get('/slow') for _ in range(AT_ONCE)))
        found[f'{AT_ONCE} requests at once for one answer'] = counted(runs['slow'])
        await two('/no-store')
        found['`Cache-Control: no-store` of the endpoint'] = 'not stored' if runs['no-store'] == 2 else 'stored'
        found['a `FileResponse`, twice'] = same([await client.get('/file') for _ in range(2)])
        found['a `StreamingResponse`, twice'] = same([await client.get('/stream') for _ in range(2)])
        for path in ('/query', '/query?a=1', '/query?utm_source=x'):
            await client.get(path)
        found['a parameter left out, given its default, and one that nobody declares'] = counted(runs['query'])
        statuses = [(await client.get('/missing')).status_code for _ in range(2)]
        found['a 404, twice'] = ' and '.join(map(str, statuses))
        guarded = await two('/guarded', x_key=('key', 'none'))
        found['a guard in `dependencies=[...]`, on a hit'] = 'runs' if guarded[1].status_code == 403 else 'does not run'
        named = await two('/named', x_key=('key', 'key'))
        found['a named dependency that refuses, on a hit'] = 'runs' if named[1].status_code == 403 else 'does not run'
        return found


def counted(runs: int) -> str:
    return 'one run' if runs == 1 else f'{runs} runs'


def same(answers: list[httpx.Response]) -> str:
    first, second = answers
    if first.status_code != 200:
        return f'{first.status_code}'
    return 'the same' if (first.status_code, first.content) == (second.status_code, second.content) else 'not the same'


async def main() -> None:
    ours = FastAPICache()
    Cache2.init(InMemoryBackend())
    BackendProxy.set(MemoryBackend())
    with tempfile.NamedTemporaryFile() as file:
        file.write(b'file')
        file.flush()
        kinds: dict[str, tuple[Callable[[Any], Any], APIRouter]] = {
            'fastapi-cache2': (cache2(expire=60), APIRouter()),
            'fastapi-cachex': (cachex(ttl=60), APIRouter()),
            'fastapi-caching-route': (ours(ttl=60), APIRouter(route_class=CachingRoute)),
        }
        found: dict[str, dict[str, str]] = {}
        for name, (decorated, router) in kinds.items():
            found[name] = await behaviour(*app_of(decorated, router, file.name))
    print(f'| | {" | ".join(found)} |\n|---|{"---|" * len(found)}')
    for line in found['fastapi-caching-route']:
        print(f'| {line} | {" | ".join(it[line] for it in found.values())} |')


if __name__ == '__main__':
    asyncio.run(main())
