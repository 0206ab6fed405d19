"""Conditional requests (RFC 9110 §13): entity tags and dates, those of clients and those that we ask with ourselves."""

import re
from collections.abc import Collection
from hashlib import blake2b

from fastapi_caching_route._http.dates import timestamp
from fastapi_caching_route._http.fields import RawHeaders, field_names, lines, without

_ENTITY_TAG = re.compile(rb'(?:W/)?"[^"]*"|[^\s,]+')
"""A tag in quotes, or what a sloppy sender left unquoted: kept and compared as it is."""

OUR_TAG = re.compile(rb'"[0-9a-f]{32}"')
"""What `entity_tag` makes."""

OF_A_304 = frozenset((b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary'))
"""Fields of the 200 that its 304 repeats (RFC 9110 §15.4.5)."""

OF_ONE_CLIENT = frozenset(
    (b'if-match', b'if-modified-since', b'if-none-match', b'if-range', b'if-unmodified-since', b'range')
)
"""Fields by which a client asks about what it has, or for a part."""

OF_A_BODY = frozenset((b'content-encoding', b'content-length', b'content-range', b'content-type', b'transfer-encoding'))
"""Fields that say what the body is, where there is none."""

OF_A_PART = frozenset((b'if-match', b'if-range', b'if-unmodified-since', b'range'))
"""Fields of a request that ask for a part of the answer, or for none, and that a cache does not evaluate on a miss."""

PRECONDITIONS = frozenset((b'if-none-match', b'if-modified-since'))
"""Those that a cache evaluates itself (RFC 9111 §4.3.2); the others are for the endpoint."""

NOT_UPDATED = OF_A_BODY | {b'content-md5', b'etag'}
"""Fields that say what the stored body is, which a 304 that has none cannot know better (RFC 9111 §3.2)."""


def entity_tag(body: bytes) -> bytes:
    """A strong entity tag made from the bytes of a body (RFC 9110 §8.8.3)."""
    return b'"%s"' % blake2b(body, digest_size=16).hexdigest().encode('ascii')


def not_modified(method: str, request: RawHeaders, status: int, response: RawHeaders, now: float) -> bool:
    """Whether the preconditions of the request make a 304 of a stored response (RFC 9110 §13.2.2).

    They are for GET and HEAD, and for what would be a 200; POST and QUERY have none. If-Modified-Since counts only where
    there is no If-None-Match.
    """
    if status != 200 or method not in {'GET', 'HEAD'}:
        return False
    named = lines(request, b'if-none-match')
    if named:
        tags = lines(response, b'etag')[:1]
        return named == tags or client_has(named, b''.join(tags))
    since = lines(request, b'if-modified-since')
    return len(since) == 1 and _unmodified(since[0], response, now)


def client_has(named: list[bytes], tag: bytes) -> bool:
    """Whether If-None-Match says that the client has the response with this tag already (RFC 9110 §13.1.2).

    Tags are compared weakly; ``*`` stands for any current response.
    """
    if [line.strip(b' \t') for line in named] == [b'*']:
        return True
    opaque = tag.removeprefix(b'W/')
    return bool(tag) and any(
        found.removeprefix(b'W/') == opaque for line in named for found in _ENTITY_TAG.findall(line)
    )


def _unmodified(since: bytes, response: RawHeaders, now: float) -> bool:
    """Whether the response is not newer than that: by Last-Modified, or else by its Date (RFC 9110 §13.1.3, RFC 9111 §4.3.2)."""
    asked = timestamp(since, now)
    modified = (lines(response, b'last-modified') or lines(response, b'date'))[:1]
    modified_at = timestamp(modified[0], now) if modified else None
    return asked is not None and modified_at is not None and modified_at <= asked


def conditions(stored: RawHeaders, *, our_tag: bool) -> list[tuple[bytes, bytes]]:
    """The fields by which the endpoint is asked whether a stored response still holds (RFC 9111 §4.3.1).

    A tag that we have made ourselves is nothing to ask the endpoint about.
    """
    tags = [] if our_tag else lines(stored, b'etag')
    asked = [(b'if-none-match', tag) for tag in tags[:1]]
    return asked + [(b'if-modified-since', date) for date in lines(stored, b'last-modified')[:1]]


def question(
    request: RawHeaders, asked: RawHeaders, *, kept: Collection[bytes] = frozenset()
) -> list[tuple[bytes, bytes]]:
    """The request as the endpoint gets it, with conditions of our own, and then for the whole of the response.

    What the client asks about what *it* has stored is left out: we answer that. A range that is `kept` is part of what is asked for.
    """
    ours = PRECONDITIONS | {b'if-range', b'range'}.difference(kept) if asked else PRECONDITIONS
    return [*without(request, ours), *asked]


def contradicts(head: RawHeaders, stored: RawHeaders) -> bool:
    """Whether the answer to a HEAD shows that a stored answer to GET is not the current one (RFC 9111 §4.3.5)."""
    told = (b'etag', b'last-modified', b'content-length')
    return any(lines(head, name) and lines(stored, name) and lines(head, name) != lines(stored, name) for name in told)


def confirms(fresh: RawHeaders, stored: RawHeaders, asked: Collection[bytes]) -> bool:
    """Whether a 304 with these fields is about this stored response (RFC 9111 §4.3.4).

    A strong tag must be the stored one, a weak one must compare weakly. A 304 that has no tag is about the response by
    whose tag we have asked; where we could only ask by a date, it must not have another one.
    """
    tag, known = lines(fresh, b'etag')[:1], lines(stored, b'etag')[:1]
    if tag and tag[0].startswith(b'W/'):
        return [it.removeprefix(b'W/') for it in known] == [tag[0].removeprefix(b'W/')]
    if tag:
        return tag == known
    date, known_date = lines(fresh, b'last-modified')[:1], lines(stored, b'last-modified')[:1]
    return b'if-none-match' in asked or date in ([], known_date)


def updated(stored: RawHeaders, fresh: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The fields of a stored response after a 304 with these ones (RFC 9111 §3.2): all that it gives, for the old ones.

    A Date that it does not give is that of now, whoever writes it. What says how the stored body is to be read stays.
    """
    given = without(fresh, NOT_UPDATED | field_names(fresh, b'connection'))
    return [*without(stored, {name for name, _ in given} | {b'age', b'date'}), *given]
