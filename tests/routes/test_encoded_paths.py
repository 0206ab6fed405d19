"""Paths with a `?` or `#` of their own, which are given as `%3F` and `%23` to invalidate them."""

import pytest

from fastapi_caching_route import CacheContextDep, ConfigurationError
from fastapi_caching_route._cli.acting import _path_of
from fastapi_caching_route._core.given_paths import MAX_ENCODED
from tests.support import asgi_call, asgi_scope, caching_router, client_of, memory_cache

QUESTION, LITERAL, HASH, BOTH = '/f/a?b', '/f/a%3Fb', '/f/a#b', '/f/a?b%3Fc'
"""Decoded, as servers give them. The second one contains the text `%3F` itself."""

ALL = (QUESTION, LITERAL, HASH, BOTH, '/f/a')


async def ask(app, path, method='GET'):
    """What the cache says of a path. (The client for tests would decode it twice.)"""
    start = (await asgi_call(app, asgi_scope(method, path)))[0]
    return dict(start['headers']).get(b'x-cache')


async def shop():
    router, cache = caching_router(), memory_cache()

    @router.get('/f/{name}')
    @cache(ttl=60)
    async def read(name: str):
        return name

    @router.post('/context')
    async def by_context(path: str, context: CacheContextDep):
        context.invalidate(paths=[path])

    @router.post('/template')
    @cache.invalidates(paths=['/f/a%3Fb'])
    async def by_template():
        return None

    @router.post('/values/{name}')
    @cache.invalidates(paths=['/f/{name}'])
    async def by_value(name: str):
        return None

    client = client_of(router)
    assert await missing(client) == [*ALL]
    return client, cache


async def missing(client, paths=ALL):
    return [path for path in paths if await ask(client.app, path) == b'MISS']


@pytest.mark.parametrize(
    ('path', 'gone'),
    [
        ('/f/a%3Fb', [QUESTION, LITERAL]),
        ('/f/a%3fb', [QUESTION]),  # the text itself is another one
        ('/f/a%23b', [HASH]),
        ('/f/a%3Fb%3Fc', [BOTH]),
        ('/f/a%253Fb', []),
        ('/f/a', ['/f/a']),
        ('/f/' + '%3F' * (MAX_ENCODED + 1), [*ALL]),
    ],
)
async def test_an_encoded_question_mark_of_a_path_is_one_or_its_own_characters(path, gone):
    client, cache = await shop()
    await cache.invalidate_path(path)
    assert await missing(client) == gone
    client, cache = await shop()
    cache.invalidate_soon(paths=[path])
    assert await missing(client) == gone
    client, cache = await shop()
    client.post('/context', params={'path': path})
    assert await missing(client) == gone
    client, cache = await shop()
    found_there = {it.path async for it in cache.entries(path=path)}
    assert len(found_there) == len(gone)


async def test_a_prefix_may_have_an_encoded_question_mark():
    router, cache = caching_router(), memory_cache()

    @router.get('/f/{path:path}')
    @cache(ttl=60)
    async def read(path: str):
        return path

    client, paths = client_of(router), ['/f/a?b', '/f/a?b/c', '/f/a']
    for given, gone in (({'path': '/f/a%3Fb', 'prefix': True}, paths[:2]), ({'path': '/f/a%3Fb/*'}, paths[1:2])):
        await missing(client, paths)
        await cache.invalidate_path(**given)
        assert await missing(client, paths) == gone


async def test_the_template_of_a_path_is_encoded_and_its_values_are_not():
    client, _ = await shop()
    client.post('/template')
    assert await missing(client) == [QUESTION, LITERAL]
    for path in (QUESTION, LITERAL, HASH):
        client, _ = await shop()
        await ask(client.app, path.replace('/f/', '/values/'), 'POST')
        assert await missing(client) == [path]


@pytest.mark.parametrize('path', ['/f/a?b', '/f/a#b'])
async def test_a_question_mark_as_it_is_is_refused_with_the_remedy(path):
    _, cache = await shop()
    with pytest.raises(ConfigurationError, match=r'no query.*is written %3F or %23'):
        await cache.invalidate_path(path)
    with pytest.raises(ConfigurationError, match=r'no query.*is written %3F or %23'):
        cache.invalidates(paths=[path])


@pytest.mark.parametrize(
    ('url', 'path'), [('/f/a%3Fb?c=1#d', '/f/a%3Fb'), ('http://h/a%23b', '/a%23b'), ('/%41?b', '/A')]
)
def test_the_command_line_shows_the_path_of_a_url(url, path):
    assert _path_of(url) == path
