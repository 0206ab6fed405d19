"""The console: what it says, and what it does; over HTTP, without a browser."""

import asyncio
import json

import pytest
import redis
from fastapi import Depends, FastAPI, Response
from fastapi.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache
from fastapi_caching_route.console import console_router
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.public.console_shop import BACKENDS, Shop
from tests.support import caching_router


@pytest.fixture
def shop():
    return Shop()


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({}, 'unguarded=True'),
        ({'dependencies': []}, 'unguarded=True'),
        ({'dependencies': Depends(lambda: None)}, 'a list like'),
        ({'dependencies': [lambda: None]}, 'a list like'),
        ({'dependencies': [Depends(lambda: None)], 'unguarded': True}, 'remove one'),
    ],
)
def test_a_console_without_guards_is_not_built_by_mistake(options, said):
    with pytest.raises(ConfigurationError, match=said):
        console_router(FastAPICache(), **options)


def test_the_page_and_its_files_come_from_the_package(shop):
    page = shop.client.get('/cache')  # redirected
    assert page.url.path == '/cache/'
    assert page.headers['content-type'] == 'text/html; charset=utf-8'
    for name, kind in (('console.css', 'text/css'), ('console.js', 'text/javascript'), ('icon.svg', 'image/svg+xml')):
        response = shop.client.get(f'/cache/{name}')
        assert f'"{name}"' in page.text
        assert response.headers['content-type'].startswith(kind)
        assert 'http://' not in response.text.replace('http://www.w3.org/', '')
        assert 'https://' not in response.text
    assert '<script>' not in page.text
    assert 'style=' not in page.text


def test_the_console_is_not_in_the_schema_of_the_app(shop):
    assert not [path for path in shop.app.openapi()['paths'] if path.startswith('/cache')]


def test_statistics_are_those_of_the_cache(shop):
    shop.get('/items/1', '/items/1', '/items/2', '/skipped', '/items/none')
    found, stats = shop.console('stats'), shop.cache.stats()
    assert (found['total']['hits'], found['total']['misses'], found['total']['bypasses']) == (1, 2, 1)
    assert found['total']['hit_ratio'] == stats.total.hit_ratio
    assert [(it['route'], it['requests']) for it in found['routes']] == [('/items/{item}', 4), ('/skipped', 1)]
    assert found['store']['kind'] == 'MemoryCache'
    assert found['store']['memory']['entries'] == 2
    (worker,) = found['workers']
    assert (worker['requests'], found['error']) == (5, None)


def test_the_last_hour_is_counted_by_minutes(shop):
    with shop.client:
        for requests in (1, 0, 3):
            shop.get(*['/items/1'] * requests)
            found = shop.console('stats')['minutes']
            shop.clock.now += 60
        began = shop.clock.now // 60 * 60 - 180
        assert [(it['began_at'] - began, it['requests'], it['misses']) for it in found] == [
            (0, 1, 1),
            (60, 0, 0),
            (120, 3, 1),  # it is stale by then
        ]
        shop.clock.now += 3600
        assert [it['requests'] for it in shop.console('stats')['minutes']] == [0]


def test_what_was_counted_before_anybody_looked_is_in_no_minute(shop):
    shop.get('/items/1')  # without the lifespan of the cache
    assert [it['requests'] for it in shop.console('stats')['minutes']] == [0]
    shop.get('/items/1')
    assert [it['without_run'] for it in shop.console('stats')['minutes']] == [1]


def test_routes_are_shown_with_what_explain_says(shop):
    found = {it['path']: it for it in shop.console('routes')}
    reports = {it.path: it for it in shop.cache.explain(shop.app)}
    assert set(found) == {'/items/{item}', '/mine', '/members', '/built', '/languages', '/read', '/skipped', '/plain'}
    assert found['/items/{item}']['key'] == ['path item', 'query page']
    assert found['/items/{item}']['tags'] == ['item:{item}', 'items']
    assert found['/plain']['why_not'] == reports['/plain'].why_not
    assert found['/mine']['guards'] == list(reports['/mine'].guards)


@pytest.fixture(params=BACKENDS)
def stored(request, tmp_path, redis_port):
    shop = Shop(BACKENDS[request.param](tmp_path, redis_port))
    with shop.client:
        yield shop


def paths_of(page):
    return sorted(it['path'] for it in page['entries'])


def test_entries_are_listed_with_what_they_can_be_found_by(stored):
    stored.get('/items/1', '/items/2', '/languages')
    stored.clock.now += 5
    (it,) = stored.console('entries', path='/items/1')['entries']
    assert (it['route'], it['status'], it['age'], it['ttl_left']) == ('/items/{item}', 200, 5, 55)
    assert (it['tags'], it['is_alive'], it['is_fresh']) == (['item:1', 'items'], True, True)
    assert 'body' not in it
    assert paths_of(stored.console('entries')) == ['/items/1', '/items/2', '/languages']
    assert paths_of(stored.console('entries', tag='items')) == ['/items/1', '/items/2']
    assert paths_of(stored.console('entries', route='/languages')) == ['/languages']
    stored.asked('invalidate', tags=['item:1'])
    assert paths_of(stored.console('entries', tag='items')) == ['/items/2']
    assert paths_of(stored.console('entries', tag='items', dead=True)) == ['/items/1', '/items/2']


def test_entries_come_page_by_page(stored):
    paths = [f'/items/{number}' for number in range(250)]
    stored.get(*paths)
    found, after, pages = [], 0, 0
    may_be_longer = isinstance(stored.cache.backend, RedisClientCache)  # `SCAN`, while the table of Redis grows
    while after is not None:
        page = stored.console('entries', after=after)
        # A page of keys, and one more if not all of them were entries.
        assert len(page['entries']) < 200 or may_be_longer
        found += paths_of(page)
        after, pages = page['next'], pages + 1
    assert set(found) == set(paths)
    assert 2 <= pages + may_be_longer <= 5


def test_a_page_looks_at_a_bounded_number_of_keys(monkeypatch, shop):
    monkeypatch.setattr('fastapi_caching_route._routes.listed.MAX_PAGES', 1)
    shop.get(*[f'/items/{number}' for number in range(150)], '/languages')
    page = shop.console('entries', route='/languages')
    assert (page['entries'], page['next']) == ([], '100')
    assert paths_of(shop.console('entries', route='/languages', after=page['next'])) == ['/languages']


def test_a_store_that_cannot_list_says_so():
    shop = Shop(Elsewhere())
    response = shop.client.get('/cache/entries.json')
    assert response.status_code == 422
    assert 'Elsewhere cannot list what it stores' in response.json()['detail']


def test_entries_of_another_namespace_are_not_shown(redis_port, tmp_path):
    name = tmp_path.name
    shops = [
        Shop(RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port), namespace=it)) for it in (name, f'{name}2')
    ]
    for shop in shops:
        with shop.client:
            shop.get('/items/1')
    with shops[0].client, shops[1].client:
        (own,), (other,) = (it.console('entries')['entries'] for it in shops)
        assert own['key'].startswith(f'{name}::')
        assert shops[0].client.get('/cache/entry.json', params={'key': own['key']}).status_code == 200
        assert shops[0].client.get('/cache/entry.json', params={'key': other['key']}).status_code == 404


def test_the_body_of_an_entry_for_everybody_is_shown(stored):
    stored.get('/items/1')
    (listed,) = stored.console('entries')['entries']
    found = stored.console('entry', key=listed['key'])
    assert (found['is_personal'], found['is_text'], found['is_cut']) == (False, True, False)
    assert json.loads(found['body']) == {'item': 1, 'page': 1}
    assert ['content-type', 'application/json'] in found['headers']
    stored.asked('invalidate', all=True)
    invalidated = stored.console('entry', key=listed['key'], personal=True)  # its bytes are still there
    assert (invalidated['entry']['is_alive'], 'body' in invalidated) == (False, False)


@pytest.mark.parametrize(
    ('path', 'headers'),
    [
        ('/mine', {'authorization': 'Bearer of-ada'}),
        ('/built', {'x-token': 'of-ada'}),
        ('/read', {'cookie': 'theme=of-ada'}),
        ('/members', {'authorization': 'Bearer of-ada'}),
    ],
)
def test_the_body_of_a_personal_entry_is_shown_only_if_it_is_asked_for(shop, path, headers):
    assert shop.get(path, **headers)[0].headers['x-cache'] == 'MISS'
    (listed,) = shop.console('entries')['entries']
    found = shop.console('entry', key=listed['key'])
    assert found['is_personal']
    assert found.keys() == {'entry', 'is_personal'}
    asked = shop.console('entry', key=listed['key'], personal=True)
    assert asked['body'] == shop.get(path, **headers)[0].text


def test_an_entry_of_an_app_that_is_not_known_here_counts_as_personal(shop):
    shop.get('/items/1')
    administration = FastAPI()
    administration.include_router(console_router(shop.cache, unguarded=True))
    client = TestClient(administration)
    (listed,) = client.get('/entries.json').json()['entries']
    assert client.get('/entry.json', params={'key': listed['key']}).json()['is_personal']


def test_an_entry_that_is_gone_is_not_found(shop):
    assert shop.client.get('/cache/entry.json', params={'key': 'GET:/none:0'}).status_code == 404


def test_a_large_body_is_cut_and_one_that_is_no_text_is_encoded(shop):
    router = caching_router()

    @router.get('/large')
    @shop.cache(ttl=60)
    async def large():
        return Response('€' * 50_000)

    @router.get('/bytes')
    @shop.cache(ttl=60)
    async def some_bytes():
        return Response(b'\xff\x00')

    shop.app.include_router(router)
    shop.get('/large', '/bytes')
    found = {it['path']: shop.console('entry', key=it['key']) for it in shop.console('entries')['entries']}
    assert found['/large']['is_cut']
    assert set(found['/large']['body']) == {'€'}
    assert (found['/bytes']['is_text'], found['/bytes']['body']) == (False, '/wA=')


async def test_events_are_numbers_and_end_soon(monkeypatch):
    shop = Shop()
    monkeypatch.setattr('fastapi_caching_route.console.TICK_SECONDS', 0.01)
    monkeypatch.setattr('fastapi_caching_route.console.STREAM_SECONDS', 0.05)
    response = await asyncio.to_thread(shop.client.get, '/cache/events')
    assert response.headers['content-type'].startswith('text/event-stream')
    events = [it for it in response.text.split('\n\n') if it.startswith('data: ')]
    assert len(events) >= 2
    found = json.loads(events[0].removeprefix('data: '))
    assert found['store']['kind'] == 'MemoryCache'
    assert 'routes' not in found
