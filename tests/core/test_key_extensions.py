"""`key`, `host`, `body_key` and `key_values`: what is added to a key, and which values share."""

import itertools
import json
from datetime import datetime
from random import Random
from typing import Annotated, Literal

import pytest
from fastapi import Body, Depends, FastAPI, Form, Header, Query, Request, UploadFile
from fastapi.security import HTTPBearer

from fastapi_caching_route import ConfigurationError, FastAPICache, LMDBCache
from fastapi_caching_route._core.json_value import digest_of_json
from tests.support import caching_router, client_of, found, marks, memory_cache


def app_of(endpoint, method='GET', **options):
    cache, router = memory_cache(), caching_router()
    router.api_route('/', methods=[method])(cache(ttl=60, **options)(endpoint))
    return client_of(router)


async def aloud(request: Request):
    return request.headers.get('x-part', '')


@pytest.mark.parametrize('key', [lambda request: request.headers.get('x-part', ''), aloud], ids=['plain', 'async'])
def test_key_adds_to_the_declared_inputs(key):
    async def endpoint(token: Annotated[object, Depends(HTTPBearer(auto_error=False))], page: int = 1):
        return page

    client = app_of(endpoint, key=key)
    sent = [
        ('/', {}),
        ('/', {'x-part': 'a'}),
        ('/?page=2', {'x-part': 'a'}),
        ('/', {'x-part': 'a', 'authorization': 'Bearer a'}),
        ('/', {'x-part': 'a', 'authorization': 'Bearer b'}),
    ]
    assert marks(*(client.get(path, headers=headers) for path, headers in sent)) == ['MISS'] * 5
    assert marks(*(client.get(path, headers=headers) for path, headers in sent)) == ['HIT'] * 5


VALUES = ['', 'a', 'b', '1', 1, 1.0, True, b'a', ('a',), ('a', 'b'), ('ab',), (('a',), 'b'), (), ['a'], 0, False, -0.0]


def test_no_two_values_of_key_share():
    async def endpoint():
        return 1

    chosen = []
    client = app_of(endpoint, key=lambda _: chosen[-1])
    for value in VALUES:
        chosen.append(value)
        assert marks(client.get('/')) == ['MISS'], value
        assert marks(client.get('/')) == ['HIT'], value


@pytest.mark.parametrize('value', [None, object(), {'a'}.__iter__(), [object()], lambda: 1, ZeroDivisionError])
def test_a_key_that_is_no_plain_value_bypasses_the_cache(value):
    async def endpoint():
        return 1

    def key(request):
        if value is ZeroDivisionError:
            raise value
        return value

    client = app_of(endpoint, key=key)
    assert found(client, '/', '/') == [None, None]
    assert 'detail=key' in client.get('/').headers['cache-status']


def test_caches_in_front_are_told_that_they_cannot_tell_such_responses_apart():
    async def endpoint():
        return 1

    client = app_of(endpoint, key=lambda _: 'a', cache_control='max-age=60')
    assert 'private' in client.get('/').headers['cache-control']
    with pytest.raises(ConfigurationError, match='the value from key'):
        app_of(endpoint, key=lambda _: 'a', cache_control='public, max-age=60')


@pytest.mark.parametrize('options', [{'host': True}, {'key': lambda _: 'a'}])
def test_a_key_builder_has_nothing_to_be_added_to(options):
    with pytest.raises(ConfigurationError, match=f'{next(iter(options))} has no effect with key_builder'):
        memory_cache()(key_builder=lambda _: 'k', **options)(lambda: 1)


@pytest.mark.parametrize(
    'options', [{}, {'identity': lambda _: 'all'}, {'key': lambda _: 'k'}], ids=['alone', 'identity', 'key']
)
def test_tenants_on_hosts_of_their_own_have_entries_of_their_own(options):
    async def endpoint(page: int = 1, x_plan: Annotated[str, Header()] = ''):
        return page

    client = app_of(endpoint, host=True, **options)
    sent = [
        ('http://a.example/', {}),
        ('http://b.example/', {}),
        ('https://a.example/', {}),
        ('http://a.example:81/', {}),
        ('http://a.example/?page=2', {}),
        ('http://a.example/', {'x-plan': 'b.example'}),
    ]
    for _ in range(2):  # keys are remembered
        assert marks(*(client.get(url, headers=it) for url, it in sent)) == ['MISS' if _ == 0 else 'HIT'] * 6
    assert marks(client.get('http://A.Example/')) == ['HIT']
    assert 'host' not in client.get('http://a.example/').headers.get('vary', '')


def test_without_host_all_hosts_share():
    async def endpoint():
        return 1

    client = app_of(endpoint)
    assert found(client, 'http://a.example/', 'http://b.example/') == ['MISS', 'HIT']


def test_the_key_of_a_tenant_is_the_same_in_every_process(tmp_path):
    def client():
        cache, router = FastAPICache(LMDBCache(tmp_path / 'store')), caching_router()

        @router.get('/')
        @cache(ttl=60, host=True, key=lambda request: [request.url.path, 5])
        async def endpoint():
            return 1

        return client_of(router)

    assert found(client(), 'http://a.example/') == ['MISS']
    assert found(client(), 'http://a.example/', 'http://b.example/') == ['HIT', 'MISS']


SAME = [
    (bool, ['1', 'true', 'True', 'on', 'yes']),
    (int, ['7', '07', '+7', ' 7']),
    (float, ['1', '1.0', '1e0', '01.00']),
    (list[int], ['1', '01']),
    (Literal['a', 'b'], ['a']),
]


@pytest.mark.parametrize(('kind', 'texts'), SAME)
def test_values_that_code_cannot_distinguish_share(kind, texts):
    async def endpoint(b: Annotated[kind, Query()]):
        return [type(b).__name__, b]

    client = app_of(endpoint)
    answers = [client.get('/', params={'b': text}) for text in texts]
    valid = [it for it in answers if it.status_code == 200]
    assert marks(*valid) == ['MISS', *['HIT'] * (len(valid) - 1)]
    assert len({it.text for it in valid}) == 1


def test_values_that_code_can_distinguish_do_not_share():
    seen = {}

    async def endpoint(
        many: Annotated[list[str], Query(default_factory=list)],
        b: Annotated[bool, Query()] = False,  # noqa: FBT002, it is a parameter of a request
        s: str = '',
        n: int | str = 0,
        at: datetime | None = None,
    ):
        return repr((b, s, n, at, many))

    client, plain = app_of(endpoint), FastAPI()
    plain.get('/')(endpoint)
    dice = Random(3)
    texts = {
        'b': ['0', '1', 'true', 'off'],
        's': ['', '1', '01', 'true', 'None'],
        'n': ['1', '01', '1.0', 'a', ''],
        'at': ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00+00:00', '2020-01-01T01:00:00+01:00', '2020-01-01'],
        'many': ['1', '01', ''],
    }
    for _ in range(600):
        names = dice.choices(list(texts), k=dice.randrange(4))
        query = [(name, dice.choice(texts[name])) for name in names]
        response = client.get('/', params=query)
        expected = seen.setdefault(tuple(query), response.text)
        assert response.text == expected, query
    for query, text in seen.items():  # each was made by its own request, or by one that code cannot distinguish
        cold = app_of(endpoint).get('/', params=query)
        assert cold.text == text, query


@pytest.mark.parametrize('equal', [False, True])
def test_sets_and_instants_share_only_where_the_route_says_so(equal):
    async def endpoint(ids: Annotated[set[int], Query()], at: datetime | None = None):
        return sorted(ids)

    client = app_of(endpoint, key_values='equal' if equal else 'exact')
    other = 'HIT' if equal else 'MISS'
    assert found(client, '/?ids=1&ids=2', '/?ids=2&ids=1') == ['MISS', other]
    utc, elsewhere = '2020-01-01T00:00:00Z', '2020-01-01T01:00:00%2B01:00'
    assert found(client, f'/?ids=1&at={utc}', f'/?ids=1&at={elsewhere}') == ['MISS', other]
    assert found(client, f'/?ids=1&at={utc}', '/?ids=1&at=2020-01-01T00:00:00') == ['HIT', 'MISS']


def test_an_endpoint_that_reads_the_text_itself_gets_its_own():
    async def endpoint(request: Request, b: Annotated[bool, Query()] = False):  # noqa: FBT002, as above
        return request.query_params.get('b')

    client = app_of(endpoint)
    assert [client.get(f'/?b={text}').json() for text in ('1', 'true', '1', 'on')] == ['1', 'true', '1', 'on']


@pytest.mark.parametrize('by_value', [True, False])
def test_json_bodies_that_are_equal_by_value_share_where_the_route_says_so(by_value):
    async def endpoint(data: Annotated[dict, Body()]):
        return data

    client = app_of(endpoint, 'POST', body_key='json' if by_value else 'bytes')
    headers = {'content-type': 'application/json'}
    bodies = [
        b'{"a": 1, "b": [1, 2]}',
        b'{"b":[1,2],"a":1}',
        b'{ "a" : 1 ,"b":[1,2]}\n',
        b'{"\\u0061": 1, "b": [1, 2]}',
    ]
    answers = [client.post('/', content=it, headers=headers) for it in bodies]
    assert marks(*answers) == ['MISS', *['HIT' if by_value else 'MISS'] * 3]
    different = [
        b'{"a": 1.0, "b": [1, 2]}',
        b'{"a": true, "b": [1, 2]}',
        b'{"a": 1, "b": [2, 1]}',
        b'{"a": "1", "b": [1, 2]}',
    ]
    assert marks(*(client.post('/', content=it, headers=headers) for it in different)) == ['MISS'] * 4


def test_only_equal_json_has_equal_digests():
    dice, seen = Random(5), {}
    leaves = [None, True, False, 0, 1, -1, 1.0, 1.5, '', '1', 'a', 'null', '\u20ac', 10**30, 1e300]

    def value(depth=0):
        kind = dice.randrange(4 if depth < 3 else 2)
        if kind == 2:
            return [value(depth + 1) for _ in range(dice.randrange(3))]
        if kind == 3:
            return {dice.choice('abc'): value(depth + 1) for _ in range(dice.randrange(3))}
        return dice.choice(leaves)

    for _ in range(2000):
        made = value()
        written = json.dumps(made, indent=dice.choice([None, 2]), sort_keys=dice.random() < 0.5)
        digest = digest_of_json([b'application/json'], written.encode())
        text = json.dumps(made, sort_keys=True)
        assert seen.setdefault(digest, text) == text
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize(
    ('types', 'body'),
    [
        ([b'text/plain'], b'1'),
        ([], b'1'),
        ([b'application/json', b'application/json'], b'1'),
        ([b'application/json'], b'{'),
        ([b'application/json'], b'\xff'),
        ([b'application/json'], b'[' * 100_000),
        ([b'application/json'], b'1' * 10_000),
        ([b'application/x-json-not'], b'1'),
    ],
)
def test_what_is_no_json_counts_by_its_bytes(types, body):
    assert digest_of_json(types, body) is None


def test_a_body_that_is_no_json_is_answered_as_without_a_cache():
    async def endpoint(data: Annotated[dict, Body()]):
        return data

    client = app_of(endpoint, 'POST', body_key='json')
    for body in (b'{', b'[]', b''):
        assert client.post('/', content=body, headers={'content-type': 'application/json'}).status_code == 422


def test_a_form_that_is_sent_again_with_another_boundary_is_a_hit():
    cache, router = memory_cache(), caching_router()

    @router.post('/form')
    @cache(ttl=60)
    async def form(name: Annotated[str, Form()], file: UploadFile):
        return [name, file.size]

    client = client_of(router)
    answers = [client.post('/form', data={'name': 'a'}, files={'file': ('f.txt', b'abc')}) for _ in range(2)]
    assert marks(*answers) == ['MISS', 'HIT']
    assert marks(client.post('/form', data={'name': 'a'}, files={'file': ('f.txt', b'abd')})) == ['MISS']


def test_every_combination_of_the_options_keeps_what_differs_apart():
    for host, with_key, with_identity in itertools.product([False, True], repeat=3):
        options = {'host': host}
        if with_key:
            options['key'] = lambda request: request.headers.get('x-part', '')
        if with_identity:
            options['identity'] = lambda request: request.headers.get('x-user', '')

        async def endpoint(page: int = 1):
            return page

        client = app_of(endpoint, **options)
        first = client.get('http://a/', headers={'x-part': 'a', 'x-user': 'u'})
        assert marks(first) == ['MISS']
        for url, headers, differs in (
            ('http://b/', {'x-part': 'a', 'x-user': 'u'}, host),
            ('http://a/', {'x-part': 'u', 'x-user': 'a'}, with_key or with_identity),
            ('http://a/', {'x-part': 'a', 'x-user': 'v'}, with_identity),
        ):
            assert marks(client.get(url, headers=headers)) == ['MISS' if differs else 'HIT'], (options, url, headers)
