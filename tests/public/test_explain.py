"""The report on what becomes of each route of an app."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, Request, Response, WebSocket
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.applications import Starlette
from starlette.routing import Mount

from fastapi_caching_route import CacheContextDep, CachingRoute, FastAPICache
from fastapi_caching_route.__main__ import main
from fastapi_caching_route.explain import explain
from tests.servers import EXAMPLES

bearer, key = HTTPBearer(), APIKeyHeader(name='x-key')


def allowed(credentials: Annotated[object, Depends(bearer)]):
    """A guard."""


def app_of(backend=None, **options):
    cache, app, router = FastAPICache(backend), FastAPI(openapi_url=None), APIRouter(route_class=CachingRoute)

    @router.get('/items/{item}')
    @cache(ttl=60, stale_while_revalidate=5, tags=['item:{item}'], namespace='items', vary_headers=['accept-language'])
    async def item(
        item: int, q: str = '', x_plan: Annotated[str, Header()] = '', theme: Annotated[str, Cookie()] = ''
    ): ...

    @router.get('/mine', dependencies=[Depends(key)])
    @cache()
    async def mine(user: Annotated[object, Depends(allowed)]): ...

    @router.post('/search')
    @cache(ttl=5)
    async def search(words: Annotated[list[str], Body()]): ...

    @router.get('/raw')
    @cache(ttl=5)
    async def raw(request: Request, response: Response):
        response.set_cookie('seen', '1')

    @router.get('/built')
    @cache(ttl=5, key_builder=lambda request: 'key')
    async def built(): ...

    @router.get('/tenant')
    @cache(ttl=5, identity=lambda request: 'tenant', vary_headers=['Cookie'])
    async def tenant(): ...

    @router.get('/open')
    async def undecorated(): ...

    @app.get('/forgotten')
    @cache(ttl=5)
    async def forgotten(): ...

    @app.websocket('/ws')
    @cache(ttl=5)
    async def socket(websocket: WebSocket): ...

    app.include_router(router, prefix='/api')
    return app, cache


def reports(app):
    return {it.path: it for it in explain(app)}


def test_the_key_the_guards_and_who_shares_are_told():
    found = reports(app_of()[0])
    item = found['/api/items/{item}']
    assert item.cached
    assert item.methods == ('GET',)
    assert item.endpoint.endswith('.item')
    assert item.key == (
        'path item',
        'query q',
        'header x-plan',
        'cookie theme',
        'header accept-language',
    )
    assert (item.guards, item.shared_by) == ((), 'clients with the same credentials or cookies')
    assert (item.ttl, item.stale_while_revalidate, item.tags, item.namespace) == (60, 5, ('item:{item}',), 'items')
    assert item.warnings == ()
    mine = found['/api/mine']
    assert mine.key == ('the credential in header authorization',)
    assert mine.guards == ('fastapi.security.api_key.APIKeyHeader', 'tests.public.test_explain.allowed')
    assert (mine.shared_by, mine.ttl) == ('clients with the same credentials or cookies', None)
    assert found['/api/search'].key == ('the body',)
    assert found['/api/built'].key == ('the key from key_builder',)
    assert found['/api/built'].shared_by == 'clients for whom key_builder returns the same key'
    assert found['/api/tenant'].key == ('header cookie', 'the name from identity')
    assert found['/api/tenant'].shared_by == 'clients for whom identity returns the same name'


def test_what_is_not_cached_says_why():
    found = reports(app_of()[0])
    assert found['/api/open'].why_not == 'not decorated'
    assert 'route_class=CachingRoute' in found['/forgotten'].why_not
    assert 'APIWebSocketRoute' in found['/ws'].why_not
    assert not any(found[path].cached for path in ('/api/open', '/forgotten', '/ws'))


def test_what_is_suspicious_is_told_with_the_remedy():
    found = reports(app_of(SimpleMemoryCache())[0])
    assert [it.partition(':')[0] for it in found['/api/raw'].warnings] == ['sets a cookie']
    assert [it.partition(':')[0] for it in found['/api/mine'].warnings] == [
        'no ttl, and a backend without a size limit'
    ]
    assert [it.partition(':')[0] for it in found['/api/tenant'].warnings] == ['vary_headers contains Cookie']


def test_mounted_apps_are_told_with_their_paths():
    app, cache = app_of()
    outer = Starlette(routes=[Mount('/v1', app=app)])
    assert reports(outer).keys() == {f'/v1{path}' for path in reports(app)}
    assert cache.explain(outer) == explain(outer)


def test_a_report_changes_nothing():
    app, _ = app_of()
    assert explain(app) == explain(app)


@pytest.mark.parametrize('place', ['complex:app', 'complex'])
def test_the_command_prints_a_table_and_json(place):
    command = [sys.executable, '-m', 'fastapi_caching_route', 'explain', place]
    table = subprocess.run(command, cwd=EXAMPLES, check=True, capture_output=True, text=True).stdout  # noqa: S603
    assert 'GET /query' in table
    assert 'clients with' in table
    said = subprocess.run([*command, '--json'], cwd=EXAMPLES, check=True, capture_output=True, text=True).stdout  # noqa: S603
    cached = {it['path']: it for it in json.loads(said) if it['cached']}
    assert cached['/query']['key'] == ['query a', 'query b']


@pytest.mark.parametrize(
    ('place', 'message'),
    [
        ('nowhere:app', "No module named 'nowhere'"),
        ('json:app', "there is no 'app' in json"),
        ('json:dumps', 'is not a FastAPI or Starlette app'),
    ],
)
def test_the_command_says_what_is_wrong_with_its_place(place, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['explain', place])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_report_can_be_written_as_json():
    app, _ = app_of()
    assert json.dumps([dataclasses.asdict(it) for it in explain(app)])


def test_what_else_decides_is_told_and_brackets_are_shown(tmp_path):
    (tmp_path / 'shop.py').write_text(
        'from fastapi import APIRouter, FastAPI\n'
        'from fastapi_caching_route import CachingRoute, FastAPICache\n'
        'cache, router, app = FastAPICache(), APIRouter(route_class=CachingRoute), FastAPI()\n'
        "@router.get('/[red]')\n"
        "@cache(ttl=5, status_ttl={404: 2}, skip=bool, store_if=bool, tags=['[bold]'])\n"
        'def endpoint(): ...\n'
        'app.include_router(router)\n'
    )
    command = [sys.executable, '-m', 'fastapi_caching_route', 'explain', 'shop:app']
    table = subprocess.run(  # noqa: S603, our own command
        command, cwd=tmp_path, check=True, capture_output=True, text=True, env={**os.environ, 'COLUMNS': '200'}
    ).stdout
    for said in (
        '/[red]',
        'tag [bold]',
        '2 s for 404',
        'not if skip returns true',
        'stored only if store_if returns true',
    ):
        assert said in table


def limited(endpoint):
    @functools.wraps(endpoint)
    async def inside_of_a_limit(*args, **kwargs):
        return await endpoint(*args, **kwargs)

    return inside_of_a_limit


@pytest.mark.parametrize('above', [True, False], ids=['cache above', 'cache below'])
def test_decorators_around_the_endpoint_are_shown_since_they_do_not_run_on_hits(above):
    cache, app = FastAPICache(), FastAPI(openapi_url=None)
    cache.install(app)

    async def items(): ...

    app.get('/items')(cache(ttl=60)(limited(items)) if above else limited(cache(ttl=60)(items)))
    (report,) = explain(app)
    assert report.cached
    assert report.not_run_on_hits == (f'decorator {__name__}.inside_of_a_limit',)


def test_a_write_that_invalidates_nothing_is_told_from_others():
    cache, app, router = FastAPICache(), FastAPI(openapi_url=None), APIRouter(route_class=CachingRoute)

    async def endpoint(): ...

    async def through_a_context(context: CacheContextDep): ...

    app.post('/plain')(endpoint)
    app.get('/read')(endpoint)
    app.post('/context')(through_a_context)

    async def invalidating(): ...

    app.post('/decorated')(cache.invalidates(tags=['a'])(invalidating))
    router.post('/own')(endpoint)
    app.include_router(router)
    found = {it.path: it.why_not for it in explain(app)}
    assert found.pop('/plain') == 'not decorated; it invalidates nothing, because its route is an APIRoute'
    assert set(found.values()) == {'not decorated'}
    assert len(found) == 4


def test_routes_that_are_none_of_ours_are_named_in_english():
    app = FastAPI(openapi_url=None)

    @app.websocket('/socket')
    async def socket(websocket: WebSocket): ...

    app.add_route('/plain', lambda request: Response())
    found = {it.path: (it.methods, it.why_not) for it in explain(app)}
    assert found == {
        '/socket': (('WEBSOCKET',), 'websockets cannot be cached'),
        '/plain': (('GET', 'HEAD'), 'a Route'),
    }
