"""Attacks on the console, without a browser: past its guards, from other sites, by what clients have sent."""

import asyncio
import os
import signal
import socket
from contextvars import ContextVar
from itertools import islice
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import AfterValidator
from starlette.testclient import TestClient

from fastapi_caching_route import CachedResponse, CachingRoute, FastAPICache
from fastapi_caching_route._console.ending import server_ends
from fastapi_caching_route.console import console_router
from tests.servers import ROOT, uvicorn_server, wait_until
from tests.support import asgi_scope, caching_router

JSON = {'content-type': 'application/json'}
READ = (
    '',
    'console.js',
    'console.css',
    'icon.svg',
    'stats.json',
    'events',
    'routes.json',
    'entries.json',
    'entry.json?key=x',
)
WRITTEN = ('lookup.json', 'invalidate.json')


def admin(key: Annotated[str, Depends(APIKeyHeader(name='x-admin'))]):
    if key != 'yes':
        raise HTTPException(403, headers={'cache-control': 'public, max-age=60'})


def guarded_app(cache=None, router=None, **options):
    cache, app = cache or FastAPICache(), FastAPI()
    app.include_router(router or caching_router())
    app.include_router(console_router(cache, dependencies=[Depends(admin)]), prefix='/cache', **options)
    return app


@pytest.mark.parametrize('key', [None, 'no', ''])
@pytest.mark.parametrize('place', [*READ, *WRITTEN])
def test_no_part_of_the_console_answers_without_its_guards(place, key):
    client, headers = TestClient(guarded_app()), {} if key is None else {'x-admin': key}
    method = 'POST' if place in WRITTEN else 'GET'
    content = '{"all": true, "url": "/"}' if method == 'POST' else None
    response = client.request(method, f'/cache/{place}', headers={**JSON, **headers}, content=content)
    assert response.status_code in {401, 403}
    assert response.json().keys() == {'detail'}
    assert response.headers['cache-control'] == 'no-store'


def test_all_routes_of_the_console_are_in_the_list_above():
    router = console_router(FastAPICache(), unguarded=True)
    places = {it.path.removeprefix('/') for it in router.routes}
    assert places == {*(it.partition('?')[0] for it in READ), *WRITTEN}


@pytest.mark.parametrize(
    'path',
    [
        *(
            '/cache/stats%2ejson',
            '/cache//stats.json',
            '/cache/./stats.json',
            '/cache/x/../stats.json',
            '/CACHE/stats.json',
        ),
        *('/cache/stats.json/', '/cache/stats.json%00', '/cache/static/console.html', '/cache/../../console.py'),
    ],
)
def test_no_other_way_of_writing_a_path_goes_past_the_guards(path):
    app = guarded_app()
    sent = []

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://shop') as client:
            request = client.build_request('GET', '/')
            request.url = request.url.copy_with(raw_path=path.encode())
            sent.append(await client.send(request))

    asyncio.run(ask())
    assert sent[0].status_code in {307, 401, 403, 404}


@pytest.mark.parametrize('method', ['HEAD', 'OPTIONS', 'PUT', 'DELETE', 'POST'])
def test_no_other_method_goes_past_the_guards(method):
    response = TestClient(guarded_app()).request(method, '/cache/stats.json', headers={'x-http-method-override': 'GET'})
    assert response.status_code == 405


@pytest.mark.parametrize('place', ['', 'console.js', 'console.css', 'icon.svg'])
def test_a_head_of_the_page_is_answered_behind_the_guards(place):
    client = TestClient(guarded_app())
    assert client.head(f'/cache/{place}').status_code in {401, 403}
    response, page = (client.request(it, f'/cache/{place}', headers={'x-admin': 'yes'}) for it in ('HEAD', 'GET'))
    assert (response.status_code, page.status_code) == (200, 200)
    assert response.headers == page.headers
    assert client.head(f'/cache/{place}', headers={'x-admin': 'yes', SITE: 'cross-site'}).status_code == 403


@pytest.mark.parametrize('prefix', ['/cache', ''])
def test_a_refused_method_says_no_store_too(prefix):
    app = FastAPI()
    app.include_router(console_router(FastAPICache(), unguarded=True), prefix=prefix)
    refused = [('PUT', 'stats.json', 'GET'), ('GET', 'lookup.json', 'POST'), ('PUT', '', 'GET, HEAD')]
    for method, place, allowed in refused:
        response = TestClient(app).request(method, f'{prefix}/{place}')
        assert (response.status_code, response.headers['allow']) == (405, allowed)
        assert response.headers['cache-control'] == 'no-store'
        assert response.headers['x-content-type-options'] == 'nosniff'


def stored_once(**options):
    """An app with an entry, and a client that its guards let in."""
    router, cache = caching_router(), FastAPICache()

    @router.get('/item')
    @cache(ttl=60, tags=['item'])
    async def item():
        return 1

    client = TestClient(
        guarded_app(cache, router, **options), base_url='https://shop.example', headers={'x-admin': 'yes'}
    )
    client.get('/item')
    return client


def is_hit(client):
    return client.get('/item').headers['x-cache'] == 'HIT'


OWN, SITE = 'https://shop.example', 'sec-fetch-site'


@pytest.mark.parametrize(
    'headers',
    [
        {SITE: 'cross-site'},
        {SITE: 'same-site'},
        {SITE: 'CROSS-SITE'},
        {SITE: ''},
        {SITE: 'cross-site', 'origin': OWN},
        {SITE: 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document'},
        {'origin': 'https://evil.example'},
        {'origin': 'https://shop.example.evil.example'},
        {'origin': 'https://evil.example/shop.example'},
        {'origin': 'https://shop.example@evil.example'},
        {'origin': 'https://evil.example@shop.example'},
        {'origin': 'https://shop.example:444'},
        {'origin': 'https://shop.example/'},
        {'origin': 'https://shop.example https://evil.example'},
        {'origin': 'null'},
        {'origin': ''},
        {'origin': 'shop.example'},
        {'origin': 'https://['},
        {'origin': 'https://evil.example', 'x-forwarded-host': 'evil.example'},
        {'origin': 'https://evil.example', 'forwarded': 'host=evil.example'},
        {'origin': 'https://evil.example', 'x-host': 'evil.example', 'referer': OWN},
        {'content-type': 'text/plain'},
        {'content-type': 'application/x-www-form-urlencoded'},
        {'content-type': 'text/plain; application/json'},
        {'content-type': 'multipart/form-data; boundary=application/json'},
    ],
)
def test_another_site_invalidates_nothing(headers):
    client = stored_once()
    response = client.post('/cache/invalidate.json', content='{"all": true}', headers={**JSON, **headers})
    assert response.status_code in {403, 415}
    assert is_hit(client)


@pytest.mark.parametrize(
    'headers',
    [
        {},
        {SITE: 'same-origin'},
        {SITE: 'none'},
        {'origin': OWN},
        {SITE: 'same-origin', 'origin': 'http://shop.example'},
    ],
)
def test_the_console_itself_and_scripts_do_invalidate(headers):
    client = stored_once()
    response = client.post('/cache/invalidate.json', content='{"all": true}', headers={**JSON, **headers})
    assert response.status_code == 200
    assert not is_hit(client)


def test_two_hosts_are_those_of_nobody():
    client = stored_once()
    headers = [
        ('x-admin', 'yes'),
        ('host', 'shop.example'),
        ('host', 'evil.example'),
        ('origin', 'https://evil.example'),
    ]
    response = client.post('/cache/invalidate.json', content='{"all": true}', headers=[*headers, *JSON.items()])
    assert response.status_code == 403


@pytest.mark.parametrize('place', [it for it in READ if it not in {'', 'events'}])
def test_another_site_reads_nothing_and_makes_no_store_list_its_entries(place):
    client = stored_once()
    for site in ('cross-site', 'same-site'):
        assert client.get(f'/cache/{place}', headers={SITE: site, 'sec-fetch-mode': 'no-cors'}).status_code == 403


def test_an_app_that_lets_other_origins_read_does_not_let_them_read_the_console():
    headers = {'origin': 'https://evil.example'}  # without HTTPS, this is all that a browser says
    assert stored_once().get('/cache/entries.json', headers=headers).status_code == 403


def test_a_link_from_another_site_opens_the_page_and_no_frame():
    client = stored_once()
    link = {SITE: 'cross-site', 'sec-fetch-mode': 'navigate'}
    assert client.get('/cache/', headers={**link, 'sec-fetch-dest': 'document'}).status_code == 200
    assert client.get('/cache/', headers={**link, 'sec-fetch-dest': 'iframe'}).status_code == 403


@pytest.mark.parametrize('place', [it for it in READ if it != 'events'])
def test_every_response_has_a_strict_policy(place):
    response = stored_once().get(f'/cache/{place}')
    policy = {part.split()[0]: part.split()[1:] for part in response.headers['content-security-policy'].split(';')}
    assert policy['default-src'] == ["'none'"]
    assert policy['frame-ancestors'] == ["'none'"]
    assert policy['script-src'] == policy['style-src'] == ["'self'"]
    assert (policy['require-trusted-types-for'], policy['trusted-types']) == (["'script'"], ["'none'"])
    assert response.headers['x-content-type-options'] == 'nosniff'
    assert response.headers['x-frame-options'] == 'DENY'
    assert response.headers['cache-control'] == 'no-store'


def app_that_caches_all(kind):
    """An app in which whatever can be cached is, and the cache of its console."""
    cache = FastAPICache(mode='rfc9111' if kind == 'by the book' else 'policy', accepted_status_codes={200, 401, 403})
    app, console = FastAPI(), console_router(cache, unguarded=True)
    if kind == 'installed':
        cache.install(app)
    app.router.route_class = CachingRoute
    outer = APIRouter(route_class=CachingRoute, default_response_class=Response)
    outer.include_router(console, prefix='/cache')
    for route in console.routes if kind == 'decorated' else ():
        cache(ttl=60)(route.endpoint)
    app.include_router(outer)
    return app, cache


@pytest.mark.parametrize('kind', ['in a caching router', 'by the book', 'decorated', 'installed'])
def test_the_console_is_never_cached_itself(kind):
    app, cache = app_that_caches_all(kind)

    @app.get('/item')
    @cache(ttl=60)
    async def item():
        return Response('1', headers={'cache-control': 'max-age=60'})

    client = TestClient(app)
    found = []
    for _ in range(3):
        client.get('/item')
        found.append(client.get('/cache/stats.json'))
        for place in ('', 'console.js', 'routes.json', 'entries.json'):
            response = client.get(f'/cache/{place}')
            assert not {'x-cache', 'age', 'cache-status', 'etag'}.intersection(response.headers)
    assert [it.json()['total']['requests'] for it in found] == [1, 2, 3]
    assert [it['path'] for it in client.get('/cache/entries.json').json()['entries']] == ['/item']


SECRETS = {'authorization': 'Bearer s3cret-a', 'cookie': 'sid=s3cret-b', 'x-token': 's3cret-c', 'x-admin': 'yes'}


def test_no_credential_is_in_anything_that_the_console_says():
    router, cache = caching_router(), FastAPICache()

    @router.get('/mine')
    @cache(ttl=60)
    async def mine(token: Annotated[object, Depends(HTTPBearer())]):
        return 1

    @router.get('/read')
    @cache(ttl=60)
    async def read(request: Request):
        return len(request.cookies['sid'] + request.headers['x-token'])

    @router.get('/built')
    @cache(ttl=60, key_builder=lambda request: f'GET:/{request.headers["x-token"]}', vary_headers=['authorization'])
    async def built():
        return 1

    @router.get('/who')
    @cache(ttl=60, identity=lambda request: request.headers['x-token'])
    async def who():
        return 1

    client = TestClient(guarded_app(cache, router), headers=SECRETS)
    asyncio.run(cache.set_cached('s3cret-d', CachedResponse(b'1', 200)))
    for path in ('/mine', '/read', '/built', '/who'):
        assert client.get(path).headers['x-cache'] == 'MISS'
    entries = client.get('/cache/entries.json').json()['entries']
    assert len(entries) == 5
    said = [client.get(f'/cache/{it}').text for it in READ if it != 'events']
    said += [client.get('/cache/entry.json', params={'key': it['key']}).text for it in entries]
    for path in ('/mine', '/read', '/built', '/who', '/none'):
        asked = {'url': path, 'headers': {name: value for name, value in SECRETS.items() if name != 'x-admin'}}
        said.append(client.post('/cache/lookup.json', json=asked).text)
    said.append(client.post('/cache/invalidate.json', json={'all': True}).text)
    assert not [it for it in said if 's3cret' in it]


def test_what_the_console_writes_to_the_log_is_one_line(caplog):
    client = stored_once()
    caplog.set_level('INFO')
    client.post('/cache/invalidate.json', json={'tags': ['a\nERROR forged\x1b[31m']})
    (line,) = [it.getMessage() for it in caplog.records if 'console' in it.getMessage()]
    assert '\n' not in line
    assert '\x1b' not in line


VALIDATED = '/validated?number=1'


def test_looking_up_runs_no_code_of_the_app_and_fetches_nothing(monkeypatch):
    ran, variable = [], ContextVar('variable', default=0)
    router, cache = caching_router(dependencies=[Depends(lambda: ran.append('guard'))]), FastAPICache()

    def noted(name, result):
        return lambda *_: ran.append(name) or result

    options = {
        '/plain': {},
        '/built': {'key_builder': noted('key_builder', 'key')},
        '/identity': {'identity': noted('identity', 'name')},
        '/skip': {'skip': noted('skip', '')},
        '/explicit': {'dependencies': [Depends(lambda: ran.append('explicit'))]},
        '/tags': {'tags': noted('tags', ['tag'])},
    }
    for path, said in options.items():

        @router.get(path)
        @cache(ttl=60, **said)
        async def endpoint(request: Request, found: Annotated[None, Depends(lambda: ran.append('dependency'))]):
            ran.append('endpoint')
            return variable.get()

    @router.get('/validated')
    @cache(ttl=60)
    async def validated(number: Annotated[int, AfterValidator(lambda value: ran.append('validator') or value)]):
        ran.append('endpoint')

    client = TestClient(guarded_app(cache, router), headers={'x-admin': 'yes'})
    monkeypatch.setattr(socket, 'create_connection', noted('socket', None))
    for path in (
        *options,
        '/validated?number=1',
        'http://169.254.169.254/plain',
        'file:///plain',
        '//evil.example/plain',
    ):
        found = client.post('/cache/lookup.json', json={'url': path})
        assert found.status_code == 200
        assert found.json()['report']['cached']
    assert ran == []


def test_a_body_of_any_size_is_read_up_to_a_limit():
    client = stored_once()

    def parts():
        yield b'{"tags": ["'
        for _ in range(1000):
            yield b'x' * 1024
        pytest.fail('it was read to its end')

    async def app_reads():
        sent, pieces = [], parts()

        async def receive():
            return {'type': 'http.request', 'body': next(pieces), 'more_body': True}

        async def send(message):
            sent.append(message)

        headers = [(b'content-type', b'application/json'), (b'x-admin', b'yes')]
        scope = asgi_scope('POST', '/cache/invalidate.json', headers=headers)
        await client.app(scope, receive, send)
        return sent[0]['status']

    assert asyncio.run(app_reads()) == 413


@pytest.mark.parametrize('after', ['-1', '1e9', 'x', '99999999999999999999'])
def test_a_page_that_there_cannot_be_is_no_error_of_the_server(after):
    response = stored_once().get('/cache/entries.json', params={'after': after})
    assert response.status_code in {200, 422}


def test_a_server_that_ends_does_not_wait_for_a_stream(monkeypatch):
    monkeypatch.setitem(os.environ, 'STREAM_SECONDS', '1000')
    with uvicorn_server('tests.console_app:app', cwd=ROOT) as port:
        url = f'http://127.0.0.1:{port}'
        server = httpx.get(f'{url}/process').json()
        with httpx.stream('GET', f'{url}/cache/events', cookies={'admin': 'let-me-in'}) as response:
            lines = response.iter_lines()
            assert any(it.startswith('data: ') for it in lines)
            os.kill(server, signal.SIGTERM)
            assert len([*islice(lines, 20)]) < 20  # else it goes on


def test_only_a_server_that_tells_is_asked_whether_it_ends(monkeypatch):
    class Server:
        should_exit = True

        def handle_exit(self, *_):
            pass

    handlers = [signal.SIG_DFL, signal.SIG_IGN, None, print, [].append, Server().handle_exit]
    found = []
    for handler in handlers:
        monkeypatch.setattr(signal, 'getsignal', lambda _, it=handler: it)
        found.append(server_ends())
    assert found == [False] * 5 + [True]


def test_events_end_when_their_client_has_gone(monkeypatch):
    monkeypatch.setitem(os.environ, 'STREAM_SECONDS', '1000')
    with uvicorn_server('tests.console_app:app', cwd=ROOT) as port:
        url = f'http://127.0.0.1:{port}'
        cookies = {'admin': 'let-me-in'}

        def watching():
            return httpx.get(f'{url}/watching').json()

        with httpx.stream('GET', f'{url}/cache/events', cookies=cookies) as response:
            lines = response.iter_lines()
            assert any(it.startswith('data: ') for it in lines)
            assert watching() == 1
        wait_until(lambda: watching() == 0)
