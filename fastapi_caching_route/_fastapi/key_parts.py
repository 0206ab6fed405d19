"""The parts of a request that are in its key: declared parameters and credentials, and how each is read.

Does not know which dependencies declared them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection, cookie_parser

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.read_names import PERSONAL_HEADERS
from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route._fastapi.parameters import Parameters, refused
from fastapi_caching_route._fastapi.security import Credential
from fastapi_caching_route._http.fields import RawHeaders, lines, selected

Reader = tuple[str, Callable[[Scope], Parts]]
"""A place in the request, and the function that reads it. The name of the place is in the key, too."""


@dataclass(frozen=True, slots=True)
class KeyParts:
    """The parts of a request that are in its key."""

    query: Parameters
    headers: Parameters
    headers_of_guards: Parameters
    cookies: Parameters
    vary: tuple[bytes, ...]
    """Further request headers."""
    credentials: tuple[Credential, ...]
    """The credentials whose values user code receives."""

    @property
    def header_names(self) -> tuple[bytes, ...]:
        """The declared headers."""
        return tuple(dict.fromkeys((*self.headers.field_names, *self.headers_of_guards.field_names)))

    @property
    def whole_headers(self) -> frozenset[bytes]:
        """The headers that are in the key as they were sent, with all of their lines.

        A declared header is not: of several lines, its value has the first one, and `01` and `1` are the same number.
        """
        return frozenset((*self.vary, *header_names_of(it for it in self.credentials if it.place == 'header')))

    @property
    def known_headers(self) -> frozenset[bytes]:
        """The headers that are in the key, if only as they are declared."""
        return self.whole_headers.union(self.header_names)

    @property
    def cookies_are_in_key(self) -> bool:
        """Whether a part of Cookie is in the key."""
        return bool(self.cookies) or any(it.place == 'cookie' for it in self.credentials)

    @property
    def reads_query(self) -> bool:
        """Whether a part of the query is in the key."""
        return bool(self.query) or any(it.place == 'query' for it in self.credentials)

    def deciding_headers(self, *, reads_body: bool) -> frozenset[bytes] | None:
        """The headers that are read for the key, with all names that they may have; None if they may have any name."""
        if self.has_any_headers:
            return None
        declared = self.headers.received_names | self.headers_of_guards.received_names
        cookie = (b'cookie',) if self.cookies_are_in_key else ()
        content_type = (b'content-type',) if reads_body else ()
        return declared.union(self.vary, header_names_of(self.credentials), cookie, content_type)

    @property
    def has_any_headers(self) -> bool:
        """Whether all headers are in the key, even undeclared ones."""
        return self.headers.is_whole or self.headers_of_guards.is_whole

    @property
    def shared(self) -> bool:
        """Whether neither credentials nor cookies are in the key."""
        return not self.credentials and not self.known_headers & PERSONAL_HEADERS and not self.cookies

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """Equal for equal declarations in every process."""
        parameters = (self.query, self.headers, self.headers_of_guards, self.cookies)
        return (*(it.fingerprint for it in parameters), self.vary)

    def in_words(self) -> tuple[str, ...]:
        """The parts in words."""
        return (
            *(f'query {it}' for it in self.query.in_words),
            *(f'header {it}' for it in dict.fromkeys((*self.headers.in_words, *self.headers_of_guards.in_words))),
            *(f'cookie {it}' for it in self.cookies.in_words),
            *(f'header {it.decode("ascii")}' for it in self.vary),
            *(f'the credential in {it.place} {it.name}' for it in self.credentials),
        )


def cookies_in(headers: RawHeaders) -> Mapping[str, str]:
    """The cookies as Starlette reads them."""
    given = lines(headers, b'cookie')
    if len(given) == 1:  # of several lines, releases read the first one or all of them
        return cookie_parser(given[0].decode('latin-1'))
    return HTTPConnection({'type': 'http', 'headers': headers}).cookies if given else {}


def reader(parts: KeyParts) -> Callable[[Scope], Parts]:
    """A function that reads these parts of a request, in their order in the key."""
    query, headers, headers_of_guards, cookies = parts.query, parts.headers, parts.headers_of_guards, parts.cookies
    vary, credentials = parts.vary, parts.credentials
    found: list[Reader] = []
    if query:
        found.append(('query', lambda scope: query.read(QueryParams(scope['query_string']))))
    if headers:
        found.append(('headers', lambda scope: headers.read(Headers(raw=scope['headers']))))
    if headers_of_guards:
        found.append(('headers of guards', lambda scope: headers_of_guards.read(Headers(raw=scope['headers']))))
    if cookies:
        found.append(('cookies', lambda scope: cookies.read(HTTPConnection(scope).cookies)))
    if vary:
        found.append(('vary', lambda scope: selected(scope['headers'], vary)))
    if credentials:
        found.append(('credentials', lambda scope: _values(scope, credentials)))
    return lambda scope: tuple([(place, of(scope)) for place, of in found])


def refused_parameters(effective: Any, scope: Scope) -> list[str]:
    """The parameters of a route that FastAPI would refuse, as far as that can be said without running user code."""
    overrides = getattr(effective.dependency_overrides_provider, 'dependency_overrides', None) or {}
    headers, params = scope['headers'], scope.get('path_params', {})
    places = {'path': params, 'query': QueryParams(scope['query_string']), 'header': Headers(raw=headers)}
    found = [
        f'{place} {name}'
        for node in tree(effective.dependant, overrides)
        for place, received in {**places, 'cookie': cookies_in(headers)}.items()
        for field in getattr(node, f'{place}_params')
        for name in refused(place, field, received)
    ]
    return list(dict.fromkeys(found))


def header_names_of(credentials: Iterable[Credential]) -> list[bytes]:
    """The request headers that carry the credentials; a query parameter has none."""
    return [_header_name(it) for it in credentials if it.place != 'query']


def _header_name(credential: Credential) -> bytes:
    return b'cookie' if credential.place == 'cookie' else credential.name.lower().encode('latin-1')


def _values(scope: Scope, credentials: Collection[Credential]) -> Parts:
    """The credentials of a request. They are used in the digest of the key and nowhere else."""
    request = HTTPConnection(scope)
    given: list[object] = []
    for it in credentials:
        match it.place:
            case 'header':
                given.append(lines(scope['headers'], _header_name(it)))
            case 'query':
                given.append(request.query_params.getlist(it.name))
            case 'cookie':
                given.append(request.cookies.get(it.name))
    return tuple(given)
