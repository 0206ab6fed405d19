"""The examples in the README of fastapi-caching-route 0.6.0 run as they stand there, and do what it says.

Its text is not a part of this project: where it is not beside the checkout, these tests are skipped.
"""

import re

import pytest
from aiocache import SimpleMemoryCache
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from tests.servers import ROOT
from tests.support import found, marks

README = ROOT.parent / 'shared' / 'models' / 'fastapi-caching-route-0.6.0.md'
pytestmark = pytest.mark.skipif(not README.exists(), reason='the README of 0.6.0 is not beside this checkout')


def client_with(*texts):
    """A client of the first example together with those that contain these texts, each run as it is written."""
    blocks = re.findall(r'```py\n(.*?)```', README.read_text(), re.DOTALL)
    chosen = [next(it for it in blocks if text in it) for text in ("@router.get('/')", *texts)]
    known = {'RedisCache': SimpleMemoryCache, 'Request': Request}  # other examples import them
    for block in chosen:
        exec(block, known)  # noqa: S102, it is what the test is about
    app = FastAPI()
    app.include_router(known['router'])
    return TestClient(app), known


def test_the_first_example_is_a_miss_then_a_hit():
    client, _ = client_with()
    assert found(client, '/', '/') == ['MISS', 'HIT']
    response = client.get('/')
    assert client.get('/', headers={'if-none-match': response.headers['etag']}).status_code == 304


def test_a_key_builder_makes_the_key_of_a_user():
    client, known = client_with("namespace='users')\n@router.get('/users/{user_id}')\ndef get_user(user_id: int) ->")
    assert found(client, '/users/7', '/users/7', '/users/8') == ['MISS', 'HIT', 'MISS']
    assert any(it == 'users::user:7' for it in known['cache'].backend._cache)


def test_namespaces_are_joined():
    client, known = client_with("RedisCache(namespace='api')")
    assert found(client, '/users/7', '/users/7') == ['MISS', 'HIT']
    assert all(it.startswith('api:users::') for it in known['cache'].backend._cache)


def test_headers_that_count_are_in_vary():
    client, _ = client_with('@cache(vary_headers=')
    answers = [client.get('/localized', headers={'accept-language': it}) for it in ('de', 'de', 'en')]
    assert marks(*answers) == ['MISS', 'HIT', 'MISS']
    assert 'accept-language' in answers[0].headers['vary']


def test_an_api_key_is_asked_for_before_a_hit():
    client, _ = client_with('@cache(dependencies=[api_key])')
    keyed = {'x-key': 'k'}
    assert marks(client.get('/private', headers=keyed), client.get('/private', headers=keyed)) == ['MISS', 'HIT']
    assert client.get('/private').status_code in {401, 403}


def test_a_write_invalidates_by_key():
    client, _ = client_with('def user_cache_key(')
    assert found(client, '/users/7', '/users/7') == ['MISS', 'HIT']
    assert client.patch('/users/7').json() == {'id': 7}
    assert found(client, '/users/7') == ['MISS']
