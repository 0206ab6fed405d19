"""The values of an exchange without a server: real ones, of a real route, and nothing runs an endpoint."""

import asyncio
import math
from functools import cache as remembered

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._exchange.account import Account
from fastapi_caching_route._exchange.call import Call, Client, RequestBody, to_nobody
from fastapi_caching_route._exchange.errand import Errand, Snapshot, question
from fastapi_caching_route._exchange.messages import read_head
from fastapi_caching_route._exchange.verdict import Evidence
from fastapi_caching_route._store.visit import Before, Found
from tests.support import Clock, asgi_scope, caching_router, patient

NOW = 1_800_000_000.0

RANGE = (b'range', b'bytes=0-1')
TAG = (b'etag', b'"1"')
LAST_MODIFIED = (b'last-modified', b'Fri, 15 Jan 2027 07:59:00 GMT')


def said(directives):
    """A Cache-Control header."""
    return (b'cache-control', directives)


def plan_of(endpoint=None, *, mode='policy', clock=None, **options):
    """The plan of a route whose endpoint has this decorator; without an endpoint, it reads nothing of a request."""

    async def plain():
        return 'response'

    router, cache = caching_router(), FastAPICache(MemoryCache(), clock=clock or Clock(NOW), mode=mode)
    options = options if mode == 'rfc9111' else {'ttl': 60, **options}
    router.api_route('/', methods=['GET', 'HEAD', 'POST'])(cache(**options)(endpoint or plain))
    (route,) = router.routes
    return route._places.reached(route, asgi_scope()).plan


def stored_under(call, **fields):
    """An entry under the key of this request, in the store of its route."""
    kept = entry([TAG], key=call.key, marks=0, **fields)
    assert result_of(call.plan.runtime.store.visit().put(kept, 1000))


async def not_to_be_run(*_):
    raise AssertionError('nothing runs the endpoint here')


def call_to(plan, method='GET', headers=(), *, body=None, **scope):
    """One request to a route, whose key is known."""
    asked = asgi_scope(method, headers=headers) | scope
    account = Account(plan, method, to_nobody)
    client = Client(method, asked['headers'], to_nobody, account, plan.labels.cache_header)
    call = Call(plan, plan.declared(), asked, RequestBody(body or patient()), client, not_to_be_run)
    call.raw = RawRequest(asked, call.declared.inputs.reading)
    call.own_key, call.key = call.declared.keys.at_once(asked) or call.declared.keys.of(asked, b'')
    return call


def entry(headers=(), *, key='key', age=0.0, **fields):
    """A stored response of this age."""
    defaults = {'status': 200, 'content': b'stored', 'lifetime': 60.0, 'stored_at': NOW - age}
    return Entry(key=key, headers=tuple(headers), **(defaults | fields))


def found(*headers, stale_at=math.inf, **fields):
    """The same, as it was found in the store."""
    return Found(entry(headers, **fields), stale_at)


@remembered
def flight():
    """A flight that nobody follows. It belongs to an event loop, which nothing here needs."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_unfollowed())
    finally:
        loop.close()


async def _unfollowed():
    return Flights().unfollowed()


def errand_of(call, *, stale=None, variants=None, **wishes):
    """What a run of the endpoint is for. A flight and a visit go with it, which nothing pure looks at."""
    visit = call.plan.runtime.store.visit()
    return Errand(
        call=call,
        wishes=Wishes(**wishes),
        why=b'stale' if stale else b'uri-miss',
        stale=stale,
        variants=variants,
        flight=flight(),
        visit=visit,
    )


def snapshot_of(errand, **session):
    """What was so before the endpoint read anything. From then on, the scope has the headers that it is asked with."""
    asked = question(errand)
    errand.call.scope['headers'] = asked.headers
    began = RawRequest(errand.call.scope, errand.call.declared.inputs.reading)
    return Snapshot(asked, ('all',), Before(0), session, NOW, ReadLog(began))


def head_of(status, *headers):
    """The head of a response that came now."""
    return read_head({'type': 'http.response.start', 'status': status, 'headers': headers}, (), ours=b'x-cache', at=NOW)


def evidence_of(*operations, is_admitted=True, doubt=None, session=(), is_comparable=True, now=NOW):
    """What was seen of a run; the operations are what the endpoint has written on the response."""
    written = Written(made_by_fastapi=True)
    written.by_others = [list(operations)]
    return Evidence(is_admitted, doubt, dict(session), is_comparable, written, now)


def result_of(coroutine):
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError('it waits')
