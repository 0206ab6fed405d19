"""Every operation on a raw request and its parts: what two requests differ in is noted, and nobody gets another's."""

import copy
import json
import operator
import pickle
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.responses import PlainTextResponse
from starlette.datastructures import QueryParams
from starlette.requests import Request

from fastapi_caching_route._core.raw_request import RawRequest, begin_of
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.read_names import Reading
from fastapi_caching_route._fastapi.key_parts import cookies_in
from fastapi_caching_route._fastapi.noted_values import NotedCookies
from fastapi_caching_route._fastapi.noting import noted
from tests.promises.raw_idioms import IDIOMS, as_arguments
from tests.promises.test_raw_equivalence import EACH_TWICE, OTHERS_ASKED, compared
from tests.support import asgi_scope


@dataclass
class Reads:
    """An endpoint that reads the request in one way."""

    idiom: str
    method: str = 'GET'
    dependencies: list[Any] = field(default_factory=list)

    def endpoint(self) -> Any:
        async def read(request: Request) -> Any:
            return PlainTextResponse(repr(IDIOMS[self.idiom](request)))

        return read


@pytest.mark.parametrize('idiom', IDIOMS)
def test_each_idiom_gives_every_client_what_the_plain_app_gives(idiom):
    counts: Counter[str] = Counter()
    rare = [{**it, 'state': {**it['state'], 'rare': 1}} for it in EACH_TWICE[:2]]
    assert not compared(Reads(idiom), EACH_TWICE + rare, counts)  # type: ignore[arg-type]
    assert counts['hits'] >= len(OTHERS_ASKED)


# Operations ----------------------------------------------------------------------------------------------------------

SCOPES: list[dict[str, Any]] = [
    {'headers': [], 'client': None, 'server': None},
    {
        'headers': [(b'host', b'a.example:81'), (b'key', b'1'), (b'cookie', b'key=1')],
        'query_string': b'key=1',
        'client': ('10.0.0.1', 1),
        'server': ('a', 80),
        'scheme': 'https',
        'http_version': '2',
        'raw_path': b'/%2f',
        'extensions': {'tls': {}},
        'state': {'key': '1'},
        'key': '1',
        'session': {'key': '1'},
        'user': 'ann',
        'auth': 'all',
    },
    {
        'headers': [(b'host', b'b.example'), (b'key', b'2'), (b'cookie', b'key=2'), (b'other', b'3')],
        'query_string': b'key=2&z=1',
        'client': ('10.0.0.2', 3),
        'server': ('b', 81),
        'scheme': 'http',
        'http_version': '3',
        'raw_path': b'/x',
        'extensions': {'tls': {'a': 1}},
        'state': {'key': '2'},
        'key': '2',
        'session': {'key': '2'},
        'user': 'bob',
        'auth': 'none',
    },
]
"""Three requests that differ in everything that selects a response."""

PARTS: dict[str, Callable[[Any, ReadLog, Any], Any]] = {
    'request': lambda request, *_: request,
    'headers': lambda request, *_: request.headers,
    'query': lambda request, *_: request.query_params,
    'cookies': lambda _, reads, real: NotedCookies(real.cookies, reads),
    'url': lambda request, *_: request.url,
    'state': lambda request, *_: request.state,
    'scope': lambda request, *_: request.scope,
    **{
        f'{it} in C': lambda request, *_, it=it: dict.get(request.scope, it)
        for it in ('headers', 'query_string', 'client')
    },
}
BUILT_IN = (
    *(len, bool, str, repr, format, list, tuple, set, sorted, dict, bytes, vars, dir),
    *(copy.copy, copy.deepcopy, pickle.dumps),
)
ARGUMENTS: dict[str, tuple[Any, ...]] = {'': (), 'key': ('key',), 'key, 1': ('key', 1), '{}': ({},), '4': (4,)}
OURS = frozenset(('_noted_real', '_noted_reads', '_real', '_real_scope', '_reads', '_began', '_name', '_all', '_note'))
IDENTITY = frozenset(('__hash__', '__init__'))
"""What tells objects apart, and nothing of a request."""


def operations(part: Any) -> dict[str, Callable[[Any], Any]]:
    """Everything that code can do with this: operators, methods and attributes, by methods of `dict`, too."""
    found: dict[str, Callable[[Any], Any]] = {it.__name__: it for it in BUILT_IN}
    found |= {
        'in an f-string': lambda it: f'{it}',
        'as JSON': lambda it: json.dumps(it, default=str),
        'attribute': lambda it: it.key,
        'attribute deleted': lambda it: delattr(it, 'key'),
        'reversed': lambda it: [*reversed(it)],
        'spread': lambda it: {**it},
        'as arguments': lambda it: as_arguments(**it),
    }
    names = {name for kind in (*type(part).__mro__, *part.__class__.__mro__) for name in vars(kind)} - OURS - IDENTITY
    for name in sorted(names):
        found[f'.{name}'] = operator.attrgetter(name)
    for text, given in ARGUMENTS.items():
        found |= {f'.{it}({text})': lambda part, it=it, given=given: getattr(part, it)(*given) for it in sorted(names)}
        found |= {
            f'{it}({text})': lambda part, it=it, given=given: getattr(operator, it)(part, *given) for it in OPERATORS
        }
        found |= {
            f'dict.{it}({text})': lambda part, it=it, given=given: getattr(dict, it)(part, *given) for it in OF_DICT
        }
    return found


OPERATORS = sorted(
    name for name in operator.__all__ if name not in {'attrgetter', 'itemgetter', 'methodcaller', 'call'}
)
OF_DICT = (
    'get',
    '__getitem__',
    '__contains__',
    'items',
    'keys',
    'values',
    'copy',
    'pop',
    'popitem',
    '__eq__',
    '__or__',
)


def seen(value: Any) -> str:
    """What code can see of a value, without the addresses of objects."""
    shown = [*value] if hasattr(type(value), '__next__') or type(value).__name__.startswith('dict_') else value
    return re.sub(r'0x[0-9a-f]+', '', repr(shown))


def outcome(part: str, operation: str | None, number: int) -> Any:
    """What an operation on a part of one of the requests shows, and what has been noted."""
    scope = asgi_scope() | copy.deepcopy(SCOPES[number])
    reads = ReadLog(RawRequest(begin_of(scope, scope['headers']), Reading(cookies=cookies_in, query=QueryParams)))
    real = Request(scope)
    made = PARTS[part](noted(real, reads), reads, real)
    if operation is None:
        return operations(made)
    try:
        shown = seen(operations(made)[operation](made))
    except Exception as error:  # noqa: BLE001, whatever is raised shows something, too
        shown = type(error).__name__
    return shown, frozenset(reads.noted)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('part', PARTS)
def test_every_operation_notes_that_in_which_it_shows_a_difference(part):
    unnoted = []
    names = frozenset.intersection(*(frozenset(outcome(part, None, it)) for it in range(len(SCOPES))))
    assert len(names) > 100
    for name in names:
        found = [outcome(part, name, it) for it in range(len(SCOPES))]
        if len({shown for shown, _ in found}) > 1 and not all(noted for _, noted in found):
            unnoted.append((name, found))
    assert not unnoted
