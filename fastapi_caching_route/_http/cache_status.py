"""The Cache-Status field (RFC 9211): what a cache did with a request, and why."""

import re
from math import floor

_TOKEN = re.compile(rb"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_UNPRINTABLE = re.compile(rb'[^ -~]')


def hit(cache: bytes, ttl: float, detail: bytes | None = None) -> bytes:
    """A hit, fresh for `ttl` seconds; negative if it is stale (RFC 9211 §2.1, §2.4)."""
    said = b'%s; hit; ttl=%d' % (cache, floor(ttl))
    return said if detail is None else said + b'; detail=' + item(detail)


def forwarded(
    cache: bytes,
    why: bytes | None,
    *,
    status: int | None = None,
    ttl: float | None = None,
    stored: bool = False,
    collapsed: bool = False,
    detail: str | None = None,
) -> bytes:
    """A response of the endpoint (RFC 9211 §2.2 to §2.8); `why` is None if the endpoint was not asked.

    `status` is that of the endpoint if another one was sent; `collapsed`: another request asked the endpoint for it.
    """
    parts = [cache] if why is None else [cache, b'fwd=' + why]
    if status is not None:
        parts.append(b'fwd-status=%d' % status)
    if ttl is not None:
        parts.append(b'ttl=%d' % floor(ttl))
    if stored:
        parts.append(b'stored')
    if collapsed:
        parts.append(b'collapsed')
    if detail is not None:
        parts.append(b'detail=' + item(detail.encode('ascii', 'replace')))
    return b'; '.join(parts)


def detail_of(value: bytes | None) -> str | None:
    """The detail of a field that was made here, if it has one."""
    _, _, detail = (value or b'').partition(b'; detail=')
    return detail.strip(b'"').decode('ascii', 'replace') or None


def item(text: bytes) -> bytes:
    """The text as a token if possible, else as a string (RFC 8941 §3.3)."""
    if _TOKEN.fullmatch(text):
        return text
    printable = _UNPRINTABLE.sub(b'?', text)
    return b'"%s"' % printable.replace(b'\\', b'\\\\').replace(b'"', b'\\"')
