"""One router that several apps of a process serve: responses may differ by the app, so they are never mixed."""

import gc
import logging
from types import FunctionType

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, default_key
from tests.backends.fakes import Elsewhere
from tests.support import Clock, asgi_call, asgi_scope, caching_router, marks, memory_cache

HOSTS = ('a.example.org', 'b.example.org')


def by_title(request: Request):
    return request.app.title


def by_state(request: Request):
    return request.app.state.tenant


def by_url(request: Request):
    return request.app.url_path_for('other')


async def by_dependency(tenant: str = Depends(by_state)):
    return tenant


def serving(cache, endpoint, **options):
    """A router with a copy of the endpoint, as each process has one."""
    router, copied = caching_router(), FunctionType(endpoint.__code__, endpoint.__globals__, endpoint.__name__)
    copied.__defaults__, copied.__annotations__ = endpoint.__defaults__, endpoint.__annotations__
    router.get('/')(cache(ttl=60, **options)(copied))
    return router


def tenants(router, titles=('FastAPI', 'FastAPI'), *, as_routes=False):
    """Two apps that differ by their state, their titles and the path of another route."""
    for tenant, title in zip(('a', 'b'), titles, strict=True):
        app = FastAPI(title=title, routes=router.routes) if as_routes else FastAPI(title=title)
        app.state.tenant = tenant
        app.add_api_route(f'/of-{tenant}', by_state, name='other')
        if not as_routes:
            app.include_router(router)
        yield app


def by_hosts(apps):
    return Starlette(routes=[Host(host, app) for host, app in zip(HOSTS, apps, strict=True)])


def by_dispatcher(apps):
    known = dict(zip(HOSTS, apps, strict=True))

    async def dispatch(scope, receive, send):
        host = dict(scope['headers'])[b'host'].decode()
        await known[host](scope, receive, send)

    return dispatch


def answers(app, hosts=HOSTS):
    """The texts and marks of each host, asked twice."""
    client = TestClient(app)
    responses = [client.get('/', headers={'host': host}) for host in (*hosts, *hosts)]
    return [it.text.strip('"') for it in responses], marks(*responses)


@pytest.mark.parametrize('as_routes', [False, True], ids=['included', 'the same route'])
@pytest.mark.parametrize('in_front', [by_hosts, by_dispatcher])
@pytest.mark.parametrize('endpoint', [by_title, by_state, by_url, by_dependency])
def test_apps_that_serve_one_router_never_mix_their_responses(endpoint, in_front, as_routes):
    apps = list(tenants(serving(memory_cache(), endpoint), ('a', 'b'), as_routes=as_routes))
    texts, found = answers(in_front(apps))
    assert [text.removeprefix('/of-') for text in texts] == ['a', 'b', 'a', 'b']
    assert found == ['MISS', 'MISS', 'HIT', 'HIT']


@pytest.mark.parametrize('in_front', [by_hosts, by_dispatcher])
def test_apps_of_one_title_are_told_apart(in_front):
    texts, found = answers(in_front(list(tenants(serving(memory_cache(), by_state)))))
    assert texts == ['a', 'b', 'a', 'b']
    assert found == ['MISS', 'MISS', 'HIT', 'HIT']


def test_in_memory_the_first_app_of_a_title_keeps_its_entries_while_others_are_built():
    built = tenants(serving(memory_cache(), by_state))
    first = TestClient(next(built))
    assert [first.get('/').json() for _ in range(2)] == ['a', 'a']
    second = TestClient(next(built))
    responses = [it.get('/') for it in (second, first, second, first)]
    assert [it.json() for it in responses] == ['b', 'a', 'b', 'a']
    assert marks(*responses) == ['MISS', 'HIT', 'HIT', 'HIT']


def test_an_app_that_is_built_while_another_of_its_title_runs_is_told_apart():
    cache = FastAPICache(Elsewhere())
    built = tenants(serving(cache, by_state))
    first = TestClient(next(built))
    assert [first.get('/').json() for _ in range(2)] == ['a', 'a']
    second = TestClient(next(built))
    responses = [it.get('/') for it in (second, first, second, first)]
    assert [it.json() for it in responses] == ['b', 'a', 'b', 'a']
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'HIT']  # the first is one of several now


def test_an_app_of_the_same_title_and_state_does_not_keep_processes_from_sharing():
    backend, alike = Elsewhere(), []
    for _ in range(2):
        router = serving(FastAPICache(backend), by_title)
        alike.append(FastAPI())
        alike[-1].include_router(router)
    assert marks(*(TestClient(app).get('/') for app in alike)) == ['MISS', 'HIT']


def test_exception_handlers_of_two_apps_never_mix_their_responses():
    async def fails():
        raise LookupError

    apps = list(tenants(serving(memory_cache(), fails)))
    for app in apps:
        app.add_exception_handler(LookupError, lambda request, _error: PlainTextResponse(request.app.state.tenant))
    assert answers(by_hosts(apps)) == (['a', 'b', 'a', 'b'], ['MISS', 'MISS', 'HIT', 'HIT'])


def test_key_builders_get_other_keys_in_each_app_by_default_key():
    def build(request: Request):
        return default_key(request)

    apps = list(tenants(serving(memory_cache(), by_state, key_builder=build), ('a', 'b'), as_routes=True))
    assert answers(by_dispatcher(apps))[0] == ['a', 'b', 'a', 'b']


class Branded(FastAPI):
    brand = ''


def set_state(app, number):
    app.state.number = number


def set_handler(app, number):
    app.add_exception_handler(LookupError, lambda *_: PlainTextResponse(str(number)))


def set_attribute(app, number):
    app.brand = str(number)


def set_description(app, number):
    app.description = str(number)


def set_route(app, number):
    app.add_api_route(f'/{number}', by_state, name='other')


@pytest.mark.parametrize('differ', [set_state, set_handler, set_attribute, set_description, set_route])
def test_apps_of_one_title_that_differ_in_anything_they_hold_do_not_share(differ):
    router, apps = serving(memory_cache(), by_title), [Branded(), Branded()]
    for number, app in enumerate(apps):
        app.include_router(router)
        differ(app, number)
    assert answers(by_dispatcher(apps))[1] == ['MISS', 'MISS', 'HIT', 'HIT']


def test_an_app_that_is_built_again_in_the_same_way_shares_its_entries():
    router, responses = serving(memory_cache(), by_title), []
    for _ in range(2):
        app = FastAPI()
        app.include_router(router)
        responses.append(TestClient(app).get('/'))
    assert marks(*responses) == ['MISS', 'HIT']


@pytest.mark.parametrize('order', [HOSTS, HOSTS[::-1]])
@pytest.mark.parametrize('titles', [('one', 'two'), ('one', 'one')])
@pytest.mark.parametrize('in_front', [by_hosts, by_dispatcher])
def test_processes_share_the_entries_of_each_app_in_whatever_order_requests_come(in_front, titles, order):
    backend = Elsewhere()
    here, there = (in_front(list(tenants(serving(FastAPICache(backend), by_state), titles))) for _ in ('here', 'there'))
    answers(here)
    texts, found = answers(there, order)
    assert texts == [host[0] for host in (*order, *order)]
    if in_front is by_hosts or titles[0] != titles[1]:
        assert found == ['HIT'] * 4


def test_a_process_that_knows_both_apps_shares_nothing_that_another_process_may_have_numbered_differently():
    backend = Elsewhere()
    here, there = (by_dispatcher(list(tenants(serving(FastAPICache(backend), by_state)))) for _ in ('here', 'there'))
    answers(here)
    assert answers(there, HOSTS[1:]) == (['b', 'b'], ['MISS', 'HIT'])
    assert answers(here)[0] == ['a', 'b', 'a', 'b']
    assert answers(there)[0] == ['a', 'b', 'a', 'b']


def test_apps_of_one_title_on_a_shared_backend_are_told_to_have_titles(caplog):
    answers(by_dispatcher(list(tenants(serving(FastAPICache(Elsewhere()), by_state)))))
    said = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    warned = [it for it in said if 'give each app a title of its own' in it]
    assert len(warned) == 1  # not one for each app
    assert warned[0].startswith(
        "'/': several apps of this process have the title 'FastAPI' and serve this route at one"
    )


def test_an_app_never_gets_the_entries_of_one_that_is_gone():
    cache = memory_cache()
    router = serving(cache, by_state)
    seen = []
    for _ in range(3):
        app = next(iter(tenants(router)))
        app.state.tenant = len(seen)
        seen.append(TestClient(app).get('/').json())
        del app
        gc.collect()
    assert seen == [0, 1, 2]


async def test_several_apps_of_one_route_object_remember_their_plans():
    clock = Clock()
    router = serving(FastAPICache(clock=clock), by_state)
    apps = list(tenants(router, ('a', 'b'), as_routes=True))
    for app in (*apps, *apps):
        await asgi_call(app, asgi_scope())
    (route,) = router.routes
    first = [route.reached_by(asgi_scope() | {'app': app}) for app in apps]
    assert [route.reached_by(asgi_scope() | {'app': app}) for app in apps] == first
    assert first[0] is not first[1]
