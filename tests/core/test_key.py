"""Cache keys, made of values: readable, short, and different for different requests."""

from dataclasses import replace
from operator import itemgetter

import pytest
from aiocache import SimpleMemoryCache
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import MAX_LINES, Keys, escaped, full_key, packed_digest
from fastapi_caching_route._core.read_names import Reading
from tests.fastapi.endpoints import a_query
from tests.support import asgi_scope, caching_router, client_of, marks


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
    known=frozenset(),
    cookies=False,
    whole=frozenset(),
    authorization_covered=False,
    deciding=frozenset(),
    reads_query=False,
    reads_texts=False,
    body_in_key=False,
    form=False,
    json=False,
    host=False,
    declared=True,
    conditions=frozenset(),
    raw=False,
    reading=Reading(cookies=lambda _: {}, query=lambda _: {}),
    noted=False,
    accounted=True,
    shared=True,
    unsaid=(),
    bypass_if_personal=True,
    left_out=frozenset(),
    in_words=(),
    left_out_in_words=(),
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


def test_only_so_many_lines_are_remembered():
    keys = Keys(('app',), '', NOTHING)
    for number in range(MAX_LINES + 10):
        keys.at_once(asgi_scope(path=f'/{number}'))
    assert len(keys._known) <= MAX_LINES


@pytest.mark.parametrize(
    'place',
    [{'path': '/b'}, {'method': 'POST'}, {'query_string': b'a=1'}, {'root_path': '/b'}, {'path_params': {'a': '1'}}],
    ids=str,
)
def test_requests_whose_lines_differ_have_keys_of_their_own_though_lines_are_remembered(place):
    keys, scope = Keys(('app',), '', replace(NOTHING, reads_query=True, read=itemgetter('query_string'))), asgi_scope()
    first, other, again = keys.at_once(scope), keys.at_once(scope | place), keys.at_once(scope)
    assert first == again == keys.of(scope, b'')
    assert other == keys.of(scope | place, b'')
    assert other != first


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(-1, 1, width=16), st.text('a1', max_size=2))
    | st.binary(max_size=1)
    | st.sampled_from(['\udc80', '\udc81', 2**64, 2**65, -(2**64)]),
    lambda below: st.lists(below, max_size=2).map(tuple),
    max_leaves=3,
)


@given(PLAIN, PLAIN)
def test_packed_digests_are_equal_for_equal_values_only(one, other):
    assert (packed_digest((one,)) == packed_digest((other,))) == (ascii(one) == ascii(other))


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        (0.0, -0.0),
        (1, '1'),
        ('a', b'a'),
        ('', None),
        ('a', ('a',)),
        (('a', 'b'), ('ab',)),
        ((('a',), 'b'), (('a', 'b'),)),
        ('\udc80', '\udc81'),
        (2**64, 2**65),
        (2**64, str(2**64)),
    ],
)
def test_packed_digests_differ_for_values_that_differ_in_anything(one, other):
    digests = {packed_digest(it) for it in [(one,), (other,), ('x', one), ('x', other), (one, other), (other, one)]}
    assert len(digests) == 6
    assert all(len(it) == 32 for it in digests)
