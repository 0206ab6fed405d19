"""The exact cache keys of many requests.

A key that changes makes every stored response under it unreachable once, and processes of both versions share nothing
during a rolling deploy. If that is intended, increase `KEY_FORMAT`, write the new keys here, and say so in the
CHANGELOG.

The keys are the same with every supported Python and FastAPI. `Optional[int]` has no row: only from Python 3.14 on, it
is the same as `int | None`.
"""

from dataclasses import dataclass, field
from urllib.parse import quote

import pytest

from tests.core.keyed_app import app, backend
from tests.support import asgi_call, asgi_scope

JSON = [(b'content-type', b'application/json')]
URLENCODED = [(b'content-type', b'application/x-www-form-urlencoded')]
MULTIPART = [(b'content-type', b'multipart/form-data; boundary=x')]
OTHER_MULTIPART = [(b'content-type', b'multipart/form-data; boundary=yy')]
TOKEN = [(b'authorization', b'Bearer a')]


@dataclass
class Ask:
    """A request."""

    path: str
    query: str = ''
    headers: list = field(default_factory=list)
    body: bytes = b''
    method: str = 'GET'
    scope: dict = field(default_factory=dict)


def multipart(boundary: bytes, of: bytes = b'name="name"') -> bytes:
    lines = (b'--' + boundary, b'Content-Disposition: form-data; ' + of, b'', b'a', b'--' + boundary + b'--', b'')
    return b'\r\n'.join(lines)


async def key_of(ask: Ask) -> str:
    """The key under which the response is stored; for a HEAD, the key of the entry that it gets."""
    backend._cache.clear()
    scope = asgi_scope(ask.method, ask.path, query=ask.query.encode(), headers=ask.headers) | ask.scope
    scope['raw_path'] = quote(ask.path).encode()
    if ask.method == 'HEAD':
        await asgi_call(app, {**scope, 'method': 'GET'}, ask.body)
    start, *_ = await asgi_call(app, scope, ask.body)
    assert start['status'] < 300
    assert dict(start['headers'])[b'x-cache'] == (b'HIT' if ask.method == 'HEAD' else b'MISS')
    [key] = backend._cache
    return key


KEYS = [
    ('no inputs', Ask('/plain'), 'GET:/plain:92da03d6b210ece040f78a3bf25a97b9'),
    (
        'undeclared inputs',
        Ask('/plain', 'q=a', [(b'x-plan', b'a'), (b'cookie', b'theme=dark')]),
        'GET:/plain:92da03d6b210ece040f78a3bf25a97b9',
    ),
    ('HEAD', Ask('/plain', method='HEAD'), 'GET:/plain:92da03d6b210ece040f78a3bf25a97b9'),
    ('a path parameter', Ask('/items/7'), 'GET:/items/7:4aa86e815059599d767721c3a7857780'),
    ('a path parameter in another form', Ask('/items/07'), 'GET:/items/07:1da3ad81f874e380efe02709315b7876'),
    ('path and query', Ask('/items/7', 'sort=down'), 'GET:/items/7:fe4b49b1ca10d4d6a677b8e41240dde9'),
    ('a path with Unicode', Ask('/names/Zoë ✓'), 'GET:/names/Zo%C3%AB%20%E2%9C%93:681ba2a98bade12e3b9db67b53431411'),
    (
        'a path with a percent sign and a space',
        Ask('/names/a b%25'),
        'GET:/names/a%20b%2525:0133a5ddf090030a40451f7457d5922d',
    ),
    (
        'a path with the separator of namespaces',
        Ask('/names/a::b'),
        'GET:/names/a:%3Ab:ccc5b6a8efc35718d6eb841a2966f11c',
    ),
    (
        'a long path',
        Ask('/names/' + 'x' * 300),
        'GET:/names/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:b063d0bba6bcf39d0c2d292f71448317',
    ),
    ('defaults omitted', Ask('/defaults'), 'GET:/defaults:9f54dc85e14028e1888643c4ce4e5fb0'),
    ('defaults passed', Ask('/defaults', 'q=&limit=010&price=1'), 'GET:/defaults:9f54dc85e14028e1888643c4ce4e5fb0'),
    ('query parameters', Ask('/defaults', 'q=a%20b&limit=5'), 'GET:/defaults:0bffca64040e61116255e4573af09a2a'),
    (
        'query parameters in another order',
        Ask('/defaults', 'limit=5&other=1&q=a+b'),
        'GET:/defaults:0bffca64040e61116255e4573af09a2a',
    ),
    (
        'optional parameters',
        Ask('/optional', 'q=a&numbers=1&numbers=2'),
        'GET:/optional:3d3d660df2606e2554b747100e32f693',
    ),
    (
        'an alias, and a time',
        Ask('/aliased', 'search=a&at=2026-01-01T00:00:00Z'),
        'GET:/aliased:1c2e991f125cf3892947369e6e30b194',
    ),
    ('repeated parameters', Ask('/repeated', 'tag=a&tag=b'), 'GET:/repeated:89fa512af86ea0084b9d8afe44d5a853'),
    (
        'repeated parameters in another order',
        Ask('/repeated', 'tag=b&tag=a'),
        'GET:/repeated:a4b915aaecb8430a03a7e8b4b4a2074b',
    ),
    ('an enum', Ask('/sorted', 'sort=down'), 'GET:/sorted:4a816a2629abbdcd2e28a7d994dfce7b'),
    ('a parameter model', Ask('/filtered', 'color=blue'), 'GET:/filtered:39ec125352906128ad08f4207f131baa'),
    (
        'a default passed to a parameter model',
        Ask('/filtered', 'color=red'),
        'GET:/filtered:57ac64102be2ecc7c99b94bae8d78943',
    ),
    (
        'a parameter model that allows extra fields',
        Ask('/anything', 'a=1&b=2'),
        'GET:/anything:be8519534bf074be173290e2ef571c72',
    ),
    (
        'headers',
        Ask('/header', headers=[(b'x-plan', b'paid'), (b'accept', b'text/html')]),
        'GET:/header:4f8a2b666c839517f07244715138cb64',
    ),
    ('headers omitted', Ask('/header'), 'GET:/header:9ea9e394a28d286463e9e0f236585e42'),
    (
        'a cookie',
        Ask('/cookie', headers=[(b'cookie', b'theme=dark; other=1')]),
        'GET:/cookie:25df5f37a416bdeccc15fd2163c5e6b7',
    ),
    ('dependencies', Ask('/nested', 'limit=5&q=b'), 'GET:/nested:8a91abb877f33fc08657d5e80d002670'),
    ('callable objects and yield', Ask('/objects', 'limit=1&q=a'), 'GET:/objects:d148886517ac0cf2a02aab870a463535'),
    (
        'an uploaded file',
        Ask('/file', headers=MULTIPART, body=multipart(b'x', b'name="file"; filename="a"'), method='POST'),
        'POST:/file:924ad00bef593b7437b5c7c58a3c7f5a',
    ),
    (
        'JSON',
        Ask('/order', headers=JSON, body=b'{"number": 1}', method='POST'),
        'POST:/order:83a3879c1218a03cdb1b00ee7a49555e',
    ),
    (
        'JSON in another form',
        Ask('/order', headers=JSON, body=b'{"number":1}', method='POST'),
        'POST:/order:5aa5dfcf688663c080ad88439fe8ed5b',
    ),
    (
        'a form',
        Ask('/form', headers=URLENCODED, body=b'name=a&age=1', method='POST'),
        'POST:/form:83ecc7faeeaba056f82742dffe2917b5',
    ),
    (
        'a multipart form',
        Ask('/form', headers=MULTIPART, body=multipart(b'x'), method='POST'),
        'POST:/form:51391c7dcab5871306b908df08dc0cbf',
    ),
    (
        'a multipart form with another boundary',
        Ask('/form', headers=OTHER_MULTIPART, body=multipart(b'yy'), method='POST'),
        'POST:/form:51391c7dcab5871306b908df08dc0cbf',
    ),
    ('a bearer token', Ask('/token', headers=TOKEN), 'GET:/token:06126333768df8b2e90ec0f0929dfee0'),
    ('OAuth2 with scopes', Ask('/user', headers=TOKEN), 'GET:/user:a11a7b494b0eec8b27bc14e40b707f64'),
    (
        'an API key in a header',
        Ask('/key-in-header', headers=[(b'x-key', b'a')]),
        'GET:/key-in-header:024f712c3b953d568559efae26513ebd',
    ),
    ('an API key in the query', Ask('/key-in-query', 'key=a'), 'GET:/key-in-query:fa1d4d78448d85f504f983de068e5da1'),
    (
        'an API key in a cookie',
        Ask('/key-in-cookie', headers=[(b'cookie', b'key=a')]),
        'GET:/key-in-cookie:5bc370ea9d447711e5e5ecd7a6c902c4',
    ),
    ("identity='shared'", Ask('/shared', headers=TOKEN), 'GET:/shared:0dec5b3bd35633f17d603e62564340b2'),
    (
        'an identity callable',
        Ask('/identity', headers=[(b'x-user', b'ann')]),
        'GET:/identity:7d70699f2d361ab1d920a745093a4be9',
    ),
    (
        'a raw request',
        Ask('/request', 'a=1', [(b'host', b'example.org'), (b'accept', b'*/*'), (b'user-agent', b'a')]),
        'GET:/request:7d200e119af2e055a74c3e24d00f79ad',
    ),
    ('a context', Ask('/context'), 'GET:/context:0d0f4b7f32cefc4039e3810aae4c67e2'),
    ('a response class and a status', Ask('/text'), 'GET:/text:720113056ecd58c5046d86e3ffdaf80f'),
    ('a response model', Ask('/model'), 'GET:/model:49565324cdb37bcef0b47008a0adab90'),
    ('a list of models', Ask('/models'), 'GET:/models:2f1100418fe8d86d5f98ed6e6abaccb7'),
    (
        'vary_headers',
        Ask('/language', headers=[(b'accept-language', b'de, en;q=0.5')]),
        'GET:/language:e1af53c605569cc1f0a52d3f915ac08b',
    ),
    (
        'explicit dependencies',
        Ask('/guarded', headers=[(b'x-tenant', b'a')]),
        'GET:/guarded:9edf0c6c0f99e0a12b9a1e511d2fe2c3',
    ),
    ('a namespace', Ask('/namespace'), 'shop:eu::GET:/namespace:765a78f16bb645292599ef04790abef3'),
    ('tags', Ask('/tags/7'), 'GET:/tags/7:46584e62aaeff02ec71da2b95b9a3d7c'),
    ('a key builder', Ask('/built', 'as=user:7'), 'user:7'),
    ('a key builder with any text', Ask('/built', 'as=GET:a%20b::%C3%BC'), 'GET%3Aa%20b:%3A%C3%BC'),
    ('a key builder in a namespace', Ask('/built-in-namespace', 'as=user:7'), 'shop::user:7'),
    ('a decorated write', Ask('/written', method='POST'), 'POST:/written:6f60b881e7fd3258676a856b982942a5'),
    ('a version', Ask('/version'), 'GET:/version:dad6e9e021f273a77e8be40cdc97dc18'),
    ('the prefix of an include', Ask('/v2/eu/items/7'), 'GET:/v2/eu/items/7:19bc6743e1ba932064486a2a0ce3068d'),
    ('a mounted app', Ask('/sub/inside'), 'GET:/sub/inside:2eb66b2e833dd0abebb57e1b42c95222'),
    ('a root path', Ask('/plain', scope={'root_path': '/api'}), 'GET:/plain:06560d9ede0a32263423869aaa410cae'),
]


@pytest.mark.parametrize(('ask', 'key'), [pytest.param(ask, key, id=name) for name, ask, key in KEYS])
async def test_a_key_is_the_same_as_in_earlier_releases_and_on_every_python_and_fastapi(ask, key):
    assert await key_of(ask) == key
