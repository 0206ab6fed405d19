"""Less usual ways to read a raw request: operators, copies, `match`, code in C, and requests made of its scope.

Each is a name and a function of the request that returns what it has seen.
"""

import collections
import contextvars
import copy
import http.cookies
import json
import operator
import types
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection, Request


def deleted(holder: Any, delete: Callable[[Any], None]) -> str:
    try:
        delete(holder)
    except (AttributeError, KeyError):
        return 'none'
    return 'some'


def item_or_none(mapping: Any, key: str) -> Any:
    try:
        return operator.itemgetter(key)(mapping)
    except KeyError:
        return None


def as_arguments(**given: Any) -> Any:
    return given


def port_of(client: Any) -> Any:
    return client and client[1]


def matched_header(request: Any) -> Any:
    match request.headers:
        case {'x-a': value}:
            return value
    return None


def matched_cookie(request: Any) -> Any:
    match request.cookies:
        case {'a': value}:
            return value
    return None


def matched_query(request: Any) -> Any:
    match request.query_params:
        case {'a': value, **others}:
            return value, others
    return None


def matched_scope(request: Any) -> Any:
    match request.scope:
        case {'query_string': value, **others}:
            return value, others.get('client')
    return None


def matched_client(request: Any) -> Any:
    match request.client:
        case (_, port):
            return port
    return None


def as_json(request: Any) -> Any:
    text = json.dumps(
        request.scope, default=lambda it: it.decode('latin-1') if isinstance(it, bytes) else 'object', skipkeys=True
    )
    return json.loads(text)['query_string']


def in_empty_context(request: Any) -> Any:
    return contextvars.Context().run(lambda: request.headers.get('x-a'))


def changed(request: Any) -> Any:
    scope = request.scope
    scope['path'], scope['mine'] = '/changed', 1
    return dict.get(scope, 'path'), dict.get(scope, 'mine'), scope.pop('mine'), dict.get(scope, 'mine')


IDIOMS: dict[str, Callable[[Any], Any]] = {
    'header: match': matched_header,
    'header: chained': lambda it: collections.ChainMap({}, it.headers).get('x-a'),
    'header: as arguments': lambda it: as_arguments(**it.headers).get('x-a'),
    'header: of a copy': lambda it: copy.deepcopy(it.headers).get('x-a'),
    'header: made again': lambda it: Headers(it.headers).get('x-a'),
    'header: made of the scope': lambda it: Headers(scope=it.scope).get('x-a'),
    'header: in keys': lambda it: 'x-a' in it.headers.keys(),  # noqa: SIM118, on purpose
    'header: in items': lambda it: ('x-a', '1') in it.headers.items(),
    'header: equal': lambda it: it.headers == Headers({'x-a': '1'}),
    'header: true': lambda it: bool(it.headers),
    'header: first': lambda it: next(iter(it.headers), None),
    'header: largest': lambda it: max(it.headers, default=None),
    'header: in a private list': lambda it: it.headers._list,
    'header: variables': lambda it: vars(it.headers).get('_list'),
    'header: in an empty context': in_empty_context,
    'header: another or this one': lambda it: it.headers.get('x-a', it.headers.get('x-b')),
    'headers: kept by Starlette': lambda it: (it.headers, it._headers.get('x-a'))[1],
    'cookie: match': matched_cookie,
    'cookie: item': lambda it: item_or_none(it.cookies, 'a'),
    'cookie: or nothing': lambda it: (it.cookies or {}).get('a'),
    'cookie: named': lambda it: cookies.get('a') if (cookies := it.cookies) else None,
    'cookie: mapped': lambda it: [found.get('a') for found in map(operator.attrgetter('cookies'), [it])],
    'cookie: in C': lambda it: dict.get(it.cookies, 'a'),
    'cookie: popped': lambda it: it.cookies.pop('a', None),
    'cookie: parsed': lambda it: sorted(http.cookies.SimpleCookie(it.headers.get('cookie') or '')),
    'cookies: merged': lambda it: (it.cookies | {}, {} | it.cookies),
    'cookies: equal': lambda it: it.cookies == {'a': '1', 'b': '1'},
    'cookies: reversed': lambda it: [*reversed(it.cookies)],
    'cookies: lengths of values': lambda it: sum(map(len, it.cookies.values())),
    'cookies: kept by Starlette': lambda it: (it.cookies.get('z'), dict(it._cookies))[1],
    'query: match': matched_query,
    'query: made again': lambda it: QueryParams(it.query_params).get('a'),
    'query: equal': lambda it: it.query_params == QueryParams('a=1&b=1'),
    'query: true': lambda it: bool(it.query_params),
    'query: values': lambda it: [*it.query_params.values()],
    'query: in a private dict': lambda it: it.query_params._dict,
    'query: no text': lambda it: it.query_params.get(1),
    'url: parts': lambda it: it.url.components,
    'url: port': lambda it: it.url.port,
    'url: user': lambda it: (it.url.username, it.url.password, it.url.fragment),
    'url: equal': lambda it: it.url == 'http://a.example/items/x?a=1&b=1',
    'url: formatted': lambda it: f'{it.url}' + '%s' % it.url,  # noqa: UP031, on purpose
    'url: shown': lambda it: repr(it.url),
    'url: split': lambda it: urlsplit(str(it.url)).query,
    'url: in a private text': lambda it: it.url._url,
    'url: by format': '{.url.query}'.format,
    'url: another path': lambda it: str(it.url.replace(path='/x')),
    'client: match': matched_client,
    'client: of a function': lambda it: port_of(it.client),
    'client: not': lambda it: not it.client,
    'state: there': lambda it: hasattr(it.state, 'tenant'),
    'state: deleted': lambda it: deleted(it.state, lambda state: delattr(state, 'tenant')),
    'state: another deleted': lambda it: deleted(it.state, lambda state: delattr(state, 'rare')),
    'state: in a private dict': lambda it: it.state._state.get('tenant'),
    'state: variables': lambda it: vars(it.state)['_state'].get('tenant'),
    'state: of the scope, or given': lambda it: it.scope.setdefault('state', {}).setdefault('tenant', 'none'),
    'scope: match': matched_scope,
    'scope: items': lambda it: operator.itemgetter('query_string', 'scheme')(it.scope),
    'scope: mapped': lambda it: [*map(it.scope.get, ['client', 'scheme'])],
    'scope: by format': lambda it: '{[query_string]}'.format(it.scope),  # noqa: UP032, on purpose
    'scope: by format of a map': lambda it: '{query_string}'.format_map(it.scope),
    'scope: by percent': lambda it: '%(query_string)s' % it.scope,  # noqa: UP031, on purpose
    'scope: names of code': lambda it: eval('query_string', {}, it.scope),  # noqa: S307, on purpose
    'scope: chained': lambda it: collections.ChainMap(it.scope)['client'],
    'scope: in a UserDict': lambda it: collections.UserDict(it.scope)['client'],
    'scope: behind a proxy': lambda it: types.MappingProxyType(it.scope)['client'],
    'scope: in another dict': lambda it: dict(it.scope, more=1)['query_string'],
    'scope: names': lambda it: 'plan' in dict.fromkeys(it.scope),
    'scope: sorted': lambda it: 'plan' in sorted(it.scope),
    'scope: in a set': lambda it: 'plan' in {*it.scope},
    'scope: length': lambda it: len(it.scope) > 20,
    'scope: equal': lambda it: it.scope == {},
    'scope: popped': lambda it: it.scope.pop('plan', None),
    'scope: deleted': lambda it: deleted(it.scope, lambda scope: operator.delitem(scope, 'plan')),
    'scope: changed': changed,
    'scope: as JSON': as_json,
    'scope in C: names': lambda it: sorted(dict.keys(it.scope) & {'type', 'path', 'app', 'headers', 'client'}),
    'scope in C: type': lambda it: dict.get(it.scope, 'type'),
    'scope in C: path': lambda it: (dict.__getitem__(it.scope, 'path'), dict.get(it.scope, 'path_params')),
    'scope in C: headers': lambda it: [value for name, value in dict.get(it.scope, 'headers') if name == b'x-a'],
    'scope in C: all headers': lambda it: repr(dict.get(it.scope, 'headers')),
    'scope in C: query': lambda it: dict.__getitem__(it.scope, 'query_string').decode(),
    'scope in C: parsed query': lambda it: parse_qs(dict.get(it.scope, 'query_string')),
    'scope in C: equal': lambda it: dict.get(it.scope, 'query_string') == b'a=1&b=1',
    'scope in C: client': lambda it: str(dict.get(it.scope, 'client')),
    'scope in C: host of the client': lambda it: dict.get(it.scope, 'client') and dict.get(it.scope, 'client')[0],
    'scope in C: kinds': lambda it: [
        isinstance(dict.get(it.scope, name), list | bytes) for name in ('headers', 'client')
    ],
    'scope in C: version': lambda it: f'{dict.get(it.scope, "http_version")}{dict.get(it.scope, "scheme")}',
    'scope in C: items': lambda it: [str(value) for name, value in dict.items(it.scope) if name == 'query_string'],
    'scope in C: a copy': lambda it: Request(dict.copy(it.scope)).query_params.get('a'),
    'scope in C: headers of a copy': lambda it: Request(dict.copy(it.scope)).headers.get('x-a'),
    'request: of its class': lambda it: type(it)(it.scope).headers.get('x-a'),
    'request: of the scope': lambda it: Request(it.scope).headers.get('x-a'),
    'request: of a copy of the scope': lambda it: str(Request({**it.scope, 'path': '/z'}).url),
    'request: connection': lambda it: HTTPConnection(it.scope).cookies.get('a'),
    'request: copied': lambda it: copy.copy(it).headers.get('x-a'),
    'request: variables': lambda it: vars(it)['scope']['headers'],
    'request: its state for copies': lambda it: (
        str(getattr(it, '__getstate__', dict)())[:0] + str(it.headers.get('x-a'))
    ),
    'request: iterated': lambda it: {name: it[name] for name in it if name in {'headers', 'query_string'}},
    'request: in': lambda it: 'plan' in it,
    'request: dict': lambda it: dict(it)['query_string'],
    'request: its class': lambda it: (type(it).__name__, isinstance(it, Request)),
}
"""The idioms, each by its name."""
