"""What becomes of a stored response when it answers a request: itself, a 304, a part of it, or no body at all."""

from fastapi_caching_route._http import ranges
from fastapi_caching_route._http.conditional import OF_A_304, OF_ONE_CLIENT, not_modified
from fastapi_caching_route._http.fields import RawHeaders, lines, without

OF_THE_WHOLE = (b'content-digest', b'content-md5', b'content-range', b'digest')
"""Fields that are true of a body that is sent whole."""

Selected = tuple[int, RawHeaders, bytes]
"""Status, fields and body."""


def select(method: str, request: RawHeaders, stored: Selected, now: float) -> Selected:
    """Status, fields and body with which a stored response answers: preconditions come before ranges (RFC 9110 §13.2.2)."""
    status, response, body = stored
    if method == 'GET' and OF_ONE_CLIENT.isdisjoint(dict(request)):
        return stored  # nobody asks for less
    if not_modified(method, request, status, response, now):
        return 304, [field for field in response if field[0] in OF_A_304], b''
    part = ranges.part(request, response, len(body), now) if method == 'GET' and status == 200 else None
    compressible = bool(lines(request, b'accept-encoding')) and not lines(response, b'content-encoding')
    if compressible and lines(request, b'if-range'):
        part = None  # what the client has may have been compressed on its way, under the same tag
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
        # A middleware that compresses what it sees would compress the part, under a range of the whole. Starlette's leaves
        # alone what is encoded already. Deviation: RFC 9110 §8.4.1 would not have it said; test_a_part_is_never_compressed.
        fields.append((b'content-encoding', b'identity'))
    fields.append((b'content-length', b'%d' % (part.end - part.start)))
    return 206, fields, body[part.start : part.end]
