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
    ('no inputs', Ask('/plain'), 'GET:/plain:af82021b890079653be2eaa494a72c8c'),
    (
        'undeclared inputs',
        Ask('/plain', 'q=a', [(b'x-plan', b'a'), (b'cookie', b'theme=dark')]),
        'GET:/plain:af82021b890079653be2eaa494a72c8c',
    ),
    ('HEAD', Ask('/plain', method='HEAD'), 'GET:/plain:af82021b890079653be2eaa494a72c8c'),
    ('a path parameter', Ask('/items/7'), 'GET:/items/7:2d15ba363acbd75c8224d41f7e05ea77'),
    ('a path parameter in another form', Ask('/items/07'), 'GET:/items/07:95574fb244b89777ce77b959f9c8d246'),
    ('path and query', Ask('/items/7', 'sort=down'), 'GET:/items/7:32164f30d75703abbf654fe87a7c9822'),
    ('a path with Unicode', Ask('/names/Zoë ✓'), 'GET:/names/Zo%C3%AB%20%E2%9C%93:5036d1002b42d7d9b87584e20bb463b3'),
    (
        'a path with a percent sign and a space',
        Ask('/names/a b%25'),
        'GET:/names/a%20b%2525:4c03659f447a42af495104f801af3e27',
    ),
    (
        'a path with the separator of namespaces',
        Ask('/names/a::b'),
        'GET:/names/a:%3Ab:3aa2085871e2a0d518ac43f153fbffcf',
    ),
    (
        'a long path',
        Ask('/names/' + 'x' * 300),
        'GET:/names/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:5da1f8ead65c0765b5de9062b3cf37c6',
    ),
    ('defaults omitted', Ask('/defaults'), 'GET:/defaults:c882bb0a5bd0e3dbf249f75b15ef880d'),
    ('defaults passed', Ask('/defaults', 'q=&limit=010&price=1'), 'GET:/defaults:c882bb0a5bd0e3dbf249f75b15ef880d'),
    ('query parameters', Ask('/defaults', 'q=a%20b&limit=5'), 'GET:/defaults:084edbf7ce330463170a45108afd4fc7'),
    (
        'query parameters in another order',
        Ask('/defaults', 'limit=5&other=1&q=a+b'),
        'GET:/defaults:084edbf7ce330463170a45108afd4fc7',
    ),
    (
        'optional parameters',
        Ask('/optional', 'q=a&numbers=1&numbers=2'),
        'GET:/optional:e88a5add897a4eb66314f4c87c7b2d44',
    ),
    (
        'an alias, and a time',
        Ask('/aliased', 'search=a&at=2026-01-01T00:00:00Z'),
        'GET:/aliased:b251bf9064b474ceb39e5750b9b47f41',
    ),
    ('repeated parameters', Ask('/repeated', 'tag=a&tag=b'), 'GET:/repeated:8a85f3cde307a479f0c2584d47533dd9'),
    (
        'repeated parameters in another order',
        Ask('/repeated', 'tag=b&tag=a'),
        'GET:/repeated:d130ad29847161697da3820266257180',
    ),
    ('an enum', Ask('/sorted', 'sort=down'), 'GET:/sorted:5eef461222771c8d6a77ab0bebd0568a'),
    ('a parameter model', Ask('/filtered', 'color=blue'), 'GET:/filtered:289cfa90df2f5fa18e5edbf25c1a43d0'),
    (
        'a default passed to a parameter model',
        Ask('/filtered', 'color=red'),
        'GET:/filtered:35ccd572805a32b744b1efd208372cda',
    ),
    (
        'a parameter model that allows extra fields',
        Ask('/anything', 'a=1&b=2'),
        'GET:/anything:f6c5640b6ba11ebb56ce1b9821d64e8e',
    ),
    (
        'headers',
        Ask('/header', headers=[(b'x-plan', b'paid'), (b'accept', b'text/html')]),
        'GET:/header:4360ffdbd3b2d460c5e0f52ac148ce03',
    ),
    ('headers omitted', Ask('/header'), 'GET:/header:261483c7e6516bb86292ccf54d7b0ae2'),
    (
        'a cookie',
        Ask('/cookie', headers=[(b'cookie', b'theme=dark; other=1')]),
        'GET:/cookie:c46928d6d6d7a3b68e94abb4cd0054f0',
    ),
    ('dependencies', Ask('/nested', 'limit=5&q=b'), 'GET:/nested:e8626355105f9a929cb6b83131ff0d4e'),
    ('callable objects and yield', Ask('/objects', 'limit=1&q=a'), 'GET:/objects:a684921d30acfc08ecaeb8b70b6233c6'),
    (
        'an uploaded file',
        Ask('/file', headers=MULTIPART, body=multipart(b'x', b'name="file"; filename="a"'), method='POST'),
        'POST:/file:671f72dfdf46c13a2b7a00d9ca3fb312',
    ),
    (
        'JSON',
        Ask('/order', headers=JSON, body=b'{"number": 1}', method='POST'),
        'POST:/order:ed71908b2105cd573666a4febe742400',
    ),
    (
        'JSON in another form',
        Ask('/order', headers=JSON, body=b'{"number":1}', method='POST'),
        'POST:/order:88a6d922af8e2e272051ccb5ddc7f46c',
    ),
    (
        'a form',
        Ask('/form', headers=URLENCODED, body=b'name=a&age=1', method='POST'),
        'POST:/form:b46569eed38a0dd18932b9b3d790cbe4',
    ),
    (
        'a multipart form',
        Ask('/form', headers=MULTIPART, body=multipart(b'x'), method='POST'),
        'POST:/form:80ab736f63369a6017b40b75a86da530',
    ),
    (
        'a multipart form with another boundary',
        Ask('/form', headers=OTHER_MULTIPART, body=multipart(b'yy'), method='POST'),
        'POST:/form:80ab736f63369a6017b40b75a86da530',
    ),
    ('a bearer token', Ask('/token', headers=TOKEN), 'GET:/token:0ef1b4ef215114add3b59e739a1558c8'),
    ('OAuth2 with scopes', Ask('/user', headers=TOKEN), 'GET:/user:8df783fc461176899dff612b6e2362db'),
    (
        'an API key in a header',
        Ask('/key-in-header', headers=[(b'x-key', b'a')]),
        'GET:/key-in-header:c6a54de63f1804254cc84a6eae10b6dd',
    ),
    ('an API key in the query', Ask('/key-in-query', 'key=a'), 'GET:/key-in-query:af4ff7f6a35fd07b75106dd72903b0f4'),
    (
        'an API key in a cookie',
        Ask('/key-in-cookie', headers=[(b'cookie', b'key=a')]),
        'GET:/key-in-cookie:4ba3d270d7b28e60d50798158f1e6bab',
    ),
    ("identity='shared'", Ask('/shared', headers=TOKEN), 'GET:/shared:d720906c564968621e37e19771aa816c'),
    (
        'an identity callable',
        Ask('/identity', headers=[(b'x-user', b'ann')]),
        'GET:/identity:8087e0611cf63093aa504281b0a0cf19',
    ),
    (
        'a raw request',
        Ask('/request', 'a=1', [(b'host', b'example.org'), (b'accept', b'*/*'), (b'user-agent', b'a')]),
        'GET:/request:c89810e9b76a6cdeac039c06d543f0f4',
    ),
    ('a raw request as a whole', Ask('/whole-request', 'a=1'), 'GET:/whole-request:3e3d7a7f995f6bb0a06c83da61398b47'),
    ('a context', Ask('/context'), 'GET:/context:841b17bc9372c7eea505adcd0c2029e2'),
    ('a response class and a status', Ask('/text'), 'GET:/text:5c6ac405aa06ad3aa187d15735c29a85'),
    ('a response model', Ask('/model'), 'GET:/model:d6d8058028c451e716b5d280bdab17a4'),
    ('a list of models', Ask('/models'), 'GET:/models:6fccdfd45e0e18b7a858a644da71c3a9'),
    (
        'vary_headers',
        Ask('/language', headers=[(b'accept-language', b'de, en;q=0.5')]),
        'GET:/language:845c827b38311f364912df2e3d9e72a8',
    ),
    (
        'explicit dependencies',
        Ask('/guarded', headers=[(b'x-tenant', b'a')]),
        'GET:/guarded:eea104050d52ac3399c1e5ead1a98d2e',
    ),
    ('a namespace', Ask('/namespace'), 'shop:eu::GET:/namespace:d1325abc8c0f7fc8553f6ef25932b1b9'),
    ('tags', Ask('/tags/7'), 'GET:/tags/7:742a157e834d5d5dfdcea16fdb12f7a4'),
    ('a key builder', Ask('/built', 'as=user:7'), 'user:7'),
    ('a key builder with any text', Ask('/built', 'as=GET:a%20b::%C3%BC'), 'GET%3Aa%20b:%3A%C3%BC'),
    ('a key builder in a namespace', Ask('/built-in-namespace', 'as=user:7'), 'shop::user:7'),
    ('a decorated write', Ask('/written', method='POST'), 'POST:/written:6911e275188b9f25df33fa457d1ad0f7'),
    ('a version', Ask('/version'), 'GET:/version:d51fc2b4b2fcf98b4f05655f646b3b96'),
    ('the prefix of an include', Ask('/v2/eu/items/7'), 'GET:/v2/eu/items/7:e0e06db173c532b3adf18f6ac93e6eac'),
    ('a mounted app', Ask('/sub/inside'), 'GET:/sub/inside:6974845080587c0ecfb5c7fef757151c'),
    ('a root path', Ask('/plain', scope={'root_path': '/api'}), 'GET:/plain:27fd57b6ad71878ab143a3a6667eb77d'),
]


@pytest.mark.parametrize(('ask', 'key'), [pytest.param(ask, key, id=name) for name, ask, key in KEYS])
async def test_a_key_is_the_same_as_in_earlier_releases_and_on_every_python_and_fastapi(ask, key):
    assert await key_of(ask) == key
