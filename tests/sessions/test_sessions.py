"""Sessions in every store: created, read, changed, moved, ended."""

import asyncio

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions import (
    Flash,
    Session,
    SessionConfig,
    SessionDep,
    SessionEndedError,
    Sessions,
    SessionUser,
    UserDep,
)
from tests.sessions.conftest import SECRET, Shop, config


@pytest.fixture
def sessions(store, now):
    return Sessions(store=store, config=config(), clock=now)


async def test_a_session_is_created_read_changed_and_ended(sessions):
    ada = SessionUser(id='7', name='Ada', roles=['admin', 'admin'], extra={'age': 36})
    made = await sessions.create(user=ada, data={'a': 1})
    read = await sessions.read(made.token)
    assert (read.user, read.user.roles, read.data) == (ada, ('admin',), {'a': 1})
    await read.update({'b': [1, {'c': None}]}, d='x')
    await read.remove('a', 'never there')
    again = await sessions.read(made.token)
    assert again.data == {'b': [1, {'c': None}], 'd': 'x'}
    assert (again['d'], again.get('a', 0), 'b' in again, len(again), sorted(again)) == ('x', 0, True, 2, ['b', 'd'])
    await again.invalidate()
    assert await sessions.read(made.token) is None
    assert again.has_ended
    assert again['d'] == 'x'
    with pytest.raises(SessionEndedError):
        await again.update(e=1)
    await again.invalidate()


async def test_a_session_may_be_anonymous(sessions):
    made = await sessions.create(data={'basket': ['tea']})
    read = await sessions.read(made.token)
    assert (read.user, read.roles, read.is_anonymous, read['basket']) == (None, (), True, ['tea'])
    assert bool(await sessions.read((await sessions.create()).token))


async def test_another_id_keeps_the_data_and_ends_the_old_one(sessions):
    made = await sessions.create(user='ada', data={'a': 1})
    old, handle = made.token, made.id
    await made.regenerate()
    assert made.token != old
    assert made.id != handle
    assert await sessions.read(old) is None
    read = await sessions.read(made.token)
    assert (read.user.id, read.data) == ('ada', {'a': 1})
    assert await sessions.user_sessions('ada') == [made.id]


async def test_a_sign_in_gives_an_anonymous_session_another_id(sessions):
    made = await sessions.create(data={'basket': ['tea']})
    old = made.token
    await made.sign_in(SessionUser(id='ada', roles=('buyer',)))
    assert await sessions.read(old) is None
    read = await sessions.read(made.token)
    assert (read.user.id, read.roles, read['basket']) == ('ada', ('buyer',), ['tea'])
    await made.sign_in('bob')
    assert await sessions.user_sessions('ada') == []
    assert await sessions.user_sessions('bob') == [made.id]


async def test_all_sessions_of_a_user_end_together(sessions):
    made = [await sessions.create(user='ada') for _ in range(3)]
    other, nobody = await sessions.create(user='bob'), await sessions.create()
    assert await sessions.delete_user_sessions('ada') == 3
    assert [await sessions.read(it.token) for it in made] == [None] * 3
    assert await sessions.read(other.token)
    assert await sessions.read(nobody.token)
    assert await sessions.delete_user_sessions('ada') == 0
    assert await sessions.delete_user_sessions('never seen') == 0


class Interrupted:
    """A place in which something happens behind the first change of a session."""

    def __init__(self, place, happens):
        self._place, self._happens = place, happens

    async def swap(self, kind, *args):
        is_swapped, happens = await self._place.swap(kind, *args), self._happens
        self._happens = None
        if happens is not None:
            await happens()
        return is_swapped

    def __getattr__(self, name):
        return getattr(self._place, name)


async def test_a_session_that_is_moving_as_all_of_its_user_end_has_ended(sessions):
    made, keeper = await sessions.create(user='ada'), sessions._keeper
    keeper.place = Interrupted(keeper.place, lambda: sessions.delete_user_sessions('ada'))
    with pytest.raises(SessionEndedError):
        await made.regenerate()
    assert await sessions.user_sessions('ada') == []
    assert await sessions.read(made.token) is None


@pytest.mark.parametrize(('transport', 'challenge'), [('cookie', 'Session'), ('bearer', 'Bearer')])
async def test_a_session_that_ends_while_a_request_uses_it_is_a_401_with_a_challenge(transport, challenge):
    sessions = Sessions(store=MemoryCache(), config=config(transports=[transport]))
    made, keeper = await sessions.create(user='ada'), sessions._keeper
    other = await sessions.read(made.token)
    await made.invalidate()
    with pytest.raises(SessionEndedError) as changed:
        await other.update(a=1)
    made = await sessions.create(user='ada')
    keeper.place = Interrupted(keeper.place, lambda: sessions.delete_user_sessions('ada'))
    with pytest.raises(SessionEndedError) as moved:
        await made.regenerate()
    assert [it.value.headers['WWW-Authenticate'] for it in (changed, moved)] == [challenge] * 2


async def test_all_but_one_of_a_user_may_end(sessions):
    made = [await sessions.create(user='ada') for _ in range(3)]
    assert await sessions.delete_user_sessions('ada', keep=made[1]) == 2
    assert [bool(await sessions.read(it.token)) for it in made] == [False, True, False]


async def test_a_session_that_moves_while_all_of_its_user_end_does_not_escape(sessions):
    for _ in range(10):
        made = await sessions.create(user='ada')
        moved, _ = await asyncio.gather(made.regenerate(), sessions.delete_user_sessions('ada'), return_exceptions=True)
        tokens = [made.token] if moved is None else []
        alive = [it for it in tokens if await sessions.read(it) is not None]
        # Whichever came first: a session that is alive was made after the others had ended, and is in the list.
        assert [(await sessions.read(it)).id for it in alive] == await sessions.user_sessions('ada')
        await sessions.delete_user_sessions('ada')
        assert await sessions.read(made.token) is None


async def test_changes_of_different_keys_at_the_same_time_all_count(sessions):
    made = await sessions.create()
    readers = [await sessions.read(made.token) for _ in range(12)]
    await asyncio.gather(*(reader.update({f'key {at}': at}) for at, reader in enumerate(readers)))
    assert (await sessions.read(made.token)).data == {f'key {at}': at for at in range(12)}


async def test_a_change_while_the_session_moves_is_kept_or_refused(sessions):
    made = await sessions.create(user='ada')
    other = await sessions.read(made.token)
    _, changed = await asyncio.gather(made.regenerate(), other.update(seen=1), return_exceptions=True)
    read = await sessions.read(made.token)
    assert read.data == ({'seen': 1} if changed is None else {})
    assert changed is None or isinstance(changed, SessionEndedError)


async def test_messages_are_taken_once(sessions):
    made = await sessions.create()
    await made.flash('saved')
    await made.flash('no such page', 'error')
    readers = [await sessions.read(made.token) for _ in range(5)]
    assert await readers[0].flashes('error') == [Flash('no such page', 'error')]
    taken = await asyncio.gather(*(reader.flashes() for reader in readers))
    assert sorted(map(len, taken)) == [0, 0, 0, 0, 1]
    assert [it for some in taken for it in some] == [Flash('saved')]


async def test_a_session_ends_when_it_is_not_used(sessions, now):
    made = await sessions.create()
    now.now += 86400 - 1
    assert await sessions.read(made.token)
    now.now += 1
    assert await sessions.read(made.token) is None


async def test_what_has_expired_can_be_deleted(sessions, now, store_kind):
    await sessions.create(user='ada')
    kept = await sessions.create()
    now.now += 80000
    await kept.update(a=1)
    await sessions.create()
    now.now += 20000
    expired = 0 if store_kind == 'memcached' else 2
    assert await sessions.delete_expired() == expired
    assert await sessions.delete_expired() == 0


async def test_many_sign_ins_of_one_user_at_the_same_time_all_count(sessions):
    made = await asyncio.gather(*(sessions.create(user='ada') for _ in range(80)))
    assert sorted(await sessions.user_sessions('ada')) == sorted(it.id for it in made)


async def test_a_user_has_so_many_sessions_at_most(store, now):
    sessions = Sessions(store=store, config=config(most_per_user=2), clock=now)
    made = []
    for _ in range(4):
        made.append(await sessions.create(user='ada'))
        now.now += 1
    assert [bool(await sessions.read(it.token)) for it in made] == [False, False, True, True]
    assert await sessions.user_sessions('ada') == [it.id for it in made[2:]]


@pytest.mark.parametrize('value', [object(), b'bytes', {1: 'x'}, float('nan'), 2**80, {'a': {1, 2}}])
async def test_what_json_cannot_hold_is_refused(value):
    sessions = Sessions(store=MemoryCache(), config=config())
    made = await sessions.create()
    with pytest.raises(TypeError, match='a session holds'):
        await made.update(value=value)
    with pytest.raises(TypeError, match='a session holds'):
        await sessions.create(data={'value': value})
    assert (await sessions.read(made.token)).data == {}


async def test_a_session_is_bounded():
    sessions = Sessions(store=MemoryCache(), config=config())
    made = await sessions.create()
    with pytest.raises(ValueError, match='too many'):
        await made.update(text='x' * 300_000)


def test_a_request_without_a_session_is_a_401_with_a_challenge():
    shop = Shop()
    with shop.browser() as client:
        refused = client.get('/me')
        assert (refused.status_code, refused.headers['www-authenticate']) == (401, 'Session')
        assert client.get('/who').json() is None
    bearer = Shop(transports=['bearer'])
    assert bearer.client().get('/me').headers['www-authenticate'] == 'Bearer'


def test_a_sign_in_that_returns_its_own_response_carries_the_cookie():
    shop = Shop()
    with shop.browser() as client:
        signed_in = client.post('/login?user=ada')
        assert signed_in.status_code == 303
        cookie = signed_in.headers['set-cookie']
        assert cookie.startswith('__Host-session=')
        assert {'Secure', 'HttpOnly', 'SameSite=Lax', 'Path=/', 'Max-Age=604800'} <= set(cookie.split('; '))
        assert 'domain' not in cookie.lower()
        assert client.get('/me').json()['user'] == 'ada'
        out = client.post('/logout')
        assert (out.status_code, out.headers['set-cookie'].split('; ')[0]) == (303, '__Host-session=')
        assert 'Max-Age=0' in out.headers['set-cookie']
        assert client.get('/me').status_code == 401


def test_a_cookie_is_also_set_on_an_error():
    shop = Shop()

    @shop.router.post('/refused')
    async def refused(request: Request):
        await shop.sessions.create(request)
        raise HTTPException(418)

    with shop.browser() as client:
        assert client.post('/refused').status_code == 418
        assert client.get('/me').status_code == 200


def test_the_cookie_may_end_with_the_browser():
    with Shop(persistent=False).browser() as client:
        assert 'Max-Age' not in client.post('/login').headers['set-cookie']


def test_for_plain_http_the_cookie_has_no_prefix():
    with Shop(secure=False).browser() as client:
        cookie = client.post('/login').headers['set-cookie']
        assert cookie.startswith('session=')
        assert 'Secure' not in cookie


def test_without_the_layer_the_response_is_named():
    sessions = Sessions(store=MemoryCache(), config=config())
    app = FastAPI()

    @app.post('/login')
    async def log_in(request: Request):
        response = PlainTextResponse('hello')
        await sessions.create(request, user='ada', response=response)
        return response

    @app.post('/unnamed')
    async def unnamed(request: Request):
        await sessions.create(request, user='ada')

    @app.get('/me')
    async def me(session: Session = Depends(sessions.required)):  # noqa: B008, as users write it
        return session.user.id

    client = TestClient(app, base_url='https://shop.example')
    assert client.post('/login').text == 'hello'
    assert client.get('/me').json() == 'ada'
    with pytest.raises(ConfigurationError, match='install'):
        client.post('/unnamed')


def test_an_alias_without_installed_sessions_says_so():
    shop = Shop(installed=False)
    with pytest.raises(ConfigurationError, match='install'):
        shop.client().get('/me')


def test_a_mounted_app_finds_the_sessions_of_the_outer_one_unless_it_has_its_own():
    outer, inner, own = Shop(), Shop(installed=False), Shop(cookie='own')
    inner.client(), own.client()
    outer.app.mount('/inner', inner.app)
    outer.app.mount('/own', own.app)
    with outer.browser('ada') as client:
        assert client.get('/inner/who').json() == 'ada'
        assert client.get('/own/who').json() is None
        client.post('/own/login?user=bob')
        assert (client.get('/own/who').json(), client.get('/who').json()) == ('bob', 'ada')


def test_two_kinds_of_sessions_live_beside_each_other():
    shop = Shop()
    admins = Sessions(store=shop.cache, config=config(cookie='admin'))
    admins.install(shop.app)

    @shop.router.post('/admin/login')
    async def log_in(request: Request):
        await admins.create(request, user='root')

    @shop.router.get('/admin')
    async def admin(user: SessionUser = Depends(admins.user), session: Session = Depends(shop.sessions.required)):  # noqa: B008
        return [user.id, session.user.id]

    with shop.browser('ada') as client:
        assert client.get('/admin').status_code == 401
        client.post('/admin/login')
        assert client.get('/admin').json() == ['root', 'ada']
        assert client.get('/who').json() == 'ada'


def test_roles_let_in_or_refuse():
    shop = Shop()

    @shop.router.get('/admin', dependencies=[Depends(shop.sessions.role('admin', 'root'))])
    async def admin():
        return 'in'

    @shop.router.get('/user')
    async def user(user: UserDep):
        return user.roles

    with shop.browser() as client:
        assert client.get('/admin').status_code == client.get('/user').status_code == 401
        client.post('/login')
        assert client.get('/admin').status_code == client.get('/user').status_code == 401
        client.post('/login?user=ada&role=buyer')
        assert client.get('/admin').status_code == 403
        client.post('/login?user=ada&role=buyer+admin')
        assert client.get('/admin').json() == 'in'
        assert client.get('/user').json() == ['admin', 'buyer']
    with pytest.raises(ConfigurationError, match='role'):
        shop.sessions.role()


def test_a_new_session_ends_the_one_that_the_request_came_with():
    shop = Shop()
    with shop.browser('ada') as client:
        old = client.cookies['__Host-session']
        client.post('/login?user=bob')
        assert client.get('/who').json() == 'bob'
        client.cookies.clear()
        assert client.get('/who', headers={'cookie': f'__Host-session={old}'}).json() is None
    assert ('ended', 'replaced') in shop.kinds


def test_events_tell_what_happens_without_any_secret():
    shop = Shop()
    with shop.browser() as client:
        client.post('/login')
        client.post('/sign-in?user=ada')
        token = client.cookies['__Host-session']
        client.post('/regenerate')
        client.post('/logout')
        client.get('/who', headers={'cookie': f'__Host-session={token}'})
        client.get('/who', headers={'cookie': '__Host-session=forged'})
    assert shop.kinds == [
        ('created', ''),
        ('regenerated', ''),
        ('regenerated', ''),
        ('ended', 'signed-out'),
        ('refused', 'unknown'),
        ('refused', 'token'),
    ]
    assert [it.user for it in shop.events] == [None, 'ada', 'ada', 'ada', None, None]
    assert token.partition('~')[0] not in repr(shop.events)


def test_a_handler_that_raises_costs_no_request(caplog):
    shop = Shop()

    @shop.sessions.on_created
    def broken(event):
        raise RuntimeError('of the handler')

    with shop.browser('ada') as client:
        assert client.get('/who').json() == 'ada'
    assert 'of the handler' in caplog.text
    with pytest.raises(ConfigurationError, match='plain function'):
        shop.sessions.on_ended(Sessions.close)


async def test_what_has_expired_is_told_once(now):
    sessions, told = Sessions(store=MemoryCache(), config=config(lifetime=100, idle=60), clock=now), []
    sessions.on_expired(lambda event: told.append((event.user, event.reason)))
    idle = await sessions.create(user='ada')
    now.now += 61
    assert [await sessions.read(idle.token) for _ in range(3)] == [None] * 3
    old = await sessions.create(user='bob')
    for _ in range(2):
        now.now += 50
        await old.update(at=now.now) if _ == 0 else None
    assert await sessions.read(old.token) is None
    assert told == [('ada', 'idle'), ('bob', 'lifetime')]


def test_the_aliases_are_those_of_the_first_that_is_installed():
    shop = Shop()
    Sessions(store=shop.cache, config=config(cookie='second')).install(shop.app)
    with shop.browser('ada') as client:
        assert client.get('/who').json() == 'ada'
    with pytest.raises(ConfigurationError, match='install'):
        shop.sessions.install(object())


async def test_a_session_shows_no_secret():
    made = await Sessions(store=MemoryCache(), config=config()).create(user='ada', data={'pin': '1234'})
    shown = f'{made!r} {made} {SessionConfig(secrets=SECRET)!r}'
    assert SECRET not in shown
    assert made.token not in shown
    assert '1234' not in shown


def test_cached_and_plain_routes_have_the_same_sessions():
    cache = FastAPICache()
    with Shop(cache=cache).browser('ada') as client:
        assert client.get('/who').headers['cache-control'] == 'private'
        assert client.get('/who').headers['vary'] == 'cookie'
        assert client.post('/login').headers['cache-control'] == 'no-store'


def test_a_cookie_is_never_on_a_response_that_caches_in_front_may_share():
    shop = Shop()

    @shop.router.get('/public')
    async def public(request: Request, response: Response, said: str):
        response.headers['cache-control'] = said
        await shop.sessions.create(request)

    with shop.browser() as client:
        for said in ('public, max-age=60', 'max-age=60'):
            assert client.get('/public', params={'said': said}).headers.get_list('cache-control') == ['no-store']
        for said in ('private, max-age=60', 'no-store, no-cache'):
            assert client.get('/public', params={'said': said}).headers.get_list('cache-control') == [said]


def test_after_the_response_a_session_keeps_its_id_and_can_end():
    shop, raised = Shop(), []

    @shop.router.post('/later')
    async def later(session: SessionDep, tasks: BackgroundTasks):
        async def work():
            try:
                await session.regenerate()
            except ConfigurationError as error:
                raised.append(str(error))

        tasks.add_task(work)

    @shop.router.post('/end-later')
    async def end_later(session: SessionDep, tasks: BackgroundTasks):
        tasks.add_task(session.invalidate)

    with shop.browser('ada') as client:
        assert client.post('/later').status_code == 200
        assert 'too late' in raised[0]
        assert client.get('/who').json() == 'ada'
        client.post('/end-later')
        assert client.get('/who').json() is None
