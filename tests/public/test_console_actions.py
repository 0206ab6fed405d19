"""What the console says of one request, and what it invalidates."""

import json
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, Query, Request
from pydantic import BaseModel

from fastapi_caching_route import FastAPICache
from tests.backends.fakes import Elsewhere
from tests.public.console_shop import BACKENDS, Shop
from tests.support import caching_router


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture(params=BACKENDS)
def stored(request, tmp_path, redis_port):
    shop = Shop(BACKENDS[request.param](tmp_path, redis_port))
    with shop.client:
        yield shop


def test_what_would_happen_to_a_request_is_what_happens(stored):
    assert stored.outlook('/items/1')['fate'] == 'miss'
    stored.get('/items/1')
    found = stored.outlook('/items/1?page=1')
    assert (found['fate'], found['entry']['path']) == ('hit', '/items/1')
    assert found['key'] == found['entry']['key']
    assert stored.outlook('/items/1?page=2')['fate'] == 'miss'
    stored.clock.now += 70
    assert stored.outlook('/items/1')['fate'] == 'stale'
    stored.clock.now += 70
    found = stored.outlook('/items/1')
    assert (found['fate'], found['entry']['is_fresh']) == ('miss', False)
    assert stored.runs == 1


def test_what_would_happen_depends_on_headers_as_a_request_does(shop):
    shop.get('/languages', accept_language='de')
    assert shop.outlook('/languages', headers={'Accept-Language': 'de'})['fate'] == 'hit'
    assert shop.outlook('/languages', headers={'Accept-Language': 'fr'})['fate'] == 'miss'
    shop.get('/read', cookie='theme=dark')
    assert shop.outlook('/read', headers={'Cookie': 'theme=dark; other=1'})['fate'] == 'hit'
    assert shop.outlook('/read', headers={'Cookie': 'theme=light'})['fate'] == 'miss'


def test_guards_are_named_and_not_run(shop):
    shop.get('/mine', authorization='Bearer ada')
    found = shop.outlook('/mine', headers={'authorization': 'Bearer ada'})
    assert (found['fate'], len(found['guards'])) == ('hit', 1)
    assert shop.outlook('/mine', headers={'authorization': 'Bearer bob'})['fate'] == 'miss'


@pytest.mark.parametrize(
    ('url', 'method', 'fate', 'said'),
    [
        ('/none', 'GET', 'no route', '404'),
        ('/items/1', 'PUT', 'no route', '405'),
        ('/plain', 'GET', 'not cached', 'not decorated'),
        ('/built', 'GET', 'unknown', 'key_builder'),
        ('/cache/stats.json', 'GET', 'not cached', 'not decorated'),
        ('https://shop.example/items/1', 'HEAD', 'no route', '405'),
        ('https://shop.example/items/1', 'GET', 'miss', 'would run'),
    ],
)
def test_why_a_request_would_not_be_a_hit(shop, url, method, fate, said):
    found = shop.outlook(url, method=method)
    assert found['fate'] == fate
    assert said in found['text']


def test_a_skip_callable_is_named_and_not_run(shop):
    found = shop.outlook('/skipped')
    assert (found['fate'], found['depends_on']) == ('miss', ['skip'])


@pytest.mark.parametrize(('accepts', 'fate'), [('only-if-cached', 'miss'), ('max-age=9', 'bypass')])
def test_a_request_that_bypasses_the_cache_and_wants_a_stored_response_only_is_refused(accepts, fate):
    shop, router = Shop(mode='rfc9111'), caching_router()

    @router.get('/all')
    @shop.cache(ttl=60, reads='all')
    async def everything(request: Request):
        return request.cookies

    shop.app.include_router(router)
    asked = {'cookie': 'a=1', 'cache-control': accepts}
    assert shop.outlook('/all', headers=asked)['fate'] == fate
    assert shop.client.get('/all', headers=asked).status_code == (504 if fate == 'miss' else 200)


def test_a_disabled_cache_is_bypassed(shop):
    with shop.cache.disabled():
        found = shop.outlook('/items/1')
    assert (found['fate'], 'disabled' in found['text']) == ('bypass', True)


def test_routes_in_mounts_and_includes_are_found(shop):
    inner, outer = FastAPI(), caching_router()

    @outer.get('/deep/{name}')
    @shop.cache(ttl=60)
    async def deep(name: str):
        return name

    inner.include_router(outer, prefix='/inner')
    shop.app.mount('/mounted', inner)
    shop.app.include_router(outer, prefix='/outer')
    for path in ('/mounted/inner/deep/1', '/outer/deep/1'):
        assert shop.outlook(path)['fate'] == 'miss'
        shop.get(path)
        found = shop.outlook(path)
        assert (found['fate'], found['report']['path']) == ('hit', path.replace('/1', '/{name}'))


def test_a_url_may_have_characters_that_a_browser_would_encode(shop):
    router = caching_router()

    @router.get('/straße/{name}')
    @shop.cache(ttl=60)
    async def named(name: str, request: Request, of: str = ''):
        return f'{name}{of}{request.url.hostname}'

    shop.app.include_router(router)
    url = 'http://xn--bcher-kva.example/stra%C3%9Fe/a%20%C3%BC?of=%C3%A4%20%25'
    assert shop.client.get(url).headers['x-cache'] == 'MISS'
    for asked in (url, 'http://bücher.example/straße/a ü?of=ä %25', 'http://bücher.example/straße/a%20ü?of=%C3%A4 %25'):
        assert shop.outlook(asked)['fate'] == 'hit'
        assert shop.outlook(asked.replace('a%20', 'b').replace('a ü', 'b'))['fate'] == 'miss'


class Filtered(BaseModel):
    least: int
    most: int = 9


@pytest.mark.parametrize(
    ('url', 'headers', 'refused'),
    [
        ('/asked/1?q=a&least=1', {'x-token': 'a'}, ''),
        ('/asked/1?q=a&least=1', {}, 'header x-token'),
        ('/asked/1?least=1', {}, 'query q, header x-token'),
        ('/asked/x?q=a&page=y&least=1', {'x-token': 'a'}, 'path item, query page'),
        ('/asked/1?q=a', {'x-token': 'a'}, 'query least'),
        ('/items/x', {}, 'path item'),
        ('/items/1?page=x', {}, 'query page'),
        ('/items/1?page=2', {}, ''),
    ],
)
def test_a_request_that_would_be_refused_is_told_with_what_is_missing(shop, url, headers, refused):
    router = caching_router()

    def of_page(page: int = 1):
        return page

    @router.get('/asked/{item}')
    @shop.cache(ttl=60)
    async def asked(
        item: int,
        q: str,
        x_token: Annotated[str, Header()],
        page: Annotated[int, Depends(of_page)],
        least: int,
    ):
        return item

    shop.app.include_router(router)
    found = shop.outlook(url, headers=headers)
    assert found['fate'] == ('refused' if refused else 'miss')
    assert f'not valid: {refused}.' in found['text'] or not refused
    assert (shop.client.get(url, headers=headers).status_code == 422) is bool(refused)


def test_a_parameter_that_is_overridden_is_not_missing(shop):
    router = caching_router()

    def of_header(x_token: Annotated[str, Header()]):
        return x_token

    @router.get('/of-header')
    @shop.cache(ttl=60)
    async def endpoint(token: Annotated[str, Depends(of_header)]):
        return token

    shop.app.include_router(router)
    assert shop.outlook('/of-header')['fate'] == 'refused'
    shop.app.dependency_overrides[of_header] = lambda: 'given'
    assert shop.outlook('/of-header')['fate'] == 'miss'


def test_fields_of_a_parameter_model_may_be_missing(shop):
    router = caching_router()

    @router.get('/filtered')
    @shop.cache(ttl=60)
    async def endpoint(filtered: Annotated[Filtered, Query()]):
        return filtered

    shop.app.include_router(router)
    assert shop.outlook('/filtered?most=1')['text'].endswith('not valid: query least.')
    assert shop.outlook('/filtered?least=1')['fate'] == 'miss'


@pytest.mark.parametrize('body', [{'url': 'items'}, {'url': '/ü\ud800'}, {'url': 'http://[/'}, {'url': 7}, {}, []])
def test_what_is_no_request_is_refused(shop, body):
    response = shop.client.post(
        '/cache/lookup.json', content=json.dumps(body), headers={'content-type': 'application/json'}
    )
    assert response.status_code == 422
    assert isinstance(response.json()['detail'], str)


@pytest.mark.parametrize(
    ('asked', 'gone'),
    [
        ({'tags': ['item:1']}, {'/items/1'}),
        ({'tags': ['item:1', 'item:2']}, {'/items/1', '/items/2'}),
        ({'paths': ['/items/2']}, {'/items/2'}),
        ({'paths': ['/items'], 'prefix': True}, {'/items/1', '/items/2'}),
        ({'endpoints': ['item']}, {'/items/1', '/items/2'}),
        ({'namespaces': ['texts']}, {'/languages'}),
        ({'all': True}, {'/items/1', '/items/2', '/languages'}),
    ],
)
def test_what_is_invalidated_is_gone_and_nothing_else(stored, asked, gone):
    paths = ('/items/1', '/items/2', '/languages')
    stored.get(*paths)
    done = stored.asked('invalidate', **asked)
    assert (done.status_code, done.json()) == (200, {'invalidated': True, 'soft': False, 'pending': False})
    assert {path for path in paths if stored.get(path)[0].headers['x-cache'] == 'MISS'} == gone


def test_a_soft_invalidation_makes_stale(stored):
    stored.get('/items/1')
    stored.asked('invalidate', tags=['items'], soft=True)
    stored.clock.now += 1
    assert stored.outlook('/items/1')['fate'] == 'stale'


@pytest.mark.parametrize(
    'asked',
    [
        {},
        {'soft': True},
        {'paths': ['items']},
        {'endpoints': ['none']},
        {'endpoints': ['plain']},
        {'namespaces': ['']},
        {'tags': 'item:1'},
        {'tags': ['item:1', '']},
        {'everything': True},
        {'tags': ['items'], 'paths': ['no path']},
    ],
)
def test_what_cannot_be_meant_invalidates_nothing(shop, asked):
    shop.get('/items/1')
    response = shop.asked('invalidate', **asked)
    assert response.status_code == 422
    assert isinstance(response.json()['detail'], str)
    assert shop.get('/items/1')[0].headers['x-cache'] == 'HIT'


def test_an_endpoint_of_another_cache_is_not_invalidated_here(shop):
    router, other = caching_router(), FastAPICache()

    @router.get('/other')
    @other(ttl=60)
    async def endpoint_of_another():
        return 1

    shop.app.include_router(router)
    assert shop.asked('invalidate', endpoints=['endpoint_of_another']).status_code == 422


def test_a_route_of_another_cache_is_marked(shop):
    router, other = caching_router(), FastAPICache()

    @router.get('/other')
    @other(ttl=60)
    async def endpoint():
        return 1

    shop.app.include_router(router)
    found = {it['path']: it['is_of_other_cache'] for it in shop.console('routes')}
    assert [path for path, is_other in found.items() if is_other] == ['/other']


def test_while_the_store_fails_nobody_knows_what_would_happen():
    backend = Elsewhere()
    shop = Shop(backend)
    assert shop.outlook('/items/1')['depends_on'] == []
    backend.failing = {'get', 'multi_get', 'set', 'add'}
    shop.get(*['/items/1'] * 10)
    assert 'failing' in shop.outlook('/items/1')['depends_on'][0]


def test_who_asks_for_a_personal_body_is_in_the_log(shop, caplog):
    caplog.set_level('INFO')
    shop.get('/mine', authorization='Bearer of-ada')
    (listed,) = shop.console('entries')['entries']
    shop.console('entry', key=listed['key'])
    assert 'shown the body' not in caplog.text
    shop.console('entry', key=listed['key'], personal=True)
    assert f'shown the body of the entry {listed["key"]}' in caplog.text


def test_an_invalidation_that_the_store_has_not_taken_is_pending():
    backend = Elsewhere()
    shop = Shop(backend)
    shop.get('/items/1')
    backend.failing = {'get', 'multi_get', 'set', 'add', 'delete'}
    done = shop.asked('invalidate', all=True)
    assert (done.status_code, done.json()['pending']) == (202, True)


def test_while_the_store_fails_the_numbers_of_this_worker_are_shown():
    backend = Elsewhere()
    shop = Shop(backend)
    shop.get('/items/1')
    backend.failing = {'get', 'multi_get', 'set', 'add', 'delete'}
    found = shop.console('stats')
    assert found['total']['misses'] == 1
    assert 'cannot be read' in found['error']


def test_a_header_in_the_key_is_read_from_what_is_asked(shop):
    router = caching_router()

    @router.get('/plans')
    @shop.cache(ttl=60)
    async def plans(x_plan: Annotated[str, Header()] = ''):
        return x_plan

    shop.app.include_router(router)
    shop.get('/plans', x_plan='gold')
    assert shop.outlook('/plans', headers={'X-Plan': 'gold'})['fate'] == 'hit'
    assert shop.outlook('/plans')['fate'] == 'miss'
