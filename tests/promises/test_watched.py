"""Two workers on a Redis that is killed and started again, under load: all that counts agrees with the load itself."""

import asyncio
import json
import random
import subprocess
import time
from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastapi_caching_route.__main__ import main
from tests.servers import ROOT, listens, real_server, wait_until

WORKERS = ('uvicorn', 'tests.watched_app:app', '--workers', '2', '--port', '{}', '--log-level', 'critical')
CLIENTS = 8


def outcome_of(response):
    said = response.headers['cache-status']
    names = {'; hit': 'hit', '; collapsed': 'collapsed', 'fwd=bypass': 'bypass', 'fwd=uri-miss': 'miss'}
    return next(name for text, name in names.items() if text in said)


async def loaded(url, seconds, counted):
    """Ask all the time, and count what the responses say themselves."""
    until = time.monotonic() + seconds

    async def ask():
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            while time.monotonic() < until:
                path = random.choice(['/skipped', *(f'/items/{number}' for number in range(20))])
                counted[outcome_of(await client.get(path))] += 1
                if random.random() < 0.1:
                    await client.get('/skipped', headers={'connection': 'close'})  # to reach the other worker, too
                    counted['bypass'] += 1

    await asyncio.gather(*(ask() for _ in range(CLIENTS)))


def by_prometheus(url):
    found = Counter()
    for family in text_string_to_metric_families(httpx.get(f'{url}/metrics', timeout=20).text):
        for it in family.samples:
            if it.name == 'fastapi_cache_responses_total':
                found[it.labels['outcome']] += int(it.value)
    return +found


@pytest.fixture
def redis_url(redis_server):
    return f'redis://127.0.0.1:{redis_server.port}/0?namespace=watched'


def by_the_command(redis_url, capsys):
    capsys.readouterr()
    assert main(['stats', '--url', redis_url, '--json']) == 0
    (found,) = json.loads(capsys.readouterr().out)
    total = found['total']
    names = {'hit': 'hits', 'collapsed': 'collapsed', 'miss': 'misses', 'bypass': 'bypasses'}
    return Counter({name: total[said] for name, said in names.items() if total[said]}), len(found['workers'])


def test_counters_agree_with_the_load_although_redis_was_killed(redis_server, redis_url, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('FASTAPI_CACHE_URL', redis_url)
    monkeypatch.setenv('PROMETHEUS_MULTIPROC_DIR', str(tmp_path))
    counted, port_of_redis = Counter(), redis_server.port
    with real_server(WORKERS, cwd=ROOT) as port:
        url = f'http://127.0.0.1:{port}'
        asyncio.run(loaded(url, 1.0, counted))
        redis_server.process.kill()
        redis_server.process.wait()
        asyncio.run(loaded(url, 1.0, counted))
        again = ['redis-server', '--port', str(port_of_redis), '--save', '', '--appendonly', 'no']
        restarted = subprocess.Popen(again, stdout=subprocess.DEVNULL, cwd=tmp_path)  # noqa: S603, our own command
        try:
            wait_until(lambda: listens(port_of_redis))
            asyncio.run(loaded(url, 1.5, counted))
            assert by_prometheus(url) == counted
            until = time.monotonic() + 30  # both workers have to publish anew
            while by_the_command(redis_url, capsys) != (counted, 2) and time.monotonic() < until:
                time.sleep(0.2)
            assert by_the_command(redis_url, capsys) == (counted, 2)
        finally:
            restarted.terminate()
            restarted.wait(timeout=20)
    assert counted['hit'] > 100
    assert counted['miss'] > 20
