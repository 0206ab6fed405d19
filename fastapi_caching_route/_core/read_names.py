"""Names for what code reads of a raw request: `header:accept-language`, `cookie:theme`, `client`. Pure.

Each name has a value in every request. A response may only be given to a request whose values are equal in all that was
read to make it. Names that are not listed here are `scope:...` and `state:...`, for what middleware has left there.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi_caching_route._http.fields import TOKEN, RawHeaders

HEADERS, QUERY, HOST, SCHEME, EXTENSIONS = 'headers', 'query', 'host', 'scheme', 'extensions'
CLIENT, CLIENT_AND_PORT, BODY = 'client', 'client and port', 'body'
SESSION, USER, AUTH, STATE = 'session', 'user', 'auth', 'state'
EVERYTHING = 'everything'
SEVERAL = 'several'
"""Marks names that were read by several responses together; it has the same value in all requests."""

PERSONAL_HEADERS = frozenset((b'authorization', b'cookie'))
"""The request headers that name a person."""

HARMLESS_HEADERS = frozenset(
    {
        *(b'accept', b'accept-charset', b'accept-encoding', b'accept-language', b'host', b'origin', b'save-data'),
        *(b'dnt', b'sec-gpc', b'x-requested-with', b'dpr', b'viewport-width', b'width', b'device-memory'),
        *(b'sec-ch-dpr', b'sec-ch-viewport-width', b'sec-ch-width', b'sec-ch-prefers-color-scheme'),
        *(b'sec-ch-prefers-reduced-motion', b'sec-ch-ua', b'sec-ch-ua-mobile', b'sec-ch-ua-platform'),
    }
)
"""The request headers that certainly name no person, and hold no secret. Any other one may: a proxy or a client may
send keys and user names in headers of any name."""

NO_INPUT = frozenset(
    {
        *('type', 'asgi', 'method', 'path', 'root_path', 'path_params', 'app', 'router', 'route', 'endpoint'),
        *('fastapi', 'fastapi_inner_astack', 'fastapi_function_astack', 'fastapi_middleware_astack'),
        *('starlette.exception_handlers', 'query_string', 'headers'),
    }
)
"""The items of a scope that are in the key of each route, that come from the server or the framework, or that have
names of their own here."""

OURS = 'fastapi_caching_route.'
"""The prefix of our own items in a scope."""

_OF_ONE_PERSON = frozenset((HEADERS, SESSION, USER, AUTH, EVERYTHING))
_IN_THE_URL = frozenset((QUERY, HOST, SCHEME, 'scope:raw_path'))

Cookies = Callable[[RawHeaders], Mapping[str, str]]
"""Reads the cookies of a request as user code sees them."""

Query = Callable[[bytes], Any]
"""Reads a query as user code sees it: a mapping with `getlist`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a route reads raw requests."""

    cookies: Cookies
    query: Query
    schemes: tuple[object, ...] = ()
    """The security schemes that FastAPI calls by themselves, so that their credentials are accounted for in the key."""
    left_out: frozenset[bytes] = frozenset()
    """Request headers that do not count."""
    covered: frozenset[bytes] = frozenset()
    """Request headers that are in the key as they were sent, with all of their lines."""
    by_identity: frozenset[str] = frozenset()
    """Names that do not count, because `identity` says which clients share."""
    is_of_lifespan: Callable[[str, object], bool] = lambda _name, _value: False
    """Whether an object in the state of a request is one that the lifespan of the app has yielded under this name."""
    takes_request: bool = False
    """Whether the endpoint or a dependency of the route takes the raw request."""

    def counting(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that select a response, in their order."""
        return together(name for name in names if not self._is_known(name))

    def _is_known(self, name: str) -> bool:
        header = header_of(name)
        return name in self.by_identity or header in self.left_out or header in self.covered


NO_READING = Reading(cookies=lambda _: {}, query=lambda _: {})
"""Nothing is read."""


MAX_NAMES = 32
"""The most headers, cookies or query parameters that count by their names: a look-up finds the value of each."""
MAX_CHARACTERS = 200
"""The most characters of such a name. Code may take names from a client."""
_WHOLES = {'header': HEADERS, 'cookie': 'header:cookie', 'query': QUERY}


def together(names: Iterable[str]) -> tuple[str, ...]:
    """All of the names in their order, without parts of others. Where there are too many, the whole counts."""
    found = set(names)
    for kind, whole in _WHOLES.items():
        of_kind = [name for name in found if name.startswith(f'{kind}:') and name != whole]
        if len(of_kind) > MAX_NAMES or any(len(name) > MAX_CHARACTERS for name in of_kind):
            found = found.difference(of_kind) | {whole}
    return tuple(sorted(name for name in found if not is_part(name, found)))


def is_part(name: str, names: Collection[str]) -> bool:
    """Whether this is a part of something else among the names."""
    if name.startswith('cookie:') and _WHOLES['cookie'] in names:
        return True
    if EVERYTHING in names and name not in {EVERYTHING, BODY, SEVERAL}:
        return True
    whole = HEADERS if header_of(name) is not None else name.partition(':')[0]
    return (whole != name and whole in names) or (name == CLIENT and CLIENT_AND_PORT in names)


def header_of(name: str) -> bytes | None:
    """The request header that a name is about; None if it is about something else."""
    kind, separator, rest = name.partition(':')
    if separator and kind == 'header':
        return rest.encode('latin-1', 'replace')
    return b'cookie' if separator and kind == 'cookie' else None


def fields_of(names: Iterable[str]) -> list[bytes]:
    """The request headers that were read by their names."""
    found = dict.fromkeys(it for it in map(header_of, names) if it is not None)
    return [it for it in found if TOKEN.fullmatch(it.decode('latin-1'))]  # code may ask for what no header can be named


def vary_of(names: Collection[str]) -> list[bytes]:
    """The request headers for Vary.

    Where something was read that holds the credentials without naming them, they are added: else the browser of two
    users would show one of them what it keeps for the other.
    """
    credentials = sorted(PERSONAL_HEADERS) if _OF_ONE_PERSON.intersection(names) else ()
    return list(dict.fromkeys((*fields_of(names), *credentials)))


def is_personal(name: str) -> bool:
    """Whether this names a person."""
    return name in {SESSION, USER, AUTH} or header_of(name) in PERSONAL_HEADERS


def are_harmless(names: Iterable[str]) -> bool:
    """Whether certainly none of these names a person, or holds a secret: a query may."""
    return all(name in {HOST, SCHEME, EXTENSIONS} or header_of(name) in HARMLESS_HEADERS for name in names)


def unsaid(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that neither the URL nor Vary tells a cache in front, or that it must not share by."""
    return tuple(name for name in names if not _is_said(name))


def _is_said(name: str) -> bool:
    header = header_of(name)
    if header is not None:
        return header not in PERSONAL_HEADERS
    return name in _IN_THE_URL or name.startswith('query:')
