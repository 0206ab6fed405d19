"""Routes that take the raw request: who is equal in what code reads of it shares, and nobody else."""

import logging
import runpy
from typing import Annotated

import jinja2
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from starlette.authentication import SimpleUser
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, MemoryCache
from tests.servers import EXAMPLES
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache


def app_of(endpoint, cache=None, dependencies=(), **options):
    """An app with this endpoint, cached."""
    router, app = caching_router(), FastAPI()
    router.get('/', dependencies=dependencies)((cache or memory_cache())(ttl=60, **options)(endpoint))
    app.include_router(router)
    return app


async def asked(app, **scope):
    """The body and the X-Cache of the response to one request."""
    given = {name: value for name, value in scope.items() if name != 'headers'}
    sent = await asgi_call(app, asgi_scope(headers=scope.get('headers', ())) | given)
    return b''.join(it.get('body', b'') for it in sent).decode(), dict(sent[0]['headers']).get(b'x-cache')


EARLIER_LEAKS = {
    'the public host': (
        lambda request: request.headers.get('x-forwarded-host', request.url.netloc),
        [{'headers': [(b'x-forwarded-host', b'evil.example')]}, {}],
    ),
    "the client's software": (
        lambda request: request.headers.get('user-agent', ''),
        [{'headers': [(b'user-agent', b'Firefox')]}, {'headers': [(b'user-agent', b'curl')]}],
    ),
    'the address of the client': (
        lambda request: request.client.host,
        [{'client': ('10.0.0.1', 1)}, {'client': ('10.0.0.2', 1)}],
    ),
    'the port of the client': (
        lambda request: str(request.client.port),
        [{'client': ('10.0.0.1', 1)}, {'client': ('10.0.0.1', 2)}],
    ),
    'the number of the request': (
        lambda request: request.headers.get('x-request-id', ''),
        [{'headers': [(b'x-request-id', b'1')]}, {'headers': [(b'x-request-id', b'2')]}],
    ),
    'what middleware has left': (
        lambda request: request.state.tenant,
        [{'state': {'tenant': 'red'}}, {'state': {'tenant': 'blue'}}],
    ),
    'the version of HTTP': (
        lambda request: request.scope['http_version'],
        [{'http_version': '1.1'}, {'http_version': '2'}],
    ),
}
"""What once was in no key although code can read it, each with two requests that differ in it."""


@pytest.mark.parametrize('leak', EARLIER_LEAKS)
async def test_what_is_read_of_one_request_is_not_shown_to_another(leak):
    read, scopes = EARLIER_LEAKS[leak]

    async def endpoint(request: Request):
        return Response(read(request))

    app, plain = app_of(endpoint), FastAPI()
    plain.get('/')(endpoint)
    got = [await asked(app, **it) for it in scopes * 2]
    assert [body for body, _ in got] == [(await asked(plain, **it))[0] for it in scopes * 2]
    assert [mark for _, mark in got] == [b'MISS', b'MISS', b'HIT', b'HIT']


TEMPLATES = Jinja2Templates(
    env=jinja2.Environment(
        loader=jinja2.DictLoader(
            {
                'page.html': '<html class="{{ request.cookies.theme }}">{{ url_for("page") }}</html>',
                'plain.html': '<a href="{{ request.url.path }}">here</a>',
            }
        ),
        autoescape=True,
    )
)


def pages():
    router, runs = caching_router(), []
    cache = FastAPICache(MemoryCache())

    @router.get('/', name='page')
    @cache(ttl=60, cache_control='public, max-age=60')
    async def page(request: Request) -> HTMLResponse:
        runs.append(1)
        return TEMPLATES.TemplateResponse(request, 'page.html')

    @router.get('/plain')
    @cache(ttl=60)
    def plain(request: Request) -> HTMLResponse:
        return TEMPLATES.TemplateResponse(request, 'plain.html')

    return router, runs


def test_a_page_is_a_hit_whatever_tracking_cookies_a_visitor_has():
    client = client_of(pages()[0])
    visitors = [{}, {'cookie': '_ga=1'}, {'cookie': '_ga=2; _gid=3'}, {'user-agent': 'other', 'x-request-id': '7'}]
    assert marks(*(client.get('/plain', headers=it) for it in visitors)) == ['MISS', 'HIT', 'HIT', 'HIT']
    assert marks(*(client.get('/', headers=it) for it in visitors)) == ['MISS', 'HIT', 'HIT', 'HIT']


def test_two_themes_are_two_entries_and_their_response_is_private():
    router, runs = pages()
    client = client_of(router)
    cookies = ['theme=dark; _ga=1', 'theme=light', '_ga=2; theme=dark', 'theme=light; _ga=3', '']
    responses = [client.get('/', headers={'cookie': it} if it else {}) for it in cookies]
    themes = ['dark', 'light', 'dark', 'light', '']
    assert [it.text for it in responses] == [f'<html class="{it}">http://testserver/</html>' for it in themes]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'HIT', 'MISS']
    assert len(runs) == 3
    assert {(it.headers['vary'], it.headers['cache-control']) for it in responses} == {
        ('cookie', 'private, max-age=60')
    }


def test_hosts_that_a_page_links_to_are_told_apart():
    client = client_of(pages()[0])
    hosts = ['a.example', 'b.example', 'a.example']
    responses = [client.get('/', headers={'host': it}) for it in hosts]
    assert [f'http://{host}/' in it.text for host, it in zip(hosts, responses, strict=True)] == [True] * 3
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_code_paths_that_read_different_things_do_not_split_one_another():
    runs = []

    async def endpoint(request: Request):
        runs.append(1)
        if request.query_params.get('mode') == 'mine':
            return request.headers.get('x-user')
        return request.headers.get('accept-language')

    client = TestClient(app_of(endpoint))
    for _ in range(2):
        for number in range(5):
            given = {'x-user': str(number), 'accept-language': 'de'}
            assert client.get('/?mode=mine', headers=given).json() == str(number)
            assert client.get('/', headers=given).json() == 'de'
    assert len(runs) == 6


def test_code_paths_that_read_very_many_things_count_together():
    async def endpoint(request: Request):
        name = request.query_params['name']
        return request.headers.get(name, '')

    client = TestClient(app_of(endpoint))
    for _ in range(2):
        for number in range(20):
            for value in 'ab':
                given = client.get('/', params={'name': f'x-{number}'}, headers={f'x-{number}': value})
                assert given.json() == value


def test_a_session_is_shared_by_nobody_with_another_one():
    async def endpoint(request: Request):
        return request.session.get('name', 'nobody')

    app = app_of(endpoint)

    @app.get('/login/{name}')
    async def log_in(name: str, request: Request):
        request.session['name'] = name

    app.add_middleware(SessionMiddleware, secret_key='key')
    clients = {name: TestClient(app) for name in ('ada', 'bob')}
    for name, client in clients.items():
        client.get(f'/login/{name}')
    nobody = TestClient(app)
    for _ in range(2):
        assert [it.get('/').json() for it in (*clients.values(), nobody)] == ['ada', 'bob', 'nobody']
    assert marks(*(it.get('/') for it in (*clients.values(), nobody))) == ['HIT'] * 3


class Account:
    """A user with more than plain attributes."""

    def __init__(self, name):
        self.name, self.pool = name, object()


async def test_a_user_counts_by_its_attributes_and_one_that_cannot_be_compared_is_not_stored(caplog):
    async def endpoint(request: Request):
        return Response(request.user.username if hasattr(request.user, 'username') else request.user.name)

    app = app_of(endpoint)
    users = [SimpleUser('ada'), SimpleUser('bob'), SimpleUser('ada')]
    assert [await asked(app, user=it) for it in users] == [('ada', b'MISS'), ('bob', b'MISS'), ('ada', b'HIT')]
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        assert [await asked(app, user=Account(it)) for it in ('eve', 'eve')] == [('eve', None)] * 2
    assert 'cannot be compared' in caplog.text
    assert caplog.text.rstrip().endswith("('user')")


NAMED = {
    'an item of the state': (lambda request: request.state.pool, "('state:pool')"),
    'the whole state': (lambda request: request.scope['state'].items(), "('state:pool')"),
    'everything': (lambda request: request.scope.items(), "('user', 'state:pool', 'scope:container')"),
}


@pytest.mark.parametrize('reading', NAMED)
async def test_what_cannot_be_compared_is_named_in_the_log(reading, caplog):
    read, expected = NAMED[reading]

    async def endpoint(request: Request):
        read(request)

    given = {'state': {'pool': object(), 'tenant': 'a'}, 'container': object(), 'plan': 'free', 'user': Account('eve')}
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        await asked(app_of(endpoint), **given)
    assert caplog.text.rstrip().endswith(expected)


async def test_what_the_routes_own_dependencies_leave_is_no_input_but_what_they_read_is():
    def load(request: Request):
        request.state.pool = object()
        request.state.language = request.headers.get('accept-language', 'en')

    async def endpoint(request: Request):
        assert request.state.pool
        return Response(request.state.language)

    app = app_of(endpoint, dependencies=[Depends(load)])
    headers = [[(b'accept-language', it)] for it in (b'de', b'fr', b'de')]
    got = [await asked(app, headers=it, state={}) for it in headers]
    assert got == [('de', b'MISS'), ('fr', b'MISS'), ('de', b'HIT')]


async def test_an_object_that_middleware_has_left_is_not_stored_and_explain_names_it():
    async def endpoint(request: Request):
        return Response(request.state.account.name)

    cache = memory_cache()
    app = app_of(endpoint, cache)
    for name in ('ada', 'bob'):
        assert await asked(app, state={'account': Account(name)}) == (name, None)
    [report] = [it for it in cache.explain(app) if it.cached]
    assert report.reads == ('state:account',)
    assert report.shared_by == 'clients whose requests are equal in what is read of them'


@pytest.mark.parametrize('identity', ['auto', 'shared', lambda request: 'all'])
def test_what_guards_read_counts_unless_identity_says_who_shares(identity):
    def limit(request: Request):
        return request.headers.get('x-client')

    def session_of(request: Request):
        if request.headers.get('x-token') is None:
            raise HTTPException(401)
        return request.cookies.get('sid', '')

    async def endpoint(request: Request, session: Annotated[str, Depends(session_of)]):
        return request.headers.get('x-plan')

    client = TestClient(app_of(endpoint, dependencies=[Depends(limit)], identity=identity))
    base = {'x-client': '1', 'x-token': 'a', 'x-plan': 'free', 'cookie': 'sid=1'}
    others = [{'x-client': '2'}, {'cookie': 'sid=2'}, {'x-token': 'b'}, {'x-plan': 'paid'}]
    assert marks(client.get('/', headers=base)) == ['MISS']
    shared = [None if identity == 'auto' else 'HIT'] * 2 + [None] * 2
    assert [it or 'MISS' for it in shared] == marks(*(client.get('/', headers=base | it) for it in others))
    assert client.get('/', headers={'x-client': '1'}).status_code == 401


def test_a_value_that_an_unnamed_guard_shares_with_a_named_dependency_counts():
    def user(request: Request):
        return request.headers.get('x-user')

    async def endpoint(request: Request, name: Annotated[str, Depends(user)]):
        return name

    client = TestClient(app_of(endpoint, dependencies=[Depends(user)], identity='shared'))
    assert [client.get('/', headers={'x-user': it}).json() for it in ('ada', 'bob', 'ada')] == ['ada', 'bob', 'ada']


@pytest.mark.parametrize(('reads', 'expected'), [('declared', ['MISS', 'HIT']), ('all', ['MISS', 'MISS'])])
def test_the_ways_out(reads, expected):
    async def endpoint(request: Request):
        return 'the same for all'

    client = TestClient(app_of(endpoint, reads=reads))
    assert marks(*(client.get('/', headers={'x-any': it}) for it in 'ab')) == expected


def test_a_header_that_a_user_leaves_out_does_not_count_although_it_is_read():
    async def endpoint(request: Request):
        return request.headers.get('x-noise', '')

    client = TestClient(app_of(endpoint, memory_cache(left_out_of_raw_keys=['X-Noise'])))
    assert marks(*(client.get('/', headers={'x-noise': it}) for it in 'ab')) == ['MISS', 'HIT']


def test_a_header_whose_name_a_client_chooses_writes_nothing_of_its_own_into_vary():
    async def endpoint(request: Request):
        return request.headers.get(request.query_params['name'], '')

    client = TestClient(app_of(endpoint))
    response = client.get('/', params={'name': 'x\r\nset-cookie: a=1'})
    assert (response.status_code, 'set-cookie' in response.headers) == (200, False)
    assert 'vary' not in response.headers


def test_the_pages_of_the_example_are_told_apart_by_the_cookies_that_they_read():
    app = runpy.run_path(str(EXAMPLES / 'pages.py'))['app']
    asked = ['', '_ga=1', 'theme=dark', 'theme=dark; _ga=2', 'consent=no', 'consent=no; _ga=3']
    client = TestClient(app)
    pages = [client.get('/', headers={'cookie': it} if it else {}) for it in asked]
    assert marks(*pages) == ['MISS', 'HIT', 'MISS', 'HIT', 'MISS', 'HIT']
    assert ['No cookies' in it.text for it in pages] == [True] * 4 + [False] * 2
    assert ['class="dark"' in it.text for it in pages] == [False, False, True, True, False, False]
    assert marks(client.get('/', headers={'host': 'shop.example.org'})) == ['MISS']
    names = [client.get('/news', headers={'cookie': f'name={it}'}) for it in ('ada', 'bob', 'ada')]
    assert [it.text.partition('Hello ')[2].partition('!')[0] for it in names] == ['ada', 'bob', 'ada']
    assert marks(*names) == ['MISS', 'MISS', 'HIT']
