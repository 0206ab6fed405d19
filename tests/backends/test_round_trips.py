"""How many round trips to Redis a request and an invalidation take, and how many keys they leave, counted there."""

import asyncio
import os

import pytest
import redis
from aiocache import RedisCache
from fastapi import Depends, FastAPI, HTTPException, Request, Response

from fastapi_caching_route import FastAPICache, NearCopies
from fastapi_caching_route._core import variants
from fastapi_caching_route._core.variants import Variants
from tests.backends.links import Counting
from tests.support import asgi_call, asgi_scope, caching_router, until


@pytest.fixture
async def proxy(redis_server):
    found = Counting(redis_server.port)
    await found.turn('pass')
    yield found
    await found.close()


def nobody():
    raise HTTPException(401)


def shop(port, ttl=60, **options):
    cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=port), store_timeout=5, **options)
    app, router = FastAPI(), caching_router()

    @router.get('/things/{number}')
    @cache(ttl=ttl, stale_while_revalidate=1, tags=['thing:{number}'])
    async def thing(number: str):
        return number

    @router.get('/tagged/{turn}')
    @cache(ttl=60, tags=[f'tag{number}' for number in range(500)])
    async def tagged(turn: int):
        return turn

    @router.get('/secret/{name}', dependencies=[Depends(nobody)])
    @cache(ttl=1)
    async def secret(name: str): ...

    @router.get('/numbers/{number}')
    @cache(ttl=1)
    async def numbers(number: int): ...

    @router.get('/files/{path:path}')
    @cache(ttl=1, stale_while_revalidate=1)
    async def files(path: str):
        raise HTTPException(404)

    app.include_router(router)

    async def ask(path):
        start, *_ = await asgi_call(app, asgi_scope(path=path))
        return dict(start['headers']).get(b'x-cache', b'none').decode()

    return cache, ask


@pytest.mark.parametrize('near', [None, NearCopies(), NearCopies(trust=30)])
async def test_a_miss_takes_three_round_trips_a_hit_one_and_an_invalidation_two_at_most(proxy, near):
    cache, ask = shop(proxy.port, near=near)

    async def trips(work):
        before = proxy.trips
        done = await work
        await proxy.settled()  # what goes on in the background counts, too
        return proxy.trips - before, done

    async def measured(turn):
        paths, found = (f'/things/{turn}', f'/tagged/{turn}'), []
        for path in paths:
            found += [await trips(ask(path)), await trips(ask(path))]
        for tags in ([f'thing:{turn}'], [f'tag{number}' for number in range(500)]):
            found.append(await trips(cache.invalidate_tags(*tags)))
        return found + [await trips(ask(path)) for path in paths]

    after = 3 if near is None else 4  # the head alone is read before a copy is used
    most = [3, 1, 3, 1, 2, 2, after, after]
    async with cache:
        await ask('/things/first')  # which reads the journal
        for turn in range(20):  # on a busy machine, what goes together otherwise may go one after the other
            found = await measured(turn)
            assert [mark for _, mark in found] == ['MISS', 'HIT', 'MISS', 'HIT', None, None, 'MISS', 'MISS']
            if all(taken <= bound for (taken, _), bound in zip(found, most, strict=True)):
                return
    assert [taken for taken, _ in found] == most


async def test_a_hit_sends_one_command_and_an_invalidation_one(redis_server):
    cache, ask = shop(redis_server.port)
    with redis.Redis(port=redis_server.port) as server:
        async with cache:
            await ask('/things/1'), await ask('/things/1')

            async def commands(work):
                server.config_resetstat()
                await work
                stats = server.info('commandstats')
                return {
                    name.removeprefix('cmdstat_'): it['calls']
                    for name, it in stats.items()
                    if name in ('cmdstat_mget', 'cmdstat_eval', 'cmdstat_set', 'cmdstat_get')
                }

            assert await commands(ask('/things/1')) == {'mget': 1}
            sent = await commands(cache.invalidate_tags(*(f'tag{number}' for number in range(500))))
            assert (sent.pop('eval'), sent) == (1, {'get': 1, 'set': 1})  # the script's own


async def test_what_is_refused_leaves_nothing(redis_server):
    cache, ask = shop(redis_server.port)
    with redis.Redis(port=redis_server.port) as server:
        async with cache:
            for path in ('/secret/{}', '/numbers/{}', '/files/{}/b/c/d/e/f/g/h/i/j/k/l/m/n'):
                for _ in range(100):
                    await ask(path.format(os.urandom(8).hex()))
        assert server.dbsize() < 100  # of 300


async def test_what_is_stored_leaves_nothing_when_it_has_expired(redis_server):
    cache, ask = shop(redis_server.port, ttl=1)
    with redis.Redis(port=redis_server.port) as server:
        async with cache:
            await asyncio.gather(*(ask(f'/things/{number}') for number in range(400)))
            assert server.dbsize() + server.info('stats')['expired_keys'] > 400
            assert sum(server.ttl(key) > 3600 for key in server.scan_iter()) <= 40
            await until(lambda: len([key for key in server.scan_iter() if server.exists(key)]) <= 40)


async def test_new_entries_are_stored_and_hit_while_another_process_invalidates_others_all_the_time(redis_server):
    (cache, ask), (other, _) = shop(redis_server.port), shop(redis_server.port)
    is_over = asyncio.Event()

    async def invalidate():
        number = 0
        while not is_over.is_set():
            await other.invalidate_tags(f'other {number}')
            number += 1
        return number

    async with cache, other:
        invalidating = asyncio.ensure_future(invalidate())
        seen = [await ask(f'/things/{number // 2}') for number in range(200)]
        is_over.set()
        assert await invalidating > 100
    assert seen == ['MISS', 'HIT'] * 100


def languages(port, **options):
    """A cache whose responses vary by what is read, and its `ask`, which tells the body and the X-Cache."""
    cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=port), store_timeout=5, **options)
    app, router, more = FastAPI(), caching_router(), []

    @router.get('/read')
    @cache(ttl=60)
    async def read(request: Request):
        names = ('accept-language', *more)
        return Response(' '.join(request.headers.get(name, '') for name in names))

    @router.get('/vary')
    @cache(ttl=60)
    async def vary(request: Request):
        given, names = dict(request.scope['headers']), ('accept-language', *more)
        body = b' '.join(given.get(name.encode(), b'') for name in names)
        return Response(body, headers={'vary': ', '.join(names)})

    @router.get('/unread')
    @cache(ttl=60)
    async def unread():
        return Response('', headers={'vary': ', '.join(('accept-language', *more))})

    app.include_router(router)

    async def ask(path, **headers):
        fields = [(name.replace('_', '-').encode(), value.encode()) for name, value in headers.items()]
        start, body = await asgi_call(app, asgi_scope(path=path, headers=fields))
        return body['body'].decode(), dict(start['headers']).get(b'x-cache', b'none').decode()

    return cache, ask, more


@pytest.mark.parametrize('near', [None, NearCopies(), NearCopies(trust=30)])
@pytest.mark.parametrize('path', ['/read', '/vary', '/unread'])
async def test_a_hit_of_one_of_several_variants_takes_one_round_trip(proxy, path, near):
    cache, ask, _ = languages(proxy.port, near=near)
    async with cache:
        for language in ('de', 'fr'):
            await ask(path, accept_language=language)
        await ask(path, accept_language='de')
        for language in ('de', 'fr', 'de'):
            before = proxy.trips
            assert await ask(path, accept_language=language) == ('' if path == '/unread' else language, 'HIT')
            assert proxy.trips - before == 1


async def test_what_was_guessed_by_an_older_record_answers_nobody_whom_the_newer_one_tells_apart(redis_server):
    (cache, ask, more), (other, ask_other, more_there) = (languages(redis_server.port) for _ in range(2))
    async with cache, other:
        for _ in range(2):
            await ask('/read', accept_language='de')  # by now, the record is remembered here
        await other.clear()
        more += ['x-plan']
        more_there += ['x-plan']
        for kind in ('paid', 'free'):
            assert await ask_other('/read', accept_language='de', x_plan=kind) == (f'de {kind}', 'MISS')
        for kind in ('free', 'paid'):
            assert await ask('/read', accept_language='de', x_plan=kind) == (f'de {kind}', 'HIT')
        assert await ask('/read', accept_language='de') == ('de ', 'MISS')


@pytest.mark.parametrize('path', ['/vary', '/unread'])
async def test_a_variant_that_was_guessed_answers_nobody_once_responses_vary_by_more(redis_server, path):
    (cache, ask, more), (other, ask_other, more_there) = (languages(redis_server.port) for _ in range(2))
    async with cache, other:
        for mark in ('MISS', 'HIT'):
            assert (await ask(path, accept_language='de'))[1] == mark
        more += ['x-plan']
        more_there += ['x-plan']
        assert (await ask_other(path, accept_language='fr', x_plan='paid'))[1] == 'MISS'
        assert (await ask(path, accept_language='de', x_plan='paid'))[1] == 'MISS'


async def test_records_of_variants_do_not_pile_up(redis_server, monkeypatch):
    monkeypatch.setattr(variants, 'MAX_RECORDS', 3)
    cache, ask, _ = languages(redis_server.port)
    async with cache:
        await ask('/read', accept_language='de')
        records = cache._settings.runtime.records
        for number in range(10):
            records.note(Variants(f'key{number}', (), 'token'))
        assert len(records._records) <= 3
