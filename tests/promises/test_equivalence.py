"""The cached app answers exactly as the same app without cache, for endpoints and requests that are made up."""

import asyncio
import enum
import inspect
import json
import os
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, Path, Query, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from fastapi_caching_route import CachingRoute
from tests.support import FASTAPI, asgi_call, asgi_scope, memory_cache

EXAMPLES = int(os.environ.get('EQUIVALENCE_EXAMPLES', '300'))
counts = {'endpoints': 0, 'requests': 0, 'hits': 0}


class Colour(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


# Each kind of value: its type, defaults that it may have, and texts that a client may send for it.
KINDS: dict[str, tuple[Any, list[Any], list[str]]] = {
    'int': (int, [0, 1, 10], ['0', '1', '01', '10', 'x', '']),
    'float': (float, [1.0, 1.5], ['1', '1.0', '1.5', '1.50', 'nan']),
    'bool': (bool, [True, False], ['true', '1', 'yes', 'no', '0']),
    'str': (str, ['', 'a', 'red'], ['', 'a', 'b', 'red', "a', 'b", 'a,b']),
    'maybe': (int | None, [None, 1], ['1', '2', '']),
    'either': (int | str, [1, '1', 'a'], ['1', 'a', '']),
    'enum': (Colour, [Colour.RED], ['red', 'blue', 'green']),
    'date': (date, [date(2026, 1, 1)], ['2026-01-01', '2026-01-02', '1767225600']),
    'list': (list[str], [[], ['a'], ['a', 'b']], ['a', 'b', '']),
    'ints': (list[int], [[1], [1, 2]], ['1', '2', '01']),
}
NAMES = ['a', 'b', 'x_a', 'x_b']
PLACES = {'query': Query, 'header': Header, 'cookie': Cookie}


@st.composite
def parameters(draw, names=NAMES):
    """A few declared parameters: name, kind, place, default, alias."""
    found = []
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=3)):
        place = draw(st.sampled_from(list(PLACES)))
        kind = draw(st.sampled_from(list(KINDS)))
        if place == 'cookie' and kind in {'list', 'ints'}:
            kind = 'int'
        default = draw(st.sampled_from([..., *KINDS[kind][1]]))
        alias = draw(st.sampled_from([None, None, 'other-name', 'x_a']))
        found.append((name, kind, place, default, alias))
    return found


def annotated(kind, place, alias):
    return Annotated[KINDS[kind][0], PLACES[place](**({'alias': alias} if alias else {}))]


def declared(specs):
    """The parameters of a function."""
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=annotated(kind, place, alias),
            default=inspect.Parameter.empty if default is ... else default,
        )
        for name, kind, place, default, alias in specs
    ]


def function(specs, more=()):
    """A function that declares the parameters and returns what it was given, in a way that shows all of it."""

    async def answer(**given):
        return {name: shown(value) for name, value in given.items()}

    answer.__signature__ = inspect.Signature([*declared(specs), *more])
    return answer


def shown(value):
    if isinstance(value, Request):
        return [str(value.url), sorted(value.headers.items()), sorted(value.cookies.items())]
    if isinstance(value, BaseModel):
        return [repr(value), sorted(value.model_fields_set)]
    return repr(value)


def model_of(specs, extra):
    fields = {
        name: (KINDS[kind][0], default if alias is None else Field(default, alias=alias))
        for name, kind, _, default, alias in specs
    }
    return create_model('Model', __config__=ConfigDict(extra=extra), **fields)


@st.composite
def endpoints(draw):
    """A function that builds the endpoint anew, and the methods and dependencies of its route."""
    own, below, guard = draw(parameters()), draw(parameters()), draw(parameters())
    model_fields = draw(parameters(names=['m', 'n']))
    model_place = draw(st.sampled_from([None, None, 'query', 'header', 'cookie'] if FASTAPI >= (0, 160) else [None]))
    extra = draw(st.sampled_from(['ignore', 'allow', 'forbid']))
    raw, nested = draw(st.booleans()) and draw(st.booleans()), draw(st.booleans())
    scheme = draw(st.sampled_from([None, None, 'key', 'bearer']))
    body = draw(st.sampled_from([None, None, 'value', 'model']))

    def keyword(name, annotation):
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)

    sub = function(below)
    outer = function([], [keyword('inner', Annotated[Any, Depends(sub)])]) if nested else sub
    more = [keyword('dependency', Annotated[Any, Depends(outer)]), keyword('item', Annotated[str, Path()])]
    if raw:
        more.append(keyword('request', Request))
    if scheme:
        its = APIKeyHeader(name='X-Key', auto_error=False) if scheme == 'key' else HTTPBearer(auto_error=False)
        more.append(keyword('credential', Annotated[Any, Depends(its)]))
    if model_place:
        model = model_of(model_fields, extra)
        more.append(keyword('model', Annotated[model, PLACES[model_place]()]))
    if body:
        content: Any = int if body == 'value' else model_of([], 'allow')
        more.append(keyword('content', Annotated[content, Body(embed=True)]))
    return function(own, more), [Depends(function(guard))], ['POST'] if body else ['GET']


TEXTS = sorted({text for _, _, texts in KINDS.values() for text in texts})
SENT_NAMES = [*NAMES, 'm', 'n', 'x-a', 'x-b', 'other-name', 'undeclared']


@st.composite
def requests(draw):
    """One request: path, query, header fields, body."""
    pairs = st.lists(st.tuples(st.sampled_from(SENT_NAMES), st.sampled_from(TEXTS)), max_size=4)
    quoted = [f'{name}={text}'.replace(' ', '+').replace("'", '%27') for name, text in draw(pairs)]
    fields = [(name.encode(), text.encode()) for name, text in draw(pairs)]
    cookies = [f'{name}={text}' for name, text in draw(pairs) if ',' not in text]
    if cookies and draw(st.booleans()):
        fields.append((b'cookie', '; '.join(cookies).encode()))
    credentials = st.sampled_from([None, b'Bearer ann', b'Bearer bob'])
    fields += [(name, it) for name in (b'x-key', b'authorization') if (it := draw(credentials)) is not None]
    body = draw(st.sampled_from([b'{"content": 1}', b'{"content": 2}', b'{"content": {"a": 1}}', b'{}']))
    fields.append((b'content-type', b'application/json'))
    return draw(st.sampled_from(['/items/a', '/items/b'])), '&'.join(quoted).encode(), fields, body


async def answers(app, method, asked):
    path, query, fields, body = asked
    sent = await asgi_call(app, asgi_scope(method, path, query=query, headers=fields), body)
    headers = dict(sent[0]['headers'])
    content = b''.join(it.get('body', b'') for it in sent)
    return sent[0]['status'], content, headers.get(b'x-cache')


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(endpoints(), st.lists(requests(), min_size=2, max_size=4), st.data())
def compare_cached_and_plain(made, asked, data):
    endpoint, dependencies, methods = made
    apps = []
    for route_class in (CachingRoute, None):
        app = FastAPI(openapi_url=None)
        router = APIRouter(**({'route_class': route_class} if route_class else {}))
        try:
            router.api_route('/items/{item}', methods=methods, dependencies=dependencies)(endpoint)
            app.include_router(router)
        except AssertionError:  # FastAPI itself does not take this mix
            return
        apps.append(app)
    memory_cache()(ttl=60)(endpoint)
    counts['endpoints'] += 1
    order = data.draw(st.lists(st.sampled_from(asked), min_size=6, max_size=10))

    async def compare():
        for one in order:
            cached, plain = [await answers(app, methods[0], one) for app in apps]
            counts['requests'] += 1
            counts['hits'] += cached[2] == b'HIT'
            assert cached[:2] == plain[:2], (json.dumps(str(inspect.signature(endpoint))), one)

    asyncio.run(compare())


def test_whatever_is_declared_and_asked_the_cached_app_answers_as_the_plain_one():
    compare_cached_and_plain()
    print(counts)
    assert counts['endpoints'] >= 150
    assert counts['requests'] >= 1000
    assert counts['hits'] >= 60
