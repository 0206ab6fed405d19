"""Two workers on a Redis that is killed and started again, under load: all that counts agrees with the load itself."""

import asyncio
import json
import time
from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastapi_caching_route.__main__ import main
from tests.servers import ROOT, real_server, wait_until
from tests.watching import WORKERS, loaded, redis_at


def by_prometheus(url):
    found = Counter()
    for family in text_string_to_metric_families(httpx.get(f'{url}/metrics', timeout=60).text):
        for it in family.samples:
            if it.name == 'fastapi_cache_responses_total':
                found[it.labels['outcome']] += int(it.value)
    return +found


def by_opentelemetry(url):
    """The sum of what both workers say, each asked on connections of their own until it has answered."""
    workers = {}

    def have_answered():
        said = httpx.get(f'{url}/otel', timeout=60).json()
        workers[said['worker']] = Counter(said['counted'])
        return len(workers) == 2

    wait_until(have_answered)
    return sum(workers.values(), Counter())


@pytest.fixture
def redis_url(redis_server):
    return f'redis://127.0.0.1:{redis_server.port}/0?namespace=watched'


NAMES = {'hit': 'hits', 'collapsed': 'collapsed', 'miss': 'misses', 'bypass': 'bypasses'}


def by_the_command(redis_url, capsys):
    capsys.readouterr()
    assert main(['stats', '--url', redis_url, '--json']) == 0
    (found,) = json.loads(capsys.readouterr().out)
    return outcomes_in(found['total']), len(found['workers'])


def outcomes_in(total):
    return Counter({name: total[said] for name, said in NAMES.items() if total[said]})


def console(url):
    return httpx.get(f'{url}/cache/stats.json', timeout=60).json()


def by_the_console(url):
    found = console(url)
    in_minutes = sum(it['requests'] for it in found['minutes'])
    return outcomes_in(found['total']), len(found['workers']), in_minutes, found['store']['state']


def during_the_outage(url):
    found = console(url)
    return found['store']['state'], 'cannot be read' in (found['error'] or '')


def in_time(ask, expected):
    """What it says as soon as it is what is expected, or in the end: both workers have to publish anew."""
    until = time.monotonic() + 90
    while (found := ask()) != expected and time.monotonic() < until:
        time.sleep(0.2)
    return found


def test_all_counters_agree_with_the_load_although_redis_was_killed(
    redis_server, redis_url, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv('FASTAPI_CACHE_URL', redis_url)
    monkeypatch.setenv('PROMETHEUS_MULTIPROC_DIR', str(tmp_path))
    counted = Counter()

    def agreed():
        """At this moment, all of them have counted each response."""
        assert by_prometheus(url) == counted
        assert by_opentelemetry(url) == counted
        assert in_time(lambda: by_the_command(redis_url, capsys), (counted, 2)) == (counted, 2)
        expected = (counted, 2, counted.total(), 'up')
        assert in_time(lambda: by_the_console(url), expected) == expected

    with real_server(WORKERS, cwd=ROOT) as port:
        url = f'http://127.0.0.1:{port}'
        asyncio.run(loaded(url, 1.0, counted))
        agreed()
        redis_server.process.kill()
        redis_server.process.wait()
        asyncio.run(loaded(url, 1.0, counted))
        assert by_prometheus(url) == by_opentelemetry(url) == counted
        assert in_time(lambda: during_the_outage(url), ('failing', True)) == ('failing', True)
        with redis_at(redis_server.port, tmp_path):
            asyncio.run(loaded(url, 1.5, counted))
            agreed()
    assert counted['hit'] > 0
    assert counted['miss'] > 0
