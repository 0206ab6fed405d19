"""Every reason for which a request bypasses the cache or a response is not stored, in one table. Pure.

Cache-Status tells a reason as its detail (RFC 9211 §2.8). Its extent decides what requests do that wait for the
response. `no_store('...')` may give any other text: that is a reason with this name. Does not know who logs a reason.
"""

from dataclasses import dataclass
from enum import Enum

BYPASSES = 'bypasses the cache'
NOT_STORED = 'is not stored'
STORED_FOR_GROUPS = 'is stored for groups of its tags'


class Extent(Enum):
    """To what a reason applies, and so what the followers of a flight do instead of sharing its response."""

    THIS_REQUEST = 'this request'
    """Another request may well get a response that is stored: one of the followers leads."""
    THIS_RESPONSE = 'this response'
    """Each follower asks the endpoint, this once."""
    THIS_KEY = 'this key'
    """The next response will not be stored either: each follower asks the endpoint, and for a while nobody waits."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a response is not stored, or a request bypasses the cache."""

    name: str
    """As Cache-Status tells it."""
    meaning: str = ''
    """For the documentation."""
    extent: Extent = Extent.THIS_RESPONSE
    effect: str = NOT_STORED
    text: str = ''
    """For the log, with the remedy; empty if the reason is not logged."""
    is_mistake: bool = False
    """Whether the route has to be changed: then it is logged as a warning."""


@dataclass(frozen=True, slots=True)
class Bypass:
    """Why a request bypasses the cache."""

    reason: str


_RAW = 'the route takes the raw request, and this one has'

# Found before the endpoint runs.
DISABLED = Reason('disabled', 'the cache is disabled', effect=BYPASSES)
NO_ASYNCIO = Reason(
    'no-asyncio',
    'the app does not run on asyncio',
    effect=BYPASSES,
    text='the cache needs asyncio, and this app runs on something else (trio): nothing is stored there, and every '
    'request reaches its endpoint',
    is_mistake=True,
)
SKIP = Reason('skip', '`skip` returned true', effect=BYPASSES, text='the skip callable returned true')
SKIP_CALLABLE = Reason(
    'skip-callable',
    '`skip` raised an exception',
    effect=BYPASSES,
    text='the skip callable raised an exception',
    is_mistake=True,
)
KEY_BUILDER = Reason(
    'key-builder',
    '`key_builder` raised an exception or returned something else than a non-empty str',
    effect=BYPASSES,
    text='the key_builder must return a non-empty str; it returned something else or raised an exception',
    is_mistake=True,
)
IDENTITY = Reason(
    'identity',
    '`identity` raised an exception or returned something else than a str',
    effect=BYPASSES,
    text='the identity callable must return a str; it returned something else or raised an exception',
    is_mistake=True,
)
BODY = Reason(
    'body',
    'the request body is larger than `max_body_size`, or incomplete',
    effect=BYPASSES,
    text='the body of the request is larger than max_body_size, or incomplete',
)
AUTHORIZATION = Reason(
    'authorization',
    'the request has Authorization: the route takes the raw request, or its responses are not for all',
    Extent.THIS_REQUEST,
    effect=BYPASSES,
    text=f'{_RAW} Authorization; name it in vary_headers, or say with identity which clients share',
)
COOKIE = Reason(
    'cookie',
    'the route takes the raw request, and this one has cookies',
    effect=BYPASSES,
    text=f'{_RAW} cookies; name cookie in vary_headers, or say with identity which clients share',
)
SESSION = Reason(
    'session',
    'the route takes the raw request, and this one has a session; or the endpoint changed the session',
    effect=BYPASSES,
    text=f'{_RAW} a session; say with identity which clients share',
)
USER = Reason(
    'user',
    'the route takes the raw request, and this one has a user',
    effect=BYPASSES,
    text=f'{_RAW} a user; say with identity which clients share',
)
ONLY_IF_CACHED = Reason('only-if-cached', 'the client wants a stored response only, and none can be used: 504')

# In the response itself.
HEADER = Reason('header', 'a server cannot send one of its headers')
STATUS = Reason('status', 'responses with its status are not stored')
LIVE = Reason('live', 'it is a live stream', Extent.THIS_KEY)
FRESHNESS = Reason(
    'freshness', "by `mode='rfc9111'`: it has no explicit lifetime, and none may be guessed", Extent.THIS_KEY
)
PARTIAL = Reason('partial', 'it is a part of a response', Extent.THIS_REQUEST)
SET_COOKIE = Reason('set-cookie', 'it sets a cookie', Extent.THIS_KEY)
NO_STORE = Reason('no-store', 'its Cache-Control, that of the request, or `no_store()` forbids it', Extent.THIS_KEY)
PRIVATE = Reason('private', 'its Cache-Control says `private`', Extent.THIS_KEY)
NO_CACHE = Reason('no-cache', 'its Cache-Control says `no-cache`, and it cannot be validated', Extent.THIS_KEY)
VARY = Reason('vary', 'its Vary is `*`', Extent.THIS_KEY)
TTL = Reason('ttl', 'its lifetime is zero', Extent.THIS_KEY)
SIZE = Reason('size', 'it is larger than `max_body_size`', Extent.THIS_KEY)

# Seen by the cache alone.
GUARD = Reason('guard', 'a guard sets a cookie for this client', Extent.THIS_REQUEST)
HEAD = Reason('head', 'it answers HEAD, so it has no body for a GET', Extent.THIS_REQUEST)
PRECONDITION = Reason(
    'precondition', 'a range or precondition of this request may have caused the error', Extent.THIS_REQUEST
)
DISCONNECTED = Reason('disconnected', 'the client disconnected, and the endpoint noticed', Extent.THIS_REQUEST)
INCOMPLETE = Reason('incomplete', 'its body is not as long as its Content-Length', Extent.THIS_REQUEST)
EXCEPTION_HANDLER = Reason('exception-handler', 'an exception handler saw the raw request of an identified client')
TAGS = Reason(
    'tags',
    'a tag is not a str, or names an unknown path parameter',
    text="a tag is not a str, or names a parameter that the route's path does not have",
    is_mistake=True,
)
TAGS_CALLABLE = Reason(
    'tags-callable',
    '`tags` raised an exception or returned something else than a list of str',
    text='the tags callable must return a list of str; it returned something else or raised an exception',
    is_mistake=True,
)
MANY_TAGS = Reason(
    'many-tags',
    'more than 256 tags: stored, for groups of its tags',
    effect=STORED_FOR_GROUPS,
    text='there are more than 256, so invalidating a tag of another response may end this one too; use fewer and '
    'coarser tags',
    is_mistake=True,
)
STORE_IF = Reason(
    'store-if',
    '`store_if` returned false or raised an exception',
    Extent.THIS_KEY,
    text='store_if is a plain function of the response that says whether it is stored; it raised an exception, or must '
    'be awaited',
    is_mistake=True,
)
BUDGET = Reason('budget', 'the responses that are being recorded fill their memory budget')
SLOW_CLIENT = Reason('slow-client', 'the client takes too long to read it')
TRAILERS = Reason('trailers', 'it has trailers')
NO_BODY = Reason('no body', 'the endpoint ended without a body')

# Of storing.
INVALIDATED = Reason('invalidated', 'it was invalidated while the endpoint ran')
STORE_ERROR = Reason('store-error', 'the cache backend failed or had no room')
STORE_SLOW = Reason('store-slow', 'it is being stored behind the response')

# Details of responses from stored ones.
VALIDATOR = Reason('validator', 'the 304 of the endpoint is not about the stored response')
STALE_IF_ERROR = Reason('stale-if-error', 'the endpoint failed: the stale response answers')
ENDPOINT_TIMEOUT = Reason('endpoint-timeout', 'the endpoint takes too long: the stale response answers')

BY_NAME = {it.name: it for it in tuple(globals().values()) if isinstance(it, Reason)}


def named(name: str) -> Reason:
    """The reason of this name; one that user code has made up is about the response."""
    return BY_NAME.get(name) or Reason(name)
