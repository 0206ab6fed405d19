"""How long sessions last, how their tokens travel, and which options are refused."""

import pytest
from starlette.testclient import TestClient

from fastapi_caching_route import MemoryCache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions import AddressBinding, SessionConfig, Sessions, SessionUser
from tests.sessions.conftest import SECRET, Shop, config

COOKIE = '__Host-session'


def watched(shop):
    """The names of the records that are written."""
    written, place = [], shop.sessions._keeper.place
    swap = place.swap

    async def noted(kind, *args):
        written.append(kind)
        return await swap(kind, *args)

    shop.sessions._keeper.place = _Watched(place, noted)
    return written


class _Watched:
    def __init__(self, place, swap):
        self._place, self.swap = place, swap

    def __getattr__(self, name):
        return getattr(self._place, name)


def test_a_session_is_renewed_after_a_part_of_its_time_and_nothing_is_written_before(now):
    shop = Shop(clock=now, idle=1000, renewal=0.5, lifetime=10_000)
    written = watched(shop)
    with shop.browser('ada') as ada:
        for seconds in (0, 300, 199):
            now.now += seconds
            assert ada.get('/who').json() == 'ada'
        assert written == []
        now.now += 1
        assert ada.get('/who').json() == 'ada'
        assert written == ['session']
        for _ in range(12):
            now.now += 700
            assert ada.get('/who').json() == 'ada'
        assert shop.kinds.count(('renewed', '')) == 13
        now.now += 1000
        assert ada.get('/who').json() is None
        assert ('expired', 'idle') in shop.kinds


def test_a_session_ends_at_the_end_of_its_lifetime_however_it_is_used(now):
    shop = Shop(clock=now, idle=1000, lifetime=3000)
    with shop.browser('ada') as ada:
        for _ in range(4):
            now.now += 700
            assert ada.get('/who').json() == 'ada'
        now.now += 200
        assert ada.get('/who').json() is None
        assert ('expired', 'lifetime') in shop.kinds
        assert 'Max-Age=3000' in ada.post('/login').headers['set-cookie']


def test_without_idle_only_the_lifetime_counts(now):
    shop = Shop(clock=now, idle=None, lifetime=3000)
    written = watched(shop)
    with shop.browser('ada') as ada:
        now.now += 2999
        assert ada.get('/who').json() == 'ada'
        assert written == []
        now.now += 1
        assert ada.get('/who').json() is None


def test_another_id_does_not_prolong_the_lifetime(now):
    shop = Shop(clock=now, lifetime=3000, idle=None)
    with shop.browser('ada') as ada:
        now.now += 2000
        assert 'Max-Age=1000' in ada.post('/regenerate').headers['set-cookie']
        assert 'Max-Age=1000' in ada.post('/sign-in?user=bob').headers['set-cookie']
        now.now += 1000
        assert ada.get('/who').json() is None


@pytest.mark.parametrize('kind', ['opaque', 'jwt'])
def test_a_token_travels_as_a_cookie_a_header_or_a_bearer(kind):
    for transport in ('cookie', 'header', 'bearer'):
        shop = Shop(transports=[transport], token=kind)
        with shop.browser() as client:
            made = client.post('/login?user=ada')
            token = made.headers['x-token']
            assert ('set-cookie' in made.headers) is (transport == 'cookie')
            client.cookies.clear()
            ways = {
                'cookie': {'cookie': f'a=b; {COOKIE}={token}; c=d'},
                'header': {'x-session-token': token},
                'bearer': {'authorization': f'bearer {token}'},
            }
            assert {way: client.get('/who', headers=it).json() for way, it in ways.items()} == {
                way: 'ada' if way == transport else None for way in ways
            }
            vary = {'cookie': 'cookie', 'header': 'x-session-token', 'bearer': 'authorization'}
            assert client.get('/who').headers['vary'] == vary[transport]


def test_the_first_transport_that_a_request_has_counts_valid_or_not():
    shop = Shop(transports=['bearer', 'header', 'cookie'], header='X-Auth')
    with shop.client() as client:
        ada, bob, eve = (client.post(f'/login?user={it}').headers['x-token'] for it in ('ada', 'bob', 'eve'))
        client.cookies.clear()
        tokens = {'authorization': f'Bearer {ada}', 'x-auth': bob, 'cookie': f'{COOKIE}={eve}'}
        # Each sign-in ended the session of the cookie, so these are made anew, each by its own client.
        ada, bob, eve = (shop.client().post(f'/login?user={it}').headers['x-token'] for it in ('ada', 'bob', 'eve'))
        tokens = {'authorization': f'Bearer {ada}', 'x-auth': bob, 'cookie': f'{COOKIE}={eve}'}
        assert client.get('/who', headers=tokens).json() == 'ada'
        assert client.get('/who', headers={**tokens, 'authorization': 'Bearer forged'}).json() is None
        assert client.get('/who', headers={**tokens, 'authorization': 'Basic YTpi'}).json() == 'bob'
        del tokens['authorization'], tokens['x-auth']
        assert client.get('/who', headers=tokens).json() == 'eve'


def test_two_tokens_in_one_place_are_none():
    shop = Shop(transports=['header', 'bearer'])
    ada, bob = (shop.client().post(f'/login?user={it}').headers['x-token'] for it in ('ada', 'bob'))
    client = shop.client()
    for name, value in (('x-session-token', '{}'), ('authorization', 'Bearer {}')):
        headers = [(name, value.format(it)) for it in (ada, bob)]
        assert client.get('/who', headers=headers).json() is None
        assert client.get('/who', headers=headers[:1] * 2).json() == 'ada'


@pytest.mark.parametrize(
    'options',
    [
        {'secrets': ''},
        {'secrets': []},
        {'secrets': 'short'},
        {'secrets': [SECRET, 'short']},
        {'secrets': None},
        {'lifetime': 0},
        {'idle': 0},
        {'idle': '1'},
        {'renewal': 0},
        {'renewal': 1.5},
        {'token': 'paseto'},
        {'jwt_algorithm': 'none'},
        {'jwt_algorithm': 'RS256'},
        {'jwt_algorithm': None},
        {'secrets': SECRET, 'token': 'jwt', 'jwt_algorithm': 'RS256'},
        {'secrets': '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA'},
        {'jwt_private_key': 'PEM'},
        {'jwt_public_keys': ['PEM'], 'token': 'jwt'},
        {'jwt_leeway': -1},
        {'transports': []},
        {'transports': ['query']},
        {'cookie': ''},
        {'cookie': 'a;b'},
        {'cookie': '__Host-session'},
        {'same_site': 'Lax'},
        {'same_site': 'none', 'secure': False},
        {'secure': 'yes'},
        {'persistent': None},
        {'header': 'a b'},
        {'bind_user_agent': 1},
        {'bind_address': '10.0.0.0/8'},
        {'most_per_user': 0},
        {'most_per_user': 1.5},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SessionConfig(**{'secrets': SECRET, **options})


@pytest.mark.parametrize(
    'options',
    [
        {'ipv4_prefix': 0},
        {'ipv4_prefix': 33},
        {'ipv6_prefix': 129},
        {'ipv6_prefix': True},
        {'trusted_proxies': '10.0.0.0/8'},
        {'trusted_proxies': ['10.0.0.1/8']},
        {'trusted_proxies': ['proxy.example']},
        {'trusted_proxies': [10]},
    ],
)
def test_wrong_bindings_are_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        AddressBinding(**options)


def test_a_secret_is_long_enough_for_its_algorithm():
    with pytest.raises(ConfigurationError, match='HS512'):
        Sessions(store=MemoryCache(), config=config(token='jwt', jwt_algorithm='HS512'))


@pytest.mark.parametrize('wrong', [{'id': ''}, {'id': 7}, {'id': 'ada', 'roles': 'admin'}])
def test_a_wrong_user_is_refused(wrong):
    with pytest.raises(TypeError):
        SessionUser(**wrong)


def test_the_secrets_may_be_bytes_and_several():
    shop = Shop(secrets=[SECRET.encode(), SECRET * 2])
    client = TestClient(shop.client().app, base_url='https://shop.example')
    assert client.post('/login?user=ada').json()['user'] == 'ada'
