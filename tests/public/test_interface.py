"""What users see of `FastAPICache`."""

import re
from dataclasses import fields
from inspect import Parameter, signature
from typing import get_args

from typing_extensions import get_type_hints

from fastapi_caching_route import CacheOptions, CachePolicy, FastAPICache
from tests.servers import ROOT


def public(names):
    return {it for it in names if not it.startswith('_')}


def test_a_cache_shows_only_what_the_reference_names():
    reference = (ROOT / 'docs' / 'reference.md').read_text()
    section = reference.partition('::: fastapi_caching_route.FastAPICache\n')[2].partition(':::')[0]
    assert public(dir(FastAPICache())) == public(re.findall(r'- (\w+)', section))


def test_a_cache_keeps_what_it_needs_in_one_private_attribute():
    assert list(vars(FastAPICache())) == ['_settings']


def test_the_other_ways_to_build_a_cache_have_exactly_its_options():
    parameters = signature(FastAPICache.__init__).parameters.values()
    options = {it.name: it.annotation for it in parameters if it.kind is Parameter.KEYWORD_ONLY}
    types = {name: get_args(it)[0] for name, it in options.items()}
    assert get_type_hints(CacheOptions) == types
    assert CacheOptions.__required_keys__ == frozenset()


def test_the_decorator_has_exactly_the_options_of_a_policy():
    parameters = signature(FastAPICache.__call__).parameters.values()
    options = [it.name for it in parameters if it.kind is Parameter.KEYWORD_ONLY]
    assert options == [it.name for it in fields(CachePolicy)]
