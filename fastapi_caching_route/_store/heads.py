"""The heads of stored objects: what is told of an entry, or of a record of variants, before the body.

A head may grow at its end: what a reader does not know, it ignores, and what is missing has its default.
Pure. Knows nothing of checksums and signatures.
"""

import math

import msgspec
from msgspec.structs import astuple

from fastapi_caching_route._core.codings import coder_of
from fastapi_caching_route._core.entry import About, Coded, Entry, Position, as_utf8
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._core.written import Made, Operations
from fastapi_caching_route._http.conditional import OUR_TAG
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._http.sending import STATUSES, fits, legal, sendable
from fastapi_caching_route._http.storing import NOT_STORED


class EntryHead(msgspec.Struct, array_like=True, tag='entry'):
    """What is stored of an entry beside its body."""

    key: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    stored_at: float
    lifetime: float
    made_by_fastapi: bool
    by_others: tuple[Operations, ...]
    keeps_tasks: bool
    stale_while_revalidate: float
    stale_if_error: float
    stale_if_accepted: bool
    must_validate: bool
    lifetime_was_chosen: bool
    tag_is_ours: bool
    windowed: bool
    names: tuple[str, ...]
    marks: tuple[str, ...]
    size: int
    epoch: str = ''
    place: int = 0
    read: tuple[str, ...] = ()
    route: str = ''
    path: str = ''
    tags: tuple[str, ...] = ()
    seconds: float = 0.0
    owner: bytes = b''
    """Stands for the cache that has stored it. Empty in what older versions have stored."""


class LongHead(EntryHead, array_like=True, tag='entry'):
    """The same, grown. It is written where there is something to say in it."""

    coding: str | None = None
    coded_tag: bytes = b''
    body_bytes: int = 0


class VariantsHead(msgspec.Struct, array_like=True, tag='variants'):
    """A record of variants, which has no body."""

    key: str
    selecting: tuple[bytes, ...]
    token: str
    known: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] = ((),)
    ends_at: float = 0.0
    owner: bytes = b''
    """See `EntryHead`."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LongHead | VariantsHead)


def packed_head(head: EntryHead | VariantsHead) -> bytes:
    """The bytes of a head."""
    return _encoder.encode(head)


def head_of_variants(it: Variants) -> VariantsHead:
    """The head of a record of variants, without its owner."""
    return VariantsHead(it.key, it.selecting, it.token, it.known, it.groups, it.ends_at)


def variants_of(head: VariantsHead) -> Variants:
    """The record of variants with this head."""
    return Variants(head.key, head.selecting, head.token, head.known, head.groups, head.ends_at)


def head_of(entry: Entry) -> EntryHead:
    """The head of an entry, without its owner."""
    assert not isinstance(entry.marks, int)  # a moment never leaves its process
    epoch, place = (entry.marks.epoch, entry.marks.place) if isinstance(entry.marks, Position) else ('', 0)
    fields = (
        entry.key,
        entry.status,
        entry.headers,
        entry.stored_at,
        entry.lifetime,
        *(entry.made.made_by_fastapi, entry.made.by_others, entry.made.keeps_tasks),
        entry.stale_while_revalidate,
        entry.stale_if_error,
        entry.stale_if_accepted,
        entry.must_validate,
        entry.lifetime_was_chosen,
        entry.tag_is_ours,
        entry.windowed,
        entry.names,
        () if isinstance(entry.marks, Position) else entry.marks,
        len(entry.content),
        epoch,
        place,
        entry.read,
        as_utf8(entry.about.route),
        as_utf8(entry.about.path),
        tuple(map(as_utf8, entry.about.tags)),
        entry.about.seconds,
    )
    return EntryHead(*fields) if entry.coded is None else LongHead(*fields, b'', *astuple(entry.coded))


def head_in(packed: memoryview, size: int, *, is_coded: bool) -> LongHead | VariantsHead | None:
    """The head in these bytes, of an entry with so many bytes behind it; None for what we have not written.

    If the content `is_coded`, the head must say so.
    """
    try:
        head = _decoder.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if isinstance(head, LongHead) and (head.size != size or not _plausible(head)):
        return None
    return head if is_coded == (isinstance(head, LongHead) and bool(head.coding)) else None


def entry_of(head: LongHead, body: bytes) -> Entry:
    """The entry with this head and this body."""
    return Entry(
        head.key,
        head.status,
        head.headers,
        body,
        head.stored_at,
        head.lifetime,
        Made(head.made_by_fastapi, head.by_others, head.keeps_tasks),
        head.stale_while_revalidate,
        head.stale_if_error,
        head.stale_if_accepted,
        head.must_validate,
        head.lifetime_was_chosen,
        head.tag_is_ours,
        head.windowed,
        head.names,
        Position(head.epoch, head.place) if head.epoch else head.marks,
        head.read,
        About(head.route, head.path, head.tags, head.seconds),
        None if head.coding is None else Coded(head.coding, head.coded_tag, head.body_bytes),
    )


def _plausible(head: LongHead) -> bool:
    """Whether we could have written it. A planted entry must not be able to break a response."""
    return (
        head.status in STATUSES
        and math.isfinite(head.stored_at)
        and all(0 <= it <= FOREVER for it in (head.lifetime, head.stale_while_revalidate, head.stale_if_error))
        and 0 <= head.seconds <= FOREVER
        and fits(head.status, head.headers, head.body_bytes if head.coding else head.size)
        and _may_be_decoded(head)
        and not any(name in NOT_STORED for name, _ in head.headers)
        and sendable(head.headers)
        and legal([it[1:] for operations in head.by_others for it in operations])
    )


def _may_be_decoded(head: LongHead) -> bool:
    """Whether the content is plain, or of a coding whose library is installed here."""
    is_legal = OUR_TAG.fullmatch(head.coded_tag) is not None and head.body_bytes > 0
    return not head.coding or (is_legal and coder_of(head.coding) is not None)
