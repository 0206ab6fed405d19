"""Whether a server can send a response (RFC 9110 §5.5, §5.6.2, §6.4.1, §8.6).

One rule for two places: a response that breaks it is never stored, and stored bytes that break it are a miss. Without
it, one response that cannot be sent would fail again and again, until its entry expires.
"""

from fastapi_caching_route._http.fields import RawHeaders, lines

STATUSES = range(200, 600)
"""Final statuses (RFC 9110 §15)."""

NO_CONTENT = 204

_OF_A_NAME = b"!#$%&'*+.^_`|~-0123456789abcdefghijklmnopqrstuvwxyz"
_OF_A_VALUE = bytes((9, *range(0x20, 0x7F), *range(0x80, 0x100)))


def sendable(headers: RawHeaders) -> bool:
    """Whether a server can send these headers: all are legal, and there is at most one Content-Length."""
    return legal(headers) and len(lines(headers, b'content-length')) <= 1


def legal(headers: RawHeaders) -> bool:
    """Whether every header has a legal name, in lower case, and a legal value.

    A server refuses the others, or lets one header become two.
    """
    names, values = [name for name, _ in headers], b''.join([value for _, value in headers])
    return all(names) and not b''.join(names).translate(None, _OF_A_NAME) and not values.translate(None, _OF_A_VALUE)


def fits(status: int, headers: RawHeaders, size: int) -> bool:
    """Whether a body of `size` bytes can follow: as long as Content-Length says, and none after a 204."""
    return lines(headers, b'content-length') in ([], [b'%d' % size]) and not (status == NO_CONTENT and size)
