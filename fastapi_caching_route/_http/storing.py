"""Whether a shared cache may store a response (RFC 9111 §3), and what of it is stored."""

from functools import lru_cache

from msgspec import Struct

from fastapi_caching_route._http import structured
from fastapi_caching_route._http.cache_control import Directives, directives
from fastapi_caching_route._http.conditional import OF_A_PART, PRECONDITIONS
from fastapi_caching_route._http.fields import (
    HOP_BY_HOP,
    Field,
    RawHeaders,
    field_names,
    lines,
    usual_form,
    whole_number,
    without,
)
from fastapi_caching_route._http.freshness import (
    FOREVER,
    HEURISTIC_STATUSES,
    explicit_lifetime,
    lifetime,
    received_age,
)
from fastapi_caching_route._http.sending import STATUSES, sendable
from fastapi_caching_route._http.terms import Terms

FOR_VALIDATION = 24 * 3600.0
"""Seconds for which a response that can be validated stays stored after it has expired: a day's traffic may return to
it."""

UNDERSTOOD = HEURISTIC_STATUSES.union(
    (201, 202, 205, 302, 303, 307, 400, 401, 402),
    (403, 406, 407, 408, 409, 411, 412, 413, 415, 417),
)
"""Statuses whose meaning for a cache is implemented here, as `must-understand` requires (RFC 9111 §5.2.2.3)."""

OF_ONE_REQUEST = frozenset((206, 304, 412, 416))
"""Responses to a range or a precondition, which are in no key."""

BAD_REQUEST, TOO_MANY_REQUESTS = 400, 429

NOT_STORED = HOP_BY_HOP | {b'age', b'cache-status', b'set-cookie'}
"""Headers that apply to one exchange only (RFC 9111 §3.1)."""

DECISIVE = frozenset(
    b'age cache-control cdn-cache-control content-range date etag expires last-modified set-cookie vary'.split()
)
"""Response headers that decide whether it is stored, besides Content-Length."""

DECISIVE_IN_REQUESTS = frozenset((b'authorization', b'cache-control'))
"""The same in requests."""

LIVE_TYPES = frozenset((b'text/event-stream', b'multipart/x-mixed-replace'))
"""Media types of endless responses, each for one client. Those of gRPC start with `_GRPC`.

Lines of JSON (application/x-ndjson, application/jsonl) do not belong here: they end, and are documents like any other.
"""
_GRPC = b'application/grpc'

NEEDED = frozenset((b'content-encoding', b'content-type', b'vary'))
"""Headers without which the body could not be read, or could be sent for a wrong request."""


class Storable(Struct, frozen=True):
    """The response may be stored. Spans in seconds; the stale windows begin after the lifetime (RFC 5861)."""

    lifetime: float
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    stale_if_accepted: bool = False
    """Whether it may be served stale to a client that accepts that (RFC 9111 §4.2.4)."""
    must_validate: bool = False
    """Whether it must be validated each time (`no-cache`, RFC 9111 §5.2.2.4)."""
    lifetime_was_chosen: bool = False
    """Whether the endpoint itself chose it."""
    kept_for_validation: float = 0.0
    """Seconds after the lifetime during which it can be validated."""

    @property
    def window(self) -> float:
        """Seconds after the lifetime for which it stays stored."""
        return max(self.stale_while_revalidate, self.stale_if_error, self.kept_for_validation)


class Refused(Struct, frozen=True):
    """The response must not be stored."""

    reason: str


def storable(
    request: RawHeaders,
    status: int,
    response: RawHeaders,
    terms: Terms,
    now: float,
    *,
    delay: float = 0.0,
    told: 'Told | None' = None,
) -> Storable | Refused:
    """Whether a response may be stored, and for how long, by its head alone.

    It came `now`, so many seconds (`delay`) after it was asked for. `told` is what its headers tell, if that is known.
    """
    told = told or told_by(response)
    if not told.is_sendable:
        return Refused('header')
    if told.is_live:
        return Refused('live')
    says_nothing = not told.is_decisive and DECISIVE_IN_REQUESTS.isdisjoint(dict(request))
    verdict = _by_status(status, terms) if says_nothing else _by_all(request, status, response, terms, now, delay=delay)
    is_too_long = _says_more_than(response, terms.max_body_size)
    return Refused('size') if is_too_long and isinstance(verdict, Storable) else verdict


def _says_more_than(response: RawHeaders, size: int) -> bool:
    """Whether a Content-Length says that the body has more bytes than this."""
    for name, value in response:  # noqa: SIM110, a generator is dearer
        if name == b'content-length' and (whole_number(value) or 0) > size:
            return True
    return False


class Told(Struct, frozen=True):
    """What the headers of a response tell, whatever number its Content-Length is."""

    is_sendable: bool
    is_live: bool
    is_decisive: bool
    not_stored: frozenset[bytes]
    """The names of the headers that are not stored."""
    for_one: frozenset[bytes]
    """The names of the headers that are for the client of this response only."""


def told_by(response: RawHeaders) -> Told:
    """What these headers tell, remembered for usual ones."""
    form = usual_form(response)
    return _told(tuple(response)) if form is None else _remembered(form)


def _told(response: RawHeaders) -> Told:
    named = named_fields(response)
    not_stored = NOT_STORED | field_names(response, b'connection') | named
    return Told(
        is_sendable=sendable(response),
        is_live=is_live(response),
        is_decisive=not DECISIVE.isdisjoint(dict(response)),
        not_stored=not_stored,
        for_one=named - NOT_STORED - field_names(response, b'connection') - {b'content-length'},
    )


_remembered = lru_cache(512)(_told)


def is_live(response: RawHeaders) -> bool:
    """Whether the response is a live stream by its media type (RFC 9110 §8.3): a replay would be of no use."""
    types = [value.partition(b';')[0].strip(b' \t').lower() for name, value in response if name == b'content-type']
    return any(it in LIVE_TYPES or it.startswith(_GRPC) for it in types)


@lru_cache(256)
def _by_status(status: int, terms: Terms) -> Storable | Refused:
    """The verdict on all responses with this status that have no decisive header."""
    return _by_all((), status, (), terms, 0.0)


def _by_all(
    request: RawHeaders, status: int, response: RawHeaders, terms: Terms, now: float, *, delay: float = 0.0
) -> Storable | Refused:
    """The verdict by all headers but Content-Length."""
    said, beside = steering(response, by_the_book=terms.by_the_book)
    present = dict(response)
    named = named_fields(response)
    span, age = lifetime(status, beside, said, terms, now), received_age(response, now, delay)
    can_be_validated = (terms.revalidate or terms.by_the_book) and has_validator(response)
    understood = said.must_understand and status in UNDERSTOOD
    stale = _may_be_stale(beside, said, terms, now) and not terms.is_short_lived(status)
    broken = {
        'status': not _status_may_be_kept(status, said, terms),
        'freshness': terms.by_the_book and not _says_how_long(status, beside, said, now),
        'partial': b'content-range' in present and not terms.by_the_book,
        'set-cookie': b'set-cookie' in present,
        'no-store': (said.no_store and not understood) or directives(request).no_store,
        'private': said.private or not named.isdisjoint(NEEDED),
        'no-cache': said.no_cache and not can_be_validated,
        'vary': b'*' in field_names(response, b'vary'),
        'authorization': not (terms.authorization_covered or storable_with_authorization(request, said)),
        'ttl': terms.is_off(status) or (span <= age and not can_be_validated and not stale),
    }
    for reason, holds in broken.items():
        if holds:
            return Refused(reason)
    return _storable_for(span, said, terms, stale=stale, can_be_validated=can_be_validated)


def steering(response: RawHeaders, *, by_the_book: bool) -> tuple[Directives, RawHeaders]:
    """The directives that apply to this cache, and the headers that apply besides.

    A valid CDN-Cache-Control replaces Cache-Control and Expires (RFC 9213 §2.2).
    """
    targeted = structured.targeted_directives(lines(response, b'cdn-cache-control')) if by_the_book else None
    return (directives(response), response) if targeted is None else (targeted, without(response, (b'expires',)))


def _status_may_be_kept(status: int, said: Directives, terms: Terms) -> bool:
    """Whether the status allows storing: with `mode='rfc9111'` every final one but those of parts (RFC 9111 §3)."""
    if not terms.by_the_book:
        return status in terms.accepted
    if status in OF_ONE_REQUEST or status not in STATUSES:
        return False
    return status in UNDERSTOOD or not said.must_understand


def _says_how_long(status: int, response: RawHeaders, said: Directives, now: float) -> bool:
    """Whether the response has an explicit lifetime, or allows a heuristic one (the last condition of RFC 9111 §3)."""
    return said.public or status in HEURISTIC_STATUSES or explicit_lifetime(response, said, now) is not None


def _may_be_stale(response: RawHeaders, said: Directives, terms: Terms, now: float) -> bool:
    """Whether the response may be sent when it is stale (RFC 9111 §4.2.4).

    With `mode='rfc9111'` it must show that it is for all clients, by an explicit lifetime or by `public`. A response
    without either is stored to be validated only, because it may be meant for one client.

    Deviation: in the default mode, s-maxage does not forbid it, because there the route itself asks for a stale window;
    test_a_stale_window_of_the_route_counts_beside_s_maxage.
    """
    if said.must_revalidate or said.proxy_revalidate or said.no_cache:
        return False
    if not terms.by_the_book:
        return terms.stale_allowed
    chosen = terms.chosen_ttl is not None or terms.windows_chosen
    return said.s_maxage is None and (chosen or said.public or explicit_lifetime(response, said, now) is not None)


def _storable_for(span: float, said: Directives, terms: Terms, *, stale: bool, can_be_validated: bool) -> Storable:
    """How long the response is fresh, and for what it stays stored after that.

    With `mode='rfc9111'`, the stale windows are those of the response, where it has some (RFC 5861).
    """
    while_revalidating, on_error = (terms.stale_while_revalidate, terms.stale_if_error) if stale else (0.0, 0.0)
    if stale and terms.by_the_book:
        own = said.stale_while_revalidate, said.stale_if_error
        while_revalidating = while_revalidating if own[0] is None else float(own[0])
        on_error = on_error if own[1] is None else float(own[1])
    return Storable(
        max(0.0, span),
        min(while_revalidating, FOREVER),
        min(on_error, FOREVER),
        stale_if_accepted=stale and terms.stale_if_accepted,
        must_validate=said.no_cache,
        lifetime_was_chosen=terms.chosen_ttl is not None,
        kept_for_validation=FOR_VALIDATION if can_be_validated or (stale and terms.stale_if_accepted) else 0.0,
    )


def supersedes_stored(method: str, status: int, request: RawHeaders) -> bool:
    """Whether a complete response shows that the stored one is not current, even if it cannot be stored itself.

    These do not: a failure, a rate limit (RFC 6585 §4), the response to a HEAD (but see RFC 9111 §4.3.5), and a
    response that only a range or a precondition of this request has caused.
    """
    if method == 'HEAD' or status >= 500 or status == TOO_MANY_REQUESTS or status in OF_ONE_REQUEST:
        return False
    return status != BAD_REQUEST or (OF_A_PART | PRECONDITIONS).isdisjoint(dict(request))


def storable_with_authorization(request: RawHeaders, said: Directives) -> bool:
    """Whether the response may be stored although the request may have Authorization (RFC 9111 §3.5)."""
    if not lines(request, b'authorization'):
        return True
    return said.public or said.s_maxage is not None or said.must_revalidate


def has_validator(response: RawHeaders) -> bool:
    """Whether the response can be validated by a conditional request (RFC 9111 §4.3.1)."""
    return any(name in {b'etag', b'last-modified'} for name, _ in response)


def stored_fields(response: RawHeaders, told: Told | None = None) -> list[Field]:
    """The headers that are stored: not those of the connection, nor those named by `no-cache` and `private` (§3.1)."""
    return without(response, (told or told_by(response)).not_stored)


def fields_for_one_client(response: RawHeaders, told: Told | None = None) -> list[Field]:
    """The headers named by `no-cache` and `private`, for the client of this response only (§5.2.2.4, §5.2.2.7)."""
    named = (told or told_by(response)).for_one
    return [field for field in response if field[0] in named] if named else []


def named_fields(response: RawHeaders) -> frozenset[bytes]:
    """The names of the headers that `no-cache="..."` and `private="..."` name."""
    targeted = structured.targeted_directives(lines(response, b'cdn-cache-control'))
    return directives(response).unstored_fields | (targeted.unstored_fields if targeted else frozenset())
