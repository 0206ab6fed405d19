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
    ('no inputs', Ask('/plain'), 'GET:/plain:73464829bdb8470d0a0f2b512c7958b7'),
    (
        'undeclared inputs',
        Ask('/plain', 'q=a', [(b'x-plan', b'a'), (b'cookie', b'theme=dark')]),
        'GET:/plain:73464829bdb8470d0a0f2b512c7958b7',
    ),
    ('HEAD', Ask('/plain', method='HEAD'), 'GET:/plain:73464829bdb8470d0a0f2b512c7958b7'),
    ('a path parameter', Ask('/items/7'), 'GET:/items/7:f6b3ff1f0ab1b2041d11fd6421e056f3'),
    ('a path parameter in another form', Ask('/items/07'), 'GET:/items/07:666e493fa7d0106cfa8110db321ff5e0'),
    ('path and query', Ask('/items/7', 'sort=down'), 'GET:/items/7:a7799e1c9166863fb931f1c663d74939'),
    ('a path with Unicode', Ask('/names/Zoë ✓'), 'GET:/names/Zo%C3%AB%20%E2%9C%93:32df95c74e4f496649303d844595d683'),
    (
        'a path with a percent sign and a space',
        Ask('/names/a b%25'),
        'GET:/names/a%20b%2525:283065db7e476a16edb6ca1317e0d42c',
    ),
    (
        'a path with the separator of namespaces',
        Ask('/names/a::b'),
        'GET:/names/a:%3Ab:87d1201b136ad39436542ce3fc0a3840',
    ),
    (
        'a long path',
        Ask('/names/' + 'x' * 300),
        'GET:/names/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:efe7b76004e64e7d17d863b5b16afdb8',
    ),
    ('defaults omitted', Ask('/defaults'), 'GET:/defaults:15491d20a87fb78c46b38a367b9d90d3'),
    ('defaults passed', Ask('/defaults', 'q=&limit=010&price=1'), 'GET:/defaults:15491d20a87fb78c46b38a367b9d90d3'),
    ('query parameters', Ask('/defaults', 'q=a%20b&limit=5'), 'GET:/defaults:99553533bd8681bdc27220e41b1c9558'),
    (
        'query parameters in another order',
        Ask('/defaults', 'limit=5&other=1&q=a+b'),
        'GET:/defaults:99553533bd8681bdc27220e41b1c9558',
    ),
    (
        'optional parameters',
        Ask('/optional', 'q=a&numbers=1&numbers=2'),
        'GET:/optional:32916e1d8f4cabbf231313a0d124ef1f',
    ),
    (
        'an alias, and a time',
        Ask('/aliased', 'search=a&at=2026-01-01T00:00:00Z'),
        'GET:/aliased:e8a2ad40c0301988c3f42e0b566f623a',
    ),
    ('repeated parameters', Ask('/repeated', 'tag=a&tag=b'), 'GET:/repeated:662e19b954643b2c75cc0a8b70fde1f6'),
    (
        'repeated parameters in another order',
        Ask('/repeated', 'tag=b&tag=a'),
        'GET:/repeated:ccc5f269d72dd7055bb0c55954a00dfe',
    ),
    ('an enum', Ask('/sorted', 'sort=down'), 'GET:/sorted:c55ff4be6b9e162bac2bee6d2737be2a'),
    ('a parameter model', Ask('/filtered', 'color=blue'), 'GET:/filtered:7bf02bfa8f7b4286016c30b34e042608'),
    (
        'a default passed to a parameter model',
        Ask('/filtered', 'color=red'),
        'GET:/filtered:284b253e1c1426f12213906db259d91a',
    ),
    (
        'a parameter model that allows extra fields',
        Ask('/anything', 'a=1&b=2'),
        'GET:/anything:c89b6d305aa7922768f12e6545990f6d',
    ),
    (
        'headers',
        Ask('/header', headers=[(b'x-plan', b'paid'), (b'accept', b'text/html')]),
        'GET:/header:8ca39aeb7dc0d497ae356f07a5c6b7b1',
    ),
    ('headers omitted', Ask('/header'), 'GET:/header:553442d5808ee99ba1a5fab5c89e917a'),
    (
        'a cookie',
        Ask('/cookie', headers=[(b'cookie', b'theme=dark; other=1')]),
        'GET:/cookie:d6c4d7b54fb15214989987e74a1fb5af',
    ),
    ('dependencies', Ask('/nested', 'limit=5&q=b'), 'GET:/nested:cab69513bb7e535b7ffac2d5036a67f2'),
    ('callable objects and yield', Ask('/objects', 'limit=1&q=a'), 'GET:/objects:93ca0dc4628b03bb2282c6650d3e0820'),
    (
        'an uploaded file',
        Ask('/file', headers=MULTIPART, body=multipart(b'x', b'name="file"; filename="a"'), method='POST'),
        'POST:/file:58a4ce1dbaf92318ac460b111ad72495',
    ),
    (
        'JSON',
        Ask('/order', headers=JSON, body=b'{"number": 1}', method='POST'),
        'POST:/order:9521863f66c7d69131de15134a6ec309',
    ),
    (
        'JSON in another form',
        Ask('/order', headers=JSON, body=b'{"number":1}', method='POST'),
        'POST:/order:d086318e4eec2da99c5f3fbd65000af5',
    ),
    (
        'a form',
        Ask('/form', headers=URLENCODED, body=b'name=a&age=1', method='POST'),
        'POST:/form:f69bfc229c5b569bc1aab7813f88b618',
    ),
    (
        'a multipart form',
        Ask('/form', headers=MULTIPART, body=multipart(b'x'), method='POST'),
        'POST:/form:856fafefba9e8931be8ffd98b5d92286',
    ),
    (
        'a multipart form with another boundary',
        Ask('/form', headers=OTHER_MULTIPART, body=multipart(b'yy'), method='POST'),
        'POST:/form:856fafefba9e8931be8ffd98b5d92286',
    ),
    ('a bearer token', Ask('/token', headers=TOKEN), 'GET:/token:7dd6e3f14eb77646b403f0615cc181d8'),
    ('OAuth2 with scopes', Ask('/user', headers=TOKEN), 'GET:/user:0bfa57b52ef507d1452039c441f6788e'),
    (
        'an API key in a header',
        Ask('/key-in-header', headers=[(b'x-key', b'a')]),
        'GET:/key-in-header:822a0c2d0dd3b4b0668c8802496dfa1b',
    ),
    ('an API key in the query', Ask('/key-in-query', 'key=a'), 'GET:/key-in-query:97ce746c67a48b6641ddb91a9a6544d0'),
    (
        'an API key in a cookie',
        Ask('/key-in-cookie', headers=[(b'cookie', b'key=a')]),
        'GET:/key-in-cookie:267a436a8e9dbda04af8731bdc1e11dc',
    ),
    ("identity='shared'", Ask('/shared', headers=TOKEN), 'GET:/shared:fc5712ff5e0a640a5fff4cbc016879db'),
    (
        'an identity callable',
        Ask('/identity', headers=[(b'x-user', b'ann')]),
        'GET:/identity:bb32642b972e278e32874a4920430cf2',
    ),
    (
        'a raw request',
        Ask('/request', 'a=1', [(b'host', b'example.org'), (b'accept', b'*/*'), (b'user-agent', b'a')]),
        'GET:/request:9ba7daa255c045dd3e287df7ef820a67',
    ),
    ('a context', Ask('/context'), 'GET:/context:c346b6a74e798114bbde6ec8722e3e19'),
    ('a response class and a status', Ask('/text'), 'GET:/text:a560a7f1bfa938ff7ac1fafcfe38e564'),
    ('a response model', Ask('/model'), 'GET:/model:15abb4148994761621c0dd140d8301cc'),
    ('a list of models', Ask('/models'), 'GET:/models:6fb870ba8a32035ed48969fac80c6292'),
    (
        'vary_headers',
        Ask('/language', headers=[(b'accept-language', b'de, en;q=0.5')]),
        'GET:/language:a778e6df0b30790c7d9fbaa33c794d67',
    ),
    (
        'explicit dependencies',
        Ask('/guarded', headers=[(b'x-tenant', b'a')]),
        'GET:/guarded:c30b2bff1dbed08d089f32b6dcabc624',
    ),
    ('a namespace', Ask('/namespace'), 'shop:eu::GET:/namespace:0928a76bf23bc4efd57ddce1f8a0e027'),
    ('tags', Ask('/tags/7'), 'GET:/tags/7:ce286a65cb6c88748a81cdda88a91b3c'),
    ('a key builder', Ask('/built', 'as=user:7'), 'user:7'),
    ('a key builder with any text', Ask('/built', 'as=GET:a%20b::%C3%BC'), 'GET%3Aa%20b:%3A%C3%BC'),
    ('a key builder in a namespace', Ask('/built-in-namespace', 'as=user:7'), 'shop::user:7'),
    ('a decorated write', Ask('/written', method='POST'), 'POST:/written:9500887bf4b11039799007f631d0651b'),
    ('a version', Ask('/version'), 'GET:/version:0e48215578323aecba6061dd004465a3'),
    ('the prefix of an include', Ask('/v2/eu/items/7'), 'GET:/v2/eu/items/7:4316638abf80c7b5596abd6d66862b62'),
    ('a mounted app', Ask('/sub/inside'), 'GET:/sub/inside:1f5f96c3d5c26afbe46c3bbd7857247f'),
    ('a root path', Ask('/plain', scope={'root_path': '/api'}), 'GET:/plain:f4eaddd92378c2ade6936b766f0d50a5'),
]


@pytest.mark.parametrize(('ask', 'key'), [pytest.param(ask, key, id=name) for name, ask, key in KEYS])
async def test_a_key_is_the_same_as_in_earlier_releases_and_on_every_python_and_fastapi(ask, key):
    assert await key_of(ask) == key
