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
    return min(backend._cache, key=len)  # of a raw request that was read, there are variants, too


KEYS = [
    ('no inputs', Ask('/plain'), 'GET:/plain:328fd692c154e6c13b1083919af0a10c'),
    (
        'undeclared inputs',
        Ask('/plain', 'q=a', [(b'x-plan', b'a'), (b'cookie', b'theme=dark')]),
        'GET:/plain:328fd692c154e6c13b1083919af0a10c',
    ),
    ('HEAD', Ask('/plain', method='HEAD'), 'GET:/plain:328fd692c154e6c13b1083919af0a10c'),
    ('a path parameter', Ask('/items/7'), 'GET:/items/7:12a3d4808226c1f4905339f74354efe1'),
    ('a path parameter in another form', Ask('/items/07'), 'GET:/items/07:0f504b462a920c80fd5441e8767d4aeb'),
    ('path and query', Ask('/items/7', 'sort=down'), 'GET:/items/7:c324e5390a7441adfa56e095a5e551bf'),
    ('a path with Unicode', Ask('/names/Zoë ✓'), 'GET:/names/Zo%C3%AB%20%E2%9C%93:4713c29acb2e9721a972bd9a82d692d3'),
    (
        'a path with a percent sign and a space',
        Ask('/names/a b%25'),
        'GET:/names/a%20b%2525:4ae32ffabd8f24302629c091b1b06ab5',
    ),
    (
        'a path with the separator of namespaces',
        Ask('/names/a::b'),
        'GET:/names/a:%3Ab:6700362b350f5cce3b0ad3c710129984',
    ),
    (
        'a long path',
        Ask('/names/' + 'x' * 300),
        'GET:/names/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:a87f81d8ec0d88e990632ef44e96006c',
    ),
    ('defaults omitted', Ask('/defaults'), 'GET:/defaults:72678c30c85ea05ff585f3a4852ae569'),
    ('defaults passed', Ask('/defaults', 'q=&limit=010&price=1'), 'GET:/defaults:72678c30c85ea05ff585f3a4852ae569'),
    ('query parameters', Ask('/defaults', 'q=a%20b&limit=5'), 'GET:/defaults:73eb8fd094fed697e899cb26460f80f7'),
    (
        'query parameters in another order',
        Ask('/defaults', 'limit=5&other=1&q=a+b'),
        'GET:/defaults:73eb8fd094fed697e899cb26460f80f7',
    ),
    (
        'optional parameters',
        Ask('/optional', 'q=a&numbers=1&numbers=2'),
        'GET:/optional:c710e279a98e68a6979d95dcba35fbba',
    ),
    (
        'an alias, and a time',
        Ask('/aliased', 'search=a&at=2026-01-01T00:00:00Z'),
        'GET:/aliased:e9d8256d8d7e2f4deb12c9fcd5ca16b9',
    ),
    ('repeated parameters', Ask('/repeated', 'tag=a&tag=b'), 'GET:/repeated:5a4f2ff840dc74182cb3649455ab9e66'),
    (
        'repeated parameters in another order',
        Ask('/repeated', 'tag=b&tag=a'),
        'GET:/repeated:074e31b7d56d3d427509c9d765ca3a72',
    ),
    ('an enum', Ask('/sorted', 'sort=down'), 'GET:/sorted:048c5d0d92c26bdcc8fad0480b3f2efe'),
    ('a parameter model', Ask('/filtered', 'color=blue'), 'GET:/filtered:cb78edb51ec7788f941de719e9a986d7'),
    (
        'a default passed to a parameter model',
        Ask('/filtered', 'color=red'),
        'GET:/filtered:808e4d3c1f4dd307a8f8d2d7267bd7a3',
    ),
    (
        'a parameter model that allows extra fields',
        Ask('/anything', 'a=1&b=2'),
        'GET:/anything:bd741702bf5e53a2f6b6f9deb74f43be',
    ),
    (
        'headers',
        Ask('/header', headers=[(b'x-plan', b'paid'), (b'accept', b'text/html')]),
        'GET:/header:8b39f5e3c9922c594a3203ece4059587',
    ),
    ('headers omitted', Ask('/header'), 'GET:/header:3b0cd6fe47f3c29252adbce68786d211'),
    (
        'a cookie',
        Ask('/cookie', headers=[(b'cookie', b'theme=dark; other=1')]),
        'GET:/cookie:82d00f7c2e4a8b477dddd94f28f0ec35',
    ),
    ('dependencies', Ask('/nested', 'limit=5&q=b'), 'GET:/nested:a933201a0bca3dfd4c568f42df69338a'),
    ('callable objects and yield', Ask('/objects', 'limit=1&q=a'), 'GET:/objects:271d4926337fff18a775d69eaae48b19'),
    (
        'an uploaded file',
        Ask('/file', headers=MULTIPART, body=multipart(b'x', b'name="file"; filename="a"'), method='POST'),
        'POST:/file:1cd62ed9a7ccac3ebc5dd31b57b4e6e1',
    ),
    (
        'JSON',
        Ask('/order', headers=JSON, body=b'{"number": 1}', method='POST'),
        'POST:/order:4e251143b63e0b0f073f1bb804841eff',
    ),
    (
        'JSON in another form',
        Ask('/order', headers=JSON, body=b'{"number":1}', method='POST'),
        'POST:/order:18eed5a91c99a3ac3c57e77b72e87d2c',
    ),
    (
        'a form',
        Ask('/form', headers=URLENCODED, body=b'name=a&age=1', method='POST'),
        'POST:/form:cec29c3350cb8e23824e4ca18e2be0a7',
    ),
    (
        'a multipart form',
        Ask('/form', headers=MULTIPART, body=multipart(b'x'), method='POST'),
        'POST:/form:6f42b57b87b18af457826ad4eb58321f',
    ),
    (
        'a multipart form with another boundary',
        Ask('/form', headers=OTHER_MULTIPART, body=multipart(b'yy'), method='POST'),
        'POST:/form:6f42b57b87b18af457826ad4eb58321f',
    ),
    ('a bearer token', Ask('/token', headers=TOKEN), 'GET:/token:89cfc405fadef50bf030089e245a190b'),
    ('OAuth2 with scopes', Ask('/user', headers=TOKEN), 'GET:/user:a7d713d4090ccb5bb4d703db2de4e633'),
    (
        'an API key in a header',
        Ask('/key-in-header', headers=[(b'x-key', b'a')]),
        'GET:/key-in-header:b83c9844c13f8109a788f6fa101e4bb6',
    ),
    ('an API key in the query', Ask('/key-in-query', 'key=a'), 'GET:/key-in-query:22d25469a060f9f66efdc1ddb47dcf85'),
    (
        'an API key in a cookie',
        Ask('/key-in-cookie', headers=[(b'cookie', b'key=a')]),
        'GET:/key-in-cookie:45f7fc93c066dd63a8093ff74dcfa3e5',
    ),
    ("identity='shared'", Ask('/shared', headers=TOKEN), 'GET:/shared:a5602d7d7f703588461695ac9f7a4e3c'),
    (
        'an identity callable',
        Ask('/identity', headers=[(b'x-user', b'ann')]),
        'GET:/identity:93c23eb6a7386973ef30c14ed4e4e8ea',
    ),
    (
        'a raw request',
        Ask('/request', 'a=1', [(b'host', b'example.org'), (b'accept', b'*/*'), (b'user-agent', b'a')]),
        'GET:/request:74d6d6aee1f3e2ee33fca6397dec7dbb',
    ),
    ('a raw request as a whole', Ask('/whole-request', 'a=1'), 'GET:/whole-request:b4ebc27d68f9c7358bd4fe08e936b3f4'),
    ('a context', Ask('/context'), 'GET:/context:8a4ecb6747f8a197c2796e45f56cd9a2'),
    ('a response class and a status', Ask('/text'), 'GET:/text:36f57d3ec8261da57924bd2468638e52'),
    ('a response model', Ask('/model'), 'GET:/model:9e8cf4f5bbbbfe36bcdbc93df321af71'),
    ('a list of models', Ask('/models'), 'GET:/models:da924be61b1f60bc2b1208a6bf7180b9'),
    (
        'vary_headers',
        Ask('/language', headers=[(b'accept-language', b'de, en;q=0.5')]),
        'GET:/language:4da3001017c324ef61354d8a6beafbf0',
    ),
    (
        'explicit dependencies',
        Ask('/guarded', headers=[(b'x-tenant', b'a')]),
        'GET:/guarded:a3e0f9149e683ebf00a3c34e42f6957b',
    ),
    ('a namespace', Ask('/namespace'), 'shop:eu::GET:/namespace:8889ad2ced63195a44b4b047a391afa0'),
    ('tags', Ask('/tags/7'), 'GET:/tags/7:3ee4a39259c8304ff110432509d3a835'),
    ('a key builder', Ask('/built', 'as=user:7'), 'user:7'),
    ('a key builder with any text', Ask('/built', 'as=GET:a%20b::%C3%BC'), 'GET%3Aa%20b:%3A%C3%BC'),
    ('a key builder in a namespace', Ask('/built-in-namespace', 'as=user:7'), 'shop::user:7'),
    ('a decorated write', Ask('/written', method='POST'), 'POST:/written:65ad4e61b1b61a4c3405922eee9000bf'),
    ('a version', Ask('/version'), 'GET:/version:a26615962706122e28b3fe60331b4751'),
    ('the prefix of an include', Ask('/v2/eu/items/7'), 'GET:/v2/eu/items/7:bc10171eb2d65713857ee4824b4e4272'),
    ('a mounted app', Ask('/sub/inside'), 'GET:/sub/inside:5aece6d45aa2a400ff8b9f729ce2ffca'),
    ('a root path', Ask('/plain', scope={'root_path': '/api'}), 'GET:/plain:24a773bb2fc404f46150d1dc98191379'),
]


@pytest.mark.parametrize(('ask', 'key'), [pytest.param(ask, key, id=name) for name, ask, key in KEYS])
async def test_a_key_is_the_same_as_in_earlier_releases_and_on_every_python_and_fastapi(ask, key):
    assert await key_of(ask) == key
