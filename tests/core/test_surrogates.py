"""Tables for `surrogates.py`: what stands in the header, in which order, and what is cut."""

import pytest

from fastapi_caching_route import ConfigurationError, SurrogateKeys
from fastapi_caching_route.surrogates import KNOWN, checked_surrogates

NAMES = (
    'all',
    'endpoint:shop.get@/u/{id}',
    'namespace:shop',
    'path:/u/7',
    'below:/u',
    'tag:user:7',
    'tag:a,b',
    'tags:9',
    "endpoint:shop.get@/u/{id}%3F[('id',%20'7')]",
)


@pytest.mark.parametrize(
    ('header', 'expected'),
    [
        pytest.param(
            'Surrogate-Key',
            "endpoint:shop.get@/u/{id} all user:7 a%2Cb path:/u/7 endpoint:shop.get@/u/{id}%3F[('id'%2C%20'7')] "
            'namespace:shop below:/u',
            id='Fastly',
        ),
        pytest.param(
            'Cache-Tag',
            "endpoint:shop.get@/u/{id},all,user:7,a%2Cb,path:/u/7,endpoint:shop.get@/u/{id}%3F[('id'%2C%20'7')],"
            'namespace:shop,below:/u',
            id='Cloudflare',
        ),
        pytest.param(
            'Edge-Cache-Tag',
            'endpoint%3Ashop.get%40%2Fu%2F%7Bid%7D,all,user%3A7,a%2Cb,path%3A%2Fu%2F7,'
            "endpoint%3Ashop.get%40%2Fu%2F%7Bid%7D%3F%5B%28'id'%2C%20'7'%29%5D,namespace%3Ashop,below%3A%2Fu",
            id='Akamai',
        ),
    ],
)
def test_each_header_has_its_own_form(header, expected):
    value, is_cut = KNOWN[header.lower()].written(KNOWN[header.lower()].tags(NAMES))
    assert (value.decode(), is_cut) == (expected, False)


def test_groups_are_short_strings():
    value, _ = KNOWN['cache-groups'].written(KNOWN['cache-groups'].tags(NAMES))
    members = value.decode().split(', ')
    assert all(it[0] == it[-1] == '"' and len(it) <= 34 for it in members)
    assert members[2:4] == ['"user:7"', '"a%2Cb"']
    assert len(set(members)) == len(members) == 8  # long ones that begin alike stay different


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        pytest.param({'max_tags': 2}, b'endpoint:e all', id='too many'),
        pytest.param({'max_bytes': 32}, b'endpoint:e all 0aaaaaaaaa', id='too long'),
        pytest.param({'max_bytes': 36}, b'endpoint:e all 0aaaaaaaaa 1aaaaaaaaa', id='as long as may be'),
    ],
)
def test_the_endpoint_stays_where_tags_are_cut(options, expected):
    names = ('all', *(f'tag:{it}aaaaaaaaa' for it in range(5)), 'endpoint:e')
    keys = SurrogateKeys(header='X-Tags', **options)
    assert keys.written(keys.tags(names)) == (expected, True)


def test_tags_of_the_endpoint_stay_and_are_added_once():
    keys = KNOWN['surrogate-key']
    headers, is_cut = keys.added([(b'surrogate-key', b'mine all'), (b'x-a', b'1')], ('all', 'tag:t'))
    assert (headers, is_cut) == ([(b'x-a', b'1'), (b'surrogate-key', b'all t mine')], False)
    assert keys.added(headers, ('all', 'tag:t'))[0] == headers
    groups = KNOWN['cache-groups']
    headers, _ = groups.added([(b'cache-groups', b'"mine", "all"')], ('all', 'tag:t'))
    assert headers == [(b'cache-groups', b'"all", "t", "mine"')]


def test_a_prefix_tells_apps_apart():
    assert SurrogateKeys(header='Cache-Tag', prefix='shop:').tags(('all', 'tag:a')) == ['shop:all', 'shop:a']


@pytest.mark.parametrize('header', KNOWN)
def test_an_empty_tag_is_sent_as_one_that_a_cache_in_front_takes(header):
    assert KNOWN[header].tags(['tag:', 'tag:%25']) == ['%', KNOWN[header].tags(['tag:%25'])[0]]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'header': 'a b'}, 'header must be a header name'),
        ({'header': 'x', 'separator': ';'}, 'separator must be'),
        ({'header': 'x', 'max_tags': 0}, 'max_tags must be 1 or more'),
        ({'header': 'x', 'max_tag_bytes': 8}, 'max_tag_bytes must be 32 or more'),
        ({'header': 'x', 'max_bytes': -1}, 'max_bytes is in whole bytes'),
        ({'header': 'x', 'prefix': 'a b'}, 'prefix must be a str of printable ASCII'),
        ({'header': 'x', 'quoted': 1}, 'quoted must be True or False'),
    ],
)
def test_what_cannot_be_a_header_of_tags_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        SurrogateKeys(**options)


@pytest.mark.parametrize('given', ['X-Unknown', 7, ['Cache-Tag']])
def test_an_unknown_header_is_refused(given):
    with pytest.raises(ConfigurationError, match='surrogate_keys must be one of'):
        checked_surrogates(given)
