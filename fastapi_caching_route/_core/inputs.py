"""The parts of a request that a route reads; raw requests, and whether they identify a person. Pure."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b

from fastapi_caching_route._core.asgi import Parts, Scope
from fastapi_caching_route._core.form import digest_of_form
from fastapi_caching_route._core.json_value import digest_of_json
from fastapi_caching_route._core.read_names import PERSONAL_HEADERS, Reading
from fastapi_caching_route._http.fields import lines

CACHED_METHODS = frozenset({'GET', 'HEAD', 'POST', 'QUERY'})
"""Methods whose responses can be cached; POST and QUERY only where a route declares them. Requests with other methods
always reach the endpoint."""

METHODS_BY_THE_BOOK = frozenset({'GET', 'HEAD', 'QUERY'})
"""Methods that are defined as cacheable, with rules for it (RFC 9110 §9.2.3, RFC 10008)."""


LEFT_OUT_OF_RAW_KEYS: frozenset[str] = frozenset()
"""Request headers that do not count even if a route reads them from the raw request: by default, there are none."""

NOT_IN_RAW_KEYS = ('the port of the client', 'the HTTP version', 'request.state as middleware sets it')
"""Everything else in a raw request that is not in the key, in words."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The parts of a request that the endpoint and all its dependencies read, as far as their declarations show it."""

    read: Callable[[Scope], Parts]
    """Returns the declared query, header and cookie parameters of one request, and the headers of `vary_headers`."""
    selecting: tuple[bytes, ...]
    """The request headers for Vary."""
    known: frozenset[bytes]
    """The request headers that are in the key, if only as they are declared."""
    cookies: bool
    """Whether cookies are in the key by their names."""
    whole: frozenset[bytes]
    """The request headers that are in the key as they were sent, with all of their lines."""
    authorization_covered: bool
    """Whether Authorization is accounted for: it is in the key, a scheme reads it, or the user chose which clients
    share (RFC 9111 §3.5)."""
    deciding: frozenset[bytes] | None
    """The request headers that determine the key together with the request line (method, path and query) and, if it is
    in the key, the body. None if anything else affects the key, too."""
    reads_query: bool
    """Whether the route reads a part of the query. If not, the query is not in the key."""
    reads_texts: bool
    """Whether a query parameter is in the key that may be any text, like a token or a name."""
    body_in_key: bool
    """Whether the body is in the key."""
    form: bool
    """Whether the route reads nothing of the body but form fields."""
    json: bool
    """Whether JSON bodies that are equal by value are the same in the key."""
    host: bool
    """Whether scheme and host are in the key."""
    declared: bool
    """Whether the key is made from declared inputs, and not by a key builder."""
    conditions: frozenset[bytes]
    """Preconditions and ranges that the endpoint reads as the client sent them. A renewal must send them too."""
    raw: bool
    """Whether the whole raw request is in the key, because nobody sees what the route reads of it."""
    reading: Reading
    """How the raw request is read, and what of that selects a response."""
    noted: bool
    """Whether it is noted what code reads of the raw request."""
    accounted: bool
    """Whether nothing of a request can be read that is neither in the key nor noted, as far as anybody can know."""
    shared: bool
    """Whether no credentials are in the key, so that different clients may get the same entry."""
    unsaid: tuple[str, ...]
    """Inputs that affect the response and that neither the URL nor Vary names, in words."""
    bypass_if_personal: bool
    """Whether raw requests that identify a person bypass the cache, because the user has not chosen which clients
    share."""
    left_out: frozenset[bytes]
    """Request headers that are not in the key although the route takes the raw request."""
    in_words: tuple[str, ...]
    """The parts of the key besides method and path, in words."""
    left_out_in_words: tuple[str, ...]
    """The parts of a raw request that are not in the key, in words."""
    fingerprint: Parts
    """Equal in all processes that run the same declarations."""

    @property
    def for_all(self) -> bool:
        """Whether `unsaid` is empty, so that caches in front distinguish requests as this cache does."""
        return not self.unsaid

    def covers(self, name: bytes) -> bool:
        """Whether everything that can be read of this header is in the key."""
        return name in self.whole or (self.raw and name not in self.left_out)

    def knows(self, name: bytes) -> bool:
        """Whether at least what is declared of this header is in the key."""
        return name in self.known or (name == b'cookie' and self.cookies) or self.covers(name)


def body_parts(scope: Scope, body: bytes, inputs: Inputs) -> Parts:
    """The body as a part of the key. The boundary of a form is left out, because clients choose a new one each time."""
    if not (inputs.body_in_key or inputs.raw):
        return ()
    if scope['method'] == 'QUERY' and inputs.reading.takes_request:
        return content_parts(scope, body)
    types = lines(scope['headers'], b'content-type')
    form = digest_of_form(types, body) if inputs.form else None
    if form:
        return ('form', form)
    by_value = digest_of_json(types, body) if inputs.json and not inputs.raw else None
    return ('json', by_value, types) if by_value else (blake2b(body).digest(), types)


def host_parts(scope: Scope) -> Parts:
    """The scheme and the host of a request: its Host in lower case or, without one, the address of the server."""
    hosts = [it.lower() for it in lines(scope['headers'], b'host')]
    return (scope.get('scheme'), tuple(hosts), () if hosts else tuple(scope.get('server') or ()))


def content_parts(scope: Scope, body: bytes) -> Parts:
    """The content of a request, with the headers that describe it (RFC 9110 §8; RFC 10008 wants both in the key)."""
    described = sorted(it for it in scope['headers'] if it[0].startswith(b'content-') and it[0] != b'content-length')
    return (scope['method'], blake2b(body).digest(), tuple(described))


def raw_parts(scope: Scope, left_out: Collection[bytes]) -> Parts:
    """Everything that an endpoint can read from the raw request, without some headers."""
    fields = sorted((field for field in scope['headers'] if field[0] not in left_out), key=lambda field: field[0])
    # Without Host, `request.url` contains the address of the server.
    server = () if any(name == b'host' for name, _ in scope['headers']) else tuple(scope.get('server') or ())
    client = tuple(scope.get('client') or ())[:1]  # its port differs with each connection
    where = (scope.get('scheme'), scope.get('raw_path'), scope['query_string'], client, server)
    return (*where, tuple(fields), _user_parts(scope))


def names_a_person(scope: Scope, known: Collection[bytes]) -> str | None:
    """Why a request must not share the entries of a route that takes the raw request, or None if it may.

    Such a route may read anything. So a request with credentials, cookies, a session or a user must not share, unless
    the headers that carry them are in the key (`known`).
    """
    carried: set[bytes] = {name for name, _ in scope['headers'] if name in PERSONAL_HEADERS}
    for name in sorted(carried):
        if name not in known:
            return name.decode('ascii')
    if scope.get('session') and b'cookie' not in carried:
        return 'session'
    user = _user_parts(scope)
    return None if user == () or (user is not None and carried) else 'user'


def has_user(scope: Scope) -> bool:
    """Whether middleware has set a user who is known."""
    user = scope.get('user')
    return user is not None and getattr(user, 'is_authenticated', True) is not False


def _user_parts(scope: Scope) -> Parts | None:
    """The names of the user object that middleware has set; () without a user, None if it has no name."""
    user = scope.get('user')
    if not has_user(scope):
        return ()
    found = [(name, _attribute(user, name)) for name in ('username', 'display_name', 'email', 'id', 'sub')]
    return tuple((name, str(value)) for name, value in found if value is not None) or None


def _attribute(user: object, name: str) -> object:
    try:
        return getattr(user, name, None)
    except NotImplementedError:  # the properties of Starlette's BaseUser are abstract
        return None
