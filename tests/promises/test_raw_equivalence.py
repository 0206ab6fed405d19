"""Whatever a made-up endpoint reads of the raw request, the cached app answers as the plain one."""

import asyncio
import os
from collections import Counter
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.authentication import AuthCredentials, SimpleUser, UnauthenticatedUser

from fastapi_caching_route import CachingRoute
from fastapi_caching_route._core.read_log import ReadLog
from tests.promises.raw_endpoints import (
    BEARER,
    BODIES,
    DECLARED,
    KEY,
    PLACES,
    READINGS,
    SLOW_PLACES,
    Made,
    OwnBearer,
    Step,
)
from tests.support import asgi_call, asgi_scope, memory_cache

EXAMPLES = int(os.environ.get('EQUIVALENCE_EXAMPLES', '100'))
OTHERS = [it for it in READINGS if not it.startswith('template')]
METHODS = ['GET', 'POST', 'QUERY']


def steps(*more: str) -> st.SearchStrategy[Step]:
    """Readings that depend on one another, among them these."""
    return st.recursive(
        st.builds(Step, st.sampled_from([*READINGS, *more])),
        lambda below: st.builds(
            Step,
            st.sampled_from([*OTHERS, *more]),
            st.lists(below, max_size=1).map(tuple),
            st.lists(below, max_size=1).map(tuple),
        ),
        max_leaves=4,
    )


AGAIN = [it for it in BODIES if it != 'receive']  # which waits for ever the second time
STEPS, BODY_STEPS = steps(), steps(*AGAIN * 6)


@st.composite
def endpoints(draw: Any) -> Made:
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True))
    return Made({place: draw(STEPS) for place in places}, draw(SCHEMES), declared=draw(PARAMETERS))


@st.composite
def endpoints_with_bodies(draw: Any) -> Made:
    places = draw(st.lists(st.sampled_from(SLOW_PLACES), min_size=1, max_size=3, unique=True))
    found = {place: draw(BODY_STEPS) for place in places}
    found |= {place: draw(STEPS) for place in draw(st.lists(st.sampled_from(PLACES), max_size=1)) if place not in found}
    return Made(found, draw(SCHEMES), draw(st.sampled_from(METHODS)))


PARAMETERS = st.lists(st.sampled_from([*DECLARED]), max_size=2, unique=True).map(tuple)
SCHEMES = st.sampled_from([None, None, BEARER, KEY, OwnBearer()])


def fields(*names: str) -> Any:
    return st.lists(st.tuples(st.sampled_from(names), st.sampled_from(['1', '01', '2', '33'])), max_size=2)


def multipart(boundary: bytes, value: bytes) -> bytes:
    return b'--%b\r\nContent-Disposition: form-data; name="a"\r\n\r\n%b\r\n--%b--\r\n' % (boundary, value, boundary)


FORM = [(b'content-type', b'application/x-www-form-urlencoded')]
PARTS = [(b'content-type', b'multipart/form-data; boundary=it')]
SENT = [
    *[([], it) for it in (b'', b'', b'a=1', b'{"a": 1}', b'{"a": 2}')],
    *[(FORM, it) for it in (b'a=1', b'a=2', b'a=1&b=2')],
    *[(PARTS, multipart(b'it', it)) for it in (b'1', b'2')],
]
"""What requests have as their Content-Type and body."""


@st.composite
def requests(draw: Any) -> dict[str, Any]:
    """One request, as an ASGI scope; middleware has left a few things in it."""
    headers = [(name.encode(), value.encode()) for name, value in draw(fields('x-a', 'x-b', 'x-c', 'x-key'))]
    cookies = '; '.join(f'{name}={value}' for name, value in draw(fields('a', 'b', '_ga')))
    headers += [(b'cookie', cookies.encode())] if cookies else []
    headers += draw(st.sampled_from([[], [], [(b'authorization', b'Bearer 1')], [(b'authorization', b'Bearer 2')]]))
    headers += draw(st.sampled_from([[], [(b'host', b'a.example')], [(b'host', b'b.example:8')]]))
    query = '&'.join(f'{name}={value}' for name, value in draw(fields('a', 'b', 'utm'))).encode()
    name = draw(st.sampled_from(['', '', 'ann', 'bob']))
    plan = draw(st.sampled_from([None, 'free', 'paid']))
    kind, body = draw(st.sampled_from(SENT))
    return {
        'query': query,
        'headers': headers + kind,
        'body': body,
        'client': draw(st.sampled_from([None, ('10.0.0.1', 1), ('10.0.0.1', 2), ('10.0.0.22', 1)])),
        'server': ('10.0.0.9', draw(st.sampled_from([80, 81]))),
        'scheme': draw(st.sampled_from(['http', 'https'])),
        'raw_path': draw(st.sampled_from([b'/items/x', b'/items/%78'])),
        'session': {'name': name} if name else {},
        'user': SimpleUser(name) if name else UnauthenticatedUser(),
        'auth': AuthCredentials(['in'] if name else []),
        'state': {'tenant': draw(st.sampled_from(['red', 'blue'])), 'by_guard': ''},
        'plan': plan,
    }


async def answer(app: Any, method: str, asked: dict[str, Any], mark: bytes = b'x-cache') -> tuple[Any, ...]:
    scope = asgi_scope(method, '/items/x', query=asked['query'])
    given = {name: value for name, value in asked.items() if name not in {'query', 'body'}}
    if asked['plan'] is None:
        del given['plan']
    own = {'state': dict(asked['state']), 'session': dict(asked['session'])}
    try:
        sent = await asgi_call(app, {**scope, **given, **own}, asked['body'])
    except Exception as error:  # noqa: BLE001, the endpoint's: both apps must raise the same
        return type(error), str(error), None
    headers = dict(sent[0]['headers'])
    return sent[0]['status'], b''.join(it.get('body', b'') for it in sent), headers.get(mark)


def apps_of(made: Made, **options: Any) -> list[Any]:
    """The app with a cache, and the plain one."""
    apps = []
    endpoint = made.endpoint()
    for route_class in (CachingRoute, None):
        app = FastAPI(openapi_url=None)
        router = APIRouter(**({'route_class': route_class} if route_class else {}))
        options_of_route = {'methods': [made.method], 'dependencies': made.dependencies}
        router.api_route('/items/{item}', name='page', **options_of_route)(endpoint)
        app.include_router(router)
        apps.append(app)
    memory_cache()(ttl=60, **options)(endpoint)
    return apps


def compared(made: Made, asked: list[dict[str, Any]], counts: Counter[str]) -> list[Any]:
    """The differences between the app with a cache and the plain one, in their answers to these requests."""
    apps = apps_of(made)
    counts['endpoints'] += 1

    async def run() -> list[Any]:
        different = []
        for one in asked:
            cached, plain = [await answer(app, made.method, one) for app in apps]
            counts['requests'] += 1
            counts['hits'] += cached[2] == b'HIT'
            different += [] if cached[:2] == plain[:2] else [(made, one, cached, plain)]
        return different

    return asyncio.run(run())


@pytest.mark.parametrize('made', [endpoints(), endpoints_with_bodies()], ids=['no bodies', 'bodies'])
def test_whatever_is_read_the_cached_app_answers_as_the_plain_one(made):
    counts: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(made, st.lists(requests(), min_size=2, max_size=4), st.data())
    def compare(made: Made, asked: list[dict[str, Any]], data: Any) -> None:
        order = data.draw(st.lists(st.sampled_from(asked), min_size=6, max_size=10))
        assert not compared(made, order, counts)

    compare()
    print(dict(counts), 'differences: 0')
    assert counts['endpoints'] >= EXAMPLES * 0.9
    assert counts['hits'] >= counts['requests'] // 4


BASE = {
    'query': b'a=1&b=1',
    'body': b'a=1',
    'headers': [(b'host', b'a.example'), (b'x-a', b'1'), (b'x-b', b'1'), (b'x-c', b'1'), (b'cookie', b'a=1; b=1')],
    'client': ('10.0.0.1', 1),
    'server': ('10.0.0.9', 80),
    'scheme': 'http',
    'raw_path': b'/items/x',
    'http_version': '1.1',
    'session': {'name': 'ann'},
    'user': SimpleUser('ann'),
    'auth': AuthCredentials(['in']),
    'state': {'tenant': 'red'},
    'plan': 'free',
}
"""A request in which everything is there."""

OTHER = {
    'query': [b'a=2&b=1', b'a=1&b=2', b'b=1', b'a=1', b''],
    'headers': [
        [(b'host', b'b.example'), *BASE['headers'][1:]],
        [it for it in BASE['headers'] if it[0] != b'x-a'],
        [(name, b'2' if name == b'x-a' else value) for name, value in BASE['headers']],
        [(name, b'2' if name == b'x-b' else value) for name, value in BASE['headers']],
        [(name, b'2' if name == b'x-c' else value) for name, value in BASE['headers']],
        [*BASE['headers'][:-1], (b'cookie', b'a=2; b=1')],
        [*BASE['headers'][:-1], (b'cookie', b'a=1; b=2')],
        BASE['headers'][:-1],
    ],
    'client': [('10.0.0.2', 1), ('10.0.0.1', 2), None],
    'server': [('10.0.0.8', 80)],
    'scheme': ['https'],
    'raw_path': [b'/items/%78'],
    'http_version': ['2'],
    'session': [{'name': 'bob'}],
    'user': [SimpleUser('bob')],
    'auth': [AuthCredentials([])],
    'state': [{'tenant': 'blue'}],
    'plan': ['paid', None],
    'body': [b'a=2', b'', b'{"a": 1}'],
}
"""What each part may be in another request."""

OTHERS_ASKED = [{**BASE, part: value} for part, values in OTHER.items() for value in values]


EACH_TWICE = [BASE, *OTHERS_ASKED] * 2


@pytest.mark.parametrize('reading', READINGS)
def test_each_way_of_reading_is_seen(reading):
    counts: Counter[str] = Counter()
    assert not compared(Made({'endpoint': Step(reading)}), EACH_TWICE, counts)
    assert counts['hits'] >= len(OTHERS_ASKED)


DECLARED_TOO = {
    'x_a': ['header', 'header lines', 'header raw', 'headers in dict', 'template header.html'],
    'x_b': ['header item', 'scope headers'],
    'x_c': ['header lines', 'thread'],
    'cookie': ['cookie', 'cookies', 'cookie header', 'cookies held', 'template cookies.html'],
    'b': ['cookie item', 'cookie header', 'cookies in dict'],
    'a': ['query', 'query list', 'query string', 'url query', 'template query.html'],
}
"""Declared parameters, each with readings of the same part of the request, of which code sees more than its value."""

PLAIN = [it for it in BASE['headers'] if it[0] not in {b'x-a', b'x-b', b'x-c', b'cookie'}]
SENT_ODDLY = [
    *[{'headers': [*PLAIN, *[(name, it) for it in lines]]}
      for name in (b'x-a', b'x-b', b'x-c')
      for lines in ([], [b'1'], [b'01'], [b'+1'], [b'1', b'2'], [b'1', b'3'], [b'2'])],
    *[{'headers': [*PLAIN, *[(b'cookie', it) for it in lines]]}
      for lines in ([b'b=1'], [b'b=01'], [b'b=1', b'a=1'], [b'b=1', b'a=2'], [b'b=1; a=1'], [b'b=1; b=01'])],
    *[{'query': it} for it in (b'', b'a=1', b'a=01', b'a=1&a=2', b'a=2&a=1')],
]  # fmt: skip
"""Requests whose declared values are partly equal, although what they have sent is not."""


@pytest.mark.parametrize(('declared', 'reading'), [(it, each) for it, known in DECLARED_TOO.items() for each in known])
def test_what_is_read_of_a_declared_parameter_counts_as_it_was_sent(declared, reading):
    asked = [{**BASE, **it} for it in SENT_ODDLY] * 2
    counts: Counter[str] = Counter()
    assert not compared(Made({'endpoint': Step(reading)}, declared=(declared,)), asked, counts)
    assert counts['hits'] >= len(SENT_ODDLY)


WITH_FORMS = [{**it, 'headers': it['headers'] + kind} for it in EACH_TWICE for kind in ([], FORM)]


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('place', SLOW_PLACES)
@pytest.mark.parametrize('reading', BODIES)
def test_each_way_of_reading_a_body_is_seen(reading, place, method):
    counts: Counter[str] = Counter()
    assert not compared(Made({place: Step(reading)}, method=method), WITH_FORMS, counts)
    assert counts['hits'] >= len(WITH_FORMS) // 4


NOT_NOTED = {
    'header:': ['header', 'header item', 'header in', 'header lines', 'template header.html', 'thread'],
    'headers': ['header items', 'header raw', 'scope headers', 'headers in dict', 'mapping'],
    'cookie:': ['cookie', 'cookie item', 'template cookie.html', 'template cookie_get.html', 'template cookie_in.html'],
    'header:cookie': ['cookies', 'cookies as JSON', 'cookies held', 'cookie header', 'template cookies_json.html'],
    'query:': ['query', 'query item', 'query list', 'template query.html'],
    'query': ['query items', 'query text', 'query string', 'url query', 'url', 'url changed'],
    'host': ['url host', 'url place', 'base url', 'url for', 'template url.html', 'url'],
    'scheme': ['url scheme', 'url secure', 'base url', 'template whole_url.html'],
    'client': ['client', 'template client.html'],
    'client and port': ['client held', 'scope client'],
    'session': ['session', 'sessions', 'scope session'],
    'user': ['user', 'scope user'],
    'auth': ['auth'],
    'state:': ['state', 'state by attribute', 'template state.html'],
    'state': ['scope state'],
    'scope:': ['raw path', 'http version', 'scope server', 'scope of middleware', 'scope in'],
    'everything': ['scope items', 'scope or', 'scope whole'],
    'body': list(BODIES),
}
"""Names, or beginnings of names, that are left unnoted, each with the readings that are to show it."""


@pytest.mark.parametrize(('kind', 'reading'), [(kind, it) for kind, readings in NOT_NOTED.items() for it in readings])
def test_a_way_of_reading_that_is_not_noted_is_found(kind, reading, monkeypatch):
    note = ReadLog.note

    def note_others(reads, name):
        if not (name == kind or (kind.endswith(':') and name.startswith(kind))):
            note(reads, name)

    monkeypatch.setattr(ReadLog, 'note', note_others)
    made = Made({'await': Step(reading)}, method='POST') if reading in BODIES else Made({'endpoint': Step(reading)})
    assert compared(made, WITH_FORMS if reading in BODIES else EACH_TWICE, Counter())
