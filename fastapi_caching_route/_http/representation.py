"""What a request gets of a stored response: all of it, a 304, a part, or no body (RFC 9110 §3.2)."""

from fastapi_caching_route._http import ranges
from fastapi_caching_route._http.conditional import CONDITIONAL, OF_A_304, OF_ONE_CLIENT, not_modified
from fastapi_caching_route._http.fields import Field, RawHeaders, lines, members, without

OF_THE_WHOLE = (b'content-digest', b'content-md5', b'content-range', b'digest')
"""Headers that are true only of the whole body."""

Selected = tuple[int, RawHeaders, bytes]
"""Status, headers and body."""


_NOTHING_ELSE = (b'*;q=0', b'*;q=0.0', b'*;q=0.00', b'*;q=0.000')
"""All codings that are not named are refused (RFC 9110 §12.5.3)."""

WHOLE, UNCHANGED, IN_PART = 'all of it', 'a 304', 'what `select` returns'


def simply(method: str, request: RawHeaders, tag: bytes | None) -> str:
    """What a request gets of a stored response, if that is simple: UNCHANGED only if the client has exactly this tag.

    The tag is that of a 200, and None for other statuses.
    """
    wanted = IN_PART if method == 'HEAD' else WHOLE
    for name, value in request:
        if name in OF_ONE_CLIENT:
            if value == tag and name == b'if-none-match' and method in CONDITIONAL:
                return UNCHANGED
            wanted = IN_PART
    return wanted


def unchanged(response: RawHeaders) -> list[Field]:
    """The headers of the 304 for a response with these."""
    return [field for field in response if field[0] in OF_A_304]


def select(method: str, request: RawHeaders, stored: Selected, now: float, stored_at: float | None = None) -> Selected:
    """What a stored response comes to for a request. Preconditions come before ranges (RFC 9110 §13.2.2)."""
    status, response, body = stored
    if OF_ONE_CLIENT.isdisjoint(dict(request)):
        return stored if method != 'HEAD' else (status, response, b'')
    if not_modified(method, request, status, response, now, stored_at=stored_at):
        return 304, unchanged(response), b''
    part = ranges.part(request, response, len(body), now) if method in ranges.WITH_RANGES and status == 200 else None
    compressible = _names_a_coding(request) and not lines(response, b'content-encoding')
    if compressible and lines(request, b'if-range'):
        part = None  # the part that the client has may have been compressed on its way, under the same tag
    if part is None:
        return status, response, b'' if method == 'HEAD' else body
    fields = [
        *without(response, (b'content-length', *OF_THE_WHOLE)),
        (b'content-range', ranges.content_range(part, len(body))),
    ]
    if part is ranges.UNSATISFIABLE:
        of_nothing = (b'content-encoding', b'content-type', b'etag', b'last-modified')
        return 416, [*without(fields, of_nothing), (b'content-length', b'0')], b''
    if compressible:
        # Middleware might compress the part, whose range is that of the uncompressed whole. Starlette's skips responses
        # that have Content-Encoding. Deviation: RFC 9110 §8.4.1 says not to send `identity`;
        # test_a_part_is_never_compressed.
        fields.append((b'content-encoding', b'identity'))
    fields.append((b'content-length', b'%d' % (part.end - part.start)))
    return 206, fields, body[part.start : part.end]


def _names_a_coding(request: RawHeaders) -> bool:
    """Whether a middleware might compress a response to this request: one that does not parse weights might, too."""
    named = [it.replace(b' ', b'').lower() for it in members(request, b'accept-encoding')]
    return any(it.partition(b';')[0] not in {b'', b'identity'} and it not in _NOTHING_ELSE for it in named)
