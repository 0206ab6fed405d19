"""Several workers with a store in memory: each knows by its server that it is one of several, and warns once."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import urllib.request

import pytest

from fastapi_caching_route._concurrency.workers import is_one_of_several
from tests.servers import ROOT, free_port, listens, stop, wait_until

APP = 'tests.workers_app:app'
WITH_LIFESPAN = 'tests.workers_app:with_lifespan'

UVICORN = ('uvicorn', APP, '--port', '{}', '--log-level', 'warning')
HYPERCORN = ('hypercorn', APP, '--bind', '127.0.0.1:{}')
GRANIAN = ('granian', APP, '--interface', 'asgi', '--port', '{}')
GUNICORN = ('gunicorn', APP, '--worker-class', 'asgi', '--graceful-timeout', '1', '--bind', '127.0.0.1:{}')

SEVERAL = {
    'uvicorn': (*UVICORN, '--workers', '2'),
    'hypercorn': (*HYPERCORN, '--workers', '2'),
    'granian': (*GRANIAN, '--workers', '2'),
    'gunicorn': (*GUNICORN, '--workers', '2'),
}
ONE = {
    'uvicorn': UVICORN,
    'uvicorn, one worker': (*UVICORN, '--workers', '1'),
    'uvicorn --reload': (*UVICORN, '--reload', '--reload-dir', 'docs'),
    'hypercorn': HYPERCORN,
    'granian': GRANIAN,
    'gunicorn': GUNICORN,
}


@contextlib.contextmanager
def served(command, folder, **environment):
    """A server in a process of its own: its address, and the file that has its log."""
    port, log = free_port(), folder / 'log'
    inherited = {name: value for name, value in os.environ.items() if name != 'WEB_CONCURRENCY'}
    started = [sys.executable, '-m', *(it.replace('{}', str(port)) for it in command)]
    with log.open('w') as output:
        server = subprocess.Popen(  # noqa: S603, our own command
            started,
            cwd=ROOT,
            stderr=output,
            stdout=output,
            env={**inherited, **environment},
            start_new_session=True,
        )
        try:
            wait_until(lambda: listens(port))
            yield f'http://127.0.0.1:{port}', log
        finally:
            stop(server)


def warnings_in(log):
    return log.read_text().count('one of several workers')


def answers(address, path):
    """Over a connection of its own, so that any worker may take it."""
    with urllib.request.urlopen(f'{address}{path}', timeout=10) as response:  # noqa: S310, our own server
        return json.load(response)


@pytest.mark.parametrize('server', SEVERAL)
def test_each_worker_beside_others_warns_once_of_a_store_in_memory(server, tmp_path):
    with served(SEVERAL[server], tmp_path) as (address, log):

        def is_told():
            for path in ('/cached', '/too', '/cached'):
                assert answers(address, path) == 1
            return warnings_in(log)

        wait_until(is_told)
        workers = {answers(address, '/worker') for _ in range(20)}
        for _ in range(10):
            is_told()
    assert warnings_in(log) <= max(2, len(workers))
    assert 'RedisCache' in log.read_text()


def test_the_number_of_workers_may_be_in_the_environment(tmp_path):
    with served(UVICORN, tmp_path, WEB_CONCURRENCY='2') as (address, log):
        assert answers(address, '/cached') == 1
        wait_until(lambda: warnings_in(log))


def test_with_the_lifespan_of_the_cache_it_is_told_at_the_start(tmp_path):
    with served(('uvicorn', WITH_LIFESPAN, *UVICORN[2:], '--workers', '2'), tmp_path) as (_, log):
        wait_until(lambda: warnings_in(log) == 2)


@pytest.mark.parametrize('server', ONE)
def test_a_single_worker_does_not_warn(server, tmp_path):
    with served(ONE[server], tmp_path) as (address, log):
        for _ in range(3):
            assert answers(address, '/cached') == 1
        assert answers(address, '/explained') == []
    assert warnings_in(log) == 0


def test_a_worker_explains_it(tmp_path):
    with served(SEVERAL['uvicorn'], tmp_path) as (address, _):
        said = answers(address, '/explained')
    assert len(said) == 2
    assert all('one of several workers' in it for it in said)


def test_reloading_does_not_count_as_several_workers(tmp_path):
    command = (*UVICORN, '--reload', '--reload-dir', 'docs', '--workers', '2')  # uvicorn itself ignores the number then
    with served(command, tmp_path) as (address, log):
        assert answers(address, '/cached') == 1
    assert warnings_in(log) == 0


def test_a_process_of_a_pool_is_no_worker():
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(_asked, range(4))) == [False] * 4


def _asked(_):
    return is_one_of_several()


def test_a_store_that_workers_share_is_not_warned_of(tmp_path, redis_port):
    command = (*UVICORN, '--workers', '2')
    with served(command, tmp_path, REDIS_PORT=str(redis_port)) as (address, log):
        for _ in range(10):
            assert answers(address, '/shared') == 1
    assert warnings_in(log) == 0
