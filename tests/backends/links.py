"""An app over one backend, and the X-Cache of its responses."""

import contextlib

from fastapi import FastAPI

from fastapi_caching_route import FastAPICache
from tests.support import asgi_call, asgi_scope, caching_router


def app_of(cache):
    router = caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['all'])
    async def endpoint(number: int):
        return number

    return router


@contextlib.contextmanager
def app_on(backend, **options):
    cache, app = FastAPICache(backend, **options), FastAPI()
    app.include_router(app_of(cache))
    yield cache, lambda path='/things/1': asgi_call(app, asgi_scope(path=path))


def mark(answer):
    return (dict(answer[0]['headers']).get(b'x-cache') or b'none').decode()
