"""Whatever a made-up endpoint reads of the raw request, two clients get their own through a cache in front.

The cache in front is our own `mode='rfc9111'`, and knows the URL and `Vary` only.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastapi_caching_route import ConfigurationError
from fastapi_caching_route._core import read_names
from fastapi_caching_route._exchange import errand, keeping
from tests.promises.fronts import in_front_of
from tests.promises.raw_endpoints import BODIES, PLACES, READINGS, Made, Step
from tests.promises.test_raw_equivalence import (
    BASE,
    EXAMPLES,
    FORM,
    OTHERS_ASKED,
    answer,
    apps_of,
    endpoints,
    endpoints_with_bodies,
    requests,
)
from tests.support import asgi_scope

CONTROLS = [
    {'cache_control': 'max-age=60'},
    {'cache_control': 'public, max-age=60'},
    {'cache_control': 'max-age=ttl', 'vary_headers': ['x-a']},
    {'cdn_cache_control': 'max-age=60'},
]


def through_a_front(app: Any) -> Any:
    """The app behind a cache, which forwards all that the server knows of a client beside its headers."""
    client: dict[str, Any] = {}

    async def forward(scope: Any, receive: Any, send: Any) -> None:
        await app({**client, 'headers': scope['headers']}, receive, send)

    front = in_front_of(forward)

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        client.clear()
        client.update(scope)
        seen = {name: value for name, value in scope.items() if name in asgi_scope()}
        await front({**seen, 'state': {}}, receive, send)

    return asked


def compared(made: Made, asked: list[dict[str, Any]], control: dict[str, Any], counts: Counter[str]) -> list[Any]:
    """The differences between what clients get through the front, and of the plain app."""
    cached, plain = apps_of(made, **control)
    front = through_a_front(cached)
    counts['endpoints'] += 1

    async def run() -> list[Any]:
        different = []
        for one in asked:
            through = await answer(front, made.method, one, mark=b'x-front')
            direct = await answer(plain, made.method, one)
            counts['requests'] += 1
            counts['hits in front'] += through[2] == b'HIT'
            different += [] if through[:2] == direct[:2] else [(made, control, one, through, direct)]
        return different

    return asyncio.run(run())


SHOWN = [
    *('nothing', 'method', 'path', 'raw path', 'thread', 'mapping get'),
    *('header', 'header item', 'header in', 'header lines', 'headers by attribute'),
    *('query', 'query item', 'query list', 'query items', 'query text', 'query counted', 'query string'),
    *('url', 'url path', 'url query', 'url host', 'url place', 'url scheme', 'url secure', 'url changed', 'url added'),
    *('base url', 'url for'),
    *(f'template {it}.html' for it in ('nothing', 'path', 'header', 'query', 'url', 'whole_url')),
]
"""Readings of which URL and Vary tell all, so that the cache in front may share."""

SHOWN_STEPS = st.recursive(
    st.builds(Step, st.sampled_from(SHOWN)),
    lambda below: st.builds(Step, st.sampled_from(SHOWN), below.map(lambda it: (it,)), below.map(lambda it: (it,))),
    max_leaves=3,
)
SHARED = st.builds(Made, st.dictionaries(st.sampled_from(PLACES), SHOWN_STEPS, min_size=1, max_size=2))


@pytest.mark.parametrize(
    ('made', 'hits'),
    [(endpoints(), 0.01), (endpoints_with_bodies(), 0.01), (SHARED, 0.1)],
    ids=['no bodies', 'bodies', 'shared'],
)
def test_whatever_is_read_everybody_gets_their_own_through_a_cache_in_front(made, hits):
    counts: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(made, st.lists(requests(), min_size=2, max_size=3), st.sampled_from(CONTROLS), st.data())
    def compare(made: Made, asked: list[dict[str, Any]], control: dict[str, Any], data: Any) -> None:
        order = data.draw(st.lists(st.sampled_from(asked), min_size=6, max_size=10))
        try:
            assert not compared(made, order, control, counts)
        except ConfigurationError:
            counts['public is refused'] += 1

    compare()
    print(dict(counts), 'differences: 0')
    assert counts['endpoints'] >= EXAMPLES * 0.8
    assert counts['hits in front'] >= counts['requests'] * hits


EACH_TWICE = [BASE, *OTHERS_ASKED] * 2


@pytest.mark.parametrize('reading', READINGS)
def test_each_way_of_reading_tells_clients_apart_in_front(reading):
    for control in CONTROLS:
        counts: Counter[str] = Counter()
        assert not compared(Made({'endpoint': Step(reading)}), EACH_TWICE, control, counts)
        assert (counts['hits in front'] > 0) == (reading in SHOWN)


@pytest.mark.parametrize('method', ['GET', 'QUERY', 'POST'])
@pytest.mark.parametrize('reading', BODIES)
def test_each_way_of_reading_a_body_tells_clients_apart_in_front(reading, method):
    asked = [{**it, 'headers': it['headers'] + FORM} for it in EACH_TWICE]
    for control in CONTROLS:
        assert not compared(Made({'await': Step(reading)}, method=method), asked, control, Counter())


NOT_TOLD = {
    'headers': 'header items',
    'client': 'client',
    'client and port': 'client held',
    'session': 'session',
    'user': 'user',
    'auth': 'auth',
    'state:tenant': 'state',
    'state': 'scope state',
    'scope:plan': 'scope of middleware',
    'everything': 'scope or',
    'body': 'body',
}
"""What neither the URL nor Vary tells, each with a reading of it."""


@pytest.mark.parametrize('name', NOT_TOLD)
def test_what_is_not_told_to_a_cache_in_front_is_found(name, monkeypatch):
    is_said = read_names._is_said
    monkeypatch.setattr(read_names, '_is_said', lambda it: it == name or is_said(it))
    made = Made({'await': Step(NOT_TOLD[name])})
    assert compared(made, EACH_TWICE, CONTROLS[0], Counter())


def test_a_header_that_is_not_in_vary_is_found(monkeypatch):
    for module in (errand, keeping):
        monkeypatch.setattr(module, 'vary_of', lambda _: [])
    assert compared(Made({'endpoint': Step('header')}), EACH_TWICE, CONTROLS[0], Counter())
