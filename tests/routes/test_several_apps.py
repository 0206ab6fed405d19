"""One router that several apps of a process serve: responses may differ by the app, so they are never mixed."""

import asyncio
import gc
import logging
import threading
import weakref
from types import FunctionType

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, default_key
from fastapi_caching_route._routes import apps as apps_module
from fastapi_caching_route._routes import reached as reached_module
from fastapi_caching_route._routes.apps import MAX_COMPARED
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


def set_list_in_state(app, _number):
    app.state.items = []  # equal now, but requests may change one of them


def set_handler(app, number):
    app.add_exception_handler(LookupError, lambda *_: PlainTextResponse(str(number)))


def set_attribute(app, number):
    app.brand = str(number)


def set_description(app, number):
    app.description = str(number)


def set_servers(app, number):
    app.servers = [{'url': f'/{number}'}]


def set_contact(app, number):
    app.contact = {'name': str(number)}


def set_license(app, number):
    app.license_info = {'name': 'MIT'} if number else None


def set_tags(app, number):
    app.openapi_tags = [{'name': 'one'}, {'name': 'two'}][: number + 1]


def set_extra(app, number):
    app.extra = {'tenant': number}


def set_middleware(app, number):
    app.add_middleware(Passing, number=number)


def set_route(app, number):
    app.add_api_route(f'/{number}', by_state, name='other')


def set_name_of_route(app, number):
    app.add_api_route('/other', by_state, name=str(number))


def set_mount(app, number):
    app.mount(f'/static-{number}', StaticFiles(directory='.'), name='static')


def set_name_of_mount(app, number):
    app.mount('/inside', FastAPI(openapi_url=None), name=str(number))


def set_host(app, number):
    app.host(f'{number}.example.org', FastAPI(openapi_url=None), name='other')


def set_what_fails(app, _number):
    app.brand = Unequal()
    app.contact = {Unequal(): 1}


class Unequal(str):
    """Fails as it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        raise ValueError


class Passing:
    def __init__(self, app, number):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


DIFFERENCES = [
    *(set_state, set_list_in_state, set_handler, set_attribute, set_description, set_servers, set_contact),
    *(set_license, set_tags, set_extra, set_middleware, set_route, set_name_of_route, set_mount, set_name_of_mount),
    *(set_host, set_what_fails),
]


@pytest.mark.parametrize('differ', DIFFERENCES)
def test_apps_of_one_title_that_differ_in_anything_they_hold_do_not_share(differ):
    router, apps = serving(memory_cache(), by_title), [Branded(), Branded()]
    for number, app in enumerate(apps):
        app.include_router(router)
        differ(app, number)
    assert answers(by_dispatcher(apps))[1] == ['MISS', 'MISS', 'HIT', 'HIT']


@pytest.mark.parametrize(
    'differ', [it for it in DIFFERENCES if it not in {set_list_in_state, set_handler, set_what_fails}]
)
def test_apps_of_one_title_that_hold_the_same_share_even_when_one_of_them_has_been_served(differ):
    router, apps = serving(memory_cache(), by_title), [Branded(), Branded()]
    for app in apps:
        app.include_router(router)
        differ(app, 1)
    TestClient(apps[0]).get('/openapi.json')
    assert answers(by_dispatcher(apps))[1] == ['MISS', 'HIT', 'HIT', 'HIT']


@pytest.mark.parametrize('builder', [None, default_key], ids=['by default', 'default_key'])
def test_a_route_that_is_planned_while_a_second_app_is_served_is_planned_again(builder, monkeypatch):
    options = {} if builder is None else {'key_builder': builder}
    first, second = tenants(serving(FastAPICache(Elsewhere()), by_state, **options))
    plan, planned, last = reached_module.plan_of, [], 1 if builder is None else 2

    def plan_while_another_is_served(*given, **among):
        planned.append(given)
        if len(planned) == last:
            TestClient(second).get('/')
        return plan(*given, **among)

    monkeypatch.setattr(reached_module, 'plan_of', plan_while_another_is_served)
    responses = [TestClient(first).get('/') for _ in range(3)]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']  # its first key may be that of another process


class Tenants:
    """Apps of one title, each with a state of its own."""

    def __init__(self, router):
        self.router = router
        self.apps = []

    def ask_new(self):
        app = FastAPI()
        app.state.tenant = len(self.apps)
        app.include_router(self.router)
        self.apps.append(app)
        return TestClient(app).get('/').json()


@pytest.fixture
def compared(monkeypatch):
    """A list of all apps that were compared, in pairs."""
    pairs, compare = [], apps_module.are_alike
    monkeypatch.setattr(apps_module, 'are_alike', lambda *pair: pairs.append(pair) or compare(*pair))
    return pairs


def test_an_app_for_each_tenant_is_compared_with_few_others(compared):
    known, count = Tenants(serving(memory_cache(), by_state)), 3 * MAX_COMPARED
    assert [known.ask_new() for _ in range(count)] == list(range(count))
    assert len(compared) == sum(min(at, MAX_COMPARED) for at in range(count))
    assert [TestClient(app).get('/').json() for app in known.apps] == list(range(count))
    assert len(compared) == sum(min(at, MAX_COMPARED) for at in range(count))


def test_first_requests_that_threads_make_at_once_are_not_mixed():
    for _ in range(5):
        apps, texts = [], {}
        router = serving(memory_cache(), by_state)
        for tenant in range(6):
            apps.append(FastAPI())
            apps[-1].state.tenant = tenant
            apps[-1].include_router(router)
        start = threading.Barrier(len(apps))

        def ask(app, start=start, texts=texts):
            start.wait()
            texts[app.state.tenant] = asyncio.run(asgi_call(app, asgi_scope()))[-1]['body']

        threads = [threading.Thread(target=ask, args=(app,)) for app in apps]
        for it in threads:
            it.start()
        for it in threads:
            it.join()
        assert texts == {tenant: str(tenant).encode() for tenant in range(6)}


def test_an_app_that_is_served_while_another_is_compared_is_compared_with_it(monkeypatch):
    compare, router = apps_module.are_alike, serving(memory_cache(), by_title)
    apps = [FastAPI(summary=summary) for summary in ('one', 'two', 'two')]
    for app in apps:
        app.include_router(router)
    responses = [TestClient(apps[0]).get('/')]

    def compare_while_another_is_served(*pair):
        if len(responses) == 1:
            responses.append(None)
            responses[1] = TestClient(apps[1]).get('/')
        return compare(*pair)

    monkeypatch.setattr(apps_module, 'are_alike', compare_while_another_is_served)
    responses.append(TestClient(apps[2]).get('/'))
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_an_app_that_is_built_again_in_the_same_way_shares_its_entries():
    router, responses = serving(memory_cache(), by_title), []
    for _ in range(2):
        app = FastAPI()
        app.include_router(router)
        responses.append(TestClient(app).get('/'))
    assert marks(*responses) == ['MISS', 'HIT']


@pytest.mark.parametrize('order', [HOSTS, HOSTS[::-1]])
@pytest.mark.parametrize(
    ('in_front', 'titles'), [(by_hosts, ('one', 'one')), (by_hosts, ('one', 'two')), (by_dispatcher, ('one', 'two'))]
)
def test_processes_share_the_entries_of_each_app_in_whatever_order_requests_come(in_front, titles, order):
    backend = Elsewhere()
    here, there = (in_front(list(tenants(serving(FastAPICache(backend), by_state), titles))) for _ in ('here', 'there'))
    answers(here)
    assert answers(there, order) == ([host[0] for host in (*order, *order)], ['HIT'] * 4)


def mounting(cache, titles, paths=('/inside', '/inside')):
    """Two apps, each with an app of its own inside, which include one router."""
    for inside, title, path in zip(tenants(serving(cache, by_state)), titles, paths, strict=True):
        app = FastAPI(title=title)
        app.mount(path, inside)
        yield app


def inside_of(app, hosts):
    client = TestClient(app)
    return [client.get('/inside/', headers={'host': host}) for host in hosts]


@pytest.mark.parametrize('order', [HOSTS, HOSTS[::-1], HOSTS[:1], HOSTS[1:]])
def test_apps_at_one_place_of_outer_apps_with_titles_are_told_apart_and_shared_by_processes(order):
    backend = Elsewhere()
    here, there = (by_dispatcher(list(mounting(FastAPICache(backend), ('one', 'two')))) for _ in ('here', 'there'))
    inside_of(here, HOSTS)
    responses = inside_of(there, order)
    assert [it.json() for it in responses] == [host[0] for host in order]
    assert set(marks(*responses)) == {'HIT'}


def test_processes_that_have_each_served_another_app_of_one_outer_title_do_not_mix_them():
    backend = Elsewhere()
    here, there = (by_dispatcher(list(mounting(FastAPICache(backend), ('one', 'two')))) for _ in ('here', 'there'))
    assert [it.json() for it in (*inside_of(here, HOSTS[:1]), *inside_of(there, HOSTS[1:]))] == ['a', 'b']


def test_a_process_that_has_served_both_apps_of_a_title_shares_their_entries_with_no_other():
    backend = Elsewhere()
    here, there = (by_dispatcher(list(tenants(serving(FastAPICache(backend), by_state)))) for _ in ('here', 'there'))
    answers(here)
    answers(there, HOSTS[::-1])
    for app, order in ((here, HOSTS), (there, HOSTS[::-1])):
        assert answers(app, order)[0] == [host[0] for host in (*order, *order)]


def test_an_app_that_no_request_has_reached_keeps_no_process_from_sharing():
    """A module that is imported twice, as `__main__` and by the server, builds its app twice."""
    backend, responses, kept = Elsewhere(), [], []
    for _ in range(2):
        cache = FastAPICache(backend)
        kept += tenants(serving(cache, by_title))
        responses.append(TestClient(kept[-1]).get('/'))
    assert marks(*responses) == ['MISS', 'HIT']


def test_apps_of_one_title_on_a_shared_backend_are_told_to_have_titles(caplog):
    answers(by_dispatcher(list(tenants(serving(FastAPICache(Elsewhere()), by_state)))))
    said = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    warned = [it for it in said if 'give each app a title of its own' in it]
    assert len(warned) == 1  # not one for each app
    assert warned[0].startswith(
        "'/': several apps of this process have the title 'FastAPI' and serve this route at one"
    )


class Forgetful:
    def forget(self):
        pass


@pytest.mark.parametrize('is_shared', [False, True])
def test_an_app_is_never_identified_as_one_that_is_gone(compared, is_shared, new_objects):
    known, seen = apps_module.Apps(), set()
    for _ in range(3):
        app = FastAPI()
        seen.add(known.identity(app, app.router, Forgetful(), is_shared=is_shared))
        gone = weakref.ref(app)
        del app
        gc.collect()
        assert gone() is None
    assert len(seen) == 3
    assert compared == []


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
