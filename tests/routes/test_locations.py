"""What a write names in `Location` and `Content-Location`, relative to its own URL (RFC 3986 §5)."""

import pytest
from fastapi import Response

from fastapi_caching_route._routes.writes import targets_of_a_write
from tests.support import caching_router, client_of, marks, memory_cache


def paths_named(reference, path='/b/c/d;p'):
    scope = {'path': path, 'scheme': 'http', 'headers': [(b'host', b'a')]}
    found = [
        [it['path'] for it in targets_of_a_write(scope, [(name, reference)])]
        for name in (b'location', b'content-location')
    ]
    assert found[0] == found[1]
    assert found[0][0] == path
    return found[0][1:]


@pytest.mark.parametrize(
    ('reference', 'path'),
    [
        *[('g:h', None), ('g', '/b/c/g'), ('./g', '/b/c/g'), ('g/', '/b/c/g/'), ('/g', '/g'), ('//g', None)],
        *[('?y', '/b/c/d;p'), ('g?y', '/b/c/g'), ('#s', '/b/c/d;p'), ('g#s', '/b/c/g'), (';x', '/b/c/;x')],
        *[('', '/b/c/d;p'), ('.', '/b/c/'), ('./', '/b/c/'), ('..', '/b/'), ('../', '/b/'), ('../g', '/b/g')],
        *[('../..', '/'), ('../../', '/'), ('../../g', '/g'), ('../../../g', '/g'), ('../../../../g', '/g')],
        *[('g.', '/b/c/g.'), ('.g', '/b/c/.g'), ('g..', '/b/c/g..'), ('..g', '/b/c/..g'), ('./../g', '/b/g')],
        *[('./g/.', '/b/c/g/'), ('g/./h', '/b/c/g/h'), ('g/../h', '/b/c/h'), ('g;x=1/../y', '/b/c/y')],
        *[('g?y/./x', '/b/c/g'), ('g#s/../x', '/b/c/g'), ('http:g', '/b/c/g')],
        *[('f/a//b', '/b/c/f/a//b'), ('f//', '/b/c/f//'), ('g//../h', '/b/c/g/h'), ('/f/a//b', '/f/a//b')],
        *[('http://a/f//b', '/f//b'), ('//a:80/f//b', '/f//b'), ('http://a', '/'), ('g%3Fy', '/b/c/g?y')],
    ],
)  # fmt: skip
def test_a_reference_is_resolved_as_clients_do_it(reference, path):
    assert paths_named(reference.encode()) == ([] if path is None else [path])


@pytest.mark.parametrize('reference', ['/f/../g', 'http://a/f/../g', '//a/f/../g'])
def test_the_dots_of_an_absolute_path_count_resolved_and_as_they_are(reference):
    assert paths_named(reference.encode()) == ['/g', '/f/../g']


@pytest.mark.parametrize('header', ['location', 'content-location'])
@pytest.mark.parametrize('named', ['f/a//b', './f/a//b', 'f/x/../a//b', '/f/a//b'])
def test_a_write_invalidates_a_path_with_an_empty_segment(named, header):
    router, cache = caching_router(), memory_cache()

    @router.get('/f/{path:path}')
    @cache(ttl=60)
    async def read(path: str):
        return path

    @router.post('/elsewhere')
    async def write():
        return Response(status_code=201, headers={header: named})

    client = client_of(router)
    client.get('/f/a//b')
    client.post('/elsewhere')
    assert marks(client.get('/f/a//b')) == ['MISS']
