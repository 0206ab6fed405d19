"""Hostile headers cost work in proportion to their length, in every parser and in both modes.

No speed is asserted: ten values of 6 kB are compared with one of 60 kB, which is as much work for what is linear, and a
tenth of it for what is quadratic. The time is that of this thread, so a busy machine does not count.
"""

import asyncio
import gc
import time
from contextlib import closing
from typing import Annotated

import pytest
from fastapi import Cookie, FastAPI, Header, Request, Response

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._core.inputs import raw_parts
from fastapi_caching_route._core.key import escaped, user_key
from fastapi_caching_route._core.names import Naming
from fastapi_caching_route._exchange.messages import read_head
from fastapi_caching_route._http import cache_control, conditional, dates, fields, ranges, reuse, storing
from fastapi_caching_route._http import representation as answer
from fastapi_caching_route._http.cache_status import item
from fastapi_caching_route._http.structured import targeted_directives
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._routes.writes import targets_of_a_write
from tests.support import asgi_call, asgi_scope, caching_router

SHORT, LONG = 6_000, 60_000
MOST, ATTEMPTS = 4, 12  # quadratic work takes 10 times as much
HOPELESS = 2  # seconds of one attempt, after which another one may take minutes

NOW = 1_800_000_000.0
BY_THE_BOOK = Terms(frozenset({200}), 60, None, 2**20, by_the_book=True)
BY_POLICY = Terms(frozenset({200}), 60, None, 2**20, revalidate=True)
NAMING = Naming(endpoint=('m', 'f'), places=(), namespace=None, values=dict, parameters=frozenset(), tags=())

UNITS = (
    *(b' ', b'a', b'1', b'=', b'"', b'\\', b'/', b'%', b'a,', b'a;', b' ;', b'"a,', b'\\"', b'W/"', b';a="', b'a=('),
    b'a\t,',
)
"""What hostile values repeat."""
AROUND = ((b'a', b'b'), (b'"', b'b'))
STARTS_OF_DATES = (b'', b'Sun,', b'Sun, 06 Nov 1994 ', b'Sunday, 06-Nov-94 ', b'Sun Nov ')
STARTS_OF_DICTIONARIES = (b'', b'a=', b'a;', b'a="', b'a;b=', b'a=(', b'a=:', b'a;b="')
OF_RESPONSES = (
    *(b'age', b'cache-control', b'cdn-cache-control', b'connection', b'content-length', b'content-range', b'date'),
    *(b'etag', b'expires', b'last-modified', b'vary', b'x-a'),
)

PARSERS = {
    'lists': lambda value: fields.members([(b'a', value)], b'a'),
    'names': lambda value: fields.field_names([(b'a', value)], b'a'),
    'vary': lambda value: fields.with_vary([(b'vary', value)], [b'x']),
    'compared': lambda value: fields.normalized(b'x-a', [value]),
    'compared in any case': lambda value: fields.normalized(b'accept-language', [value]),
    'numbers': fields.whole_number,
    'directives': lambda value: cache_control.directives([(b'cache-control', value)]),
    'directives with names': lambda value: cache_control.directives([(b'cache-control', b'private="' + value)]),
    'directives with spans': lambda value: cache_control.directives([(b'cache-control', b'max-age=' + value)]),
    'demands': lambda value: reuse.demand([(b'cache-control', value)]),
    'pragma': lambda value: reuse.demand([(b'pragma', value)]),
    'entity tags': lambda value: conditional.client_has([value], b'"x"'),
    'entity tags of both': lambda value: conditional.client_has([value], value),
    'ranges': lambda value: ranges.part([(b'range', b'bytes=' + value)], [], 100, NOW),
    'if-range': lambda value: ranges.part(
        [(b'range', b'bytes=0-1'), (b'if-range', value)], [(b'last-modified', value), (b'date', value)], 100, NOW
    ),
    'preconditions': lambda value: answer.select(
        'GET',
        [(b'if-none-match', value), (b'if-modified-since', value), (b'range', value)],
        (200, [(b'etag', value), (b'last-modified', value)], b'body'),
        NOW,
    ),
    'updates': lambda value: conditional.updated([(b'a', b'b')], [(b'connection', value)]),
    'starts': lambda value: read_head({'status': 200, 'headers': [(b'vary', value)]}, (b'x',), ours=b'x-cache'),
    'details': item,
    'keys': lambda value: escaped(value.decode('latin-1')),
    'keys of users': lambda value: user_key(value.decode('latin-1')),
    'paths': lambda value: NAMING.names({'path': '/' + value.decode('latin-1')}, None, ()),
    'locations': lambda value: targets_of_a_write({'path': '/a', 'headers': []}, [(b'location', value)]),
    **{
        f'dates after {start.decode()!r}': lambda value, start=start: dates.timestamp(start + value, NOW)
        for start in STARTS_OF_DATES
    },
    **{
        f'dictionaries after {start.decode()!r}': lambda value, start=start: targeted_directives([start + value])
        for start in STARTS_OF_DICTIONARIES
    },
    **{
        f'storing by {name.decode()}, {mode}': lambda value, name=name, terms=terms: (
            storing.storable([(name, value)], 200, [(name, value)], terms, NOW),
            storing.stored_fields([(name, value)]),
        )
        for mode, terms in (('policy', BY_POLICY), ('rfc9111', BY_THE_BOOK))
        for name in OF_RESPONSES
    },
}


def seconds(parse, value, times=1):
    gc.disable()  # what others have left in memory is no work of the parser's
    try:
        began = time.thread_time()
        for _ in range(times):
            parse(value)
        return time.thread_time() - began
    finally:
        gc.enable()


def is_linear(parse, value_of):
    """Whether one long value takes about what ten short ones take, in one of several attempts."""
    short, long = value_of(SHORT), value_of(LONG)
    for _ in range(ATTEMPTS):
        of_short, of_long = seconds(parse, short, 10), seconds(parse, long)
        if of_long < MOST * of_short + 0.001:
            return True
        if of_long > HOPELESS:
            return False
    return False


def test_quadratic_work_is_seen():
    def quadratic(value):
        for at in range(0, len(value), 500):
            sum(value[at:])  # some 10 ns for each byte on any Python: far above what a clock cannot tell apart

    assert not is_linear(quadratic, lambda size: b'a' * size)


@pytest.mark.parametrize('parse', PARSERS.values(), ids=PARSERS)
def test_a_hostile_value_costs_work_in_proportion_to_its_length(parse):
    for unit in UNITS:
        for before, behind in AROUND:
            assert is_linear(parse, lambda size: before + unit * (size // len(unit)) + behind), (unit, before)  # noqa: B023


MANY_HEADERS = {
    'fields of variants': lambda names: fields.selected([(it, b'1') for it in names], names, normalised=True),
    'selecting fields': lambda names: fields.selected([(it, b'1') for it in names], names),
    'raw requests': lambda names: raw_parts(
        {'headers': [(it, b'1') for it in names], 'query_string': b'', 'user': None}, frozenset()
    ),
    'fields left out': lambda names: storing.stored_fields(
        [*((it, b'1') for it in names), (b'connection', b','.join(names))]
    ),
    'updates': lambda names: conditional.updated([(it, b'1') for it in names], [(it, b'2') for it in names]),
    'storing': lambda names: storing.storable((), 200, [(it, b'1') for it in names], BY_THE_BOOK, NOW),
}


@pytest.mark.parametrize('read', MANY_HEADERS.values(), ids=MANY_HEADERS)
def test_many_headers_cost_work_in_proportion_to_their_number(read):
    assert is_linear(read, lambda size: [b'x-%d' % number for number in range(size // 10)])


OF_REQUESTS = (
    *(
        'accept',
        'accept-encoding',
        'accept-language',
        'authorization',
        'cache-control',
        'content-type',
        'cookie',
        'host',
    ),
    *('if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'pragma', 'range', 'user-agent', 'x-a'),
)


def app_of(mode):
    app, router, cache = FastAPI(), caching_router(), FastAPICache(mode=mode)
    options = {} if mode == 'rfc9111' else {'ttl': 60, 'client_cache_control': True, 'revalidate': True}
    given = {
        'vary': 'accept, accept-encoding, accept-language, x-a, user-agent',
        'etag': '"v"',
        'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT',
        'cache-control': 'public, max-age=60',
    }

    @router.get('/declared')
    @cache(**options)
    async def declared(
        x_a: Annotated[str, Header()] = '', c: Annotated[str, Cookie()] = '', pragma: Annotated[str, Header()] = ''
    ) -> Response:
        return Response(b'text', headers=given)

    @router.get('/raw')
    @cache(**options)
    async def raw(request: Request) -> Response:
        return Response(b'text', headers=given)

    app.include_router(router)
    return app


@pytest.mark.parametrize('path', ['/declared', '/raw'])
@pytest.mark.parametrize('mode', ['policy', 'rfc9111'])
@pytest.mark.parametrize('name', OF_REQUESTS)
def test_a_hostile_request_costs_work_in_proportion_to_its_length(name, mode, path):
    with closing(asyncio.new_event_loop()) as loop:
        app = app_of(mode)

        def ask(value):
            # The first request may be a miss, the second is a hit where there can be one.
            for _ in range(2):
                scope = asgi_scope(path=path, headers=[(name.encode(), value)])
                assert loop.run_until_complete(asgi_call(app, scope))[0]['status'] in {200, 206, 304, 412, 416, 504}

        ask(b'a')
        for unit in (b' ', b'"', b'a,'):
            assert is_linear(ask, lambda size: b'a' + unit * (size // len(unit)) + b'b'), unit  # noqa: B023


@pytest.mark.parametrize('mode', ['policy', 'rfc9111'])
@pytest.mark.parametrize('name', [*OF_RESPONSES, b'location', b'set-cookie'])
def test_a_hostile_response_costs_work_in_proportion_to_its_length(name, mode):
    app, router, cache, given = FastAPI(), caching_router(), FastAPICache(mode=mode), []

    @router.get('/')
    @cache(**({} if mode == 'rfc9111' else {'ttl': 60, 'revalidate': True}))
    async def endpoint() -> Response:
        response = Response(b'text', headers={'cache-control': 'max-age=0'})
        response.raw_headers = [*response.raw_headers, (name, given[-1])]
        return response

    app.include_router(router)
    with closing(asyncio.new_event_loop()) as loop:

        def ask(value):
            given.append(value)
            for _ in range(2):
                assert loop.run_until_complete(asgi_call(app, asgi_scope()))[0]['status'] == 200

        for unit in (b' ', b'"', b'a,'):
            assert is_linear(ask, lambda size: b'a' + unit * (size // len(unit)) + b'b'), unit  # noqa: B023
