"""JSON bodies by value: objects in any order of their names, and whatever white space a client wrote. Pure.

Two bodies with the same digest are parsed to equal values of the same types, so `1`, `1.0` and `true` differ. The order
of names in an object is left out: code can see it, but JSON says that it has no meaning (RFC 8259 §4).
"""

import json
import re
from collections.abc import Sequence
from hashlib import blake2b

_JSON = re.compile(rb'application/(?:[^;\s]+\+)?json\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)


def digest_of_json(content_types: Sequence[bytes], body: bytes) -> bytes | None:
    """A digest of the value of a JSON body. None if this is not a JSON body, or cannot be parsed."""
    if len(content_types) != 1 or not _JSON.fullmatch(content_types[0].strip()):
        return None
    try:
        text = json.dumps(json.loads(body), sort_keys=True)
    except (ValueError, RecursionError):  # FastAPI is to say what is wrong
        return None
    return blake2b(text.encode('ascii'), digest_size=32).digest()
