"""HTTP as a client and an origin see it: `mode='rfc9111'`, through the reverse proxy of the examples.

The origin answers what the test says, and remembers what it was asked.
"""

import pytest
from fastapi import FastAPI, Request, Response

from fastapi_caching_route import FastAPICache
from tests.promises.origins import FRESH, STALE, TAG, date, status_of
from tests.support import asgi_call, asgi_scope, caching_router


def test_a_fresh_answer_is_stored_and_answers_again(ask, origin):
    origin.answers(FRESH, ('X-Custom', 'a'), ('Date', date()))
    first, second = ask(), ask()
    assert (status_of(first), first.content) == ('fwd=uri-miss; stored', b'0123456789')
    assert status_of(second).startswith('hit; ttl=')
    assert (second.content, second.headers['x-custom']) == (b'0123456789', 'a')
    assert second.headers['age'] in {'0', '1'}  # a Date has whole seconds
    assert len(origin.asked) == 1


def test_what_says_nothing_about_its_freshness_is_not_reused(ask, origin):
    assert [status_of(ask()) for _ in range(2)] == ['fwd=uri-miss; detail=ttl'] * 2
    assert len(origin.asked) == 2


@pytest.mark.parametrize('validator', [TAG, ('Last-Modified', date(3600))], ids=['ETag', 'Last-Modified'])
@pytest.mark.parametrize('demand', [None, 'max-stale', 'max-stale=9999999999'])
@pytest.mark.parametrize('failure', ['down', 503, None])
def test_what_says_nothing_about_its_freshness_is_never_served_stale(ask, origin, validator, demand, failure):
    origin.answers(validator, body=b'of ada')
    ask()
    origin.down = failure == 'down'
    origin.answers(status=200 if failure in (None, 'down') else failure, body=b'of bob')
    response = ask(**({} if demand is None else {'Cache-Control': demand}))
    assert b'ada' not in response.content
    assert 'hit' not in response.headers.get('cache-status', '')


@pytest.mark.parametrize('said', ['max-age=0', 'public'])
def test_what_says_that_it_is_for_others_is_served_stale_where_they_want_it(ask, origin, said):
    origin.answers(('Cache-Control', said), TAG)
    ask()
    assert status_of(ask(Cache_Control='max-stale')).startswith('hit; ttl=')
    origin.down = True
    assert status_of(ask()).endswith('; detail=stale-if-error')


@pytest.mark.parametrize('name', ['Cookie', 'Authorization'])
@pytest.mark.parametrize('said', [('Cache-Control', 'max-age=600'), ('Cache-Control', 'public, max-age=600'), TAG])
def test_the_proxy_gives_no_user_the_page_of_another(ask, origin, name, said):
    for user in ('ada', 'bob'):
        origin.answers(said, body=user.encode())
        response = ask(**{name: user})
        assert (response.text, response.headers['cache-status']) == (user, 'FastAPICache; fwd=bypass; detail=skip')
    origin.answers(said, body=b'nobody')
    assert ask().text == 'nobody'
    origin.answers(said, body=b'ada')
    assert ask(**{name: 'ada'}).text == 'ada'


async def test_no_user_gets_the_page_of_another_by_a_key_of_its_url():
    """Nothing is set that could keep them apart."""
    router, cache, app = caching_router(), FastAPICache(mode='rfc9111'), FastAPI()
    down = []

    @router.get('/')
    @cache(key_builder=lambda request: request.url.path, stale_if_error=3600, stale_while_revalidate=3600)
    async def endpoint(request: Request) -> Response:
        return Response('down', 503) if down else Response(request.headers.get('x-user'), headers={'etag': '"v"'})

    app.include_router(router)

    async def ask(user, **demands):
        headers = [(b'x-user', user.encode()), *((b'cache-control', it.encode()) for it in demands.values())]
        start, body = await asgi_call(app, asgi_scope(headers=headers))
        return start['status'], body['body'].decode()

    assert await ask('ada') == (200, 'ada')
    assert await ask('bob', demand='max-stale') == (200, 'bob')
    down.append(1)
    assert await ask('eve') == await ask('eve', demand='max-stale=99') == (503, 'down')


def test_a_guess_is_a_tenth_of_the_time_since_it_was_modified(ask, origin):
    origin.answers(('Last-Modified', date(-1000)), ('Date', date()))
    ask()
    assert 95 <= int(status_of(ask()).removeprefix('hit; ttl=')) <= 100


@pytest.mark.parametrize('received', [lambda: ('Age', '400'), lambda: ('Date', date(-400))], ids=['Age', 'Date'])
def test_the_age_that_an_answer_has_when_it_comes_counts(ask, origin, received):
    origin.answers(FRESH, received())
    ask()
    hit = ask()
    assert 400 <= int(hit.headers['age']) <= 460
    assert int(status_of(hit).removeprefix('hit; ttl=')) <= 200


def test_a_stale_answer_is_validated_and_the_304_renews_it(ask, origin):
    origin.answers(STALE, TAG, ('X-Old', '1'), ('X-Both', 'old'))
    ask()
    origin.answers(FRESH, TAG, ('X-Both', 'new'), status=304)
    validated = ask(if_modified_since=date(-5000))
    assert (validated.status_code, validated.content) == (200, b'0123456789')
    assert (validated.headers['x-old'], validated.headers['x-both'], validated.headers['x-cache']) == (
        '1',
        'new',
        'HIT',
    )
    assert status_of(validated).startswith('fwd=stale; fwd-status=304; ttl=600; stored') or 'ttl=59' in status_of(
        validated
    )
    _, _, sent = origin.asked[-1]
    assert sent['if-none-match'] == '"a"'
    assert 'if-modified-since' not in sent  # the client's own is our business
    assert status_of(ask()).startswith('hit')
    assert len(origin.asked) == 2


def test_a_stale_answer_that_has_changed_is_replaced(ask, origin):
    origin.answers(STALE, TAG)
    ask()
    origin.answers(FRESH, ('ETag', '"b"'), body=b'new')
    assert ask().content == b'new'
    assert (ask().content, len(origin.asked)) == (b'new', 2)


def test_a_validated_answer_is_a_304_for_a_client_that_has_it(ask, origin):
    origin.answers(STALE, TAG)
    ask()
    origin.answers(STALE, TAG, status=304)
    assert ask(if_none_match='"a"').status_code == 304
    assert ask(if_none_match='"b"').status_code == 200


def test_a_304_that_forbids_storing_is_served_and_not_kept(ask, origin):
    origin.answers(STALE, TAG)
    ask()
    origin.answers(('Cache-Control', 'no-store'), TAG, status=304)
    response = ask()
    assert (response.status_code, response.content) == (200, b'0123456789')
    assert status_of(response).endswith('detail=no-store')


def test_no_cache_is_validated_each_time(ask, origin):
    origin.answers(('Cache-Control', 'max-age=600, no-cache'), TAG)
    ask()
    origin.answers(('Cache-Control', 'max-age=600, no-cache'), TAG, status=304)
    assert [ask().status_code for _ in range(2)] == [200, 200]
    assert [sent.get('if-none-match') for _, _, sent in origin.asked] == [None, '"a"', '"a"']


@pytest.mark.parametrize(
    ('demand', 'asked'),
    [
        ({'cache_control': 'no-cache'}, True),
        ({'pragma': 'no-cache'}, True),
        ({'cache_control': 'max-age=300'}, True),
        ({'cache_control': 'max-age=500'}, False),
        ({'cache_control': 'min-fresh=300'}, True),
        ({'cache_control': 'min-fresh=100'}, False),
        ({'cache_control': 'only-if-cached'}, False),
        ({'cache_control': 'no-store'}, False),
    ],
)
def test_the_demands_of_a_request_are_heeded(ask, origin, demand, asked):
    origin.answers(FRESH, ('Age', '400'))
    ask()
    response = ask(**demand)
    assert response.status_code == 200
    assert (len(origin.asked) == 2) is asked
    assert status_of(response).startswith('fwd=request' if asked else 'hit')


def test_a_stale_answer_is_served_to_who_accepts_it(ask, origin):
    origin.answers(('Cache-Control', 'max-age=100'), ('Age', '130'))
    ask()
    assert status_of(ask(cache_control='max-stale=60')).startswith('hit; ttl=-3')
    assert status_of(ask(cache_control='max-stale=10')).startswith('fwd=stale')
    origin.answers(('Cache-Control', 'max-age=100, must-revalidate'), ('Age', '130'), TAG)
    ask()
    assert status_of(ask(cache_control='max-stale')).startswith('fwd=stale')


def test_nothing_is_asked_for_who_wants_only_what_is_stored(ask, origin):
    response = ask(cache_control='only-if-cached')
    assert (response.status_code, origin.asked) == (504, [])
    assert status_of(response) == 'detail=only-if-cached'


def test_variants_are_told_apart_as_lists(ask, origin):
    origin.answers(FRESH, ('Vary', 'Accept-Language, X-Plan'))
    ask(accept_language='en, de')
    assert status_of(ask(accept_language='EN ,de')).startswith('hit')
    assert status_of(ask(accept_language='de')) == 'fwd=vary-miss; stored'
    assert status_of(ask(accept_language='en, de', x_plan='gold')) == 'fwd=vary-miss; stored'


@pytest.mark.parametrize(
    ('asked', 'status', 'body', 'content_range'),
    [
        ('bytes=2-4', 206, b'234', 'bytes 2-4/10'),
        ('bytes=8-', 206, b'89', 'bytes 8-9/10'),
        ('bytes=-1', 206, b'9', 'bytes 9-9/10'),
        ('bytes=10-', 416, b'', 'bytes */10'),
        ('bytes=0-1,4-5', 200, b'0123456789', None),
    ],
)
def test_a_stored_answer_gives_the_part_that_is_asked_for(ask, origin, asked, status, body, content_range):
    origin.answers(FRESH, TAG, ('Last-Modified', date(-100)), ('Date', date()))
    ask()
    response = ask(range=asked)
    assert (response.status_code, response.content, response.headers.get('content-range')) == (
        status,
        body,
        content_range,
    )
    assert ask(range=asked, if_range='"b"').status_code == 200
    assert len(origin.asked) == 1


def test_a_range_that_misses_is_the_origins_affair(ask, origin):
    origin.answers(FRESH, ('Content-Range', 'bytes 0-1/10'), status=206, body=b'01')
    first = ask(range='bytes=0-1')
    assert (first.status_code, first.content, origin.asked[-1][2]['range']) == (206, b'01', 'bytes=0-1')
    origin.answers(FRESH)
    assert ask(range='bytes=0-1').content == b'01'  # from the whole, which the origin has sent, and which is stored
    assert (ask().content, len(origin.asked)) == (b'0123456789', 2)


def test_head_is_answered_from_the_answer_to_get(ask, origin):
    origin.answers(FRESH)
    ask()
    head = ask('HEAD')
    assert (head.content, head.headers['content-length'], len(origin.asked)) == (b'', '10', 1)


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'REPORT'])
def test_an_unsafe_method_invalidates_its_own_uri_and_those_that_it_names(ask, origin, method):
    paths = ['', '/located', '/content', '/other']
    origin.answers(FRESH)
    base = str(ask().request.url)
    for path in paths[1:]:
        ask(path=path)
    origin.answers(
        ('Location', f'{base}/located'),
        (
            'Content-Location',
            f'{base.partition("//")[2].partition("/")[1]}{base.partition("//")[2].partition("/")[2]}/content',
        ),
        status=201,
    )
    assert status_of(ask(method)) == 'fwd=method'
    origin.answers(FRESH)
    assert [status_of(ask(path=path)).partition(';')[0] for path in paths] == ['fwd=uri-miss'] * 3 + ['hit']


def test_an_unsafe_method_that_fails_or_names_another_host_invalidates_nothing_there(ask, origin):
    origin.answers(FRESH)
    ask()
    ask(path='/other')
    origin.answers(status=500)
    ask('PUT')
    origin.answers(('Location', f'http://elsewhere.example{ask(path="/other").request.url.path}'))
    ask('PUT', path='/third')
    assert [status_of(ask(path=path)).partition(';')[0] for path in ('', '/other')] == ['hit', 'hit']


@pytest.mark.parametrize('failure', ['down', 503])
def test_a_stale_answer_stands_in_for_an_origin_that_fails(ask, origin, failure):
    origin.answers(STALE, ('X-Kept', '1'))
    ask()
    origin.down = failure == 'down'
    if failure != 'down':
        origin.answers(status=failure, body=b'sorry')
    response = ask()
    assert (response.status_code, response.content, response.headers['x-kept']) == (200, b'0123456789', '1')
    assert response.headers['x-cache'] == 'HIT'
    told = status_of(response)
    assert told.startswith(f'fwd=stale; fwd-status={502 if failure == "down" else 503}; ttl=')
    assert told.endswith('; detail=stale-if-error')


@pytest.mark.parametrize('directive', ['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=0'])
def test_what_must_not_be_stale_does_not_stand_in(ask, origin, directive):
    origin.answers(('Cache-Control', f'max-age=0, {directive}'), TAG)
    ask()
    origin.answers(status=503, body=b'sorry')
    assert (ask().status_code, ask().content) == (503, b'sorry')


def test_an_error_does_not_stand_in_for_an_error(ask, origin):
    origin.answers(('Last-Modified', date(-100)), status=503, body=b'one')
    ask()
    origin.answers(status=503, body=b'two')
    assert ask().content == b'two'


def test_the_fields_of_one_exchange_are_not_stored(ask, origin):
    origin.answers(
        FRESH, ('Connection', 'x-hop'), ('X-Hop', '1'), ('Cache-Control', 'no-cache="x-a"'), ('X-A', '1'), ('X-B', '2')
    )
    ask()
    hit = ask()
    assert status_of(hit).startswith('hit')
    assert ('x-hop' in hit.headers, 'x-a' in hit.headers, hit.headers['x-b']) == (False, False, '2')


def test_the_fields_are_passed_on_as_they_came(ask, origin):
    origin.answers(FRESH, ('Vary', 'Foo'), ('ETag', 'sloppy'), ('X-Twice', '1'), ('X-Twice', '2'))
    for response in (ask(), ask()):
        assert (response.headers['vary'], response.headers['etag']) == ('Foo', 'sloppy')
        assert response.headers.get_list('x-twice') == ['1', '2']
    assert ask(if_none_match='sloppy').status_code == 304


def test_a_client_that_has_it_gets_a_304_on_a_miss_too(ask, origin):
    origin.answers(FRESH, TAG)
    assert ask(if_none_match='"a"').status_code == 304
    assert 'if-none-match' not in origin.asked[-1][2]


def test_a_head_that_shows_another_version_has_the_stored_one_forgotten(ask, origin):
    origin.answers(('Cache-Control', 'max-age=100'), ('Age', '90'), TAG)
    ask()
    origin.answers(('ETag', '"c"'), status=404)
    assert ask('HEAD', cache_control='no-cache').status_code == 404
    assert status_of(ask()).startswith('hit')  # that says nothing of the stored one
    origin.answers(('ETag', '"b"'))
    assert ask('HEAD', cache_control='no-cache').headers['etag'] == '"b"'
    assert status_of(ask()).startswith('fwd=uri-miss')


def test_what_caches_before_us_say_stays_before_what_we_say(ask, origin):
    origin.answers(FRESH, ('Cache-Status', 'Origin; hit'))
    assert ask().headers.get_list('cache-status') == ['Origin; hit', 'FastAPICache; fwd=uri-miss; stored']
    assert len(ask().headers.get_list('cache-status')) == 1  # what was true of that exchange is not true of this one


@pytest.mark.parametrize('status', [302, 401, 403, 429, 500])
def test_what_says_nothing_of_how_long_it_holds_is_not_stored(ask, origin, status):
    origin.answers(('Last-Modified', date(-100000)), status=status)
    ask()
    origin.answers(status=503)
    assert ask().status_code == 503
    assert ask(cache_control='max-stale').status_code == 503


@pytest.mark.parametrize(('status', 'asked'), [(412, {'if_match': '"z"'}), (416, {'range': 'bytes=90-'})])
def test_an_answer_to_what_one_client_asked_is_not_for_others(ask, origin, status, asked):
    origin.answers(FRESH, status=status)
    assert ask(**asked).status_code == status
    origin.answers(FRESH)
    assert ask().status_code == 200


def test_paths_are_told_apart_as_they_were_sent(ask, origin):
    origin.answers(FRESH)
    ask(path='/a%2Fb')
    assert status_of(ask(path='/a/b')) == 'fwd=uri-miss; stored'


def test_a_304_without_a_date_counts_from_when_it_came(ask, origin):
    origin.answers(('Cache-Control', 'max-age=100'), TAG, ('Date', date(-150)))
    ask()
    origin.answers(('Cache-Control', 'max-age=100'), TAG, status=304)
    ask()
    assert status_of(ask()).startswith('hit')
