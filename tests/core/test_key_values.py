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
    ('no inputs', Ask('/plain'), 'GET:/plain:bcd199ffe6f27605ed42b3ecfb67626d'),
    (
        'undeclared inputs',
        Ask('/plain', 'q=a', [(b'x-plan', b'a'), (b'cookie', b'theme=dark')]),
        'GET:/plain:bcd199ffe6f27605ed42b3ecfb67626d',
    ),
    ('HEAD', Ask('/plain', method='HEAD'), 'GET:/plain:bcd199ffe6f27605ed42b3ecfb67626d'),
    ('a path parameter', Ask('/items/7'), 'GET:/items/7:bc27181c2982b696eb2222923ea7a3ed'),
    ('a path parameter in another form', Ask('/items/07'), 'GET:/items/07:bd3cdb7308c7217a1facd560c7395f0d'),
    ('path and query', Ask('/items/7', 'sort=down'), 'GET:/items/7:42f44df3db6ba82aeff2c78338f9ecaa'),
    ('a path with Unicode', Ask('/names/Zoë ✓'), 'GET:/names/Zo%C3%AB%20%E2%9C%93:177f7f2a3d8dd199993e9d95f3fee438'),
    (
        'a path with a percent sign and a space',
        Ask('/names/a b%25'),
        'GET:/names/a%20b%2525:e4cb6ff1800a039cafc5e8e446c189cb',
    ),
    (
        'a path with the separator of namespaces',
        Ask('/names/a::b'),
        'GET:/names/a:%3Ab:6a099b1df311f6209a1a51314acb2c57',
    ),
    (
        'a long path',
        Ask('/names/' + 'x' * 300),
        'GET:/names/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:956cf2297b8f3fe6eb80453d90fd73dc',
    ),
    ('defaults omitted', Ask('/defaults'), 'GET:/defaults:5539a36005eeb79260f4c04b91a167c0'),
    ('defaults passed', Ask('/defaults', 'q=&limit=010&price=1'), 'GET:/defaults:5539a36005eeb79260f4c04b91a167c0'),
    ('query parameters', Ask('/defaults', 'q=a%20b&limit=5'), 'GET:/defaults:09e42e24ea0a9204ac00d4fdb7fafe83'),
    (
        'query parameters in another order',
        Ask('/defaults', 'limit=5&other=1&q=a+b'),
        'GET:/defaults:09e42e24ea0a9204ac00d4fdb7fafe83',
    ),
    (
        'optional parameters',
        Ask('/optional', 'q=a&numbers=1&numbers=2'),
        'GET:/optional:02a8d374cf287a2efb746de1ef009cd1',
    ),
    (
        'an alias, and a time',
        Ask('/aliased', 'search=a&at=2026-01-01T00:00:00Z'),
        'GET:/aliased:b7219de62af0a7fd6e29b9529fecc02c',
    ),
    ('repeated parameters', Ask('/repeated', 'tag=a&tag=b'), 'GET:/repeated:c028df324f285dee4e0a29869eef5109'),
    (
        'repeated parameters in another order',
        Ask('/repeated', 'tag=b&tag=a'),
        'GET:/repeated:700e01c7bf41f0063fce61373298cba3',
    ),
    ('an enum', Ask('/sorted', 'sort=down'), 'GET:/sorted:f769ff9fd3e44ea58805dbe4b17a0e6a'),
    ('a parameter model', Ask('/filtered', 'color=blue'), 'GET:/filtered:98bb267b2cc449bf1c5ba1eb3221a02c'),
    (
        'a default passed to a parameter model',
        Ask('/filtered', 'color=red'),
        'GET:/filtered:04022840e1c4f00dee324a3a0db7e362',
    ),
    (
        'a parameter model that allows extra fields',
        Ask('/anything', 'a=1&b=2'),
        'GET:/anything:b58f806d6cfb5600b8911b12ae2b8994',
    ),
    (
        'headers',
        Ask('/header', headers=[(b'x-plan', b'paid'), (b'accept', b'text/html')]),
        'GET:/header:3c60d3fb8efea41f713e69829f927d2a',
    ),
    ('headers omitted', Ask('/header'), 'GET:/header:98683d8a983d280ab904317b9f7a22f3'),
    (
        'a cookie',
        Ask('/cookie', headers=[(b'cookie', b'theme=dark; other=1')]),
        'GET:/cookie:2e1c26bff39846b1864db379282b0ad6',
    ),
    ('dependencies', Ask('/nested', 'limit=5&q=b'), 'GET:/nested:3ab8e456bc18bcdd093345551d759858'),
    ('callable objects and yield', Ask('/objects', 'limit=1&q=a'), 'GET:/objects:3bf3d6d3cf9c1295959dac57139c628c'),
    (
        'an uploaded file',
        Ask('/file', headers=MULTIPART, body=multipart(b'x', b'name="file"; filename="a"'), method='POST'),
        'POST:/file:732da2af6661b38f1c9c3c9ef2c48882',
    ),
    (
        'JSON',
        Ask('/order', headers=JSON, body=b'{"number": 1}', method='POST'),
        'POST:/order:4493b230260f68fa43deecfbb1e78260',
    ),
    (
        'JSON in another form',
        Ask('/order', headers=JSON, body=b'{"number":1}', method='POST'),
        'POST:/order:2bd4f079639fbf099f14de0dcef3337f',
    ),
    (
        'a form',
        Ask('/form', headers=URLENCODED, body=b'name=a&age=1', method='POST'),
        'POST:/form:321b8d8aab533385e254f159d5ed2839',
    ),
    (
        'a multipart form',
        Ask('/form', headers=MULTIPART, body=multipart(b'x'), method='POST'),
        'POST:/form:b1c6dbf625e750b7a4e01e96e6f66927',
    ),
    (
        'a multipart form with another boundary',
        Ask('/form', headers=OTHER_MULTIPART, body=multipart(b'yy'), method='POST'),
        'POST:/form:b1c6dbf625e750b7a4e01e96e6f66927',
    ),
    ('a bearer token', Ask('/token', headers=TOKEN), 'GET:/token:70b55f9b3fb2fd259d2922b4e8b077c2'),
    ('OAuth2 with scopes', Ask('/user', headers=TOKEN), 'GET:/user:ad519390a870420a916d829b23eb8725'),
    (
        'an API key in a header',
        Ask('/key-in-header', headers=[(b'x-key', b'a')]),
        'GET:/key-in-header:c71e5533efabf45e25487f05bac94a64',
    ),
    ('an API key in the query', Ask('/key-in-query', 'key=a'), 'GET:/key-in-query:7ea6e5ac771eec9ae283c07b4cf15689'),
    (
        'an API key in a cookie',
        Ask('/key-in-cookie', headers=[(b'cookie', b'key=a')]),
        'GET:/key-in-cookie:0462760759739c9f9e2450b3f7bdaf62',
    ),
    ("identity='shared'", Ask('/shared', headers=TOKEN), 'GET:/shared:a5f4d542064208ef0f98b7e2faf3f934'),
    (
        'an identity callable',
        Ask('/identity', headers=[(b'x-user', b'ann')]),
        'GET:/identity:85330ffe4473bdebf298b2a2adff9a8a',
    ),
    (
        'a raw request',
        Ask('/request', 'a=1', [(b'host', b'example.org'), (b'accept', b'*/*'), (b'user-agent', b'a')]),
        'GET:/request:f330234806d837f2eaa3f6ea29fca354',
    ),
    ('a raw request as a whole', Ask('/whole-request', 'a=1'), 'GET:/whole-request:0b87805454f19d46737639b7182c1831'),
    ('a context', Ask('/context'), 'GET:/context:169146589cb88e039ab9e3fcd7b258a2'),
    ('a response class and a status', Ask('/text'), 'GET:/text:208c2be166b7e91fd45f8ffa537f446b'),
    ('a response model', Ask('/model'), 'GET:/model:cef42d7f973a15695dd6fb5c66e23917'),
    ('a list of models', Ask('/models'), 'GET:/models:0fa8a19328893c0baf8e542ae908e807'),
    (
        'vary_headers',
        Ask('/language', headers=[(b'accept-language', b'de, en;q=0.5')]),
        'GET:/language:0cdebf9606c56b558ba2d13777daddc5',
    ),
    (
        'explicit dependencies',
        Ask('/guarded', headers=[(b'x-tenant', b'a')]),
        'GET:/guarded:dfe6f9b73fa15681c766b3a5bc0138a3',
    ),
    ('a namespace', Ask('/namespace'), 'shop:eu::GET:/namespace:e6e980cec05dfd87e200a6f2a56b9e2c'),
    ('tags', Ask('/tags/7'), 'GET:/tags/7:40a966bdc3d54e654582bbc61923b4d4'),
    ('a key builder', Ask('/built', 'as=user:7'), 'user:7'),
    ('a key builder with any text', Ask('/built', 'as=GET:a%20b::%C3%BC'), 'GET%3Aa%20b:%3A%C3%BC'),
    ('a key builder in a namespace', Ask('/built-in-namespace', 'as=user:7'), 'shop::user:7'),
    ('a decorated write', Ask('/written', method='POST'), 'POST:/written:7ebfd232e46634d5b9af7f438343dc63'),
    ('a version', Ask('/version'), 'GET:/version:d6a20e9cdcfb861e9af0973e1fd8ae11'),
    ('the prefix of an include', Ask('/v2/eu/items/7'), 'GET:/v2/eu/items/7:7f04f8316f83f3c2267120eadc36a252'),
    ('a mounted app', Ask('/sub/inside'), 'GET:/sub/inside:0a6b2b8bf593f8be97f1364355f66749'),
    ('a root path', Ask('/plain', scope={'root_path': '/api'}), 'GET:/plain:5e1a52446de40a1ee23c6d7b9892a59a'),
]


@pytest.mark.parametrize(('ask', 'key'), [pytest.param(ask, key, id=name) for name, ask, key in KEYS])
async def test_a_key_is_the_same_as_in_earlier_releases_and_on_every_python_and_fastapi(ask, key):
    assert await key_of(ask) == key
