"""Whose a stored value is, told by its key and by how its bytes begin: others may use the same backend. Pure.

The namespaces `a` and `a:b` may be of two backends, or `a:b` that of a route of `a`. Their keys are the same; so each
entry says at the end of its head which cache has stored it.
"""

from fastapi_caching_route._core.key import SEPARATOR, digest, root_of

OURS, SIGNED = b'fcr', b'fcrs'
"""How all values of this library begin, and those that are signed."""

WITH_HEAD = (b'fcr\x04', b'fcrz')
"""How entries begin: for the whole of their format, see `_store/wire`."""

_SIGNATURE, _LENGTH, _HEAD = 36, slice(12, 16), 16
"""How many bytes a signature takes before an entry; where the length of its head stands, and where the head begins."""

_INSIDE = (f'{SEPARATOR}%', f'{SEPARATOR}{{%')
"""Stand in all keys of a cache beside those of its entries, behind its own namespace."""


def owner_of(root: str) -> bytes:
    """What stands for the cache whose backend has this namespace."""
    return bytes.fromhex(digest(('owner', root)))


def head_ends_at(begin: bytes) -> int:
    """How many bytes of a value `belongs` needs, if it begins like this; 0 if no more than these."""
    start = _SIGNATURE if begin.startswith(SIGNED) else 0
    content = begin[start : start + _HEAD]
    return start + _HEAD + int.from_bytes(content[_LENGTH], 'big') if content.startswith(WITH_HEAD) else 0


def belongs_by_key(key: str, namespace: str) -> bool | None:
    """What `belongs` says of any value under a key; None if it depends on the value."""
    if key.startswith(f'{root_of(namespace)}{SEPARATOR}'):
        return True
    return False if any(it in key for it in _INSIDE) else None


def belongs(key: str, begin: bytes, namespace: str) -> bool:
    """Whether a value is in a namespace of a backend, if its key begins with that.

    Of the values of this library that are in a longer namespace, only those of a route of this one are.
    """
    by_key = belongs_by_key(key, namespace)
    if by_key is not None:
        return by_key
    root = root_of(namespace)
    if not begin.startswith(OURS):
        return key.startswith((f'{root}:', f'{namespace}:'))
    return owner_of(root) in begin[: head_ends_at(begin)]
