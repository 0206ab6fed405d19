"""What a multipart form holds, whatever boundary its client has made up for it (RFC 7578 §4.1, RFC 2046 §5.1.1). Pure.

Two bodies that come to the same here differ in their boundaries alone, so every parser makes the same form of them. That is
only claimed of bodies that are exactly as clients write them; of any other, nothing is.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

MAX_PARTS = 1000
"""More is no form to Starlette, unless it is told otherwise."""

_SIGNS = rb'[0-9A-Za-z_.+-]{1,70}'
_TYPE = re.compile(rb'multipart/form-data; ?boundary=(?:"(%b)"|(%b))' % (_SIGNS, _SIGNS))


def digest_of_form(content_types: Sequence[bytes], body: bytes) -> bytes | None:
    """A digest of the parts of a form in their order: equal for equal parts only. None if it is not written as it should be."""
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
