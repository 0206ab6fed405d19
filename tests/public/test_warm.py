"""An app is warmed up by requests through itself."""

import asyncio

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import APIKeyHeader
from starlette.middleware.gzip import GZipMiddleware

from fastapi_caching_route import ConfigurationError, FastAPICache
from tests.support import caching_router


class Shop:
    def __init__(self):
        self.runs, self.at_once, self.most = [], 0, 0
        self.cache = cache = FastAPICache()
        router = caching_router()

        @router.get('/items/{item}')
        @cache(ttl=60)
        async def item(item: int, page: int = 1):
            self.runs.append((item, page))
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await asyncio.sleep(0.01)
            self.at_once -= 1
            return {'item': item}

        @router.get('/host')
        @cache(ttl=60)
        async def host(request: Request):
            self.runs.append(str(request.url))
            return request.url.hostname

        @router.get('/private')
        @cache(ttl=60)
        async def private():
            return Response(b'1', headers={'cache-control': 'private'})

        @router.get('/guarded')
        @cache(ttl=60)
        async def guarded(key: str = Depends(APIKeyHeader(name='x-key'))):
            return key

        @router.get('/failing')
        @cache(ttl=60)
        async def failing():
            raise RuntimeError('of the endpoint')

        @router.get('/unavailable')
        @cache(ttl=60)
        async def unavailable():
            raise HTTPException(503)

        @router.get('/slow')
        @cache(ttl=60)
        async def slow():
            await asyncio.sleep(60)

        self.app = FastAPI()
        self.app.include_router(router)
        self.app.add_middleware(GZipMiddleware)
        self.app.get('/plain')(lambda: 1)

    async def outcomes(self, *urls, **options):
        report = await self.cache.warm(self.app, urls, **options)
        assert [it.url for it in report.results] == list(urls)
        return [(it.outcome, it.reason) for it in report.results]


async def test_what_was_asked_for_is_stored_and_a_second_time_it_is_there():
    shop = Shop()
    assert await shop.outcomes('/items/1', '/items/1?page=2') == [('stored', None)] * 2
    assert await shop.outcomes('/items/1', '/items/1?page=2') == [('there', None)] * 2
    assert shop.runs == [(1, 1), (1, 2)]


@pytest.mark.parametrize(
    ('url', 'outcome'),
    [
        ('/private', ('not stored', 'private')),
        ('/guarded', ('not stored', 'status')),
        ('/plain', ('not stored', None)),
        ('/nowhere', ('not stored', None)),
        ('/failing', ('failed', 'RuntimeError: of the endpoint')),
        ('/unavailable', ('failed', None)),
    ],
)
async def test_the_report_says_what_is_not_stored_and_why(url, outcome):
    assert await Shop().outcomes(url) == [outcome]


async def test_a_request_that_takes_too_long_has_failed():
    assert await Shop().outcomes('/slow', timeout=0.05) == [('failed', 'TimeoutError: no response within 0.05 s')]


async def test_credentials_are_sent_with_all_requests():
    assert await Shop().outcomes('/guarded', headers={'X-Key': 'secret'}) == [('stored', None)]


async def test_host_and_scheme_are_those_of_the_base_url_or_of_a_whole_url():
    shop = Shop()
    await shop.outcomes('/host')
    await shop.outcomes('/host', base_url='https://shop.example')
    await shop.outcomes('http://other.example:8000/host?x=%20y')
    assert shop.runs == ['http://localhost/host', 'https://shop.example/host', 'http://other.example:8000/host?x=%20y']
    assert await shop.outcomes('https://shop.example/host') == [('there', None)]


async def test_so_many_requests_run_at_a_time():
    shop, seen = Shop(), []
    report = await shop.cache.warm(
        shop.app, [f'/items/{number}' for number in range(20)], concurrency=3, progress=lambda it: seen.append(it.url)
    )
    assert shop.most == 3
    assert sorted(seen) == sorted(it.url for it in report.results)
    assert report.is_warm


async def test_a_report_can_be_read():
    report = await (shop := Shop()).cache.warm(shop.app, ['/items/1', '/private', '/failing'])
    assert str(report).splitlines() == [
        '1 stored, 0 there, 1 not stored, 1 failed',
        'not stored: /private (200, private)',
        'failed: /failing (500, RuntimeError: of the endpoint)',
    ]
    assert not report.is_warm


async def test_one_that_is_cancelled_leaves_nothing_running():
    shop = Shop()
    before = asyncio.all_tasks()
    warming = asyncio.create_task(shop.cache.warm(shop.app, ['/slow'] * 3))
    await asyncio.sleep(0.05)
    warming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await warming
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    'options',
    [{'base_url': 'localhost'}, {'base_url': 'ftp://x'}, {'concurrency': 0}, {'timeout': -1}],
    ids=str,
)
async def test_wrong_arguments_are_refused(options):
    shop = Shop()
    with pytest.raises(ConfigurationError):
        await shop.cache.warm(shop.app, ['/items/1'], **options)


async def test_only_an_app_can_be_warmed():
    with pytest.raises(ConfigurationError, match='ASGI app'):
        await FastAPICache().warm('module:app', ['/'])
