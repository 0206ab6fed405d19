"""Options that are refused, and options that are warned of."""

import pytest

from fastapi_caching_route import CachePolicy, ConfigurationError, FastAPICache
from tests.exchange.answering import async_skip
from tests.support import memory_cache


@pytest.mark.parametrize(
    'options',
    [
        {'collapse': 1},
        {'lock': 'yes'},
        {'collapse_timeout': -1},
        {'endpoint_timeout': 'x'},
        {'eager_refresh': 1},
        {'eager_refresh': 0},
        {'ttl_jitter': 1},
        {'ttl_jitter': -0.1},
        {'ttl_jitter': True},
    ],
)
def test_an_option_out_of_its_range_is_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        FastAPICache()(**options)(lambda: None)


@pytest.mark.parametrize('mode', ['policies', 7])
def test_another_mode_is_a_mistake(mode):
    with pytest.raises(ValueError, match="mode must be 'policy' or 'rfc9111'"):
        memory_cache(mode=mode)


@pytest.mark.parametrize('option', ['revalidate', 'client_cache_control'])
def test_a_switch_is_on_or_off(option):
    with pytest.raises(ValueError, match=f'{option} must be True or False'):
        CachePolicy(**{option: 'yes'})


def test_a_policy_keeps_what_it_was_given_and_can_be_hashed():
    given = {404: 5}
    policy = CachePolicy(status_ttl=given)
    given[206] = 5
    assert policy.status_ttl == {404: 5}
    assert hash(policy) == hash(CachePolicy(status_ttl={404: 5}))


def test_by_the_book_it_is_told_that_lifetimes_count_for_nothing(caplog):
    def endpoint():
        return None

    memory_cache(mode='rfc9111')(status_ttl={404: 5})(endpoint)
    assert ['have no effect' in it.getMessage() for it in caplog.records] == [True]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        *(({'status_ttl': {it: 5}}, 'status_ttl must map final statuses') for it in (206, 304, 412, 416, 100, 600)),
        ({'status_ttl': {'404': 5}}, 'status_ttl must map final statuses'),
        ({'status_ttl': [404]}, 'status_ttl must map final statuses'),
        ({'status_ttl': {404: -1}}, 'status_ttl must be a number of seconds'),
        ({'status_ttl': {404: None}}, 'status_ttl must be a number of seconds'),
        ({'skip': True}, 'skip must be a callable of the request'),
        ({'skip': lambda: True}, 'skip is called with the request alone'),
        ({'store_if': async_skip}, 'store_if must be a plain function of the response'),
        ({'store_if': lambda one, two: True}, 'store_if is called with the response alone'),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        memory_cache()(**options)(lambda: None)


@pytest.mark.parametrize(
    ('options', 'warning'),
    [
        ({'vary_headers': ['Cookie']}, 'vary_headers contains Cookie'),
        ({'ttl': 0, 'stale_while_revalidate': 5}, 'with a ttl of 0 nothing is stored'),
        ({'ttl': 0, 'revalidate': True}, 'with a ttl of 0 nothing is stored'),
        ({'endpoint_timeout': 1}, 'no effect without stale_if_error'),
        (
            {'stale_if_error': 9, 'cache_control': 'max-age=5, proxy-revalidate'},
            'forbids other caches to serve stale responses',
        ),
        (
            {'stale_if_error': 9, 'cache_control': 'max-age=5, must-revalidate'},
            'forbids other caches to serve stale responses',
        ),
    ],
)
def test_what_is_hardly_meant_is_told(options, warning, caplog):
    def endpoint():
        return None

    memory_cache()(**options)(endpoint)
    assert [warning in it.getMessage() for it in caplog.records] == [True]


@pytest.mark.parametrize(
    'options',
    [
        {'ttl': 0},
        {'ttl': 0, 'status_ttl': {404: 5}, 'stale_if_error': 5},
        {'endpoint_timeout': 1, 'stale_if_error': 5},
        {'ttl': 5, 'stale_if_error': 5, 'cache_control': 'max-age=5'},
    ],
)
def test_what_may_well_be_meant_is_not_told(options, caplog):
    def endpoint():
        return None

    memory_cache()(**options)(endpoint)
    assert not caplog.records
