"""What a route is seen to read of a request; raw requests, and what in them names a person. Pure."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.form import digest_of_form
from fastapi_caching_route._http.fields import lines

CACHED_METHODS = frozenset({'GET', 'HEAD', 'POST', 'QUERY'})
"""POST only ever because somebody decorated it; other methods always reach the endpoint."""

METHODS_BY_THE_BOOK = frozenset({'GET', 'HEAD'})
"""Those whose definition says that their answers can be cached, as far as that says how (RFC 9110 §9.2.3)."""


LEFT_OUT_OF_RAW_KEYS = frozenset(
    {
        # transport
        *('connection', 'content-length', 'expect', 'http2-settings', 'keep-alive', 'priority', 'proxy-connection'),
        *('te', 'trailer', 'transfer-encoding', 'upgrade', 'upgrade-insecure-requests'),
        # conditional requests and caching
        *('cache-control', 'if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since'),
        *('pragma', 'range'),
        # tracing
        *('b3', 'baggage', 'cf-ray', 'sentry-trace', 'traceparent', 'tracestate', 'uber-trace-id', 'x-amzn-trace-id'),
        *('x-b3-flags', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-spanid', 'x-b3-traceid', 'x-cloud-trace-context'),
        *('x-correlation-id', 'x-request-id', 'x-request-start'),
        # the way here; where the request came from, and to which address, does count
        *('cdn-loop', 'via'),
        # description of the client
        *('device-memory', 'dnt', 'downlink', 'ect', 'rtt', 'save-data', 'sec-ch-ua', 'sec-ch-ua-arch'),
        *('sec-ch-ua-bitness', 'sec-ch-ua-full-version-list', 'sec-ch-ua-mobile', 'sec-ch-ua-model'),
        *('sec-ch-ua-platform', 'sec-ch-ua-platform-version', 'sec-fetch-dest', 'sec-fetch-mode', 'sec-fetch-site'),
        *('sec-fetch-user', 'sec-gpc', 'user-agent'),
    }
)
"""Request fields that do not split the entries of a route that takes the raw request."""

NOT_IN_RAW_KEYS = ('the port of the client', 'the HTTP version', 'request.state as middleware sets it')
"""The rest of a raw request that does not count, in words."""

_PLAIN = re.compile(r"[A-Za-z0-9/:@!$&'()*+,;=\-._~]*")
_DECLARED = re.compile(r'^(GET|POST|QUERY):')
_CREDENTIALS = frozenset((b'authorization', b'cookie'))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the endpoint and all its dependencies are seen to read of a request."""

    read: Callable[[Scope], Parts]
    """The declared query, header and cookie parameters of one request, and the fields of `vary_headers`."""
    selecting: tuple[bytes, ...]
    """The request fields among them, for Vary."""
    covered: frozenset[bytes]
    """The request fields that are in the key whole."""
    in_key: frozenset[bytes]
    """The request fields of which all that the route can see is in the key: of Cookie, the declared ones."""
    authorization_covered: bool
    """Whether Authorization is accounted for: in the key, by a scheme, or by saying who shares (RFC 9111 §3.5)."""
    by_line: bool
    """Whether the key is made of nothing but method, path and query."""
    reads_query: bool
    """Whether any query parameter is declared; else the query does not count."""
    body_in_key: bool
    """Whether the body is part of the key."""
    form: bool
    """Whether all that is read of it are fields of a form."""
    declared: bool
    """Whether the key is made of declared inputs, and not by a key builder."""
    conditions: frozenset[bytes]
    """Preconditions and ranges that the endpoint reads as the client sent them: a renewal has to ask with them."""
    raw: bool
    """Whether the raw request is taken, so that anything may be read."""
    shared: bool
    """Whether no credential tells the entries apart: then one may be for many."""
    unsaid: tuple[str, ...]
    """Inputs that decide about the response and that neither the URL nor Vary names, in words."""
    for_all: bool
    """Whether there are none of these, so that a cache in front tells requests apart as this one does."""
    bypass_if_personal: bool
    """Whether a raw request that names a person must not share: nobody has said who shares."""
    left_out: frozenset[bytes]
    """Request fields that do not count although the raw request is taken."""
    in_words: tuple[str, ...]
    """What the key is made of beside method and path, in words."""
    left_out_in_words: tuple[str, ...]
    """What does not count, though the raw request shows it, in words."""
    fingerprint: Parts
    """Equal in every process that runs the same declaration."""

    def covers(self, name: bytes) -> bool:
        """Whether the key tells requests apart as far as the route can see what is in this field."""
        return name in self.in_key or (self.raw and name not in self.left_out)


def _content(scope: Scope, body: bytes, inputs: Inputs) -> Parts:
    """What counts of a body; of a form, not the boundary, which clients make anew for each request."""
    if not (inputs.body_in_key or inputs.raw):
        return ()
    form = digest_of_form(lines(scope['headers'], b'content-type'), body) if inputs.form else None
    return ('form', form) if form else (blake2b(body).digest(), lines(scope['headers'], b'content-type'))


def raw_parts(scope: Scope, left_out: Collection[bytes]) -> Parts:
    """All that an endpoint could read from the raw request, less some fields."""
    fields = sorted((field for field in scope['headers'] if field[0] not in left_out), key=lambda field: field[0])
    # Without Host, a URL shows the address of the server.
    server = () if any(name == b'host' for name, _ in scope['headers']) else tuple(scope.get('server') or ())
    client = tuple(scope.get('client') or ())[:1]  # its port is another one on each connection
    where = (scope.get('scheme'), scope.get('raw_path'), scope['query_string'], client, server)
    return (*where, tuple(fields), _user_parts(scope))


def names_a_person(scope: Scope, covered: Collection[bytes]) -> str | None:
    """Why a request must not share the entries of a route that takes the raw request, or None if it may.

    What such a route reads cannot be seen, so whatever names a person counts: credentials, cookies, a session, a user.
    It may only share if the fields that carry these are in the key (`covered`).
    """
    carried: set[bytes] = {name for name, _ in scope['headers'] if name in _CREDENTIALS}
    for name in sorted(carried):
        if name not in covered:
            return name.decode('ascii')
    if scope.get('session') and b'cookie' not in carried:
        return 'session'
    user = _user_parts(scope)
    return None if user == () or (user is not None and carried) else 'user'


def _user_parts(scope: Scope) -> Parts | None:
    """What a user object that some middleware has left is called; () without a user, None if it cannot be told."""
    user = scope.get('user')
    if user is None or getattr(user, 'is_authenticated', True) is False:
        return ()
    found = [(name, _attribute(user, name)) for name in ('username', 'display_name', 'email', 'id', 'sub')]
    return tuple((name, str(value)) for name, value in found if value is not None) or None


def _attribute(user: object, name: str) -> object:
    try:
        return getattr(user, name, None)
    except NotImplementedError:  # Starlette's BaseUser leaves its properties to those who derive from it
        return None
