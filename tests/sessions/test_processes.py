"""Several processes over one store: a session is one for all of them, and each state is used once."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter

import httpx
import pytest

from fastapi_caching_route import MemoryCache
from fastapi_caching_route.sessions import StateRefusedError, States
from tests.servers import ROOT, uvicorn_server
from tests.sessions.racing import AT_A_TIME

STATES, PROCESSES = int(os.environ.get('RACING_STATES', '250')), 4
"""`just race-states` has 10,000 consumes for 2,500 states."""


@pytest.fixture(params=['redis', 'lmdb', 'memcached'])
def store_url(request, tmp_path, namespace):
    if request.param == 'lmdb':
        return f'lmdb://{tmp_path}/lmdb?max_bytes=67108864'
    return f'{request.param}://127.0.0.1:{request.getfixturevalue(f"{request.param}_port")}?namespace={namespace}'


@pytest.fixture
def two_processes(store_url, monkeypatch):
    """Clients of two servers, each in a process of its own, over one store."""
    monkeypatch.setenv('STORE_URL', store_url)
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(uvicorn_server('tests.sessions.session_app:app', cwd=ROOT)) for _ in range(2)]
        yield [stack.enter_context(httpx.Client(base_url=f'http://127.0.0.1:{port}', timeout=60)) for port in ports]


def test_a_session_made_in_one_process_is_read_renewed_changed_and_ended_in_another(two_processes):
    one, other = two_processes
    of_ada = {'authorization': f'Bearer {one.post("/login?user=ada").json()}'}
    first = one.get('/me', headers=of_ada).json()
    renewed = other.get('/me', headers=of_ada).json()
    assert renewed['user'] == 'ada'
    assert first['expires_at'] < renewed['expires_at'] < one.get('/me', headers=of_ada).json()['expires_at']
    other.post('/note?key=theme&value=dark', headers=of_ada)
    one.post('/note?key=size&value=large', headers=of_ada)
    assert other.get('/me', headers=of_ada).json()['data'] == {'theme': 'dark', 'size': 'large'}
    moved = {'authorization': f'Bearer {other.post("/regenerate", headers=of_ada).json()}'}
    assert [it.get('/me', headers=of_ada).status_code for it in (one, other)] == [401, 401]
    assert [it.get('/me', headers=moved).json()['user'] for it in (one, other)] == ['ada', 'ada']
    assert other.post('/logout', headers=moved).status_code == 200
    assert [it.get('/me', headers=moved).status_code for it in (one, other)] == [401, 401]


def test_a_cached_page_of_a_user_is_one_for_all_processes_and_ends_with_the_sign_out(two_processes):
    one, other = two_processes
    ada, again, bob = (
        {'authorization': f'Bearer {one.post(f"/login?user={it}").json()}'} for it in ('ada', 'ada', 'bob')
    )
    asked = [(one, ada), (other, ada), (other, again), (other, bob), (one, bob)]
    pages = [client.get('/page', headers=headers) for client, headers in asked]
    assert [it.headers['x-cache'] for it in pages] == ['MISS', 'HIT', 'HIT', 'MISS', 'HIT']
    assert [it.json()[0] for it in pages] == ['ada', 'ada', 'ada', 'bob', 'bob']
    other.post('/logout', headers=ada)
    assert [it.get('/page', headers=ada).status_code for it in two_processes] == [401, 401]
    assert one.get('/page', headers=again).headers['x-cache'] == 'MISS'
    assert other.post('/end-all?user=ada').json() == 1
    assert [it.get('/page', headers=again).status_code for it in two_processes] == [401, 401]
    assert [it.get('/page', headers=bob).headers['x-cache'] for it in two_processes] == ['HIT', 'HIT']


def test_of_all_consumes_that_race_in_four_processes_each_state_is_got_once(store_url, tmp_path):
    asyncio.run(_create(store_url, tmp_path / 'states'))
    command = [sys.executable, '-m', 'tests.sessions.racing', store_url, str(tmp_path / 'states')]
    racing = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]  # noqa: S603, our own
    got = [[int(it) for it in process.communicate(timeout=120)[0].split()] for process in racing]
    assert [it.returncode for it in racing] == [0] * PROCESSES
    assert Counter(number for some in got for number in some) == dict.fromkeys(range(STATES), 1)


async def _create(url, file):
    states, turns = States(store=url, bind=False, timeout=60), asyncio.Semaphore(AT_A_TIME)

    async def create(number):
        async with turns:
            return await states.create(number)

    file.write_text('\n'.join(await asyncio.gather(*map(create, range(STATES)))))
    await states.close()


async def test_of_10000_consumes_that_race_in_one_process_each_state_is_got_once():
    states = States(store=MemoryCache(), bind=False)
    made = [await states.create(number) for number in range(1000)]
    outcomes = await asyncio.gather(*(states.consume(it) for it in made * 10), return_exceptions=True)
    assert sorted(it for it in outcomes if isinstance(it, int)) == list(range(1000))
    assert sum(isinstance(it, StateRefusedError) for it in outcomes) == 9000
