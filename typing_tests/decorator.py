"""What type checkers see of a decorated endpoint: itself. An ignore without an error is one (`warn_unused_ignores`)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from aiocache import SimpleMemoryCache
from aiocache.serializers import PickleSerializer
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from typing_extensions import assert_type

from fastapi_caching_route import (
    CacheContext,
    CacheControl,
    CachedResponse,
    CachePolicy,
    CachingRoute,
    CachingRouter,
    FastAPICache,
    MemoryCache,
    RouteReport,
    default_key,
)

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache(MemoryCache(max_bytes=1000), policy=CachePolicy(ttl=60), document=True)


@cache(ttl=60, tags=['user:{user_id}'], cache_control=CacheControl(max_age=5))
async def get_user(user_id: int, detail: bool = False) -> str:
    return f'{user_id} {detail}'


def by_path(request: Request) -> str:
    return request.url.path


async def tenant(request: Request) -> str:
    return request.headers['x-tenant']


@cache(key_builder=by_path, identity=tenant, dependencies=[Depends(tenant)])
def plain(page: int) -> list[int]:
    return [page]


@cache.invalidates(tags=['user:{user_id}'], endpoints=[get_user])
async def update_user(user_id: int, context: CacheContext) -> None:
    context.ttl = 5
    context.tags.add('all')
    context.ttl = '5m'
    context.ttl = b'five'  # type: ignore[assignment]


@cache.skip
async def skipped(page: int) -> bytes:
    return bytes(page)


async def by_plan(request: Request) -> str:
    return assert_type(await default_key(request), str)


news = CachingRouter(cache, ttl='1m', prefix='/news', key_builder=by_plan)
assert_type(cache.route_class(ttl=60, tags=['news']), type[CachingRoute])
CachingRouter(cache, ttl=b'1m')  # type: ignore[arg-type]
cache.route_class(ttl=b'1m')  # type: ignore[arg-type]
cache.install(FastAPI(), expire=60)  # type: ignore[call-arg]


async def build() -> None:
    assert_type(await skipped(1), bytes)
    assert_type(FastAPICache(SimpleMemoryCache(ttl=5)).backend.ttl, float | None)
    assert_type(await MemoryCache(serializer=PickleSerializer()).get('key'), Any)
    assert_type(FastAPICache('redis://localhost'), FastAPICache)
    FastAPICache(7)  # type: ignore[arg-type]
    assert_type(FastAPICache.from_url('redis://localhost', version='2', policy=CachePolicy(ttl=60)), FastAPICache)
    assert_type(FastAPICache.from_env(store_timeout=0.5), FastAPICache)
    FastAPICache.from_url('redis://localhost', store_timeout='soon')  # type: ignore[arg-type]
    FastAPICache.from_url('redis://localhost', no_option=1)  # type: ignore[call-arg]
    deferred = FastAPICache.deferred(mode='rfc9111')
    deferred.use(SimpleMemoryCache())
    deferred.use('memory://')
    deferred.use(6379)  # type: ignore[arg-type]


async def use(request: Request, app: FastAPI) -> None:
    taken: Callable[[int], Awaitable[str]] = get_user
    assert_type(await taken(1), str)
    assert_type(await get_user(7, detail=True), str)
    assert_type(plain(1), list[int])
    await get_user('7')  # type: ignore[arg-type]
    plain()  # type: ignore[call-arg]
    assert_type(await cache.get_cached('key'), CachedResponse | None)
    assert_type(await cache.invalidate_cached('key'), int)
    await cache.invalidate_tags('user:7', soft=True)
    await cache.invalidate_tags(7)  # type: ignore[arg-type]
    assert_type(await cache.set_cached('key', Response('body')), bool)
    await cache.set_cached('key', {'content': b'body', 'headers': [], 'status_code': 200})
    await cache.set_cached('key', b'body')  # type: ignore[arg-type]
    assert_type(cache.explain(app), tuple[RouteReport, ...])
    with cache.disabled():
        await cache.clear()


FastAPICache(namespace_policy='other')  # type: ignore[arg-type]
FastAPICache(mode='rfc9999')  # type: ignore[arg-type]
cache(ttl='1h30m', status_ttl={404: timedelta(minutes=5)}, key_builder=tenant)
cache(ttl=b'60')  # type: ignore[arg-type]
cache(key_builder=lambda: 'key')  # type: ignore[arg-type, misc]
cache(unknown=1)  # type: ignore[call-arg]
CacheControl(max_age=timedelta(minutes=5), stale_if_error='5m')
CacheControl(max_age=b'5')  # type: ignore[arg-type]
assert_type(CachedResponse(content=b'', headers=[('a', 'b')])['content'], Any)
