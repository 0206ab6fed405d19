"""Several workers with a store in memory: each knows by its server that it is one of several, and warns once."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fastapi_caching_route._concurrency.workers import _is_of_server, is_one_of_several
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
    with urllib.request.urlopen(f'{address}{path}', timeout=60) as response:  # noqa: S310, our own server
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
    assert 'FastAPICache(LMDBCache())' in log.read_text()
    assert "FastAPICache.from_url('redis://...')" in log.read_text()


def test_the_number_of_workers_may_be_in_the_environment(tmp_path):
    with served(UVICORN, tmp_path, WEB_CONCURRENCY='2') as (address, log):
        assert answers(address, '/cached') == 1
        wait_until(lambda: warnings_in(log))


@pytest.mark.parametrize('server', SEVERAL)
def test_with_the_lifespan_of_the_cache_each_worker_tells_it_at_the_start(server, tmp_path):
    command = [WITH_LIFESPAN if it == APP else it for it in SEVERAL[server]]
    with served(command, tmp_path) as (_, log):
        wait_until(lambda: warnings_in(log) == 2)


@pytest.mark.parametrize('server', SEVERAL)
def test_with_a_backend_that_is_set_at_the_start_it_is_told_then(server, tmp_path):
    command = ['tests.workers_app:deferred_app' if it == APP else it for it in SEVERAL[server]]
    with served(command, tmp_path) as (_, log):
        wait_until(lambda: warnings_in(log) == 2)


def test_the_first_worker_of_granian_tells_it_where_it_is_not_forked(tmp_path):
    command = ('tests.spawned', *GRANIAN, '--workers', '2')
    with served(['tests.workers_app:with_lifespan' if it == APP else it for it in command], tmp_path) as (_, log):
        wait_until(lambda: warnings_in(log) == 2)


@contextlib.contextmanager
def supervised(command, folder, count):
    """Servers of one parent, each on a port of its own: their addresses and the file that has the log of all."""
    ports, log = [free_port() for _ in range(count)], folder / 'log'
    with log.open('w') as output, contextlib.ExitStack() as stack:
        for port in ports:
            started = [sys.executable, '-m', *(it.replace('{}', str(port)) for it in command)]
            server = subprocess.Popen(  # noqa: S603, our own command
                started, cwd=ROOT, stderr=output, stdout=output, start_new_session=True
            )
            stack.callback(stop, server)
        wait_until(lambda: all(map(listens, ports)))
        yield [f'http://127.0.0.1:{port}' for port in ports], log


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='only Linux tells of other processes')
@pytest.mark.parametrize('server', ['uvicorn', 'hypercorn', 'granian'])
def test_servers_that_a_supervisor_starts_several_times_tell_it(server, tmp_path):
    with supervised(ONE[server], tmp_path, 2) as (addresses, log):
        for address in addresses:
            assert answers(address, '/cached') == 1
        wait_until(lambda: warnings_in(log) == 2)
        assert all('one of several workers' in it for it in answers(addresses[0], '/explained'))


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='only Linux tells of other processes')
def test_servers_of_different_apps_are_not_several_workers(tmp_path):
    other = ['tests.workers_app:with_lifespan' if it == APP else it for it in UVICORN]
    (tmp_path / 'other').mkdir()
    with supervised(UVICORN, tmp_path, 1) as ([address], log), supervised(other, tmp_path / 'other', 1) as (_, more):
        assert answers(address, '/cached') == 1
        assert answers(address, '/explained') == []
    assert warnings_in(log) == warnings_in(more) == 0


@pytest.mark.parametrize(
    ('command', 'is_of_server'),
    [
        ('uvicorn main:app', True),
        ('/usr/bin/python3 /venv/bin/uvicorn main:app', True),
        ('python -m hypercorn main:app', True),
        ('python -m pytest tests/fastapi', False),
        ('python main.py uvicorn', False),
        ('python', False),
        ('python -m', False),
        ('', False),
    ],
)
def test_only_commands_of_servers_are_compared(command, is_of_server):
    assert _is_of_server(command.encode().split() or [b'']) is is_of_server


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
