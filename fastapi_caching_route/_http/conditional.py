"""Conditional requests (RFC 9110 §13): entity tags, and what a 304 carries."""

import re
from hashlib import blake2b

from fastapi_caching_route._http.fields import RawHeaders, lines

_ENTITY_TAG = re.compile(rb'(?:W/)?"[^"]*"|[^\s,]+')
"""A tag in quotes, or what a sloppy sender left unquoted: kept and compared as it is."""

OUR_TAG = re.compile(rb'"[0-9a-f]{32}"')
"""What `entity_tag` makes."""

OF_A_304 = frozenset((b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary'))
"""Fields of the 200 that its 304 repeats (RFC 9110 §15.4.5)."""


def entity_tag(body: bytes) -> bytes:
    """A strong entity tag made from the bytes of a body (RFC 9110 §8.8.3)."""
    return b'"%s"' % blake2b(body, digest_size=16).hexdigest().encode('ascii')


def reply(
    method: str, request: RawHeaders, status: int, response: RawHeaders, tag: bytes
) -> tuple[int, RawHeaders, bool]:
    """Status and fields with which a stored response answers, and whether its body goes along.

    Preconditions are for GET and HEAD, and for what would be a 200 (RFC 9110 §13.2.1); POST and QUERY have none.
    """
    if status == 200 and method in {'GET', 'HEAD'} and client_has(request, tag):
        return 304, [field for field in response if field[0] in OF_A_304], False
    return status, response, method != 'HEAD'


def client_has(request: RawHeaders, tag: bytes) -> bool:
    """Whether If-None-Match says that the client has the response with this tag already (RFC 9110 §13.1.2).

    Tags are compared weakly; ``*`` stands for any current response.
    """
    named = lines(request, b'if-none-match')
    if [line.strip(b' \t') for line in named] == [b'*']:
        return True
    opaque = tag.removeprefix(b'W/')
    return any(found.removeprefix(b'W/') == opaque for line in named for found in _ENTITY_TAG.findall(line))
