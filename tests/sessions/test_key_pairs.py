"""JSON Web Tokens that a private key signs: each key is for one algorithm, and no key is taken for another one."""

import base64
import hmac
import json
import sys

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fastapi_caching_route import MemoryCache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions import SessionConfig, Sessions
from tests.sessions.conftest import SECRET, Shop

KEYS = {
    'RS256': rsa.generate_private_key(public_exponent=65537, key_size=2048),
    'ES256': ec.generate_private_key(ec.SECP256R1()),
    'EdDSA': ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = [*KEYS]


def private(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def config(algorithm, **options):
    return SessionConfig(token='jwt', jwt_algorithm=algorithm, **options)


def sessions_of(algorithm, store=None, **options):
    options = options or {'jwt_private_key': private(KEYS[algorithm])}
    return Sessions(store=store or MemoryCache(), config=config(algorithm, **options))


def claims_in(token):
    return jwt.decode(token, options={'verify_signature': False})


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_a_private_key_signs_the_tokens_of_sessions(algorithm):
    shop = Shop(token='jwt', secrets=(), jwt_algorithm=algorithm, jwt_private_key=private(KEYS[algorithm]))
    with shop.browser('ada') as ada:
        token = ada.cookies['__Host-session']
        assert jwt.get_unverified_header(token)['alg'] == algorithm
        assert jwt.decode(token, public(KEYS[algorithm]), algorithms=[algorithm])['sub'] == 'ada'
        assert ada.get('/who').json() == 'ada'
        ada.post('/regenerate')
        assert ada.get('/who').json() == 'ada'
        ada.post('/logout')
        assert ada.get('/who', headers={'cookie': f'__Host-session={token}'}).json() is None


@pytest.mark.parametrize('algorithm', ALGORITHMS)
async def test_with_public_keys_alone_sessions_are_read_and_not_made(algorithm):
    store = MemoryCache()
    made = await sessions_of(algorithm, store).create(user='ada')
    reading = sessions_of(algorithm, store, jwt_public_keys=[public(KEYS[algorithm])])
    read = await reading.read(made.token)
    await read.update(noted=1)
    assert (await reading.read(made.token))['noted'] == 1
    for refused in (reading.create(user='ada'), read.regenerate(), read.sign_in('bob')):
        with pytest.raises(ConfigurationError, match='jwt_private_key'):
            await refused
    assert await reading.user_sessions('ada') == [made.id]
    await (await reading.read(made.token)).invalidate()
    assert await reading.read(made.token) is None


async def test_keys_are_rotated_also_to_another_algorithm():
    store, old, new = MemoryCache(), KEYS['RS256'], KEYS['EdDSA']
    before = sessions_of('RS256', store)
    rotated = sessions_of('EdDSA', store, jwt_private_key=private(new), jwt_public_keys=[public(old)])
    after = sessions_of('EdDSA', store)
    made = [(await it.create(user='ada')).token for it in (before, rotated)]
    assert [bool(await it.read(made[0])) for it in (before, rotated, after)] == [True, True, False]
    assert [bool(await it.read(made[1])) for it in (before, rotated, after)] == [False, True, True]


# Key confusion.


def by_hmac(claims, key, **header):
    """A token signed with HMAC, whatever the key is: PyJWT itself refuses a public key there."""
    head = [json.dumps(it).encode() for it in ({'alg': 'HS256', 'typ': 'JWT', **header}, claims)]
    said = b'.'.join(base64.urlsafe_b64encode(it).rstrip(b'=') for it in head)
    return (said + b'.' + base64.urlsafe_b64encode(hmac.digest(key, said, 'sha256')).rstrip(b'=')).decode()


@pytest.mark.parametrize('algorithm', ALGORITHMS)
async def test_a_public_key_does_not_sign_as_a_secret(algorithm):
    sessions = sessions_of(algorithm)
    claims = claims_in((await sessions.create(user='ada')).token)
    pem = public(KEYS[algorithm])
    for key in (pem.encode(), pem.strip().encode(), pem.replace('\n', '').encode(), b''):
        for alg in ('HS256', algorithm, 'none'):
            assert await sessions.read(by_hmac(claims, key, alg=alg)) is None


@pytest.mark.parametrize('algorithm', ALGORITHMS)
async def test_a_key_of_the_client_or_of_another_pair_does_not_sign(algorithm):
    sessions = sessions_of(algorithm)
    claims = claims_in((await sessions.create(user='ada')).token)
    others = {
        'RS256': rsa.generate_private_key(public_exponent=65537, key_size=2048),
        'ES256': ec.generate_private_key(ec.SECP256R1()),
        'EdDSA': ed25519.Ed25519PrivateKey.generate(),
    }
    for its, key in others.items():
        for headers in ({}, {'jwk': {'kty': 'OKP'}, 'kid': '../key'}, {'jku': 'https://evil.example/keys'}):
            assert await sessions.read(jwt.encode(claims, key, its, headers)) is None
    assert await sessions.read(jwt.encode(claims, KEYS[algorithm], algorithm, {'kid': 'any'})) is not None


async def test_a_key_is_for_its_own_algorithm_only():
    store, key = MemoryCache(), KEYS['RS256']
    sessions = sessions_of('EdDSA', store, jwt_private_key=private(KEYS['EdDSA']), jwt_public_keys=[public(key)])
    claims = claims_in((await sessions.create(user='ada')).token)
    for algorithm in ('RS384', 'RS512', 'PS256'):
        assert await sessions.read(jwt.encode(claims, key, algorithm)) is None
    assert await sessions.read(jwt.encode(claims, key, 'RS256')) is not None


async def test_a_signature_of_key_pairs_has_one_text():
    sessions = sessions_of('RS256')
    token = (await sessions.create(user='ada')).token
    last = token[-1]
    assert last in 'AQgw'
    assert await sessions.read(token) is not None
    assert await sessions.read(token[:-1] + chr(ord(last) + 1)) is None


# Misuse.


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (lambda: {'jwt_algorithm': 'ES256'}, 'needs jwt_private_key'),
        (lambda: {'jwt_algorithm': 'ES256', 'jwt_private_key': private(KEYS['EdDSA'])}, 'is a key for EdDSA'),
        (lambda: {'jwt_algorithm': 'ES256', 'jwt_private_key': public(KEYS['ES256'])}, 'jwt_private_key must be PEM'),
        (lambda: {'jwt_algorithm': 'ES256', 'jwt_public_keys': private(KEYS['ES256'])}, 'jwt_public_keys must be PEM'),
        (lambda: {'jwt_algorithm': 'ES256', 'jwt_private_key': KEYS['ES256']}, 'jwt_private_key must be PEM'),
        (lambda: {'jwt_algorithm': 'EdDSA', 'jwt_private_key': 'nonsense'}, 'jwt_private_key must be PEM'),
        (
            lambda: {
                'jwt_algorithm': 'EdDSA',
                'jwt_private_key': private(KEYS['EdDSA'], BestAvailableEncryption(b'password')),
            },
            'without a password',
        ),
        (
            lambda: {'jwt_algorithm': 'ES256', 'jwt_private_key': private(ec.generate_private_key(ec.SECP384R1()))},
            'P-256',
        ),
        (
            lambda: {
                'jwt_algorithm': 'RS256',
                'jwt_private_key': private(rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505, as it must not be
            },
            '2048 bits',
        ),
    ],
)
def test_a_wrong_key_is_refused_when_the_sessions_are_built(options, said):
    with pytest.raises(ConfigurationError, match=said):
        Sessions(store=MemoryCache(), config=SessionConfig(token='jwt', **options()))


def test_without_the_package_that_reads_keys_the_extra_is_named(monkeypatch):
    pem = private(KEYS['EdDSA'])
    monkeypatch.setitem(sys.modules, 'cryptography', None)
    with pytest.raises(ConfigurationError, match='jwt-keys'):
        sessions_of('EdDSA', jwt_private_key=pem)


def test_no_key_is_shown():
    pem = private(KEYS['EdDSA'])
    made = config('EdDSA', jwt_private_key=pem)
    sessions = Sessions(store=MemoryCache(), config=made)
    assert pem not in f'{made!r} {sessions._keeper.tokens._keys!r}'
    assert 'PRIVATE' not in repr(made)


async def test_sessions_by_secrets_and_by_key_pairs_do_not_mix():
    store = MemoryCache()
    by_secret = Sessions(store=store, config=SessionConfig(token='jwt', secrets=SECRET))
    by_key = sessions_of('EdDSA', store)
    made = [(await it.create(user='ada')).token for it in (by_secret, by_key)]
    assert [bool(await it.read(made[0])) for it in (by_secret, by_key)] == [True, False]
    assert [bool(await it.read(made[1])) for it in (by_secret, by_key)] == [False, True]
