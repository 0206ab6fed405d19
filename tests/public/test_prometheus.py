"""What Prometheus reads."""

import json
import os
import subprocess
import sys

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route.prometheus import prometheus_observer
from tests.backends.fakes import Elsewhere
from tests.servers import EXAMPLES, ROOT
from tests.support import asgi_call, asgi_scope, caching_router


def app_of(cache):
    router, app = caching_router(), FastAPI()

    @router.get('/items/{item}')
    @cache(ttl=60)
    async def item(item: int):
        return {'item': item}

    app.include_router(router)
    return app


def samples(registry):
    families = text_string_to_metric_families(generate_latest(registry).decode())
    order = ('method', 'route', 'outcome', 'reason', 'kind', 'soft', 'store', 'address', 'le')
    return {
        (it.name, *(it.labels[label] for label in order if label in it.labels)): it.value
        for family in families
        for it in family.samples
    }


def test_responses_are_counted_and_timed():
    registry = CollectorRegistry()
    client = TestClient(app_of(FastAPICache(observer=prometheus_observer(registry=registry))))
    for path in ('/items/1', '/items/1', '/items/1', '/items/none'):
        client.get(path)
    found, route = samples(registry), '/items/{item}'
    assert found['fastapi_cache_responses_total', 'GET', route, 'hit', ''] == 2
    assert found['fastapi_cache_responses_total', 'GET', route, 'miss', ''] == 1
    assert found['fastapi_cache_responses_total', 'GET', route, 'refused', 'status'] == 1
    assert found['fastapi_cache_response_bytes_total', 'GET', route, 'hit'] == 2 * len(b'{"item":1}')
    assert found['fastapi_cache_response_seconds_count', 'GET', route, 'hit'] == 2
    assert found['fastapi_cache_endpoint_seconds_count', 'GET', route] >= 1
    assert 'fastapi_cache_store_up' not in {name for name, *_ in found}


def test_several_caches_share_a_registry_and_an_observer_is_added_once():
    registry = CollectorRegistry()
    caches = [FastAPICache(), FastAPICache()]
    for cache in caches:
        for _ in range(2):
            prometheus_observer(cache, registry=registry)
        TestClient(app_of(cache)).get('/items/1')
    found = samples(registry)
    assert found['fastapi_cache_responses_total', 'GET', '/items/{item}', 'miss', ''] == 2
    assert found['fastapi_cache_entries', 'MemoryCache', ''] == 2
    assert found['fastapi_cache_size_bytes', 'MemoryCache', ''] > 100
    assert found['fastapi_cache_store_up', 'MemoryCache', ''] == 1


async def test_a_backend_of_two_caches_counts_once():
    registry, backend = CollectorRegistry(), MemoryCache()
    caches = [FastAPICache(backend), FastAPICache(backend)]
    for cache in caches:
        prometheus_observer(cache, registry=registry)
    await asgi_call(app_of(caches[0]), asgi_scope(path='/items/1'))
    assert samples(registry)['fastapi_cache_entries', 'MemoryCache', ''] == 1


async def test_outages_and_invalidations_are_counted():
    registry, backend = CollectorRegistry(), Elsewhere()
    cache = FastAPICache(backend)
    prometheus_observer(cache, registry=registry)
    await cache.invalidate_tags('a', 'b')
    await cache.invalidate_path('/items/1', prefix=True)
    await cache.clear(soft=True)
    await asgi_call(app_of(cache), asgi_scope(path='/items/2'))
    backend.failing.update(('multi_get', 'get', 'set', 'add'))
    for _ in range(4):
        await asgi_call(app_of(cache), asgi_scope(path='/items/1'))
    found = samples(registry)
    assert found['fastapi_cache_invalidations_total', 'tag', 'false'] == 1
    assert found['fastapi_cache_invalidations_total', 'several', 'false'] == 1
    assert found['fastapi_cache_invalidations_total', 'all', 'true'] == 1
    assert found['fastapi_cache_store_outages_total',] == 1
    assert found['fastapi_cache_store_up', 'Elsewhere', ''] == 0
    assert found['fastapi_cache_store_read_seconds', 'Elsewhere', ''] > 0
    await cache._settings.store.close()


def test_the_global_registry_is_used_unless_another_one_is_given():
    observer = prometheus_observer()
    assert observer == prometheus_observer()
    assert 'fastapi_cache_responses' in {it.name for it in REGISTRY.collect()}


WORKER = """
import sys
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.prometheus import prometheus_observer
cache, router, app = FastAPICache(observer=prometheus_observer()), APIRouter(route_class=CachingRoute), FastAPI()
@router.get('/')
@cache(ttl=60)
async def endpoint(): return 1
app.include_router(router)
for _ in range(3): TestClient(app).get('/')
"""

READER = """
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_several_processes_are_summed_in_the_multiprocess_mode(tmp_path):
    given = {**os.environ, 'PROMETHEUS_MULTIPROC_DIR': str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, '-c', WORKER], check=True, env=given, cwd=ROOT)  # noqa: S603, our own script
    read = subprocess.run(  # noqa: S603, our own script
        [sys.executable, '-c', READER], check=True, env=given, capture_output=True, text=True
    )
    assert 'fastapi_cache_responses_total{method="GET",outcome="hit",reason="",route="/"} 4.0' in read.stdout


@pytest.fixture
def dashboard():
    return json.loads((EXAMPLES / 'grafana.json').read_text())


def test_the_dashboard_asks_for_metrics_that_there_are(dashboard):
    registry = CollectorRegistry()
    cache = FastAPICache()
    prometheus_observer(cache, registry=registry)
    names = {it.name for it in registry.collect()}
    for name in [*names]:
        names |= {f'{name}_total', f'{name}_bucket', f'{name}_sum', f'{name}_count'}
    asked = [target['expr'] for panel in dashboard['panels'] for target in panel.get('targets', ())]
    assert len(asked) >= 8
    import re  # noqa: PLC0415

    used = {name for expression in asked for name in re.findall(r'fastapi_cache_\w+', expression)}
    assert used <= names
    assert len({panel['id'] for panel in dashboard['panels']}) == len(dashboard['panels'])
