"""A sign-in with a provider of OAuth, on real servers, with a client that keeps cookies as a browser does."""

import os

import httpx
import pytest

from tests.servers import ROOT, uvicorn_server


@pytest.fixture(scope='module')
def shop():
    """The address of the shop."""
    with uvicorn_server('tests.sessions.oauth_provider:app', cwd=ROOT) as provider:
        os.environ['PROVIDER'] = f'http://127.0.0.1:{provider}'
        with uvicorn_server('tests.sessions.oauth_app:app', cwd=ROOT) as port:
            yield f'http://127.0.0.1:{port}'


def browser(shop):
    return httpx.Client(base_url=shop, follow_redirects=True, timeout=60)


def step(client, response):
    """Follow one redirect."""
    return client.send(response.next_request, follow_redirects=False)


def test_a_customer_signs_in_sees_pages_of_her_own_and_signs_out(shop):
    with browser(shop) as ada, browser(shop) as other:
        assert 'Sign in' in other.get('/').text
        assert ada.get('/').headers['x-cache'] == 'HIT'
        assert ada.get('/orders').status_code == 401
        signed_in = ada.get('/login?next=/orders')
        assert signed_in.json()['orders of'] == 'Ada'
        assert [it.status_code for it in signed_in.history] == [307, 307, 303]
        assert [it.url.path for it in signed_in.history] == ['/login', '/authorize', '/callback']
        assert ada.get('/orders').headers['x-cache'] == 'HIT'
        assert 'Hello, Ada' in ada.get('/').text
        assert 'Sign in' in other.get('/').text
        assert other.get('/orders').status_code == 401
        assert 'Sign in' in ada.get('/logout').text
        assert ada.get('/orders').status_code == 401


def test_a_callback_is_good_for_one_browser_once(shop):
    with browser(shop) as ada, browser(shop) as victim:
        at_provider = step(ada, ada.get('/login', follow_redirects=False))
        callback = at_provider.headers['location']
        victim.get('/')
        assert victim.get(callback).status_code == 400  # a page of an attacker sends a victim there
        victim.get('/login', follow_redirects=False)
        assert victim.get(callback).status_code == 400
        assert victim.get('/orders').status_code == 401
        assert ada.get(callback, follow_redirects=False).status_code == 303
        assert ada.get(callback).status_code == 400
        assert ada.get('/orders').json()['orders of'] == 'Ada'
