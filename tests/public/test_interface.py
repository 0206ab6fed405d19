"""What users see of `FastAPICache`."""

import re
from dataclasses import fields
from typing import get_args

import aiomcache
import pytest
from redis.asyncio import Redis
from typing_extensions import get_type_hints

from fastapi_caching_route import CacheOptions, CachePolicy, ConfigurationError, FastAPICache, RouteOptions
from fastapi_caching_route.options import DEFAULTS
from fastapi_caching_route.redis import RedisClientCache
from tests.servers import ROOT


def public(names):
    return {it for it in names if not it.startswith('_')}


def test_a_cache_shows_only_what_the_reference_names():
    reference = (ROOT / 'docs' / 'reference.md').read_text()
    section = reference.partition('::: fastapi_caching_route.FastAPICache\n')[2].partition(':::')[0]
    assert public(dir(FastAPICache())) == public(re.findall(r'- (\w+)', section))


def test_a_cache_keeps_what_it_needs_in_one_private_attribute():
    assert list(vars(FastAPICache())) == ['_settings']


def test_every_option_of_a_cache_has_a_default_and_says_what_it_means():
    assert list(DEFAULTS) == list(CacheOptions.__annotations__)
    hints = get_type_hints(CacheOptions, include_extras=True)
    assert all(it.documentation for hint in hints.values() for it in hint.__metadata__)
    assert CacheOptions.__required_keys__ == frozenset()


def test_the_decorator_has_exactly_the_options_of_a_policy():
    assert list(RouteOptions.__annotations__) == ['policy', *(it.name for it in fields(CachePolicy))]
    assert RouteOptions.__required_keys__ == frozenset()


def test_editors_find_the_options_in_the_signatures():
    hints = [get_type_hints(it)['options'] for it in (FastAPICache.__init__, FastAPICache.__call__)]
    assert [get_args(it)[0] for it in hints] == [CacheOptions, RouteOptions]


@pytest.mark.parametrize(('build', 'meant'), [(FastAPICache, 'strict'), (FastAPICache(), 'ttl')])
def test_a_misspelled_option_is_told_with_the_one_that_may_be_meant(build, meant):
    with pytest.raises(TypeError, match=f'got an unexpected keyword argument .*; did you mean {meant!r}?'):
        build(**{f'{meant}s': 1})
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzzzzzz'$"):
        build(zzzzzzz=1)


@pytest.mark.parametrize('name', ['expire', 'expires', 'timeout', 'max_age'])
def test_the_name_of_an_option_in_other_caches_is_told_with_ours(name):
    with pytest.raises(TypeError, match="did you mean 'ttl'"):
        FastAPICache()(**{name: 60})


@pytest.mark.parametrize(
    ('build', 'name', 'where'),
    [
        (FastAPICache, 'ttl', r'ttl is an option of routes: @cache\(ttl=...\), or policy=CachePolicy\(ttl=...\)$'),
        (FastAPICache, 'expire', 'ttl is an option of routes'),
        (FastAPICache(), 'store_timeout', r'store_timeout is an option of caches: FastAPICache\(...\)$'),
    ],
)
def test_an_option_at_the_wrong_place_is_told_with_the_right_one(build, name, where):
    with pytest.raises(TypeError, match=where):
        build(**{name: 60})


def test_a_url_in_place_of_a_backend_is_that_backend():
    assert isinstance(FastAPICache('redis://localhost:1/0?namespace=shop').backend, RedisClientCache)
    with pytest.raises(ConfigurationError, match='must be like redis://'):
        FastAPICache('localhost')


@pytest.mark.parametrize(
    ('client', 'backend'), [(Redis(), 'RedisClientCache'), (aiomcache.Client('localhost'), 'MemcachedCache')]
)
def test_a_client_in_place_of_a_backend_is_told_with_the_backend_that_uses_it(client, backend):
    with pytest.raises(ConfigurationError, match=rf'for a client, use .*{backend}\('):
        FastAPICache(client)
