"""Conditional requests (RFC 9110 §13): entity tags, and what a 304 carries."""

import re
from hashlib import blake2b

from fastapi_caching_route._http.fields import RawHeaders, lines

_ENTITY_TAG = re.compile(rb'(?:W/)?"[^"]*"|[^\s,]+')
"""A tag in quotes, or what a sloppy sender left unquoted: kept and compared as it is."""

OF_A_304 = frozenset((b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary'))
"""Fields of the 200 that its 304 repeats (RFC 9110 §15.4.5)."""


def entity_tag(body: bytes) -> bytes:
    """A strong entity tag made from the bytes of a body (RFC 9110 §8.8.3)."""
    return b'"%s"' % blake2b(body, digest_size=16).hexdigest().encode('ascii')


def none_match(request: RawHeaders, tag: bytes) -> bool:
    """Whether If-None-Match holds: absent, or none of its tags equals this one in weak comparison (RFC 9110 §13.1.2).

    ``*`` stands for any current response.
    """
    wanted = lines(request, b'if-none-match')
    if not wanted:
        return True
    if [line.strip(b' \t') for line in wanted] == [b'*']:
        return False
    opaque = tag.removeprefix(b'W/')
    given = (found.removeprefix(b'W/') for line in wanted for found in _ENTITY_TAG.findall(line))
    return opaque not in given


def not_modified(response: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The fields of the 304 that stands for this response: no Content-Length, no Content-Type (RFC 9110 §15.4.5)."""
    return [field for field in response if field[0] in OF_A_304]
