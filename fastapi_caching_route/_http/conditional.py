"""Conditional requests (RFC 9110 §13): the preconditions of clients, and those that we send to the endpoint."""

import re
from collections.abc import Collection
from hashlib import blake2b

from fastapi_caching_route._http.dates import timestamp
from fastapi_caching_route._http.fields import Field, RawHeaders, field_names, lines, without

_ENTITY_TAG = re.compile(rb'(?:W/)?"[^"]*"|[^\s,]+')
"""A quoted tag; one without quotes is compared as it is."""

OUR_TAG = re.compile(rb'"[0-9a-f]{32}"')
"""The form of the tags that `entity_tag` makes."""

OF_A_304 = frozenset((b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary'))
"""Fields of the 200 that its 304 repeats (RFC 9110 §15.4.5)."""

OF_ONE_CLIENT = frozenset(
    (b'if-match', b'if-modified-since', b'if-none-match', b'if-range', b'if-unmodified-since', b'range')
)
"""Headers by which a client asks about its own stored response, or for a part."""

OF_A_BODY = frozenset((b'content-encoding', b'content-length', b'content-range', b'content-type', b'transfer-encoding'))
"""Headers about the body, which a response without body must not have."""

OF_A_PART = frozenset((b'if-match', b'if-range', b'if-unmodified-since', b'range'))
"""Request headers that ask for a part or for no response; a cache does not evaluate them on a miss."""

PRECONDITIONS = frozenset((b'if-none-match', b'if-modified-since'))
"""The preconditions that a cache evaluates itself (RFC 9111 §4.3.2); the others are for the endpoint."""

NOT_UPDATED = OF_A_BODY | {b'content-md5'}
"""Headers about the stored body, which a 304 does not update (RFC 9111 §3.2).

Its ETag is updated: one that `confirms` lets through names the same body, and may have become weak.
"""


def entity_tag(body: bytes) -> bytes:
    """A strong entity tag, made from the bytes of the body (RFC 9110 §8.8.3)."""
    return b'"%s"' % blake2b(body, digest_size=16).hexdigest().encode('ascii')


CONDITIONAL = frozenset(('GET', 'HEAD', 'QUERY'))
"""Methods for which a precondition that does not hold is a 304 (RFC 9110 §13.1.2, RFC 10008)."""


def not_modified(
    method: str,
    request: RawHeaders,
    status: int,
    response: RawHeaders,
    now: float,
    *,
    stored_at: float | None = None,
) -> bool:
    """Whether the preconditions of the request turn a stored response into a 304 (RFC 9110 §13.2.2).

    Only a 200 to GET, HEAD or QUERY can become a 304. If-Modified-Since is ignored if there is If-None-Match.
    """
    if status != 200 or method not in CONDITIONAL:
        return False
    named = lines(request, b'if-none-match')
    if named:
        tags = lines(response, b'etag')[:1]
        return named == tags or client_has(named, b''.join(tags))
    since = lines(request, b'if-modified-since')
    return len(since) == 1 and _unmodified(since[0], response, now, stored_at)


def client_has(named: list[bytes], tag: bytes) -> bool:
    """Whether the client already has the response with this tag, by If-None-Match (RFC 9110 §13.1.2).

    The comparison is weak; `*` matches any current response.
    """
    if [line.strip(b' \t') for line in named] == [b'*']:
        return True
    opaque = tag.removeprefix(b'W/')
    return bool(tag) and any(
        found.removeprefix(b'W/') == opaque for line in named for found in _ENTITY_TAG.findall(line)
    )


def _unmodified(since: bytes, response: RawHeaders, now: float, stored_at: float | None) -> bool:
    """Whether Last-Modified, else Date, else when it was stored, is not later (RFC 9110 §13.1.3, RFC 9111 §4.3.2)."""
    asked = timestamp(since, now)
    modified = (lines(response, b'last-modified') or lines(response, b'date'))[:1]
    modified_at = timestamp(modified[0], now) if modified else stored_at
    return asked is not None and modified_at is not None and modified_at <= asked


def conditions(stored: RawHeaders, *, our_tag: bool) -> list[Field]:
    """The preconditions by which a stored response is validated (RFC 9111 §4.3.1).

    A tag that was made here is not sent, because the endpoint does not know it.
    """
    tags = [] if our_tag else lines(stored, b'etag')
    asked = [(b'if-none-match', tag) for tag in tags[:1]]
    return asked + [(b'if-modified-since', date) for date in lines(stored, b'last-modified')[:1]]


def question(request: RawHeaders, asked: RawHeaders, *, kept: Collection[bytes] = frozenset()) -> list[Field]:
    """The request as the endpoint gets it: with our preconditions, and then for the whole response.

    The client's own preconditions are left out, because we answer them. A range that is in the key is `kept`.
    """
    ours = PRECONDITIONS | {b'if-range', b'range'}.difference(kept) if asked else PRECONDITIONS
    return [*without(request, ours), *asked]


def contradicts(head: RawHeaders, stored: RawHeaders) -> bool:
    """Whether the response to a HEAD shows that a stored one to GET is not current (RFC 9111 §4.3.5)."""
    told = (b'etag', b'last-modified', b'content-length')
    return any(lines(head, name) and lines(stored, name) and lines(head, name) != lines(stored, name) for name in told)


def confirms(fresh: RawHeaders, stored: RawHeaders, asked: Collection[bytes]) -> bool:
    """Whether a 304 with these headers is about this stored response (RFC 9111 §4.3.4).

    A strong tag must be equal to the stored one, a weak one must match weakly. A 304 without a tag is about the
    response whose tag was sent; if only a date was sent, the 304 must not have another date.
    """
    tag, known = lines(fresh, b'etag')[:1], lines(stored, b'etag')[:1]
    if tag and tag[0].startswith(b'W/'):
        return [it.removeprefix(b'W/') for it in known] == [tag[0].removeprefix(b'W/')]
    if tag:
        return tag == known
    date, known_date = lines(fresh, b'last-modified')[:1], lines(stored, b'last-modified')[:1]
    return b'if-none-match' in asked or date in ([], known_date)


def updated(stored: RawHeaders, fresh: RawHeaders, *, type_too: bool = False) -> list[Field]:
    """The headers of a stored response after a 304 with these (RFC 9111 §3.2): each one in it replaces the old ones.

    The old Date goes in any case, so that a server writes the current one. Headers about the stored body stay;
    its Content-Type only without `type_too`, since frameworks write one into responses without a body, too.
    """
    kept = NOT_UPDATED - {b'content-type'} if type_too else NOT_UPDATED
    given = without(fresh, kept | field_names(fresh, b'connection'))
    return [*without(stored, {name for name, _ in given} | {b'age', b'date'}), *given]
