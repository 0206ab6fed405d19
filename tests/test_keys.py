"""Keys end to end: which requests share an entry, and which never do."""

import enum
import itertools
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Body, Cookie, Depends, FastAPI, Form, Header, HTTPException, Path, Query, Request, Response
from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field, Json, model_validator
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Host
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._entry import Variants
from fastapi_caching_route._key import Inputs, Keys, escaped, full_key, names_a_person
from fastapi_caching_route._varying import MOST_VARIANTS, variant_of
from tests.support import Clock, asgi_scope, caching_router, client_of, marks, memory_cache


class Colour(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


class Filters(BaseModel):
    limit: int = 10
    tags: list[str] = []
    by: str = Field('name', alias='order-by')


class Open(BaseModel):
    model_config = ConfigDict(extra='allow')
    limit: int = 10


class Nosy(BaseModel):
    seen: list[str] = []

    @model_validator(mode='before')
    @classmethod
    def look(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {'seen': sorted(values)}


class FieldHeaders(BaseModel):
    x_plan: str = 'free'


class Cookies(BaseModel):
    theme: str = 'light'


def page(limit: int = 10):
    return limit


def nested(limit: Annotated[int, Depends(page)], x_plan: Annotated[str | None, Header()] = None):
    return limit, x_plan


class Pagination:
    def __init__(self, skip: int = 0):
        self.skip = skip


def cached(endpoint):
    """A client of the endpoint, cached at /."""
    router, cache = caching_router(), memory_cache()
    cache(ttl=60)(router.get('/')(endpoint))
    return client_of(router)


async def a_query(q: str = ''):
    return q


async def an_alias(q: Annotated[str, Query(alias='search-for')] = ''):
    return q


async def a_list(q: Annotated[list[str] | None, Query()] = None):
    return q


async def a_header(accept_language: Annotated[str, Header()] = 'en'):
    return accept_language


async def a_header_list(x_tag: Annotated[list[str] | None, Header()] = None):
    return x_tag


async def a_cookie(theme: Annotated[str, Cookie()] = 'light'):
    return theme


async def a_sub_dependency(it: Annotated[tuple[int, str], Depends(nested)]):
    return it


async def a_class_dependency(it: Annotated[Pagination, Depends()]):
    return it.skip


async def a_query_model(it: Annotated[Filters, Query()]):
    return it


async def an_open_model(it: Annotated[Open, Query()]):
    return it


async def a_nosy_model(it: Annotated[Nosy, Query()]):
    return it


async def a_header_model(it: Annotated[FieldHeaders, Header()]):
    return it


async def a_cookie_model(it: Annotated[Cookies, Cookie()]):
    return it


async def a_json_query(q: Annotated[Json[list[int]], Query()]):
    return q


async def a_json_model(q: Annotated[Json[Filters], Query()]):
    return q


async def the_raw_request(request: Request):
    return [str(request.url), request.headers.get('accept-language'), request.headers.get('x-anything')]


@pytest.mark.parametrize(
    ('endpoint', 'one', 'other'),
    [
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'b'}}),
        (a_query, {'params': {'q': 'a'}}, {}),
        (a_query, {'params': {'q': 'a&q=b'}}, {'params': [('q', 'a'), ('q', 'b')]}),
        (an_alias, {'params': {'search-for': 'a'}}, {'params': {'search-for': 'b'}}),
        (a_list, {'params': [('q', 'a'), ('q', 'b')]}, {'params': [('q', 'b'), ('q', 'a')]}),
        (a_list, {'params': [('q', 'a'), ('q', 'b')]}, {'params': [('q', 'a')]}),
        (a_list, {'params': [('q', 'a'), ('q', 'b')]}, {'params': [('q', "a', 'b")]}),
        (a_list, {'params': [('q', '')]}, {'params': [('q', ''), ('q', '')]}),
        (a_header, {'headers': {'accept-language': 'de'}}, {'headers': {'accept-language': 'fr'}}),
        (a_header_list, {'headers': [('x-tag', 'a'), ('x-tag', 'b')]}, {'headers': [('x-tag', 'a')]}),
        (a_cookie, {'headers': {'cookie': 'theme=dark'}}, {'headers': {'cookie': 'theme=blue'}}),
        (a_sub_dependency, {'params': {'limit': 1}}, {'params': {'limit': 2}}),
        (a_sub_dependency, {'headers': {'x-plan': 'a'}}, {'headers': {'x-plan': 'b'}}),
        (a_class_dependency, {'params': {'skip': 1}}, {'params': {'skip': 2}}),
        (a_query_model, {'params': {'limit': 1}}, {'params': {'limit': 2}}),
        (a_query_model, {'params': {'order-by': 'a'}}, {'params': {'order-by': 'b'}}),
        (a_query_model, {'params': [('tags', 'a'), ('tags', 'b')]}, {'params': [('tags', 'a')]}),
        (an_open_model, {'params': {'other': 1}}, {'params': {'other': 2}}),
        (a_nosy_model, {'params': {'other': 1}}, {'params': {'another': 2}}),
        (a_header_model, {'headers': {'x-plan': 'a'}}, {'headers': {'x-plan': 'b'}}),
        (a_cookie_model, {'headers': {'cookie': 'theme=a'}}, {'headers': {'cookie': 'theme=b'}}),
        (a_json_query, {'params': {'q': '[1]'}}, {'params': {'q': '[1, 2]'}}),
        (a_json_model, {'params': {'q': '{"limit": 1}'}}, {'params': {'q': '{"limit": 2}'}}),
        (the_raw_request, {'params': {'a': 1}}, {'params': {'a': 2}}),
        (the_raw_request, {'headers': {'accept-language': 'de'}}, {'headers': {'accept-language': 'fr'}}),
        (the_raw_request, {'headers': {'x-anything': 'a'}}, {'headers': {'x-anything': 'b'}}),
        (the_raw_request, {'headers': {'host': 'a'}}, {'headers': {'host': 'b'}}),
    ],
)
def test_requests_that_differ_in_what_is_read_never_share_an_entry(endpoint, one, other):
    plain = FastAPI()
    plain.get('/')(endpoint)
    client = cached(endpoint)
    for asked in (one, other, one, other):
        assert client.get('/', **asked).json() == TestClient(plain).get('/', **asked).json()
    for response in (client.get('/', **one), client.get('/', **other)):
        assert marks(response) == ['HIT' if response.status_code == 200 else None]  # older releases refuse some kinds


@pytest.mark.parametrize(
    ('endpoint', 'one', 'other'),
    [
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a', 'utm_source': 'mail'}}),
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a'}, 'headers': {'x-forwarded-host': 'evil'}}),
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a'}, 'headers': {'host': 'other'}}),
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a'}, 'headers': {'x-http-method-override': 'DELETE'}}),
        (a_cookie, {'headers': {'cookie': 'theme=a'}}, {'headers': {'cookie': 'visitor=1; theme=a'}}),
        (a_query_model, {'params': {'limit': 1, 'order-by': 'a'}}, {'params': {'order-by': 'a', 'limit': 1}}),
        (the_raw_request, {'headers': {'user-agent': 'a'}}, {'headers': {'user-agent': 'b'}}),
        (the_raw_request, {'headers': {'traceparent': 'a'}}, {'headers': {'traceparent': 'b'}}),
    ],
)
def test_requests_that_differ_in_what_is_not_read_share_an_entry(endpoint, one, other):
    client = cached(endpoint)
    assert marks(client.get('/', **one), client.get('/', **other)) == ['MISS', 'HIT']


@pytest.mark.parametrize(
    ('annotation', 'default', 'given'),
    [
        (int, 10, '10'),
        (int, 10, '010'),
        (float, 1.5, '1.50'),
        (bool, True, 'yes'),
        (str, 'b', 'b'),
        (str | None, 'b', 'b'),
        (Colour, Colour.RED, 'red'),
        (date, date(2026, 1, 31), '2026-01-31'),
        (Decimal, Decimal('1.0'), '1.0'),
        (UUID, UUID(int=7), str(UUID(int=7))),
        (list[int], [1, 2], ['1', '2']),
        (set[str], {'a'}, ['a']),
        (list[str], [], []),
    ],
    ids=str,
)
@pytest.mark.parametrize('place', [Query, Header])
def test_a_default_that_is_given_is_a_default_left_out(place, annotation, default, given):
    async def endpoint(it: Annotated[annotation, place()] = default):
        return it

    client = cached(endpoint)
    items = [('it', value) for value in ([given] if isinstance(given, str) else given)]
    name = 'params' if place is Query else 'headers'
    assert marks(client.get('/'), client.get('/', **{name: items})) == ['MISS', 'HIT']


@pytest.mark.parametrize(
    ('annotation', 'default', 'given'),
    [
        (Decimal, Decimal('1.0'), '1.00'),
        (int | bool, True, '1'),
        (float, 0.0, '-0.0'),
        (list[int | bool], [True], ['1']),
    ],
)
def test_what_only_equals_the_default_is_not_the_default(annotation, default, given):
    async def endpoint(it: Annotated[annotation, Query()] = default):
        return repr(it)

    client = cached(endpoint)
    items = [('it', value) for value in ([given] if isinstance(given, str) else given)]
    plain = FastAPI()
    plain.get('/')(endpoint)
    assert client.get('/').json() == TestClient(plain).get('/').json()
    assert client.get('/', params=items).json() == TestClient(plain).get('/', params=items).json()


def test_a_model_that_knows_which_fields_were_given_is_not_served_another_ones_answer():
    async def endpoint(it: Annotated[Filters, Query()]):
        return it.model_dump(exclude_unset=True)

    client, plain = cached(endpoint), FastAPI()
    plain.get('/')(endpoint)
    for path in ('/', '/?limit=10', '/'):
        assert client.get(path).json() == TestClient(plain).get(path).json()


def test_an_invalid_value_is_refused_also_while_the_default_is_stored():
    async def endpoint(it: Annotated[dict[str, Any] | None, Body()] = None, limit: int = 10):
        return limit

    client = cached(endpoint)
    assert [client.get('/').status_code, client.get('/?limit=x').status_code] == [200, 422]


def test_a_validator_that_raises_is_heard_in_the_route_in_its_turn():
    def refuse(value: str) -> str:
        if value == 'b':
            raise HTTPException(418, 'no')
        return value

    async def endpoint(it: Annotated[str, AfterValidator(refuse)] = 'a'):
        return it

    client = cached(endpoint)
    assert [client.get('/').status_code, client.get('/?it=b').status_code] == [200, 418]


def test_a_default_factory_is_never_taken_for_a_value():
    ticks = iter(range(100))

    async def endpoint(it: Annotated[int, Query(default_factory=lambda: next(ticks))]):
        return it

    client = cached(endpoint)
    left_out = client.get('/').json()
    assert client.get(f'/?it={left_out + 50}').json() == left_out + 50


def test_forms_and_their_content_type_count():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.post('/')
    async def endpoint(name: Annotated[str, Form()]):
        return name

    client = client_of(router)
    responses = [client.post('/', data={'name': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in responses] == ['a', 'b', 'a']
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']
    assert client.post('/', content=b'name=a', headers={'content-type': 'text/plain'}).status_code == 422


def test_declared_fields_are_named_in_vary_once_and_beside_those_of_the_endpoint():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, vary_headers=['X-Plan', 'accept-language'])
    @router.get('/')
    async def endpoint(accept_language: Annotated[str, Header()] = 'en', theme: Annotated[str, Cookie()] = ''):
        return Response(headers={'vary': 'Accept-Encoding, X-Plan'})

    client = client_of(router)
    for response in (client.get('/'), client.get('/')):
        assert response.headers['vary'] == 'accept-encoding, x-plan, accept-language, cookie'


def test_vary_headers_are_part_of_the_key_every_line_of_them():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(router)
    asked = [[], [('x-plan', '')], [('x-plan', 'a')], [('x-plan', 'a'), ('x-plan', 'b')], [('x-plan', 'a, b')]]
    assert [client.get('/', headers=it).json() for it in asked * 2] == [1, 2, 3, 4, 5] * 2


def test_a_key_builder_decides_alone_what_tells_requests_apart():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda request: f'user:{request.path_params["user_id"]}')
    @router.get('/{user_id}')
    async def endpoint(user_id: int, request: Request):
        return request.query_params.get('q')

    client = client_of(router)
    assert marks(client.get('/1?q=a'), client.get('/1?q=b'), client.get('/2')) == ['MISS', 'HIT', 'MISS']


def test_vary_headers_count_together_with_a_key_builder():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        return request.headers.get('x-plan')

    client = client_of(router)
    for plan in ('a', 'b', 'a', 'b'):
        response = client.get('/', headers={'x-plan': plan})
        assert (response.json(), response.headers['vary']) == (plan, 'x-plan')
    assert len(runs) == 2


async def test_deleting_the_key_of_a_builder_deletes_all_its_variants():
    cache = memory_cache()
    router = caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    asked = [{'x-plan': 'a'}, {'x-plan': 'b'}]
    assert marks(*(client.get('/', headers=it) for it in asked * 2)) == ['MISS', 'MISS', 'HIT', 'HIT']
    assert await cache.invalidate_cached('one') == 1
    assert marks(*(client.get('/', headers=it) for it in asked)) == ['MISS', 'MISS']


@pytest.mark.parametrize('built', ['', None, 7])
def test_what_is_not_a_key_goes_by_the_cache_with_a_warning(built, caplog):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: built)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert 'the key_builder must return' in caplog.text


def test_the_vary_of_the_endpoint_selects_among_variants():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, key_builder=lambda request: request.url.path)
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        language = request.headers.get('accept-language', '')
        return Response(language, headers={'vary': 'Accept-Language'})

    client = client_of(router)
    languages = ['de', 'fr', 'de', 'fr']
    assert [client.get('/', headers={'accept-language': it}).text for it in languages] == languages
    assert len(runs) == 2


@pytest.mark.parametrize(
    ('headers', 'cached'),
    [
        ({}, True),
        ({'cookie': 'a=1'}, False),
        ({'authorization': 'Bearer x'}, False),
    ],
)
def test_a_raw_request_with_credentials_goes_by_the_cache(headers, cached):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        return dict(request.cookies)

    client = client_of(router)
    expected = ['MISS', 'HIT'] if cached else [None, None]
    assert marks(client.get('/', headers=headers), client.get('/', headers=headers)) == expected


def test_vary_headers_cover_the_credentials_of_a_raw_request():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, vary_headers=['cookie', 'authorization'])
    @router.get('/')
    async def endpoint(request: Request):
        return dict(request.cookies)

    client = client_of(router)
    for it in ('a', 'b', 'a', 'b'):
        headers = {'cookie': f'a={it}', 'authorization': it}
        assert client.get('/', headers=headers).json() == {'a': it}
    assert marks(client.get('/', headers=headers)) == ['HIT']


def test_authorization_counts_as_covered_where_it_selects_a_variant():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['authorization'])
    @router.get('/')
    async def endpoint(request: Request):
        return request.headers.get('authorization')

    client = client_of(router)
    people = ['a', 'b', 'a']
    responses = [client.get('/', headers={'authorization': it}) for it in people]
    assert [it.json() for it in responses] == people
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_authorization_that_nothing_covers_is_not_stored_unless_the_answer_is_public():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/{kind}')
    async def endpoint(kind: str):
        return Response(headers={'cache-control': 'public'} if kind == 'public' else {})

    client = client_of(router)
    authorized = {'authorization': 'Bearer x'}
    assert marks(*(client.get('/other', headers=authorized) for _ in range(2))) == [None, None]
    assert marks(*(client.get('/public', headers=authorized) for _ in range(2))) == ['MISS', 'HIT']


def test_a_declared_authorization_is_part_of_the_key():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(authorization: Annotated[str, Header()]):
        return authorization

    client = client_of(router)
    answers = [client.get('/', headers={'authorization': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in answers] == ['a', 'b', 'a']
    assert marks(*answers) == ['MISS', 'MISS', 'HIT']


def test_overriding_a_dependency_takes_its_inputs_and_never_serves_what_another_override_made():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[int, Depends(page)]):
        return it

    app.include_router(router)
    client = TestClient(app)
    answers = [client.get('/').json()]
    for value in (1, 2):

        def override(factor: int = 1, value=value):
            return int(value) * factor

        app.dependency_overrides[page] = override
        answers += [client.get('/').json(), client.get('/?factor=3').json()]
    app.dependency_overrides.clear()
    answers.append(client.get('/').json())
    assert answers == [10, 1, 3, 2, 6, 10]


def test_overriding_what_the_route_does_not_use_changes_nothing():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[int, Depends(page)]):
        return it

    app.include_router(router)
    client = TestClient(app)
    assert marks(client.get('/')) == ['MISS']
    app.dependency_overrides[nested] = lambda: None
    assert marks(client.get('/')) == ['HIT']


def test_a_change_of_version_leaves_all_entries_behind():
    backend = SimpleMemoryCache()

    def deployed(version):
        router = caching_router()
        FastAPICache(backend, version=version)(ttl=60)(router.get('/')(a_query))
        return client_of(router)

    assert [marks(deployed(version).get('/')) for version in ('1', '1', '2', '2', '1')] == [
        ['MISS'],
        ['HIT'],
        ['MISS'],
        ['HIT'],
        ['HIT'],
    ]


NOTHING = Inputs(
    read=lambda scope: (),
    selecting=(),
    covered=frozenset(),
    keyed=frozenset(),
    authorization_covered=False,
    line_is_all=True,
    reads_query=False,
    keyed_body=False,
    form=False,
    declared=True,
    conditions=frozenset(),
    raw=False,
    shared=True,
    unsaid=(),
    for_all=True,
    personal=True,
    left_out=frozenset(),
    shown=(),
    not_shown=(),
    fingerprint=(),
)
KEYS = Keys(('app',), '', NOTHING)


def test_a_key_can_be_read_and_holds_its_path_in_front():
    key, _ = KEYS.of(asgi_scope(path='/users/7'), b'')
    assert key.startswith('GET:/users/7:')
    assert len(key.rpartition(':')[2]) == 32


@pytest.mark.parametrize('path', ['/a b', '/ü\n\x00', '/' + 'x' * 1000, '/%', '/a::b', '/\ud800'])
def test_a_key_is_short_and_printable_whatever_the_path(path):
    key = Keys(('app',), 'api:users', NOTHING).of(asgi_scope() | {'path': path}, b'')[1]
    assert len(key) <= 200
    assert all('!' <= sign <= '~' for sign in key)


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ({'path': '/a'}, {'path': '/b'}),
        ({'path': '/a', 'root_path': ''}, {'path': '/a', 'root_path': '/a'}),
        ({'path': '/' + 'x' * 1000 + 'a'}, {'path': '/' + 'x' * 1000 + 'b'}),
        ({'method': 'GET'}, {'method': 'POST'}),
    ],
)
def test_keys_of_different_requests_differ(one, other):
    keys = {KEYS.of(asgi_scope() | it, b'') for it in (one, other)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        (('user', '123'), ('user1', '23')),
        (('', 'a:b'), ('a', 'b')),
        (('', 'a::b'), ('a', 'b')),
        (('a', ':b'), ('a', 'b')),
        (('a', 'b c'), ('a', 'b_c')),
        (('a', 'b%20c'), ('a', 'b c')),
        (('a', 'x' * 300), ('a', 'x' * 301)),
        (('a', 'é'), ('a', 'Ã©')),
    ],
)
def test_namespaces_and_keys_of_users_never_run_into_each_other(one, other):
    keys = {full_key(namespace, escaped(key)) for namespace, key in (one, other)}
    assert len(keys) == 2
    assert all(len(key) <= 200 and key.isascii() and ' ' not in key for key in keys)


def test_a_key_of_a_user_stays_as_it_is():
    assert full_key('api:users', escaped('user:7')) == 'api:users::user:7'
    assert full_key('', escaped('user:7')) == 'user:7'


@pytest.mark.parametrize(('normalised', 'expected'), [(False, 10), (True, 8)])
def test_variants_differ_by_token_and_by_their_fields(normalised, expected):
    requests = ([], [(b'x', b'')], [(b'x', b'a')], [(b'x', b'a'), (b'x', b'b')], [(b'x', b'a, b')], [(b'y', b'a')])
    found = {
        variant_of(Variants('k', (b'x',), token), asgi_scope(headers=request), (), normalised=normalised)
        for token in ('a', 'b')
        for request in requests
    }
    assert len(found) == expected  # several lines of one field are one list, by the book


def test_a_client_that_makes_up_fields_cannot_fill_the_store():
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint(request: Request):
        language = request.headers['accept-language']
        return Response(language, headers={'vary': 'accept-language'})

    client = client_of(router)
    for number in range(300):
        assert client.get('/', headers={'accept-language': f'x-{number}'}).text == f'x-{number}'
    assert len(backend._cache) == 1 + MOST_VARIANTS
    assert len(backend._cache['one'].known) == MOST_VARIANTS
    newest = [client.get('/', headers={'accept-language': f'x-{number}'}) for number in range(300 - MOST_VARIANTS, 300)]
    assert marks(*newest) == ['HIT'] * MOST_VARIANTS
    assert marks(client.get('/', headers={'accept-language': 'x-0'})) == ['MISS']


def test_an_answer_that_does_not_vary_replaces_only_the_one_for_its_own_fields():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint(request: Request):
        language = request.headers['accept-language']
        return Response(language, headers={'vary': 'accept-language'} if language == 'de' else {})

    client = client_of(router)
    languages = ['de', 'fr', 'de', 'fr', 'it']
    assert [client.get('/', headers={'accept-language': it}).text for it in languages] == languages


def test_a_variant_that_lives_short_does_not_take_the_others_along():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        return Response(headers={'cache-control': f'max-age={request.headers["x-plan"]}'})

    with client_of(router) as client:
        client.get('/', headers={'x-plan': '60'})
        client.get('/', headers={'x-plan': '1'})
        clock.now += 2
        assert marks(client.get('/', headers={'x-plan': '60'})) == ['HIT']


USER = type('User', (), {'is_authenticated': True, 'username': 'ann'})()
UNNAMED = type('User', (), {'is_authenticated': True})()


@pytest.mark.parametrize(
    ('extra', 'covered', 'reason'),
    [
        ({}, (), None),
        ({'session': {}}, (), None),
        ({'session': {'user': 1}}, (), 'session'),
        ({'session': {'user': 1}}, (b'cookie',), 'session'),
        ({'session': {'user': 1}, 'headers': [(b'cookie', b'a=1')]}, (b'cookie',), None),
        ({'user': USER}, (), 'user'),
        ({'user': USER}, (b'authorization', b'cookie'), 'user'),
        ({'user': USER, 'headers': [(b'authorization', b'x')]}, (b'authorization',), None),
        ({'user': UNNAMED, 'headers': [(b'authorization', b'x')]}, (b'authorization',), 'user'),
        ({'user': type('Guest', (), {'is_authenticated': False})()}, (), None),
        ({'headers': [(b'cookie', b'a=1')]}, (), 'cookie'),
        ({'headers': [(b'authorization', b'x')]}, (), 'authorization'),
        ({'headers': [(b'authorization', b'x'), (b'cookie', b'a=1')]}, (b'authorization',), 'cookie'),
    ],
)
def test_whatever_names_a_person_keeps_a_raw_request_from_sharing(extra, covered, reason):
    assert names_a_person(asgi_scope() | extra, covered) == reason


def test_a_path_into_a_value_counts_as_reading_everything():
    class Deep(BaseModel):
        first: str = Field('', validation_alias=AliasPath('it', 0))

    async def endpoint(it: Annotated[Deep, Query()]):
        return it.first

    client = cached(endpoint)
    for value in ('a', 'b', 'a'):
        plain = FastAPI()
        plain.get('/')(endpoint)
        assert client.get('/', params={'it': value}).json() == TestClient(plain).get('/', params={'it': value}).json()


@pytest.mark.parametrize('model', [FieldHeaders, Cookies])
def test_models_that_forbid_more_refuse_more_also_while_an_answer_is_stored(model):
    class Strict(model):
        model_config = ConfigDict(extra='forbid')

    place = Header() if model is FieldHeaders else Cookie()

    async def endpoint(it: Annotated[Strict, place]):
        return it

    client = cached(endpoint)
    plain = FastAPI()
    plain.get('/')(endpoint)
    for headers in ({}, {'cookie': 'theme=a'}, {'cookie': 'theme=a; other=b'}, {'x-plan': 'a'}):
        expected = TestClient(plain).get('/', headers=headers).status_code
        assert [client.get('/', headers=headers).status_code for _ in range(2)] == [expected] * 2


class Tenant:
    """What a converter makes of a name; how it looks says where it is, and not who."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name


class TenantConvertor(Convertor):
    regex = '[a-z]+'

    def convert(self, value):
        return Tenant(value)

    def to_string(self, value):
        return str(value)


def test_hosts_are_told_apart_by_what_a_converter_has_made_of_them():
    register_url_convertor('tenant', TenantConvertor())
    cache, router = memory_cache(), caching_router()

    @router.get('/who')
    @cache(ttl=60)
    async def who(tenant: Annotated[Any, Path()] = ...):
        return str(tenant)

    api = FastAPI()
    try:
        api.include_router(router)
    except AssertionError:  # older releases want it to be in the path of the route itself
        pytest.skip('this FastAPI has no path parameters from elsewhere')
    app = Starlette(routes=[Host('{tenant:tenant}.example.org', app=api)])
    with TestClient(app) as client:
        for name in itertools.islice(itertools.product('abcdefgh', repeat=4), 300):
            tenant = ''.join(name)
            assert client.get('/who', headers={'host': f'{tenant}.example.org'}).json() == tenant
