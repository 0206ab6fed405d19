"""What no cache in front can see: a certificate, a body, and by what a guard decides. Such responses are private."""

import json
from contextvars import ContextVar
from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, Form, Header, HTTPException, Query, Request

from fastapi_caching_route import ConfigurationError
from tests.promises.fronts import in_front_of
from tests.support import asgi_call, asgi_scope, caching_router, memory_cache

user: ContextVar[str | None] = ContextVar('user', default=None)
ANN, NOBODY = [(b'x-user', b'ann')], []


async def sent_through(front, scope, body=b''):
    sent = await asgi_call(front, scope, body)
    return sent[0]['status'], sent[1]['body'], dict(sent[0]['headers']).get(b'cache-control')


def app_with(endpoint, *guards, control='max-age=60', **options):
    router = caching_router()
    decorate = memory_cache()(ttl=60, cache_control=control, **options)
    router.get('/', dependencies=[Depends(it) for it in guards])(decorate(endpoint))
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    return app


async def page():
    return 'members only'


# The connection ------------------------------------------------------------------------------------------------------

WAYS = {
    'item': lambda it: it.scope['extensions'],
    'get of the scope': lambda it: it.scope.get('extensions'),
    'get of the request': lambda it: it.get('extensions'),
    'copy of the scope': lambda it: dict(it.scope)['extensions'],
}


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('place', ['endpoint', 'dependency', 'guard'])
async def test_what_code_reads_of_a_client_certificate_is_for_no_cache_in_front(place, way):
    def name(request: Request):
        return WAYS[way](request)['tls']['client_cert_name']

    def admit(request: Request):
        if name(request) != 'CN=ann':
            raise HTTPException(403)

    async def named(client: str = Depends(name)):
        return client

    async def reading(request: Request):
        return name(request)

    app = app_with({'endpoint': reading, 'dependency': named, 'guard': page}[place], *[admit] * (place == 'guard'))
    front = forwarding_extensions(app)
    for client in ('CN=ann', 'CN=bob') * 2:
        scope = {**asgi_scope(), 'extensions': {'tls': {'client_cert_name': client}}}
        through, direct = await sent_through(front, scope), await sent_through(app, scope)
        assert through[:2] == direct[:2]
        assert direct[0] == 403 or direct[2] == b'private, max-age=60'


def forwarding_extensions(app):
    """The app behind a cache, which forwards what the server says of the connection."""
    current = {}

    async def forward(scope, receive, send):
        await app({**scope, 'extensions': current['extensions']}, receive, send)

    front = in_front_of(forward)

    async def asked(scope, receive, send):
        current['extensions'] = scope['extensions']
        await front(scope, receive, send)

    return asked


# The body ------------------------------------------------------------------------------------------------------------


async def with_json(item: Annotated[str, Body(embed=True)]):
    return item


async def with_form(item: Annotated[str, Form()]):
    return item


BODIES = {
    with_json: (b'application/json', [json.dumps({'item': it}).encode() for it in 'ab']),
    with_form: (b'application/x-www-form-urlencoded', [b'item=a', b'item=b']),
}


@pytest.mark.parametrize('endpoint', BODIES)
async def test_what_a_get_reads_of_its_body_is_for_no_cache_in_front(endpoint):
    kind, bodies = BODIES[endpoint]
    front = in_front_of(app_with(endpoint))
    found = [await sent_through(front, asgi_scope(headers=[(b'content-type', kind)]), it) for it in bodies]
    assert found == [(200, b'"a"', b'private, max-age=60'), (200, b'"b"', b'private, max-age=60')]


@pytest.mark.parametrize('control', ['public, max-age=60', 's-maxage=60'])
def test_public_is_refused_where_a_get_reads_a_body(control):
    with pytest.raises(ConfigurationError, match='the body'):
        app_with(with_json, control=control)


async def test_a_post_may_be_public_because_no_cache_in_front_answers_one_by_its_url():
    router = caching_router()

    @router.post('/')
    @memory_cache()(ttl=60, cache_control='public, max-age=60')
    async def search(item: Annotated[str, Body(embed=True)]):
        return item

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    scope = asgi_scope('POST', headers=[(b'content-type', b'application/json')])
    assert (await sent_through(app, scope, b'{"item": "a"}'))[2] == b'public, max-age=60'


# Guards --------------------------------------------------------------------------------------------------------------


def by_context():
    if user.get() is None:
        raise HTTPException(401)


def below(_: Annotated[None, Depends(by_context)]):
    """Reads nothing itself."""


def by_state(request: Request):
    if getattr(request.state, 'user', None) is None:
        raise HTTPException(401)


def by_address(request: Request):
    if request.client.host == '127.0.0.1' and 'x-user' not in request.headers:
        raise HTTPException(401)


def known(app):
    """The app behind middleware that knows who asks."""

    async def middleware(scope, receive, send):
        name = dict(scope['headers']).get(b'x-user')
        token = user.set(name and name.decode())
        if name:
            scope['state']['user'] = name
        try:
            await app(scope, receive, send)
        finally:
            user.reset(token)

    return middleware


@pytest.mark.parametrize(
    ('guards', 'options'),
    [
        ([by_context], {}),
        ([below], {}),
        ([], {'dependencies': [Depends(by_context)]}),
        ([by_state], {'reads': 'declared'}),
        ([by_address], {'reads': 'declared'}),
    ],
)
async def test_a_guard_that_decides_by_what_nobody_sees_decides_behind_the_front_too(guards, options):
    app = known(app_with(page, *guards, **options))
    front = in_front_of(app)
    for headers in (ANN, NOBODY) * 2:
        direct = await sent_through(app, asgi_scope(headers=headers))
        assert await sent_through(front, asgi_scope(headers=headers)) == direct
        assert direct[::2] == ((200, b'private, max-age=60') if headers else (401, None))


async def test_public_says_that_it_does_not_matter_which_clients_the_guards_accept():
    app = known(app_with(page, by_context, control='public, max-age=60'))
    assert (await sent_through(app, asgi_scope(headers=ANN)))[2] == b'public, max-age=60'


def by_header(x_user: Annotated[str, Header()]):
    assert x_user


def by_query(token: Annotated[str, Query()]):
    assert token


@pytest.mark.parametrize('guard', [by_header, by_query, by_state])
async def test_a_guard_that_reads_what_vary_or_the_url_names_leaves_a_response_for_all(guard):
    app = app_with(page, guard)
    scope = asgi_scope(headers=ANN, query=b'token=x')
    expected = b'private, max-age=60' if guard is by_state else b'max-age=60'
    assert (await sent_through(known(app), scope))[2] == expected
