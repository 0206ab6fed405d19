"""One request, and the values of what is read of it. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.lifespan_state import OF_THE_LIFESPAN
from fastapi_caching_route._core.plain import NotPlainError, person, plain
from fastapi_caching_route._core.read_names import (
    AUTH,
    BODY,
    CLIENT,
    CLIENT_AND_PORT,
    EVERYTHING,
    EXTENSIONS,
    HEADERS,
    HOST,
    NO_INPUT,
    OURS,
    QUERY,
    SCHEME,
    SESSION,
    SEVERAL,
    STATE,
    USER,
    Reading,
)
from fastapi_caching_route._http.fields import RawHeaders, lines

NOTHING_GIVEN: Mapping[str, object] = MappingProxyType({})

NOT_PLAIN = object()
"""Stands for a value that cannot be compared."""


class RawRequest(Struct, eq=False):
    """One request, for the values of what is read of it."""

    scope: Scope
    reading: Reading
    body: bytes | None = None
    """None if it is not known."""
    _cookies: Mapping[str, str] | None = None
    _query: Any = None

    def values(self, names: Collection[str], given: Mapping[str, object] = NOTHING_GIVEN) -> Parts | None:
        """The values of these names, some of which are given; None if there is one that cannot be compared."""
        try:
            if given:
                found = tuple([given.get(name) or (_reader(name)(self),) for name in names])
            else:
                found = tuple([(_reader(name)(self),) for name in names])
        except NotPlainError:
            return None
        return None if NOT_PLAIN in found else found

    def parts(self, names: Iterable[str]) -> list[str]:
        """These names, with those of the items in place of the whole state and of everything."""
        return [part for name in names for part in self._parts(name)]

    def _parts(self, name: str) -> Iterable[str]:
        states = [f'state:{it}' for it in self.scope.get('state') or {}]
        if name != EVERYTHING:
            return states if name == STATE else (name,)
        return (EXTENSIONS, SESSION, USER, AUTH, *states, *(f'scope:{it}' for it in _others(self.scope)))

    def cookie(self, name: str) -> str | None:
        """The value of a cookie."""
        if self._cookies is None:
            self._cookies = self.reading.cookies(self.scope['headers'])
        return self._cookies.get(name)

    def parameter(self, name: str) -> tuple[str, ...]:
        """All values of a query parameter."""
        if self._query is None:
            self._query = self.reading.query(self.scope['query_string'])
        return tuple(self._query.getlist(name))


def begin_of(scope: Scope, headers: RawHeaders) -> Scope:
    """A request as it was before the route read or changed it, with the headers that the endpoint gets."""
    began = {**scope, 'headers': headers}
    if isinstance(scope.get('state'), dict):
        began['state'] = dict(scope['state'])
    return began


@lru_cache(4096)
def _reader(name: str) -> Callable[[RawRequest], object]:
    """The function that finds the value of a name in a request."""
    kind, separator, rest = name.partition(':')
    if not separator:
        return _READERS.get(name, _unknown)
    match kind:
        case 'header':
            header = rest.encode('latin-1', 'replace')
            # Not by `lines`: this saves a call for each header of each hit.
            return lambda request: tuple([value for field, value in request.scope['headers'] if field == header])
        case 'cookie':
            return lambda request: request.cookie(rest)
        case 'query':
            return lambda request: request.parameter(rest)
        case 'state':
            return lambda request: _in_state(request, rest)
        case _:
            return lambda request: _item(request.scope, rest)


def _item(items: Mapping[str, object], name: str) -> Parts:
    """The plain value of an item; () if there is none."""
    return (plain(items[name]),) if name in items else ()


def _in_state(request: RawRequest, name: str) -> Parts:
    """The plain value of an item of the state, or that it is an object of the lifespan; () if there is none."""
    state = request.scope.get('state') or {}
    if name in state and request.reading.is_of_lifespan(name, state[name]):
        return OF_THE_LIFESPAN
    return _item(state, name)


def _headers(request: RawRequest) -> Parts:
    left_out = request.reading.left_out
    return tuple((name, value) for name, value in request.scope['headers'] if name not in left_out)


def _host(request: RawRequest) -> Parts:
    """The parts of the host in a URL: without Host, the address of the server."""
    scope = request.scope
    found = tuple(lines(scope['headers'], b'host')) or plain(scope.get('server'))
    return found, scope.get('app_root_path')


def _client(request: RawRequest) -> object:
    client = request.scope.get('client')
    return None if client is None else (plain(client[0]),)


def _body(request: RawRequest) -> Parts:
    if request.body is None:
        raise NotPlainError
    return blake2b(request.body).digest(), tuple(lines(request.scope['headers'], b'content-type'))


def _extensions(request: RawRequest) -> Parts:
    """The statements of the server about the connection, such as a certificate of the client."""
    offered = request.scope.get('extensions') or {}
    return tuple((name, plain(offered[name])) for name in sorted(offered) if not name.startswith('http.response.'))


def _state(request: RawRequest) -> object:
    return tuple((plain(name), _in_state(request, name)) for name in request.scope.get('state') or {})


def _everything(request: RawRequest) -> Parts:
    scope = request.scope
    return (
        _headers(request),
        scope['query_string'],
        _extensions(request),
        _state(request),
        tuple((name, person(scope[name])) for name in (USER, AUTH) if name in scope),
        _item(scope, SESSION),
        tuple((name, plain(scope[name])) for name in _others(scope)),
    )


def _others(scope: Scope) -> list[str]:
    """The items of a scope that have no name of their own here."""
    return sorted(it for it in scope if it not in NO_INPUT | _SPECIAL and not it.startswith(OURS))


_SPECIAL = frozenset((EXTENSIONS, STATE, USER, AUTH, SESSION))

_READERS: Mapping[str, Callable[[RawRequest], object]] = {
    HEADERS: _headers,
    QUERY: lambda request: request.scope['query_string'],
    HOST: _host,
    SCHEME: lambda request: request.scope.get('scheme'),
    CLIENT: _client,
    CLIENT_AND_PORT: lambda request: plain(request.scope.get('client')),
    BODY: _body,
    EXTENSIONS: _extensions,
    SESSION: lambda request: _item(request.scope, SESSION),
    USER: lambda request: _person(request.scope, USER),
    AUTH: lambda request: _person(request.scope, AUTH),
    STATE: _state,
    EVERYTHING: _everything,
    SEVERAL: lambda _: None,
}


def _unknown(_request: RawRequest) -> object:
    raise NotPlainError


def _person(scope: Scope, name: str) -> Parts:
    """The plain value of the user, or of its permissions, that middleware has set; () if there is none."""
    return (person(scope[name]),) if name in scope else ()
