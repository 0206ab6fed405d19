"""Requests that note what user code reads of them, of the class that the code would have had.

FastAPI's own reading for declared parameters does not count. Does not know what becomes of the notes.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any, cast

from starlette.datastructures import Address
from starlette.requests import HTTPConnection

from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.read_names import AUTH, BODY, CLIENT, CLIENT_AND_PORT, EVERYTHING, SESSION, USER
from fastapi_caching_route._fastapi.callers import caller, is_declared, use_of_result
from fastapi_caching_route._fastapi.noted_scope import NotedScope
from fastapi_caching_route._fastapi.noted_values import (
    Began,
    NotedCookies,
    NotedHeaders,
    NotedQuery,
    NotedState,
    NotedURL,
)

_FRAMEWORK = ('starlette.', 'fastapi.', 'fastapi_caching_route.')
_BY_NAME = frozenset(('get', '__getitem__', '__contains__'))


def noted(request: Any, reads: ReadLog) -> Any:
    """The request for user code: what is read of it goes into `reads`. One request is always given the same one."""
    for real, noting in reads.handed:
        if request is real or request is noting:
            return noting
    found = _noted(request, reads)
    reads.is_open = True
    reads.handed.append((request, found))
    return found


def _noted(request: Any, reads: ReadLog) -> Any:
    kind = _noting_kind(cast('Any', type(request)))
    if kind is None or not vars(request).keys() <= _KNOWN_ATTRIBUTES:
        reads.note(EVERYTHING)
        return request
    found: Any = object.__new__(kind)
    object.__setattr__(found, '_noted_real', request)
    object.__setattr__(found, '_noted_reads', reads)
    _SET_DICT(found, vars(request))  # a body that one of them has read, the other one has read, too
    return found


_SET_DICT = vars(HTTPConnection)['__dict__'].__set__
_GET_DICT = vars(HTTPConnection)['__dict__'].__get__
_KNOWN_ATTRIBUTES = frozenset(
    {
        *('scope', '_receive', '_send', '_stream_consumed', '_is_disconnected', '_form', '_body', '_json'),
        *('_headers', '_query_params', '_cookies', '_url', '_base_url', '_state'),
    }
)
"""What Starlette keeps in a request. Other attributes are of a class of the user's, and may hold anything."""


@lru_cache(64)
def _noting_kind(kind: Any) -> Any:
    """The subclass of a class of requests that notes; None if the class does not keep its scope as Starlette does."""
    own = _own_names(kind)
    keeps_more = hasattr(kind, 'scope') or any(type(getattr(kind, it)) is MemberDescriptorType for it in own)
    if not issubclass(kind, HTTPConnection) or keeps_more or '__getattribute__' in own:
        return None
    members = {name: value for name, value in _MEMBERS.items() if name not in own}

    def new(_: type, *args: Any, **options: Any) -> Any:
        return kind(*args, **options)  # code may build another request of the class of this one

    own_members = {'__new__': new, '__module__': kind.__module__, '__slots__': ('_noted_real', '_noted_reads')}
    return type(kind)(kind.__name__, (kind,), {**members, **own_members})


def _own_names(kind: type) -> set[str]:
    """What the user's own classes define: it runs as it is, and what it reads in turn is noted."""
    return {
        name
        for it in kind.__mro__
        if not it.__module__.startswith(_FRAMEWORK) and it is not object
        for name in vars(it)
    } - _OF_NO_USE


_OF_NO_USE = frozenset(
    ('__dict__', '__module__', '__doc__', '__slots__', '__weakref__', '__getitem__', '__iter__', '__len__')
)


def _property(name: str, view: Callable[[Any, Any, Any], Any], *, settable: bool = False) -> property:
    """A property with the value of the real request for FastAPI, and a view of it for user code."""

    def read(self: Any) -> Any:
        real, reads = self._noted_real, self._noted_reads
        if is_declared(caller(), name, reads.began.reading.schemes):
            return getattr(real, name)
        return view(real, reads, caller())

    def write(self: Any, value: Any) -> None:
        setattr(self._noted_real, name, value)

    return property(read, write) if settable else property(read)


def _headers(real: Any, reads: ReadLog, _frame: Any) -> Any:
    return NotedHeaders(real.headers, reads)


def _cookies(real: Any, reads: ReadLog, frame: Any) -> Any:
    how, name = use_of_result(frame)
    is_by_name = how in {'in', 'item'} or (how == 'attribute' and (name in _BY_NAME or not hasattr(dict, name)))
    if is_by_name:
        return NotedCookies(real.cookies, reads)
    reads.note('header:cookie')
    return real.cookies


def _query_params(real: Any, reads: ReadLog, _frame: Any) -> Any:
    return NotedQuery(real.query_params, reads)


def _url(real: Any, reads: ReadLog, _frame: Any) -> Any:
    return NotedURL(real.url, reads)


def _base_url(real: Any, reads: ReadLog, _frame: Any) -> Any:
    return NotedURL(real.base_url, reads)


def _client(real: Any, reads: ReadLog, frame: Any) -> Address | None:
    reads.note(CLIENT if use_of_result(frame) in {('attribute', 'host'), ('test', '')} else CLIENT_AND_PORT)
    client: Address | None = real.client
    return client


def _state(real: Any, reads: ReadLog, _frame: Any) -> NotedState:
    state = real.state  # this makes one if there is none
    return NotedState(Began(reads.began.scope.get('state') or {}, real.scope['state']), state, reads)


def _scope(real: Any, reads: ReadLog, _frame: Any) -> NotedScope:
    return noted_scope(real.scope, reads)


def noted_scope(scope: Any, reads: ReadLog) -> NotedScope:
    """The scope for user code."""
    return NotedScope(Began(reads.began.scope, scope), scope, reads)


def _left_by_middleware(name: str, read: str) -> property:
    def view(real: Any, reads: ReadLog, _frame: Any) -> Any:
        if Began(reads.began.scope, real.scope).is_input(name):
            reads.note(read)
        return getattr(real, name)

    return _property(name, view)


def _hidden(name: str, read: str) -> property:
    """An attribute in which Starlette keeps something that was read."""

    def read_it(self: Any) -> Any:
        self._noted_reads.note(read)
        try:
            return _GET_DICT(self)[name]
        except KeyError:
            raise AttributeError(name) from None

    def write_it(self: Any, value: Any) -> None:
        _GET_DICT(self)[name] = value

    def delete_it(self: Any) -> None:
        del _GET_DICT(self)[name]

    return property(read_it, write_it, delete_it)


def _dict(self: Any) -> Any:
    self._noted_reads.note(EVERYTHING)
    return _GET_DICT(self)


def _of_body(name: str) -> property:
    def view(real: Any, reads: ReadLog, _frame: Any) -> Any:
        reads.note(BODY)
        return getattr(real, name)

    return _property(name, view)


async def _is_disconnected(self: Any) -> bool:
    return bool(await self._noted_real.is_disconnected())


def _get(self: Any, key: str, default: Any = None) -> Any:
    """What `Mapping.get` does. Starlette's templates ask whether a test client wants to see the template."""
    if key == 'extensions' and caller().f_globals.get('__name__') == 'starlette.templating':
        return self._noted_real.get(key, default)
    return self.scope.get(key, default)


def _reduce_ex(self: Any, protocol: Any) -> Any:
    self._noted_reads.note(EVERYTHING)
    return self._noted_real.__reduce_ex__(protocol)


def _getstate(self: Any) -> Any:
    self._noted_reads.note(EVERYTHING)
    return self._noted_real.__getstate__


_MEMBERS: Mapping[str, Any] = {
    'scope': _property('scope', _scope, settable=True),
    'headers': _property('headers', _headers),
    'cookies': _property('cookies', _cookies),
    'query_params': _property('query_params', _query_params),
    'url': _property('url', _url),
    'base_url': _property('base_url', _base_url),
    'client': _property('client', _client),
    'state': _property('state', _state),
    'session': _left_by_middleware('session', SESSION),
    'user': _left_by_middleware('user', USER),
    'auth': _left_by_middleware('auth', AUTH),
    **{name: _of_body(name) for name in ('receive', 'stream', 'body', 'json', 'form')},
    **{name: _hidden(name, BODY) for name in ('_receive', '_body', '_json', '_form', '_stream_consumed')},
    **{
        name: _hidden(name, EVERYTHING)
        for name in ('_headers', '_query_params', '_cookies', '_url', '_base_url', '_state')
    },
    'is_disconnected': _is_disconnected,
    'get': _get,
    '__dict__': property(_dict),
    '__reduce_ex__': _reduce_ex,
    '__getstate__': property(_getstate),
}


def noted_response(response: Any, reads: ReadLog) -> Any:
    """The response. If its class sends it by code of the user's, which gets the scope, that is noted, too."""
    kind: Any = type(response)
    if _is_sent_by_framework(kind):
        return response
    reads.is_open = True
    try:
        response.__class__ = _noting_response(kind)
        response._noted_reads = reads  # noqa: SLF001
    except (TypeError, AttributeError):
        reads.note(EVERYTHING)
    return response


@lru_cache(256)
def _is_sent_by_framework(kind: Any) -> bool:
    caller_of = next((it for it in kind.__mro__ if '__call__' in vars(it)), object)
    return caller_of.__module__.startswith(_FRAMEWORK)


@lru_cache(64)
def _noting_response(kind: Any) -> Any:
    async def send_noted(self: Any, scope: Any, receive: Any, send: Any) -> None:
        async def receive_noted() -> Any:
            self._noted_reads.note(BODY)
            return await receive()

        await kind.__call__(self, noted_scope(scope, self._noted_reads), receive_noted, send)

    return type(kind)(kind.__name__, (kind,), {'__call__': send_noted, '__module__': kind.__module__})
