"""Cached pages of clients who are signed in: each client gets what the endpoint would make for it."""

import itertools
from typing import Annotated

import pytest
from fastapi import Depends, HTTPException
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions import OptionalSession, Session, SessionDep, Sessions, SessionUser, UserDep
from tests.sessions.conftest import Shop, config
from tests.support import asgi_call, asgi_scope, marks


class Pages(Shop):
    """The shop, with cached pages that count how often their endpoints run."""

    def _add_routes(self):
        super()._add_routes()
        router, cache, sessions, runs = self.router, self.cache, self.sessions, itertools.count(1)

        @router.get('/page')
        @cache(ttl=60, tags=sessions.tags)
        async def page(session: SessionDep):
            return [session.user and session.user.id, dict(session.data), next(runs)]

        @router.get('/start')
        @cache(ttl=60, cache_control='max-age=60')
        async def start(session: OptionalSession):
            return [session.user.id if session and session.user else None, next(runs)]

        @router.get('/news')
        @cache(ttl=60, cache_control='max-age=60')
        async def news():
            return next(runs)

        @router.get('/profile')
        @cache(ttl=60)
        async def profile(user: UserDep):
            return [user.id, user.roles, next(runs)]

        @router.get('/by-user')
        @cache(ttl=60, identity=sessions.identity)
        async def by_user(session: SessionDep):
            return [session.user and session.user.id, next(runs)]

        @router.get('/by-depends')
        @cache(ttl=60, identity=Depends(sessions.identity))
        async def by_depends(session: SessionDep):
            return [session.user and session.user.id, next(runs)]

        @router.get('/by-role')
        @cache(ttl=60, identity=sessions.identity_by(lambda session: ' '.join(session.roles) if session else ''))
        async def by_role(session: SessionDep):
            return [*session.roles, next(runs)]

        @router.get('/visits')
        @cache(ttl=60)
        async def visits(session: SessionDep):
            await session.update(visits=session.get('visits', 0) + 1)
            return session['visits']

        @router.get('/handle')
        @cache(ttl=60)
        async def handle(session: SessionDep):
            return session.id

        @router.get('/messages')
        @cache(ttl=60)
        async def messages(session: SessionDep):
            return [it.message for it in await session.flashes()]

        @router.get('/guarded', dependencies=[Depends(sessions.role('admin'))])
        @cache(ttl=60, identity='shared')
        async def guarded():
            return next(runs)


@pytest.fixture
def pages():
    return Pages(tags=['user:{user}'])


def test_a_page_is_cached_for_the_user_and_the_data_of_the_session(pages):
    with pages.browser('ada') as ada, pages.browser('bob') as bob, pages.browser('ada') as other:
        assert marks(*(it.get('/page') for it in (ada, ada, bob, other))) == ['MISS', 'HIT', 'MISS', 'HIT']
        assert ada.get('/page').json()[0] == other.get('/page').json()[0] == 'ada'
        assert bob.get('/page').json()[0] == 'bob'
        ada.post('/note', json={'theme': 'dark'})
        page = ada.get('/page')
        assert (page.json()[1], marks(page)) == ({'theme': 'dark'}, ['MISS'])
        assert other.get('/page').json()[1] == {}


def test_explain_says_which_sessions_share_a_page(pages):
    pages.client()
    found = {it.path: it for it in pages.cache.explain(pages.app)}
    assert found['/page'].guards
    assert (found['/news'].key, found['/news'].shared_by) == (('only the path',), 'all clients')
    for path in ('/page', '/start', '/profile'):
        assert found[path].key == ('the user and the data of the session',)
        assert found[path].shared_by == 'clients with the same user and data in their session'
    assert found['/by-user'].key == ('the name from identity',)
    assert found['/by-user'].shared_by == 'clients for whom identity returns the same name'
    assert found['/guarded'].shared_by == 'all clients that the guards accept'


@pytest.mark.parametrize(
    ('one', 'other'),
    [([{'a': 1}, {'b': 1}], [{'b': 1}, {'a': 1}]), ([{'a': {'x': 1, 'y': 2}}], [{'a': {'y': 2, 'x': 1}}])],
)
def test_the_order_in_which_data_came_is_what_a_page_may_show(one, other, pages):
    with pages.browser('ada') as first, pages.browser('ada') as second, pages.browser('ada') as third:
        for browser, notes in ((first, one), (second, other), (third, one)):
            for note in notes:
                browser.post('/note', json=note)
        pages = [it.get('/page') for it in (first, second, third)]
    assert marks(*pages) == ['MISS', 'MISS', 'HIT']
    assert pages[0].text == pages[2].text != pages[1].text


@pytest.mark.parametrize(
    ('one', 'other'), [({'a': []}, {'a': {}}), ({'a': [['b', 1]]}, {'a': {'b': 1}}), ({}, {'a': None})]
)
def test_different_data_is_never_one(pages, one, other):
    with pages.browser('ada') as first, pages.browser('ada') as second:
        first.post('/note', json=one)
        second.post('/note', json=other)
        assert first.get('/page').json()[1] == one
        assert second.get('/page').json()[1] == other


def test_the_session_is_checked_on_every_hit(pages):
    with pages.browser('ada') as ada, pages.browser('ada') as other, pages.browser() as nobody:
        assert marks(ada.get('/page'), other.get('/page')) == ['MISS', 'HIT']
        assert nobody.get('/page').status_code == 401
        assert nobody.get('/page', headers={'cookie': '__Host-session=forged'}).status_code == 401
        other.post('/logout')
        assert other.get('/page').status_code == 401
        assert marks(ada.get('/profile'), ada.get('/profile')) == ['MISS', 'HIT']
        assert nobody.get('/profile').status_code == 401


def test_all_who_are_not_signed_in_share(pages):
    with pages.browser() as nobody, pages.browser() as forger, pages.browser('ada') as ada:
        forged = {'cookie': '__Host-session=forged; theme=dark'}
        assert marks(nobody.get('/start'), forger.get('/start', headers=forged)) == ['MISS', 'HIT']
        assert ada.get('/start').json()[0] == 'ada'
        assert nobody.get('/start').json()[0] is None


def test_a_route_that_does_not_read_the_session_is_shared_although_a_cookie_comes(pages):
    with pages.browser('ada') as ada, pages.browser('bob') as bob, pages.browser() as nobody:
        answers = [it.get('/news') for it in (ada, bob, nobody)]
        assert marks(*answers) == ['MISS', 'HIT', 'HIT']
        assert {it.headers['cache-control'] for it in answers} == {'max-age=60'}
        assert all('vary' not in it.headers and 'set-cookie' not in it.headers for it in answers)


def test_a_page_that_reads_the_session_is_private_for_caches_in_front(pages):
    with pages.browser('ada') as ada, pages.browser() as nobody:
        for _ in range(2):
            assert ada.get('/page').headers['cache-control'] == 'private'
            assert ada.get('/start').headers['cache-control'] == 'private, max-age=60'
            assert nobody.get('/start').headers['cache-control'] == 'private, max-age=60'
            assert ada.get('/page').headers['vary'] == 'cookie'
            tag = ada.get('/page').headers['etag']
            not_modified = ada.get('/page', headers={'if-none-match': tag})
            assert (not_modified.status_code, not_modified.headers['cache-control']) == (304, 'private')


def test_public_is_refused_where_a_session_is_read():
    shop = Shop()
    with pytest.raises(ConfigurationError, match='public'):

        @shop.router.get('/public')
        @shop.cache(ttl=60, cache_control='public, max-age=60')
        async def public(session: OptionalSession):
            return 1


def test_a_response_that_changes_the_session_is_not_stored(pages):
    with pages.browser('ada') as ada:
        answers = [ada.get('/visits') for _ in range(3)]
        assert [it.json() for it in answers] == [1, 2, 3]
        assert marks(*answers) == [None] * 3
        assert 'detail=session' in answers[0].headers['cache-status']


def test_a_response_that_shows_what_is_of_this_session_alone_is_not_stored(pages):
    with pages.browser('ada') as ada, pages.browser('ada') as other:
        shown = [it.get('/handle') for it in (ada, other, ada)]
        assert marks(*shown) == [None] * 3
        assert shown[0].json() == shown[2].json() != shown[1].json()


def test_messages_are_shown_once_on_a_cached_page(pages):
    with pages.browser('ada') as ada:

        async def leave():
            session = await pages.sessions.read(ada.cookies['__Host-session'])
            await session.flash('saved')

        assert marks(ada.get('/messages'), ada.get('/messages')) == ['MISS', 'HIT']
        ada.portal.call(leave)
        assert ada.get('/messages').json() == ['saved']
        assert ada.get('/messages').json() == []


def test_a_sign_out_invalidates_the_tag_of_the_user_if_asked_to(pages):
    with pages.browser('ada') as ada, pages.browser('ada') as other, pages.browser('bob') as bob:
        assert marks(ada.get('/page'), other.get('/page'), bob.get('/page')) == ['MISS', 'HIT', 'MISS']
        ada.post('/logout')
        assert marks(other.get('/page'), bob.get('/page')) == ['MISS', 'HIT']
        assert other.portal.call(pages.sessions.delete_user_sessions, 'bob') == 1
        bob.post('/login?user=bob')
        assert marks(bob.get('/page'), other.get('/page')) == ['MISS', 'HIT']


def test_without_being_asked_to_it_invalidates_nothing():
    pages = Pages()
    with pages.browser('ada') as ada, pages.browser('ada') as other:
        assert marks(ada.get('/page')) == ['MISS']
        ada.post('/logout')
        assert marks(other.get('/page')) == ['HIT']


def test_all_sessions_of_a_user_share_where_identity_says_so(pages):
    with pages.browser('ada') as ada, pages.browser('ada') as other, pages.browser('bob') as bob, pages.browser() as no:
        other.post('/note', json={'theme': 'dark'})
        for path in ('/by-user', '/by-depends'):
            assert marks(*(it.get(path) for it in (ada, other, bob))) == ['MISS', 'HIT', 'MISS']
        assert no.get('/by-user').status_code == 401
        other.post('/logout')
        assert other.get('/by-user').status_code == 401


def test_all_of_a_role_share_where_identity_says_so(pages):
    with pages.browser() as ada, pages.browser() as bob, pages.browser() as eve, pages.browser() as nobody:
        ada.post('/login?user=ada&role=admin')
        bob.post('/login?user=bob&role=admin')
        eve.post('/login?user=eve&role=buyer')
        assert marks(*(it.get('/by-role') for it in (ada, bob, eve))) == ['MISS', 'HIT', 'MISS']
        assert nobody.get('/by-role').status_code == 401
        nobody.post('/login?user=joe')
        assert marks(nobody.get('/by-role')) == ['MISS']
        nobody.post('/logout')
        assert nobody.get('/by-role').status_code == 401  # named as Joe was, who has no roles
        assert marks(*(it.get('/guarded') for it in (ada, bob))) == ['MISS', 'HIT']
        assert (eve.get('/guarded').status_code, nobody.get('/guarded').status_code) == (403, 401)


def test_other_credentials_of_a_route_stay_in_its_key(pages):
    key = APIKeyHeader(name='x-key')

    @pages.router.get('/both')
    @pages.cache(ttl=60)
    async def both(session: SessionDep, given: Annotated[str, Depends(key)]):
        return [session.user.id, given]

    with pages.browser('ada') as ada, pages.browser('bob') as bob:
        asked = [it.get('/both', headers={'x-key': of}) for it in (ada, bob) for of in 'xy' for _ in range(2)]
        assert [it.json() for it in asked[::2]] == [['ada', 'x'], ['ada', 'y'], ['bob', 'x'], ['bob', 'y']]
        assert marks(*asked) == ['MISS', 'HIT'] * 4


def test_what_a_page_shows_is_what_was_named_whatever_others_change_meanwhile():
    shop, tokens = Shop(), []

    async def slow():
        """Another request changes the session between the look-up of the key and the endpoint."""
        if tokens:
            other = await shop.sessions.read(tokens.pop())
            await other.update(theme='dark')

    @shop.router.get('/page', dependencies=[Depends(slow)])
    @shop.cache(ttl=60)
    async def page(session: SessionDep):
        return session.get('theme', 'light')

    with shop.browser('ada') as ada, shop.browser('ada') as other:
        tokens.append(ada.cookies['__Host-session'])
        first = ada.get('/page')
        assert (first.json(), marks(first)) == ('light', ['MISS'])
        assert ada.get('/page').json() == 'dark'
        assert other.get('/page').json() == 'light'


def test_it_is_safe_without_the_layer():
    cache = FastAPICache()
    sessions = Sessions(store=cache, config=config(transports=['bearer']))
    pages = Shop(cache=cache, installed=False)
    runs = itertools.count(1)

    @pages.router.post('/bearer')
    async def bearer(user: str):
        return (await sessions.create(user=user)).token

    @pages.router.get('/mine')
    @cache(ttl=60)
    async def mine(session: Annotated[Session, Depends(sessions.required)]):
        return [session.user.id, next(runs)]

    @pages.router.post('/out')
    async def out(session: Annotated[Session, Depends(sessions.required)]):
        await session.invalidate()

    with pages.browser() as client:
        of = {
            user: {'authorization': f'Bearer {client.post(f"/bearer?user={user}").json()}'} for user in ('ada', 'bob')
        }
        answers = [client.get('/mine', headers=of[user]) for user in ('ada', 'bob', 'ada', 'bob')]
        assert marks(*answers) == ['MISS', 'MISS', 'HIT', 'HIT']
        assert [it.json()[0] for it in answers] == ['ada', 'bob', 'ada', 'bob']
        assert client.get('/mine').status_code == 401
        client.post('/out', headers=of['ada'])
        assert client.get('/mine', headers=of['ada']).status_code == 401
        assert marks(client.get('/mine', headers=of['bob'])) == ['HIT']


def test_a_scope_that_is_sent_again_is_looked_at_anew():
    cache = FastAPICache()
    sessions = Sessions(store=cache, config=config(transports=['bearer']))
    shop = Shop(cache=cache, installed=False)

    @shop.router.get('/mine')
    @cache(ttl=60)
    async def mine(session: Annotated[Session, Depends(sessions.required)]):
        return session.user.id

    client, statuses = shop.client(), []

    async def again(app):
        session = await sessions.create(user='ada')
        scope = asgi_scope(path='/mine', headers=[(b'authorization', f'Bearer {session.token}'.encode())])
        for _ in range(3):
            statuses.append((await asgi_call(app, scope))[0]['status'])
            if len(statuses) == 2:
                await session.invalidate()

    with client:
        client.portal.call(again, client.app)
    assert statuses == [200, 200, 401]


def test_no_cookie_and_no_id_is_in_what_the_cache_stores():
    store = MemoryCache()
    pages = Pages(store)
    with pages.browser('ada') as ada:
        for path in ('/page', '/start', '/profile', '/by-user'):
            assert marks(ada.get(path), ada.get(path)) == ['MISS', 'HIT']
        token = ada.cookies['__Host-session']
    stored = ' '.join(f'{key} {store.peek(key)!r}' for key in store.keys())  # noqa: SIM118, no dict
    assert 'GET:/page' in stored
    assert token.partition('~')[0] not in stored
    assert 'set-cookie' not in stored


def test_a_refusal_in_an_endpoint_is_nobody_elses(pages):
    @pages.router.get('/adults')
    @pages.cache(ttl=60)
    async def adults(user: UserDep):
        if user.id != 'ada':
            raise HTTPException(403)
        return 'in'

    with pages.browser('ada') as ada, pages.browser('bob') as bob:
        assert [it.get('/adults').status_code for it in (ada, bob, ada, bob)] == [200, 403, 200, 403]


def test_an_overriding_dependency_is_not_asked_for_a_name(pages):
    async def pretended():
        return SessionUser(id='tester')

    @pages.router.get('/pretended')
    @pages.cache(ttl=60)
    async def shown(user: Annotated[SessionUser, Depends(pages.sessions.user)]):
        return user.id

    with pages.browser() as client:
        pages.app.dependency_overrides[pages.sessions.user] = pretended
        assert [client.get('/pretended').json() for _ in range(2)] == ['tester'] * 2
        pages.app.dependency_overrides.clear()
        assert client.get('/pretended').status_code == 401


def test_a_response_of_its_own_class_is_cached_too(pages):
    @pages.router.get('/text')
    @pages.cache(ttl=60)
    async def text(session: SessionDep):
        return PlainTextResponse(session.user.id)

    with pages.browser('ada') as ada, pages.browser('bob') as bob:
        assert [it.get('/text').text for it in (ada, bob, ada, bob)] == ['ada', 'bob', 'ada', 'bob']
        assert marks(ada.get('/text')) == ['HIT']
