"""Tables for `_core/labels.py`: outcomes as headers."""

import dataclasses

import pytest

from fastapi_caching_route._core.labels import Labels, Outcome, age_unless_ours
from tests.exchange.values import plan_of
from tests.support import caching_router, client_of, memory_cache

HIT, MISS = (b'x-cache', b'HIT'), (b'x-cache', b'MISS')
PUBLIC, PRIVATE = (b'cache-control', b'max-age=9'), (b'cache-control', b'private, max-age=9')
FOR_CDNS = (b'cdn-cache-control', b'max-age=99')

SILENT = Labels(
    name=b'Ours',
    cache_header=b'x-cache',
    hit=HIT,
    miss=MISS,
    cache_control=(),
    cache_control_for_one=(),
    cache_control_to_validate=(),
)
"""Says nothing to other caches."""
UNNAMED = dataclasses.replace(SILENT, name=None)
"""Sends no Cache-Status."""
TELLING = dataclasses.replace(SILENT, cache_control=(PUBLIC, FOR_CDNS), cache_control_for_one=(PRIVATE, FOR_CDNS))
FOR_CDNS_ONLY = dataclasses.replace(SILENT, cache_control=(FOR_CDNS,), cache_control_for_one=(FOR_CDNS,))


def status(text):
    """The Cache-Status of this cache."""
    return (b'cache-status', b'Ours; ' + text)


def inputs(*, for_all=True):
    return dataclasses.replace(plan_of().declared().inputs, unsaid=() if for_all else ('a cookie',))


# To other caches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('labels', 'headers', 'for_all', 'read', 'expected'),
    [
        pytest.param(SILENT, [], True, (), [], id='the route says nothing'),
        pytest.param(TELLING, [], True, (), [PUBLIC, FOR_CDNS], id='it is for all'),
        pytest.param(TELLING, [], False, (), [PRIVATE, FOR_CDNS], id='it is for some that caches cannot tell apart'),
        pytest.param(
            TELLING, [], True, ('header:accept', 'query:page', 'host'), [PUBLIC, FOR_CDNS], id='Vary tells it apart'
        ),
        pytest.param(TELLING, [], True, ('everything',), [PRIVATE, FOR_CDNS], id='it varies with the whole request'),
        pytest.param(TELLING, [(b'cache-control', b'no-cache')], True, (), [FOR_CDNS], id='the response says itself'),
        pytest.param(TELLING, [(b'cdn-cache-control', b'')], True, (), [PUBLIC], id='it says itself for CDNs'),
        pytest.param(TELLING, [PRIVATE, FOR_CDNS], True, (), [], id='it says all itself'),
    ],
)
def test_what_the_route_tells_other_caches(labels, headers, for_all, read, expected):
    assert list(labels.our_cache_control(headers, inputs(for_all=for_all), read, 0.0, 60.0)) == expected


COUNTED = (b'cache-control', b'public, max-age=ttl, s-maxage=ttl')
COUNTED_FOR_CDNS = (b'cdn-cache-control', b'max-age=ttl')


@pytest.mark.parametrize(
    ('headers', 'age', 'left', 'expected'),
    [
        pytest.param([], 0.0, 60.0, [b'public, max-age=60, s-maxage=60', b'max-age=60'], id='new'),
        pytest.param([], 20.0, 39.9, [b'public, max-age=39, s-maxage=39', b'max-age=39'], id='never longer'),
        pytest.param([], 60.0, 0.0, [b'public, max-age=0, s-maxage=0', b'max-age=0'], id='stale'),
        pytest.param([], 90.0, -30.0, [b'public, max-age=0, s-maxage=0', b'max-age=0'], id='stale for long'),
        pytest.param([(b'cache-control', b'no-cache')], 20.0, 40.0, [b'max-age=60'], id='beside an Age'),
        pytest.param([(b'cache-control', b'no-cache')], 80.0, -20.0, [b'max-age=0'], id='stale beside an Age'),
    ],
)
def test_what_is_left_of_a_lifetime_is_told_at_each_moment(headers, age, left, expected):
    ours = (COUNTED, COUNTED_FOR_CDNS)
    labels = dataclasses.replace(SILENT, cache_control=ours, cache_control_for_one=ours, counts_down=True)
    assert [value for _, value in labels.our_cache_control(headers, inputs(), (), age, left)] == expected


# From an entry ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('labels', 'age', 'left', 'detail', 'expected'),
    [
        pytest.param(SILENT, 0.0, 60.0, None, [(b'age', b'0'), HIT, status(b'hit; ttl=60')], id='new'),
        pytest.param(SILENT, 9.9, 50.1, None, [(b'age', b'9'), HIT, status(b'hit; ttl=50')], id='whole seconds'),
        pytest.param(SILENT, 65.5, -5.5, None, [(b'age', b'65'), HIT, status(b'hit; ttl=-6')], id='stale'),
        pytest.param(UNNAMED, 9.9, 50.1, None, [(b'age', b'9'), HIT], id='without Cache-Status'),
        pytest.param(
            SILENT,
            65.5,
            -5.5,
            b'stale-if-error',
            [(b'age', b'65'), HIT, status(b'hit; ttl=-6; detail=stale-if-error')],
            id='with a detail',
        ),
        pytest.param(UNNAMED, 65.5, -5.5, b'stale-if-error', [(b'age', b'65'), HIT], id='a detail without it'),
        pytest.param(
            TELLING,
            9.9,
            50.1,
            None,
            [PUBLIC, FOR_CDNS, HIT, status(b'hit; ttl=50')],
            id='our Cache-Control counts anew',
        ),
        pytest.param(
            FOR_CDNS_ONLY,
            9.9,
            50.1,
            None,
            [(b'age', b'9'), FOR_CDNS, HIT, status(b'hit; ttl=50')],
            id='one for CDNs leaves Age to all others',
        ),
    ],
)
def test_the_labels_of_a_hit(labels, age, left, detail, expected):
    assert list(labels.on_hit(age, left, [], inputs(), detail=detail)) == expected


def test_a_hit_that_says_itself_how_long_it_holds_has_an_age():
    labels = TELLING.on_hit(9, 51, [(b'cache-control', b'max-age=60')], inputs())
    assert list(labels) == [(b'age', b'9'), FOR_CDNS, HIT, status(b'hit; ttl=51')]


def test_a_hit_is_labelled_by_what_was_read_to_make_it():
    labels = TELLING.on_hit(9, 51, [], inputs(), ('header:accept', 'client'))
    assert PRIVATE in labels
    assert PUBLIC not in labels


@pytest.mark.parametrize(
    ('labels', 'outcome', 'ours', 'expected'),
    [
        pytest.param(
            SILENT,
            Outcome(b'uri-miss', collapsed=True),
            [],
            [(b'age', b'5'), HIT, status(b'fwd=uri-miss; collapsed')],
            id='another request has brought it',
        ),
        pytest.param(
            SILENT,
            Outcome(b'stale', stored=True, status=304, ttl=60.0),
            [PUBLIC],
            [PUBLIC, HIT, status(b'fwd=stale; fwd-status=304; ttl=60; stored')],
            id='the endpoint has confirmed it',
        ),
        pytest.param(
            SILENT,
            Outcome(b'stale', status=503, ttl=-5.5, detail='stale-if-error'),
            [],
            [(b'age', b'5'), HIT, status(b'fwd=stale; fwd-status=503; ttl=-6; detail=stale-if-error')],
            id='it stands in for a failure',
        ),
        pytest.param(
            UNNAMED,
            Outcome(b'stale', status=503),
            [FOR_CDNS],
            [(b'age', b'5'), FOR_CDNS, HIT],
            id='without Cache-Status',
        ),
    ],
)
def test_the_labels_of_an_entry_although_the_endpoint_was_asked(labels, outcome, ours, expected):
    assert list(labels.on_entry(outcome, 5.9, ours)) == expected


# From the endpoint ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('labels', 'outcome', 'expected'),
    [
        pytest.param(
            SILENT,
            Outcome(b'uri-miss', stored=True),
            [PUBLIC, MISS, status(b'fwd=uri-miss; stored')],
            id='stored',
        ),
        pytest.param(
            SILENT,
            Outcome(b'stale', detail='store-slow'),
            [status(b'fwd=stale; detail=store-slow')],
            id='not stored says nothing to other caches',
        ),
        pytest.param(
            SILENT,
            Outcome(b'uri-miss', detail='store'),
            [PUBLIC, status(b'fwd=uri-miss; detail=store')],
            id='stored by other caches only',
        ),
        pytest.param(UNNAMED, Outcome(b'uri-miss', stored=True), [PUBLIC, MISS], id='without Cache-Status'),
        pytest.param(UNNAMED, Outcome(b'uri-miss'), [], id='neither'),
    ],
)
def test_the_labels_of_a_miss(labels, outcome, expected):
    assert list(labels.on_miss(outcome, [PUBLIC])) == expected


STORED, NOT_STORED = Outcome(b'uri-miss', stored=True), Outcome(b'uri-miss', detail='invalidated')
THEIRS, AGED = (b'cache-status', b'Theirs; hit'), (b'age', b'7')


@pytest.mark.parametrize(
    ('outcome', 'ours', 'headers', 'expected'),
    [
        pytest.param(STORED, [], [], [MISS, status(b'fwd=uri-miss; stored')], id='it is new'),
        pytest.param(
            STORED,
            [],
            [AGED],
            [(b'age', b'7'), MISS, status(b'fwd=uri-miss; stored')],
            id='it was not new when it came',
        ),
        pytest.param(
            STORED,
            [PUBLIC],
            [AGED],
            [PUBLIC, MISS, status(b'fwd=uri-miss; stored')],
            id='our Cache-Control counts anew',
        ),
        pytest.param(
            STORED, [], [THEIRS], [THEIRS, MISS, status(b'fwd=uri-miss; stored')], id='the caches before us come first'
        ),
        pytest.param(
            STORED,
            [],
            [THEIRS, AGED, THEIRS],
            [THEIRS, THEIRS, (b'age', b'7'), MISS, status(b'fwd=uri-miss; stored')],
            id='all of it',
        ),
        pytest.param(
            NOT_STORED,
            [PUBLIC],
            [THEIRS, AGED],
            [THEIRS, (b'age', b'7'), status(b'fwd=uri-miss; detail=invalidated')],
            id='not stored it has its Age although the route has a Cache-Control',
        ),
    ],
)
def test_the_labels_of_a_response_that_was_held(outcome, ours, headers, expected):
    assert list(SILENT.on_held(outcome, ours, headers, 7.9)) == expected


@pytest.mark.parametrize(
    ('outcome', 'text'),
    [
        pytest.param(
            Outcome(b'bypass', detail='skip'), b'fwd=bypass; detail=skip', id='the request bypasses the cache'
        ),
        pytest.param(Outcome(b'method'), b'fwd=method', id='its method is not cached'),
        pytest.param(Outcome(b'uri-miss', detail='set-cookie'), b'fwd=uri-miss; detail=set-cookie', id='not stored'),
        pytest.param(Outcome(b'vary-miss', detail='no body'), b'fwd=vary-miss; detail="no body"', id='two words'),
        pytest.param(Outcome(None, detail='only-if-cached'), b'detail=only-if-cached', id='the endpoint was not asked'),
        pytest.param(Outcome(b'stale', status=0), b'fwd=stale; fwd-status=0', id='a status that is none is told'),
        pytest.param(Outcome(b'stale', ttl=0.0), b'fwd=stale; ttl=0', id='a ttl of zero is told'),
        pytest.param(Outcome(b'request', stored=True), b'fwd=request; stored', id='it may be stored all the same'),
    ],
)
def test_the_labels_of_a_response_that_is_passed_on(outcome, text):
    assert SILENT.on_pass(outcome) == (status(text),)
    assert UNNAMED.on_pass(outcome) == ()


@pytest.mark.parametrize(
    ('ours', 'expected'),
    [([], [(b'age', b'5')]), ([FOR_CDNS], [(b'age', b'5')]), ([PUBLIC], []), ([FOR_CDNS, PRIVATE], [])],
)
def test_no_age_stands_beside_a_cache_control_of_ours(ours, expected):
    assert age_unless_ours(5.9, ours) == expected


@pytest.mark.parametrize(('name', 'written'), [('My Cache', '"My Cache"'), ('a;hit', '"a;hit"'), ('Plain', 'Plain')])
def test_the_name_of_the_cache_is_always_a_valid_item(name, written):
    cache, router = memory_cache(cache_status=name), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    assert client_of(router).get('/').headers['cache-status'] == f'{written}; fwd=uri-miss; stored'
