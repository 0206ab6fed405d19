"""Every reason for which a request bypasses the cache or a response is not stored, in one table. Pure.

Cache-Status tells a reason as its detail (RFC 9211 §2.8). Its extent decides what requests do that wait for the
response. `no_store('...')` may give any other text: that is a reason with this name. Does not know where it is
logged.
The table in `docs/http.md` is made of this one, by `python -m tests.reasons`.
"""

from dataclasses import dataclass
from enum import Enum

BYPASSES = 'bypasses the cache'
NOT_STORED = 'is not stored'
STORED_FOR_GROUPS = 'is stored for groups of its tags'
MIXED_UP = 'may be given to the wrong clients by caches in front'
STORED_WITHOUT_SOME_TAGS = 'is stored, and sent with fewer tags'
IS_NOT_ASKED = 'does not reach the endpoint'
ANSWERED_FROM_ENTRY = 'gets the stale entry'


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
    also_not_stored: bool = False
    """Whether it is a reason against storing, too, where requests bypass the cache for it."""


@dataclass(frozen=True, slots=True)
class Bypass:
    """Why a request bypasses the cache."""

    reason: str | None
    """None if `why` says it all."""
    why: bytes = b'bypass'
    """In the words of Cache-Status (RFC 9211 §2.2)."""

    @property
    def in_words(self) -> str:
        """The reason, as counters and observers get it."""
        return self.reason or self.why.decode()


_RAW = 'the route takes the raw request, and this one has'

# Found before the endpoint runs.
DISABLED = Reason('disabled', 'the cache is disabled', effect=BYPASSES)
NO_BACKEND = Reason(
    'no-backend',
    'the cache is from `FastAPICache.deferred()`, and `cache.use(backend)` was not called yet',
    effect=BYPASSES,
    text='the cache has no backend yet: call cache.use(backend) in the lifespan of the app, before it serves requests',
    is_mistake=True,
)
NO_ASYNCIO = Reason(
    'no-asyncio',
    'the app does not run on asyncio',
    effect=BYPASSES,
    text='the cache needs asyncio, and this app runs on something else (trio): nothing is stored there, and every '
    'request reaches its endpoint',
    is_mistake=True,
)
SKIP = Reason('skip', '`skip` returned true', effect=BYPASSES, text='the skip callable returned true')
STORE = Reason('store', 'the route says `store=False`; clients and other caches may store it')
SKIP_CALLABLE = Reason(
    'skip-callable',
    '`skip` raised an exception',
    effect=BYPASSES,
    text='the skip callable raised an exception',
    is_mistake=True,
)
KEY_BUILDER = Reason(
    'key-builder',
    '`key_builder` raised an exception, or did not return a non-empty str',
    effect=BYPASSES,
    text='the key_builder must return a non-empty str; it returned something else or raised an exception',
    is_mistake=True,
)
KEY = Reason(
    'key',
    '`key` raised an exception, or did not return a plain value',
    effect=BYPASSES,
    text='the key callable must return a str, a number, bytes, or a list of such values; it returned something else or '
    'raised an exception',
    is_mistake=True,
)
IDENTITY = Reason(
    'identity',
    '`identity` raised an exception, or returned neither a str nor an int nor a UUID',
    effect=BYPASSES,
    text='identity must return a str, an int or a UUID; it returned something else or raised an exception',
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
    'the request has `Authorization`, which is not in the key: the route takes the raw request, or the response does '
    'not say that all clients may get it (RFC 9111 §3.5)',
    Extent.THIS_REQUEST,
    effect=BYPASSES,
    text=f'{_RAW} Authorization; name it in vary_headers, or set identity to say which clients share',
    also_not_stored=True,
)
COOKIE = Reason(
    'cookie',
    'the route takes the raw request, and this one has cookies, which are not in the key',
    effect=BYPASSES,
    text=f'{_RAW} cookies; name cookie in vary_headers, or set identity to say which clients share',
)
SESSION = Reason(
    'session',
    'the route takes the raw request, and this one has a session; or the session was changed while the endpoint ran',
    effect=BYPASSES,
    text=f'{_RAW} a session; set identity to say which clients share',
    also_not_stored=True,
)
USER = Reason(
    'user',
    'the route takes the raw request, and this one has a user',
    effect=BYPASSES,
    text=f'{_RAW} a user; set identity to say which clients share',
)
ONLY_IF_CACHED = Reason(
    'only-if-cached',
    'the client accepts only a stored response, and none may be used: it gets a 504',
    effect=IS_NOT_ASKED,
)

# In the response itself.
HEADER = Reason('header', 'a server cannot send one of the headers of the response')
STATUS = Reason(
    'status',
    'responses with this status are not stored; or it is a failure, and the stale entry may still be used; or a guard '
    'produced the response',
)
LIVE = Reason('live', 'the response is a live stream', Extent.THIS_KEY)
FRESHNESS = Reason(
    'freshness',
    "with `mode='rfc9111'`: the response has no explicit lifetime, and none may be estimated",
    Extent.THIS_KEY,
)
PARTIAL = Reason('partial', 'the response is a part of a larger one (`Content-Range`)', Extent.THIS_REQUEST)
SET_COOKIE = Reason('set-cookie', 'the response sets a cookie', Extent.THIS_KEY)
NO_STORE = Reason(
    'no-store',
    'the `Cache-Control` of the response or of the request, or `CacheContext.no_store()`, forbids it',
    Extent.THIS_KEY,
)
PRIVATE = Reason('private', 'the `Cache-Control` of the response says `private`', Extent.THIS_KEY)
NO_CACHE = Reason(
    'no-cache', 'the `Cache-Control` of the response says `no-cache`, and it cannot be validated', Extent.THIS_KEY
)
VARY = Reason('vary', 'the `Vary` of the response is `*`', Extent.THIS_KEY)
TTL = Reason(
    'ttl', 'the response has expired when it arrives: its lifetime is zero, or its age is larger', Extent.THIS_KEY
)
SIZE = Reason('size', 'the response is larger than `max_body_size`', Extent.THIS_KEY)

# Seen by the cache alone.
GUARD = Reason('guard', 'a guard sets a cookie for this client; `Cache-Status` says `set-cookie`', Extent.THIS_REQUEST)
HEAD = Reason('head', 'the request is a HEAD: the response has no body for a later GET', Extent.THIS_REQUEST)
PRECONDITION = Reason(
    'precondition',
    'the response is an error that a range or precondition of this request may have caused',
    Extent.THIS_REQUEST,
)
DISCONNECTED = Reason('disconnected', 'the client disconnected, and the endpoint noticed', Extent.THIS_REQUEST)
INCOMPLETE = Reason(
    'incomplete', 'the body of the response is not as long as its `Content-Length`', Extent.THIS_REQUEST
)
NOT_COMPARABLE = Reason(
    'not-comparable',
    'the endpoint read something of the raw request that cannot be compared with other requests: an object that '
    'middleware has set, for instance',
    text='its code reads something of the request that cannot be compared: an object in request.state or in the scope, '
    'or a user with attributes that are not plain; store a plain value there, or set '
    "reads='declared' if responses do not depend on it",
    is_mistake=True,
)
NOT_FOR_ALL = Reason(
    'not-for-all',
    'the response depends on something in the raw request that neither the URL nor `Vary` shows; only in the log',
    effect='is not for caches in front',
    text='cache_control has public or s-maxage, but its code reads something of the raw request by which a cache in '
    'front cannot tell responses apart: a cookie, a session, the client; private is sent instead',
    is_mistake=True,
)
TAGS = Reason(
    'tags',
    'a tag is not a str, or names an unknown path parameter',
    text="a tag is not a str, or names a parameter that the route's path does not have",
    is_mistake=True,
)
TAGS_CALLABLE = Reason(
    'tags-callable',
    '`tags` raised an exception, or did not return a list of str; `Cache-Status` says `tags`',
    text='the tags callable must return a list of str; it returned something else or raised an exception',
    is_mistake=True,
)
MANY_TAGS = Reason(
    'many-tags',
    'the response has more than 256 tags, and is stored for groups of them; only in the log',
    effect=STORED_FOR_GROUPS,
    text='there are more than 256, so invalidating a tag of another response may invalidate this one, too; use '
    'fewer and coarser tags',
    is_mistake=True,
)
PUBLIC = Reason(
    'public',
    'the endpoint says `public` or `s-maxage` itself, and a cache in front cannot tell its responses apart; only in '
    'the log',
    effect=MIXED_UP,
    text='the endpoint says public or s-maxage in its own Cache-Control, but the response depends on more than its URL '
    'and Vary show; say private there, or name in Vary what it depends on',
    is_mistake=True,
)
CUT_TAGS = Reason(
    'cut-tags',
    'the tags of the response are too many for the header of `surrogate_keys`; only in the log',
    effect=STORED_WITHOUT_SOME_TAGS,
    text='its tags are too many or too long for the header of surrogate_keys, so caches in front cannot be purged by '
    'the last of them; use fewer tags, or purge by endpoint',
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
BUDGET = Reason('budget', 'the streams that are being recorded use up the `recording_budget`')
SLOW_CLIENT = Reason('slow-client', 'the client takes too long to read the response')
TRAILERS = Reason('trailers', 'the response has trailers')
NO_BODY = Reason('no body', 'the endpoint ended without a body')

# Of storing.
INVALIDATED = Reason('invalidated', 'the response was invalidated while the endpoint ran')
STORE_ERROR = Reason('store-error', 'the cache backend failed or had no room')
STORE_SLOW = Reason('store-slow', 'the store is slow: the response is sent while it is still being stored')

# Details of responses from stored ones.
VALIDATOR = Reason(
    'validator',
    'the 304 of the endpoint does not match the entry, which is then deleted',
    effect=ANSWERED_FROM_ENTRY,
)
STALE_IF_ERROR = Reason('stale-if-error', 'the endpoint failed', effect=ANSWERED_FROM_ENTRY)
ENDPOINT_TIMEOUT = Reason(
    'endpoint-timeout', 'the endpoint takes longer than `endpoint_timeout`', effect=ANSWERED_FROM_ENTRY
)

BY_NAME = {it.name: it for it in tuple(globals().values()) if isinstance(it, Reason)}


def named(name: str) -> Reason:
    """The reason of this name; one that user code has made up is about the response."""
    return BY_NAME.get(name) or Reason(name)
