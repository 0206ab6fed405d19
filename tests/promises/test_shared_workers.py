"""Workers of real servers that share an LMDB store: one answer for all, and an invalidation that reaches all."""

import httpx
import pytest

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
            return httpx.request(method, f'http://127.0.0.1:{port}{path}', timeout=10).json()

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
