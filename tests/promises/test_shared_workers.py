"""Workers of real servers that share an LMDB store: one answer for all, and an invalidation that reaches all."""

import asyncio
from contextlib import contextmanager

import httpx
import pytest

from tests.backends.lmdb_workers import hear, worker
from tests.race import race
from tests.servers import ROOT, real_server

SERVERS = {
    'gunicorn with preload': (
        *('gunicorn', 'tests.backends.lmdb_app:app', '--preload', '-w', '2', '-k', 'uvicorn.workers.UvicornWorker'),
        *('-b', '127.0.0.1:{}', '--graceful-timeout', '1', '--log-level', 'warning'),
    ),
    'uvicorn': ('uvicorn', 'tests.backends.lmdb_app:app', '--workers', '2', '--port', '{}', '--log-level', 'warning'),
}


@pytest.mark.parametrize('command', SERVERS.values(), ids=SERVERS)
def test_workers_share_responses_and_invalidations(command, tmp_path, monkeypatch):
    monkeypatch.setenv('LMDB_FOLDER', str(tmp_path / 'store'))
    with real_server(command, cwd=ROOT) as port:

        def ask(method, path):
            return httpx.request(method, f'http://127.0.0.1:{port}{path}', timeout=60).json()

        workers = set()
        while len(workers) < 2:
            pid, before = ask('GET', '/worker')
            assert isinstance(before, int)
            workers.add(pid)
        seen = []
        for _ in range(20):
            answers = [ask('GET', '/value') for _ in range(5)]
            assert answers == [answers[0]] * 5
            assert answers[0] not in seen
            seen.append(answers[0])
            assert ask('POST', '/invalidate') in workers


async def test_200_requests_to_four_workers_with_a_lock_are_one_run(tmp_path, monkeypatch):
    monkeypatch.setenv('LMDB_FOLDER', str(tmp_path / 'store'))
    # a connection that is closed as it is used again would be an error
    command = [*(it if it != '2' else '4' for it in SERVERS['uvicorn']), '--timeout-keep-alive', '600']
    with real_server(command, cwd=ROOT) as port:
        url = f'http://127.0.0.1:{port}'
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            workers = set()
            while len(workers) < 4:
                asked = await asyncio.gather(
                    *(client.get(f'{url}/worker', headers={'connection': 'close'}) for _ in range(8))
                )
                workers |= {it.json()[0] for it in asked}
            for number in range(3):
                answers = await asyncio.gather(*(client.get(f'{url}/slow/{number}') for _ in range(200)))
                assert [it.status_code for it in answers] == [200] * 200
                assert len({it.text for it in answers}) == 1


DIES = """
    import random, shutil

    async def write():
        while True:
            sizes = [random.randrange(9000) for _ in range(8)]
            await asyncio.gather(*(cache.set(f'k{size}', 'x' * size) for size in sizes))

    for turn in range(10**6):
        pid = os.fork()
        if pid == 0:
            die_with_parent()
            asyncio.run(write())
        time.sleep(random.uniform(0.02, 0.1))
        if turn % 4 == 0:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.1)
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if DELETES and turn % 20 == 19:
            shutil.rmtree(sys.argv[1], ignore_errors=True)
        if turn == 10:
            say('goes on')
"""


@pytest.mark.parametrize('deletes', [False, True], ids=['', 'and the folder is deleted'])
def test_no_read_is_older_while_other_processes_are_killed_and_stopped(deletes):
    @contextmanager
    def dying(folder):
        with worker(folder, DIES.replace('DELETES', str(deletes)), max_bytes=64_000_000) as process:
            yield
            assert hear(process) == 'goes on'

    seen = race('lmdb', 0, 240, meanwhile=dying)
    assert seen.violations == 0
    assert seen.rounds >= 240
    assert seen.hits > 100
