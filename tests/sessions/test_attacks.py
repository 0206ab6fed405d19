"""Attacks on sessions and states: each is tried, and gets nothing."""

import base64
import hmac
import json
import sys
import time
from hashlib import sha256

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Request, Response
from itsdangerous import Signer
from starlette.testclient import TestClient

from fastapi_caching_route import MemoryCache
from fastapi_caching_route.sessions import AddressBinding, Sessions, StateRefusedError, States
from tests.sessions.conftest import SECRET, Shop, config
from tests.sessions.test_cached_pages import Pages
from tests.support import closing

OLD, NEW = 'an old secret of thirty-two bytes, at least', 'a new secret of thirty-two bytes, at least'
COOKIE = '__Host-session'


def shown(client, token, path='/who', **headers):
    return client.get(path, headers={'cookie': f'{COOKIE}={token}', **headers})


def b64(data):
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b'=').decode()


# Fixation: an attacker plants an id that he knows, and waits until the victim signs in.


def test_an_id_that_an_attacker_has_chosen_is_never_used():
    shop = Shop()
    with shop.browser() as victim:
        chosen = 'A' * 43
        signed = Signer(SECRET, salt=b'fastapi-caching-route.sessions', key_derivation='hmac', digest_method=sha256)
        for planted in (chosen, signed.sign(chosen.encode()).decode()):
            victim.cookies.set(COOKIE, planted, domain='shop.example')
            victim.post('/login?user=ada')
            assert victim.get('/who').json() == 'ada'
            assert planted not in victim.cookies[COOKIE]
            assert shown(shop.client(), planted).json() is None


def test_a_session_that_an_attacker_has_planted_is_worth_nothing_after_the_sign_in():
    shop = Shop()
    for way in ('/sign-in?user=ada', '/login?user=ada'):
        with shop.browser() as attacker, shop.browser() as victim:
            attacker.post('/login')
            planted = attacker.cookies[COOKIE]
            victim.cookies.set(COOKIE, planted, domain='shop.example')
            victim.post(way)
            assert victim.get('/who').json() == 'ada'
            assert attacker.get('/me').status_code == 401
            assert victim.cookies[COOKIE] != planted


# Stolen cookies.


def test_a_stolen_cookie_is_refused_with_another_agent():
    shop = Pages(bind_user_agent=True)
    with shop.browser(headers={'user-agent': 'Firefox'}) as ada:
        ada.post('/login?user=ada')
        token = ada.cookies[COOKIE]
        assert ada.get('/page').headers['x-cache'] == 'MISS'
        assert ada.get('/page').headers['x-cache'] == 'HIT'
        for agent in ({'user-agent': 'curl'}, {'user-agent': ''}):
            assert shown(shop.client(), token, '/page', **agent).status_code == 401
            assert shown(shop.client(), token, **agent).json() is None
        assert ada.get('/page').headers['x-cache'] == 'HIT'
    assert shop.kinds.count(('refused', 'user-agent')) >= 4
    assert {it.user for it in shop.events if it.kind == 'refused'} == {'ada'}


@pytest.mark.parametrize(
    ('first', 'then', 'accepted'),
    [
        (('192.0.2.1', ''), ('192.0.2.1', ''), True),
        (('192.0.2.1', ''), ('192.0.2.77', ''), True),
        (('192.0.2.1', ''), ('192.0.3.1', ''), False),
        (('192.0.2.1', ''), ('::ffff:192.0.2.9', ''), True),
        (('2001:db8:1:2::1', ''), ('2001:db8:1:2:ffff::9', ''), True),
        (('2001:db8:1:2::1', ''), ('2001:db8:1:3::1', ''), False),
        # Nobody but a trusted proxy says where a client is.
        (('192.0.2.1', ''), ('198.51.100.1', '192.0.2.1'), False),
        # What a client writes stands to the left of what our proxies append.
        (('10.0.0.1', '192.0.2.1'), ('10.0.0.2', '192.0.2.1'), True),
        (('10.0.0.1', '192.0.2.1'), ('10.0.0.1', '192.0.2.1, 198.51.100.1'), False),
        (('10.0.0.1', '192.0.2.1, 10.0.0.9'), ('10.0.0.1', '198.51.100.1, 192.0.2.1:4711, 10.0.0.2'), True),
        (('10.0.0.1', '[2001:db8::1]:443'), ('10.0.0.1', '"[2001:db8::2]"'), True),
        (('10.0.0.1', '192.0.2.1'), ('10.0.0.1', '192.0.2.1, nonsense'), False),
        (('10.0.0.1', '192.0.2.1'), ('10.0.0.1', ''), False),
        (('10.0.0.1', '192.0.2.1'), ('10.0.0.1', '192.0.2.1,'), False),
        (('10.0.0.1', '192.0.2.1, 10.0.0.4'), ('10.0.0.1', '10.0.0.4'), False),
    ],
)
def test_a_stolen_cookie_is_refused_from_another_network(first, then, accepted):
    binding = AddressBinding(ipv4_prefix=24, ipv6_prefix=64, trusted_proxies=['10.0.0.0/8'])
    shop = Shop(bind_address=binding)
    shop.client()

    def from_(place):
        async def placed(scope, receive, send):
            scope['client'] = (place[0], 1)
            await shop.app(scope, receive, send)

        client = TestClient(placed, base_url='https://shop.example', follow_redirects=False)
        return client, {'x-forwarded-for': place[1]} if place[1] else {}

    client, headers = from_(first)
    client.post('/login?user=ada', headers=headers)
    other, headers = from_(then)
    assert shown(other, client.cookies[COOKIE], **headers).json() == ('ada' if accepted else None)
    assert (('refused', 'address') in shop.kinds) is not accepted


# Tampered and rotated tokens.


@pytest.mark.parametrize('kind', ['opaque', 'jwt'])
def test_a_token_with_one_changed_character_is_refused_without_asking_the_store(kind):
    shop = Shop(token=kind)
    with shop.browser('ada') as ada:
        token = ada.cookies[COOKIE]
        places = {*range(0, len(token), 3), len(token) - 1}
        changed = [token[:at] + chr(ord(token[at]) ^ 1) + token[at + 1 :] for at in places]
        assert [shown(ada, it).json() for it in changed] == [None] * len(changed)
        assert shown(ada, token).json() == 'ada'
    assert ('refused', 'unknown') not in shop.kinds
    assert shop.kinds.count(('refused', 'token')) == len(changed)


@pytest.mark.parametrize('options', [{}, {'token': 'jwt'}, {'token': 'jwt', 'jwt_algorithm': 'HS512'}])
async def test_a_token_has_one_text(options):
    sessions = Sessions(store=MemoryCache(), config=config(secrets=SECRET * 2, **options))
    token = (await sessions.create(user='ada')).token
    signed, _, signature = token.rpartition('.')
    same_bytes = [
        signature[:-1] + last
        for last in 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
        if base64.urlsafe_b64decode(signature[:-1] + last + '==') == base64.urlsafe_b64decode(signature + '==')
    ]
    assert len(same_bytes) in {4, 16}
    others = {*same_bytes, signature + '=', signature + '!', f'{signature[:9]}*{signature[9:]}', f'{signature}\n'}
    read = [it for it in others if await sessions.read(f'{signed}.{it}')]
    assert read == [signature]


@pytest.mark.parametrize(
    'token', ['', '.', '~', 'A' * 43, 'A' * 100_000, 'é', '\x00', 'a.b.c', 'null', '"x"', '=', 'A.=.~']
)
@pytest.mark.parametrize('kind', ['opaque', 'jwt'])
async def test_nonsense_is_no_token(kind, token):
    sessions = Sessions(store=MemoryCache(), config=config(token=kind))
    assert await sessions.read(token) is None


@pytest.mark.parametrize('kind', ['opaque', 'jwt'])
async def test_secrets_are_rotated(kind):
    store = MemoryCache()
    before = Sessions(store=store, config=config(secrets=OLD, token=kind))
    rotated = Sessions(store=store, config=config(secrets=[NEW, OLD], token=kind))
    after = Sessions(store=store, config=config(secrets=[NEW], token=kind))
    old = (await before.create(user='ada')).token
    new = (await rotated.create(user='ada')).token
    assert [bool(await it.read(old)) for it in (before, rotated, after)] == [True, True, False]
    assert [bool(await it.read(new)) for it in (before, rotated, after)] == [False, True, True]


async def test_a_token_cannot_be_given_to_another_user():
    sessions = Sessions(store=MemoryCache(), config=config())
    ada, bob = (await sessions.create(user='ada')).token, (await sessions.create(user='bob')).token
    head, _, tail = ada.partition('~')
    assert await sessions.read(head + '~' + bob.partition('~')[2]) is None
    assert await sessions.read(head + '.' + tail.partition('.')[2]) is None


# JSON Web Tokens.


def forged(claims, key, algorithm, **headers):
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers or None)


async def test_the_algorithm_of_a_token_decides_nothing():
    sessions = Sessions(store=MemoryCache(), config=config(token='jwt'))
    made = await sessions.create(user='ada')
    claims = jwt.decode(made.token, options={'verify_signature': False})
    assert (claims['sub'], set(claims)) == ('ada', {'sid', 'iat', 'exp', 'sub'})
    for alg in ('none', 'None', 'NONE', 'nOnE', ''):
        for signature in ('', made.token.rpartition('.')[2]):
            assert await sessions.read(f'{b64({"alg": alg, "typ": "JWT"})}.{b64(claims)}.{signature}') is None
    long = SECRET * 2
    of_long = Sessions(store=MemoryCache(), config=config(token='jwt', secrets=long, jwt_algorithm='HS512'))
    for algorithm in ('HS256', 'HS384'):
        assert of_long._keeper.tokens.read(forged(claims, long, algorithm)) is None
    assert of_long._keeper.tokens.read(forged(claims, long, 'HS512')) is not None


async def test_a_public_key_is_no_secret():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = private.public_key().public_bytes(serialization.Encoding.PEM, form)
    sessions = Sessions(store=MemoryCache(), config=config(token='jwt'))
    made = await sessions.create(user='ada')
    claims = jwt.decode(made.token, options={'verify_signature': False})
    assert await sessions.read(forged(claims, private, 'RS256')) is None
    header, payload = b64({'alg': 'HS256', 'typ': 'JWT'}), b64(claims)
    tag = base64.urlsafe_b64encode(hmac.digest(public, f'{header}.{payload}'.encode(), 'sha256')).rstrip(b'=')
    assert await sessions.read(f'{header}.{payload}.{tag.decode()}') is None
    assert await sessions.read(forged(claims, SECRET, 'HS256', jwk={'kty': 'oct', 'k': 'AAAA'})) is not None


async def test_one_secret_for_two_kinds_of_tokens_confuses_nobody():
    store = MemoryCache()
    opaque, tokens = (Sessions(store=store, config=config(token=kind)) for kind in ('opaque', 'jwt'))
    made = [(await it.create(user='ada')).token for it in (opaque, tokens)]
    assert await tokens.read(made[0]) is None
    assert await opaque.read(made[1]) is None
    plain = Signer(SECRET, key_derivation='hmac', digest_method=sha256)
    assert await opaque.read(plain.sign(made[0].rpartition('.')[0].encode()).decode()) is None


@pytest.mark.parametrize(
    ('changes', 'options', 'accepted'),
    [
        ({}, {}, True),
        ({'exp': -10}, {}, False),
        ({'exp': -10}, {'jwt_leeway': 60}, True),
        ({'iat': 3600}, {}, False),
        ({'aud': 'others'}, {}, False),
        ({'aud': 'us'}, {'jwt_audience': 'us'}, True),
        ({'aud': 'others'}, {'jwt_audience': 'us'}, False),
        ({}, {'jwt_audience': 'us'}, False),
        ({'iss': 'us'}, {'jwt_issuer': 'us'}, True),
        ({'iss': 'others'}, {'jwt_issuer': 'us'}, False),
        ({'sid': None}, {}, False),
        ({'sid': 7}, {}, False),
        ({'sid': '../user:x'}, {}, False),
        ({'sub': 'bob'}, {}, False),
        ({'sub': None}, {}, False),
    ],
)
async def test_the_claims_of_a_token_are_checked(changes, options, accepted):
    store = MemoryCache()
    made = await Sessions(store=store, config=config(token='jwt')).create(user='ada')
    claims = jwt.decode(made.token, options={'verify_signature': False})
    moments = {name: time.time() + it for name, it in changes.items() if name in {'exp', 'iat'}}
    claims = {name: it for name, it in {**claims, **changes, **moments}.items() if it is not None}
    read = await Sessions(store=store, config=config(token='jwt', **options)).read(forged(claims, SECRET, 'HS256'))
    assert (read is not None) is accepted


async def test_a_token_that_is_valid_yet_is_worth_nothing_after_the_sign_out():
    sessions = Sessions(store=MemoryCache(), config=config(token='jwt'))
    made = await sessions.create(user='ada')
    await made.invalidate()
    assert await sessions.read(made.token) is None


# Cookie tossing: a page of a neighbouring host sets a cookie of the same name.


@pytest.mark.parametrize(
    'cookies',
    [
        '{0}={1}; {0}={2}',
        '{0}={2}; {0}={1}',
        '{0}={1}; theme=dark; {0}=',
        '{0}={1}; {0}=forged',
    ],
)
def test_two_cookies_of_one_name_are_none(cookies):
    shop = Shop()
    with shop.browser('ada') as ada, shop.browser('eve') as eve, shop.browser() as client:
        sent = cookies.format(COOKIE, ada.cookies[COOKIE], eve.cookies[COOKIE])
        assert client.get('/who', headers={'cookie': sent}).json() is None
        assert client.get('/me', headers={'cookie': sent}).status_code == 401
    assert ('refused', 'cookies') in shop.kinds


@pytest.mark.parametrize(
    'name', ['session', '__host-session', '__Secure-session', '\x85{}', '\xa0{}', '\x0b{}', '{}\x0b', '$Path; =', '={}']
)
def test_a_cookie_of_nearly_that_name_is_not_that_cookie(name):
    shop = Shop()
    with shop.browser('eve') as eve, shop.browser() as client:
        planted = name.format(COOKIE).encode('latin-1') + b'=' + eve.cookies[COOKIE].encode()
        assert client.get('/who', headers=[(b'cookie', planted)]).json() is None


def test_the_same_cookie_twice_is_one():
    with Shop().browser('ada') as ada:
        sent = f'{COOKIE}={ada.cookies[COOKIE]}'
        ada.cookies.clear()
        assert ada.get('/who', headers={'cookie': f'{sent};{sent}'}).json() == 'ada'


# Timing.


async def test_signatures_and_cookies_are_compared_in_constant_time_and_ids_by_their_digests():
    store = MemoryCache()
    compared, looked_up = [], []

    def watch(frame, event, called):
        if event == 'c_call' and called.__name__ == 'compare_digest':
            compared.append(frame.f_globals['__name__'].partition('.')[0])
        if event == 'call' and frame.f_code.co_name == '_multi_get':
            looked_up.extend(frame.f_locals['keys'])

    made = {}
    for kind in ('opaque', 'jwt'):
        sessions = Sessions(store=store, config=config(token=kind))
        made[kind] = sessions, (await sessions.create(user='ada')).token
    states = States(store=store)
    request = Request({'type': 'http', 'headers': [(b'cookie', b'__Host-state=' + b'A' * 43)]})
    state = await states.create(request=request, response=Response())
    sys.setprofile(watch)
    try:
        for sessions, token in made.values():
            assert await sessions.read(token)
        await states.consume(state, request=request)
    finally:
        sys.setprofile(None)
    assert {'itsdangerous', 'jwt', 'fastapi_caching_route'} <= set(compared)
    secrets = [
        made['opaque'][1].partition('~')[0],
        state,
        jwt.decode(made['jwt'][1], options={'verify_signature': False})['sid'],
    ]
    assert looked_up
    assert not [key for key in looked_up for secret in secrets if secret in key]


# Secrets elsewhere.


async def test_neither_keys_nor_values_nor_the_log_have_a_token_or_an_id(caplog, new_store, store_kind):
    caplog.set_level('DEBUG')
    store = new_store()
    sessions, states = Sessions(store=store, config=config()), States(store=store, bind=False)
    session = await sessions.create(user='ada', data={'a': 1})
    tokens = [session.token]
    await session.regenerate()
    tokens.append(session.token)
    state = await states.create({'next': '/'})
    await sessions.read(tokens[0])
    await states.consume(state)
    with pytest.raises(StateRefusedError) as refused:
        await states.consume(state)
    assert state not in repr(refused.value)
    stored = await everything_in(store, store_kind)
    ids = [it.partition('~')[0] for it in tokens]
    await closing(store)
    assert 'state:' in stored or store_kind == 'memcached'
    assert not [it for it in (*ids, state, SECRET) if it in stored or it in caplog.text]


async def everything_in(store, kind):
    if kind == 'memcached':
        return ''
    if kind == 'lmdb':
        keys = store.store.look(lambda table: table.keys_from(b'', 100))
        return repr([(key, store.store.read([key])) for key in keys])
    if kind in {'memory', 'simple'}:
        keys = store.keys() if kind == 'memory' else [*store._cache]
        return repr([(key, await store._get(key)) for key in keys])
    return repr([(key, await store.client.get(key)) async for key in store.client.scan_iter('*', _type='STRING')])
