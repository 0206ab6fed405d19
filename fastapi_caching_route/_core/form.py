"""The content of a multipart form, whatever boundary the client chose (RFC 7578 §4.1, RFC 2046 §5.1.1). Pure.

Two bodies with the same digest differ in their boundaries alone, so every parser reads the same form from them. Only
bodies in the exact form that clients write have a digest.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

MAX_PARTS = 1000
"""The most parts of a form: Starlette's default limit."""

_SIGNS = rb'[0-9A-Za-z_.+-]{1,70}'
_TYPE = re.compile(rb'multipart/form-data; ?boundary=(?:"(%b)"|(%b))' % (_SIGNS, _SIGNS))


def digest_of_form(content_types: Sequence[bytes], body: bytes) -> bytes | None:
    """A digest of the parts of a form in their order: equal for equal parts only. None if it is not well-formed."""
    found = _TYPE.fullmatch(content_types[0]) if len(content_types) == 1 else None
    if found is None:
        return None
    delimiter = b'\r\n--' + (found[1] or found[2])
    before, *parts = (b'\r\n' + body).split(delimiter, MAX_PARTS + 1)
    end = parts.pop() if parts else b''
    if before or end not in {b'--', b'--\r\n'}:
        return None
    digest = blake2b()
    for part in parts:
        head, ends, content = part.removeprefix(b'\r\n').partition(b'\r\n\r\n')
        if not part.startswith(b'\r\n') or not head or not ends:
            return None
        for piece in (head, content):
            digest.update(b'%d:' % len(piece))
            digest.update(piece)
    return digest.digest()
