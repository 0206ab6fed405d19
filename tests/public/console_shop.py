"""An app with a console, and endpoints of several kinds."""

from typing import Annotated

import redis
from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from fastapi.testclient import TestClient

from fastapi_caching_route import FastAPICache, LMDBCache, MemoryCache
from fastapi_caching_route.console import console_router
from fastapi_caching_route.redis import RedisClientCache
from tests.support import Clock, caching_router


class Shop:
    """An app with a console, and endpoints of several kinds that count how often they run."""

    def __init__(self, backend=None, **options):
        self.clock, self.runs = Clock(), 0
        self.cache = cache = FastAPICache(backend, clock=self.clock, store_timeout=5, **options)
        router = caching_router()

        @router.get('/items/{item}')
        @cache(ttl=60, tags=['item:{item}', 'items'], stale_while_revalidate=60)
        async def item(item: int, page: int = 1):
            self.runs += 1
            return {'item': item, 'page': page}

        @router.get('/mine')
        @cache(ttl=60)
        async def mine(token: Annotated[object, Depends(HTTPBearer())]):
            return 'secret of one'

        @router.get('/members', dependencies=[Depends(HTTPBearer())])
        @cache(ttl=60)
        async def members():
            return 'the same for all whom the guard lets in'

        @router.get('/built')
        @cache(ttl=60, key_builder=lambda request: f'token={request.headers["x-token"]}')
        async def built():
            return 'built'

        @router.get('/languages')
        @cache(ttl=60, namespace='texts')
        async def languages(response: Response):
            response.headers['vary'] = 'accept-language'
            return 'language'

        @router.get('/read')
        @cache(ttl=60)
        async def read(request: Request):
            return request.cookies.get('theme', '')

        @router.get('/skipped')
        @cache(ttl=60, skip=lambda _: True)
        async def skipped():
            return 1

        @router.get('/plain')
        async def plain():
            return 1

        self.app = FastAPI(lifespan=cache.lifespan)
        self.app.include_router(router)
        self.app.include_router(console_router(cache, unguarded=True), prefix='/cache')
        self.client = TestClient(self.app)

    def get(self, *paths, **headers):
        named = {name.replace('_', '-'): value for name, value in headers.items()}
        return [self.client.get(path, headers=named) for path in paths]

    def console(self, name, **wanted):
        response = self.client.get(f'/cache/{name}.json', params=wanted)
        assert response.status_code == 200, response.text
        return response.json()

    def asked(self, name, **body):
        return self.client.post(f'/cache/{name}.json', json=body)

    def outlook(self, url, **more):
        response = self.asked('lookup', url=url, **more)
        assert response.status_code == 200, response.text
        return response.json()


def on_redis(tmp_path, port):
    return RedisClientCache(lambda: redis.asyncio.Redis(port=port), namespace=tmp_path.name)


BACKENDS = {
    'memory': lambda tmp_path, _: MemoryCache(),
    'aiocache': lambda tmp_path, _: SimpleMemoryCache(),
    'lmdb': lambda tmp_path, _: LMDBCache(tmp_path / 'cache'),
    'redis': on_redis,
}
