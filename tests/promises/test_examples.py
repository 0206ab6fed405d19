"""The examples that need a Redis, on real servers; those that do not are run by what their README shows."""

import httpx
import pytest

from tests.servers import EXAMPLES, uvicorn_server


@pytest.fixture
def on_redis(redis_port, monkeypatch):
    monkeypatch.setenv('REDIS_PORT', str(redis_port))


PATIENT = """
from fastapi_caching_route.options import DEFAULTS

DEFAULTS['store_timeout'] = 5  # a busy machine takes its time

from redis_tags import app
"""


def asked(port, path, method='GET', **options):
    """One request on a connection of its own, so that any worker may get it."""
    return httpx.request(method, f'http://127.0.0.1:{port}{path}', **options)


def test_workers_share_what_is_stored_and_what_is_invalidated(on_redis, tmp_path):
    (tmp_path / 'patient.py').write_text(PATIENT)
    with uvicorn_server('patient:app', '--workers', '2', '--app-dir', str(EXAMPLES), cwd=tmp_path) as port:
        first = asked(port, '/products/1')
        assert first.headers['x-cache'] == 'MISS'
        others = [asked(port, '/products/1') for _ in range(20)]
        assert {it.text for it in others} == {first.text}
        assert {it.headers['x-cache'] for it in others} == {'HIT'}
        second = asked(port, '/products/2').text
        assert asked(port, '/products/1/price?price=5', 'POST').status_code == 200
        assert asked(port, '/products/1').headers['x-cache'] == 'MISS'
        assert {asked(port, '/products/2').text for _ in range(5)} == {second}
        asked(port, '/products/import', 'POST')
        assert [asked(port, f'/products/{it}').headers['x-cache'] for it in (1, 2)] == ['MISS', 'MISS']


def test_what_reads_the_session_is_not_shared(on_redis):
    with uvicorn_server('sessions:app') as port, httpx.Client(base_url=f'http://127.0.0.1:{port}') as ada:
        for path in ('/news', '/start'):
            assert [asked(port, path).headers.get('x-cache') for _ in range(2)] == ['MISS', 'HIT']
        assert asked(port, '/hello').status_code == 401
        assert ada.post('/login?user=ada').headers['location'] == '/hello'
        assert [ada.get('/news').headers['x-cache'] for _ in range(2)] == ['HIT', 'HIT']
        hello = [ada.get('/hello') for _ in range(2)]
        assert [it.json()['user'] for it in hello] == ['Ada', 'Ada']
        assert [it.headers['x-cache'] for it in hello] == ['MISS', 'HIT']
        ada.post('/theme?theme=dark')
        assert ada.get('/hello').json()['theme'] == 'dark'
        assert ada.get('/start').json()['user'] == 'Ada'
        assert asked(port, '/start').json()['user'] == 'nobody'
        assert ada.post('/logout').headers['location'] == '/news'
        assert ada.get('/hello').status_code == 401


def test_every_example_has_a_place_where_it_is_run():
    shown = (EXAMPLES / 'README.md').read_text()
    tests = '\n'.join(path.read_text() for path in EXAMPLES.parent.glob('tests/**/*.py'))
    for path in EXAMPLES.glob('*.py'):
        assert f'<!-- {path.stem}:app -->' in shown or path.stem in tests, path
