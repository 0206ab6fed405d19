"""`surrogate_keys`: stored responses carry their tags; groups of RFC 9875 are obeyed by the book."""

import asyncio
from functools import partial
from typing import Annotated

import pytest
from fastapi import Depends, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CacheContext, FastAPICache, SurrogateKeys
from fastapi_caching_route._http.structured import strings
from tests.support import caching_router, client_of, marks

ENDPOINT = 'endpoint:tests.public.test_surrogate_keys.served.<locals>.endpoint@/u/{number}'


def served(kind='plain', header='Surrogate-Key', **options):
    """A client of a route with tags."""
    router, cache = caching_router(), FastAPICache(surrogate_keys=header, **options)

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def endpoint(number: int, context: Annotated[CacheContext, Depends()]):
        context.tags.add('more')
        if kind == 'refused':
            context.no_store('because')
        return StreamingResponse(iter([b'a', b'b'])) if kind == 'stream' else Response('ab')

    return client_of(router)


@pytest.mark.parametrize('kind', ['plain', 'stream'])
def test_a_stored_response_carries_its_tags_on_a_miss_and_a_hit(kind):
    client = served(kind)
    answers = [client.get('/u/7') for _ in range(2)]
    assert marks(*answers) == ['MISS', 'HIT']
    for answer in answers:
        tags = answer.headers['surrogate-key'].split(' ')
        assert (tags[0], tags[1]) == (
            ENDPOINT.replace('<', '%3C').replace('>', '%3E').replace('{', '%7B').replace('}', '%7D'),
            'all',
        )
        assert tags[2:5] == ['user:7', 'more', 'path:/u/7']


def test_what_is_not_stored_carries_none():
    assert 'surrogate-key' not in served('refused').get('/u/7').headers


def test_a_304_of_ours_leaves_what_the_cache_in_front_has():
    client = served()
    tag = client.get('/u/7').headers['etag']
    assert 'surrogate-key' not in client.get('/u/7', headers={'if-none-match': tag}).headers


def test_what_is_cut_is_told_once(caplog):
    client = served(header=SurrogateKeys(header='X-Tags', max_tags=1))
    assert [len(client.get(f'/u/{it}').headers['x-tags'].split(' ')) for it in range(3)] == [1, 1, 1]
    assert ['surrogate_keys' in it.getMessage() for it in caplog.records] == [True]


def test_a_304_of_the_endpoint_adds_no_tag_twice(clock):
    router, cache = caching_router(), FastAPICache(surrogate_keys='Cache-Tag', clock=clock)

    @router.get('/')
    @cache(ttl=10, revalidate=True, tags=['a'])
    async def endpoint(request: Request):
        known = request.headers.get('if-none-match') == '"a"'
        return Response(None if known else 'ab', 304 if known else 200, headers={'etag': '"a"', 'cache-tag': 'own'})

    client = client_of(router)
    first = client.get('/').headers['cache-tag']
    assert first.startswith('endpoint:')
    assert first.endswith(',own')
    clock.now += 20
    assert [client.get('/').headers['cache-tag'] for _ in range(2)] == [first] * 2


@pytest.mark.parametrize('varies', [False, True])
def test_they_name_a_key_only_if_a_key_builder_has_made_it(varies, clock):
    router, cache = caching_router(), FastAPICache(surrogate_keys='Cache-Tag', clock=clock)
    headers = {'etag': '"a"', **({'vary': 'x-theme'} if varies else {})}

    async def endpoint(request: Request):
        return Response(status_code=304 if 'if-none-match' in request.headers else 200, headers=headers)

    router.get('/declared')(cache(ttl=10, revalidate=True)(partial(endpoint)))
    router.get('/built')(cache(ttl=10, revalidate=True, key_builder=lambda request: 'secret')(partial(endpoint)))
    client = client_of(router)
    for _ in range(2):
        tags = {path: client.get(path).headers['cache-tag'].split(',') for path in ('/declared', '/built')}
        assert {path: sum(it.startswith('key:') for it in found) for path, found in tags.items()} == {
            '/declared': 0,
            '/built': 1,
        }
        assert not [it for it in tags['/built'] if 'secret' in it]
        clock.now += 20


async def test_responses_that_are_set_carry_the_tags_of_their_route_or_of_their_key(clock):
    router, cache, keys = caching_router(), FastAPICache(surrogate_keys='Cache-Tag', clock=clock), []

    @router.get('/declared/{number}')
    @cache(ttl=10, tags=['user:{number}'])
    async def declared(number: int, context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)

    @router.get('/built')
    @cache(ttl=10, key_builder=lambda request: 'secret', namespace='shop')
    async def built():
        return None

    client = client_of(router)
    computed = {path: client.get(path).headers['cache-tag'].split(',') for path in ('/declared/7', '/built')}
    own = Response('by hand', headers={'cache-tag': 'own'})
    assert await cache.set_cached(keys[0], own)
    assert await cache.set_cached('secret', own, {'namespace': 'shop'})
    found = {path: client.get(path) for path in computed}
    assert [it.text for it in found.values()] == ['by hand'] * 2
    tags = {path: it.headers['cache-tag'].split(',') for path, it in found.items()}
    assert tags['/declared/7'] == [*computed['/declared/7'], 'own']
    assert set(tags['/built']) == {'all', 'namespace:shop', *(it for it in computed['/built'] if 'key:' in it), 'own'}


def groups(response, name='cache-groups'):
    return strings([response.headers[name].encode()])


def test_a_write_says_which_groups_it_invalidates():
    router, cache = caching_router(), FastAPICache(surrogate_keys='Cache-Groups')

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def read(number: int):
        return number

    @router.put('/u/{number}')
    @cache.invalidates(tags=['user:{number}'])
    async def write(number: int):
        return number

    client = client_of(router)
    assert {'user:7', 'path:/u/7'} <= set(groups(client.get('/u/7')))
    written = groups(client.put('/u/7'), 'cache-group-invalidation')
    assert set(written) == {'user:7', 'path:/u/7'}
    assert 'cache-groups' not in client.put('/u/7').headers


def test_what_a_write_invalidates_in_its_code_is_named_where_the_header_is_not_sent_yet():
    router, cache, other = caching_router(), FastAPICache(surrogate_keys='Cache-Groups'), FastAPICache()

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def read(number: int):
        return number

    @router.get('/other')
    @other(ttl=60)
    async def read_other():
        return 0

    @router.post('/async')
    async def write():
        await cache.invalidate_tags('user:7')

    @router.post('/sync')
    def write_in_a_thread():
        cache.invalidate_now(tags=['user:7'])

    @router.post('/other')
    async def write_other():
        await other.invalidate_tags('user:7')

    client = client_of(router)
    client.get('/u/7')
    assert [groups(client.post(it), 'cache-group-invalidation') for it in ('/async', '/sync')] == [['user:7']] * 2
    assert 'user:7' in groups(client.post('/other'), 'cache-group-invalidation')
    asyncio.run(cache.invalidate_tags('user:8'))  # of no write
    assert 'user:8' not in groups(client.post('/async'), 'cache-group-invalidation')


def test_a_write_that_invalidates_more_than_fits_names_the_group_of_all_responses():
    router, cache = caching_router(), FastAPICache(surrogate_keys='Cache-Groups')

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def read(number: int):
        return number

    @router.post('/all')
    @cache.invalidates(tags=[f'user:{it}' for it in range(40)])
    async def write():
        return 0

    client = client_of(router)
    assert set(groups(client.post('/all'), 'cache-group-invalidation')) & set(groups(client.get('/u/39')))


def book(headers, writes):
    """A client of a cache by the book, whose origin says what the test wants."""
    router, cache, runs = caching_router(), FastAPICache(mode='rfc9111'), []

    @router.api_route('/{path:path}', methods=['GET', 'POST'])
    @cache(key_builder=lambda request: str(request.url))
    async def origin(path: str, request: Request):
        runs.append(path)
        return Response('x', headers=writes if request.method == 'POST' else headers[path])

    return client_of(router), runs


def test_by_the_book_a_write_invalidates_the_groups_that_the_origin_names():
    fresh = {'cache-control': 'max-age=60'}
    headers = {
        'a': {**fresh, 'cache-groups': '"one", "two";x=1'},
        'b': {**fresh, 'cache-groups': '"Two"'},
        'c': fresh,
        'd': {**fresh, 'cache-groups': '"two", nothing,'},
    }
    client, runs = book(headers, {'cache-group-invalidation': '"two"'})
    [client.get(f'/{it}') for it in headers]
    client.post('/elsewhere')
    del runs[:]
    assert marks(*(client.get(f'/{it}') for it in headers)) == ['MISS', 'HIT', 'HIT', 'HIT']
    assert runs == ['a']


def test_by_the_book_a_write_to_a_path_without_a_cached_endpoint_invalidates_groups():
    router, cache, policy = caching_router(), FastAPICache(mode='rfc9111'), FastAPICache()

    @router.get('/items')
    @cache()
    async def items():
        return Response('x', headers={'cache-control': 'max-age=60', 'cache-groups': '"items"'})

    @router.get('/own')
    @policy(ttl=60, tags=['http://testserver items'])
    async def own():
        return 0

    @router.post('/orders')
    async def order():
        return Response(status_code=204, headers={'cache-group-invalidation': '"items"'})

    client = client_of(router)
    client.get('/items')
    client.get('/own')
    client.post('/orders')
    assert marks(client.get('/items'), client.get('/own')) == ['MISS', 'HIT']


def test_by_the_book_groups_are_of_one_origin():
    client, _ = book({'a': {'cache-control': 'max-age=60', 'cache-groups': '"g"'}}, {'cache-group-invalidation': '"g"'})
    client.get('/a')
    client.post('/b', headers={'host': 'other.example'})
    assert marks(client.get('/a')) == ['HIT']
    client.post('/b')
    assert marks(client.get('/a')) == ['MISS']


def test_by_the_book_the_usual_port_is_the_same_origin():
    client, _ = book({'a': {'cache-control': 'max-age=60', 'cache-groups': '"g"'}}, {'cache-group-invalidation': '"g"'})
    client.get('/a')
    client.post('/b', headers={'host': 'testserver:8080'})
    assert marks(client.get('/a')) == ['HIT']
    client.post('/b', headers={'host': 'testserver:80'})
    assert marks(client.get('/a')) == ['MISS']


def test_by_the_book_a_read_or_a_failed_write_invalidates_no_group():
    fresh = {'cache-control': 'max-age=60', 'cache-groups': '"g"', 'cache-group-invalidation': '"g"'}
    client, _ = book({'a': fresh, 'b': fresh}, {})
    client.get('/a')
    client.get('/b')
    assert marks(client.get('/a')) == ['HIT']
