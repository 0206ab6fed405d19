"""What stores promise to sessions: nobody is let in or taken for anonymous because of them, and the cache is apart."""

import logging
from pathlib import Path

import pytest
from aiocache import RedisCache
from aiocache.base import BaseCache

from fastapi_caching_route import FastAPICache, LMDBCache, MemoryCache, NearCopies
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions import Sessions, SessionStoreError, States, places
from tests.servers import wait_until
from tests.sessions.conftest import Shop, config, impatient
from tests.sessions.test_cached_pages import Pages
from tests.support import closing, marks


def frozen(server):
    """Freeze a server, and wait until all of its threads have stopped."""
    server.freeze()
    tasks = Path(f'/proc/{server.process.pid}/task')
    wait_until(lambda: not tasks.exists() or all(') T' in (it / 'stat').read_text() for it in tasks.iterdir()))


@pytest.mark.parametrize('server', ['redis_server', 'memcached_server'])
def test_a_store_that_is_down_is_a_503_and_nobody_is_taken_for_anonymous(request, server, caplog):
    running = request.getfixturevalue(server)
    scheme = 'redis' if server == 'redis_server' else 'memcached'
    pages = Pages(cache=FastAPICache.from_url(f'{scheme}://127.0.0.1:{running.port}', store_timeout=1))
    with pages.browser('ada') as ada, pages.browser() as nobody:
        assert marks(ada.get('/page'), ada.get('/page')) == ['MISS', 'HIT']
        frozen(running)
        impatient(pages.sessions._keeper.place)
        try:
            for path in ('/page', '/who', '/me', '/start', '/profile', '/by-user'):
                refused = ada.get(path)
                assert (refused.status_code, refused.headers['retry-after']) == (503, '1'), path
            assert ada.post('/logout').status_code == 503
            assert ada.post('/login?user=bob').status_code == 503
            assert 'set-cookie' not in ada.post('/login?user=bob').headers
            assert nobody.get('/who').json() is None  # no token, so nothing to look up
        finally:
            running.resume()
    assert 'answered with 503' in caplog.text


@pytest.mark.parametrize('server', ['redis_server', 'memcached_server'])
async def test_a_state_is_never_accepted_by_a_store_that_is_down(request, server):
    running = request.getfixturevalue(server)
    scheme = 'redis' if server == 'redis_server' else 'memcached'
    states = States(store=f'{scheme}://127.0.0.1:{running.port}', bind=False)
    state = await states.create('x')
    frozen(running)
    impatient(states._place)
    try:
        with pytest.raises(SessionStoreError):
            await states.consume(state)
        with pytest.raises(SessionStoreError):
            await states.create()
    finally:
        running.resume()
    await states.close()


async def test_a_full_store_is_a_503(redis_server):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port)
    sessions, states = Sessions(store=backend, config=config()), States(store=backend, bind=False)
    made, more = [await sessions.create(user='ada') for _ in range(2)]
    await backend.raw('config_set', 'maxmemory', '1')
    for failing in (sessions.create(), states.create(), made.update(a=1)):
        with pytest.raises(SessionStoreError):
            await failing
    assert await sessions.read(made.token)
    other = await sessions.read(made.token)
    await made.invalidate()
    assert await sessions.read(other.token) is None
    assert await sessions.delete_user_sessions('ada') == 2
    assert await sessions.read(more.token) is None
    await closing(backend)
    small = Sessions(store=MemoryCache(max_bytes=100), config=config())
    with pytest.raises(SessionStoreError):
        await small.create()


async def test_a_record_that_is_damaged_or_planted_is_none(new_store, store_kind):
    backend = new_store()
    sessions = Sessions(store=backend, config=config())
    made = await sessions.create(user='ada')
    place = sessions._keeper.place
    for raw in (b'', b'null', b'[]', b'{"created_at":1}', b'\xff', b'{"sessions":{}}'):
        await place.delete('session', made._kept.handle)
        assert await place.add('session', made._kept.handle, raw or b' ', 60)
        assert await sessions.read(made.token) is None


async def test_a_record_of_another_user_is_not_that_of_a_token():
    """Whoever has the token of one user gets no session of another one, even if the store mixes them up."""
    backend = MemoryCache()
    sessions = Sessions(store=backend, config=config())
    ada, bob, nobody = [await sessions.create(user=it) for it in ('ada', 'bob', None)]
    place = sessions._keeper.place
    for token, other in ((ada, bob), (nobody, bob), (ada, nobody)):
        [own], [raw] = (
            await place.read(('session', token._kept.handle)),
            await place.read(('session', other._kept.handle)),
        )
        await place.swap('session', token._kept.handle, own, raw, 60)
        assert await sessions.read(token.token) is None
        await place.swap('session', token._kept.handle, raw, own, 60)


async def test_a_session_that_its_user_has_lost_from_the_list_has_ended(sessions_of):
    sessions = sessions_of
    made = await sessions.create(user='ada')
    assert await sessions._keeper.place.delete('user', made._kept.ticket.user_slot)
    assert await sessions.read(made.token) is None


@pytest.fixture
def sessions_of(store):
    return Sessions(store=store, config=config())


class Own(BaseCache):
    NAME = 'own'


class Changed(MemoryCache):
    async def _set(self, *args, **options):
        return await super()._set(*args, **options)


@pytest.mark.parametrize('backend', [Own, Changed])
def test_a_store_that_cannot_change_records_in_one_step_is_refused_when_built(backend):
    with pytest.raises(ConfigurationError, match='in one step'):
        Sessions(store=backend(), config=config())
    with pytest.raises(ConfigurationError, match='in one step'):
        States(store=FastAPICache(backend()))


@pytest.mark.parametrize('store', [None, 7, object(), 'nonsense', 'http://x', dict])
def test_what_is_no_store_is_refused_when_built(store):
    with pytest.raises(ConfigurationError):
        Sessions(store=store, config=config())


async def test_a_cache_that_gets_its_backend_later_gives_it_to_sessions_too():
    cache = FastAPICache.deferred()
    sessions = Sessions(store=cache, config=config())
    with pytest.raises(ConfigurationError):
        await sessions.create()
    cache.use('memory://')
    assert await sessions.read((await sessions.create()).token)
    wrong = FastAPICache.deferred()
    states = States(store=wrong, bind=False)
    wrong.use(Own())
    with pytest.raises(ConfigurationError, match='in one step'):
        await states.create()


async def test_clearing_the_cache_leaves_sessions_alone(store):
    cache = FastAPICache(store, store_timeout=5)
    sessions, states = Sessions(store=cache, config=config()), States(store=cache, bind=False)
    made, state = await sessions.create(user='ada'), await states.create('x')
    await cache.clear()
    await cache.clear(soft=True)
    await cache.invalidate_namespace('session')
    await cache.invalidate_path('/', prefix=True)
    await cache.invalidate_tags('session', 'user', 'ada')
    with cache.disabled():
        assert await sessions.read(made.token)
    assert await states.consume(state) == 'x'
    await cache.__aexit__()


@pytest.mark.parametrize('kind', ['memory', 'lmdb', 'redis'])
async def test_sessions_are_no_entries_and_are_not_erased(request, kind, tmp_path, namespace):
    urls = {'memory': 'memory://', 'lmdb': f'lmdb://{tmp_path}/lmdb?max_bytes=16777216'}
    url = urls.get(kind) or f'redis://127.0.0.1:{request.getfixturevalue("redis_port")}?namespace={namespace}'
    pages = Pages(cache=FastAPICache.from_url(url, store_timeout=5))
    with pages.browser('ada') as ada:
        ada.get('/page')

        async def listed():
            return [it.path async for it in pages.cache.entries(dead=True)], await pages.cache.erase(everything=True)

        assert ada.portal.call(listed) == (['/page'], 1)
        assert ada.get('/who').json() == 'ada'


def test_near_copies_have_no_sessions(redis_port, namespace):
    url = f'redis://127.0.0.1:{redis_port}?namespace={namespace}'
    one, other = (Pages(cache=FastAPICache.from_url(url, near=NearCopies(trust=60), store_timeout=5)) for _ in range(2))
    with one.browser('ada') as ada, other.browser() as elsewhere:
        assert marks(ada.get('/page'), ada.get('/page')) == ['MISS', 'HIT']
        elsewhere.cookies = ada.cookies
        assert elsewhere.get('/who').json() == 'ada'
        elsewhere.post('/logout')
        assert ada.get('/page').status_code == 401


def test_several_workers_with_sessions_in_memory_are_told(monkeypatch, caplog):
    monkeypatch.setattr(places, 'is_one_of_several', lambda: True)
    with Shop().browser('ada') as ada:
        ada.get('/who')
    told = [it for it in caplog.records if it.levelno == logging.WARNING and 'keeps sessions and states' in it.message]
    assert len(told) == 1
    caplog.clear()
    shared = Sessions(store=RedisCache(), config=config())
    shared._keeper.place._now()
    assert not caplog.records


def test_a_session_may_be_in_a_store_of_its_own(tmp_path):
    sessions = Sessions(
        store=LMDBCache(tmp_path / 'sessions'), config=config(), cache=FastAPICache(), sign_out_tags=['x']
    )
    assert sessions.config.lifetime == 7 * 86400
    with pytest.raises(ConfigurationError, match='sign_out_tags'):
        Sessions(store='memory://', config=config(), sign_out_tags=['user:{user}'])
    with pytest.raises(ConfigurationError, match='sign_out_tags'):
        Sessions(store=FastAPICache(), config=config(), sign_out_tags='user:{user}')
    with pytest.raises(ConfigurationError, match='cache'):
        Sessions(store='memory://', config=config(), cache='memory://')
    with pytest.raises(ConfigurationError, match='SessionConfig'):
        Sessions(store='memory://', config=None)


async def test_no_write_where_nothing_changed(store):
    sessions = Sessions(store=store, config=config())
    made = await sessions.create(user='ada', data={'a': 1})
    place, written = sessions._keeper.place, []
    records = place._records

    class Watched:
        is_shared = records.is_shared

        def __getattr__(self, name):
            if name in {'swap', 'add', 'delete'}:
                written.append(name)
            return getattr(records, name)

    place._records = Watched()
    read = await sessions.read(made.token)
    await read.update(a=1)
    await read.remove('b')
    assert await read.flashes() == []
    assert written == []
    await read.update(a=2)
    assert written == ['swap']
