"""What is kept: an answer of the endpoint, complete and immutable.

Pure: knows fields and bytes, and neither stores, nor clocks, nor the framework.
"""

from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from fastapi_caching_route._core.written import MADE_BY_FASTAPI, Made
from fastapi_caching_route._http.conditional import entity_tag
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._http.freshness import received_age
from fastapi_caching_route._http.sending import NO_CONTENT
from fastapi_caching_route._http.storing import Storable, stored_fields

OLDEST = 2.0**31
"""Seconds of age; an older response is no staler."""


ENTRY_BYTES, FIELD_BYTES, TEXT_BYTES = 560, 130, 60
"""Bytes of objects in CPython: an entry with its numbers, a field with name and value, and a text; without what they say."""


class Entry(Struct, frozen=True):
    """A stored response. Everything in it is immutable, so one object may answer many requests at once."""

    key: str
    """The full key that it was stored under; what is found under another one is not this request's."""
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """As the endpoint gave them: with ETag, Content-Length and one merged Vary, without Age, X-Cache and fields of guards."""
    body: bytes
    stored_at: float
    """When the endpoint began to answer, in seconds since the epoch."""
    lifetime: float
    """Seconds of freshness from `stored_at` on."""
    made: Made = MADE_BY_FASTAPI
    """How it was made: what guards add to it is up to that."""
    stale_while_revalidate: float = 0.0
    """Seconds past the lifetime in which it answers while one request renews it (RFC 5861 §3)."""
    stale_if_error: float = 0.0
    """Seconds past the lifetime in which it answers where the endpoint fails (RFC 5861 §4)."""
    stale_if_accepted: bool = False
    """Whether it may be served stale to a client that accepts that (RFC 9111 §4.2.4)."""
    must_validate: bool = False
    """Whether the endpoint must be asked each time whether it still holds (`no-cache`)."""
    lifetime_was_chosen: bool = False
    """Whether its endpoint itself has chosen its lifetime."""
    tag_is_ours: bool = False
    """Whether its ETag was made by us, and says nothing to the endpoint."""
    windowed: bool = False
    """Whether it may be of use when it is stale."""
    names: tuple[str, ...] = ()
    """What it can be invalidated by."""
    marks: int | tuple[str, ...] = ()
    """What tells whether one of the names has been invalidated since the endpoint began: see `_marks`, `_moments`."""

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, estimated from above."""
        fields = sum([len(name) + len(value) + FIELD_BYTES for name, value in self.headers])
        texts = sum(map(len, self.names)) + TEXT_BYTES * len(self.names)
        return ENTRY_BYTES + len(self.key) + len(self.body) + fields + texts + self.made.size

    def for_one(self, own: RawHeaders, made: Made) -> 'Entry':
        """As the client of the response itself gets it: with its own headers, made as it was, though that is not kept."""
        return replace(self, headers=(*without(self.headers, dict(own)), *own), made=made) if own else self


@dataclass(slots=True)
class Recording:
    """A complete answer as the endpoint sent it."""

    status: int
    headers: RawHeaders
    body: bytes


def entry_of(
    recording: Recording,
    storable: Storable,
    *,
    key: str,
    left_out: bytes,
    now: float,
    names: tuple[str, ...],
    marks: int | tuple[str, ...] = (),
    made: Made = MADE_BY_FASTAPI,
    tagged: bool = True,
    confirmed: Entry | None = None,
) -> Entry:
    """The recording as it is kept and sent: with Content-Length, without fields that are not for storing.

    Where it is `tagged`, an ETag is made for one that has none. One that was `confirmed` has the tag of before.
    """
    headers = without(stored_fields(recording.headers), (left_out,))
    present = dict(headers)
    left_out_names = dict(recording.headers).keys() - present.keys()
    untagged = tagged and b'etag' not in present
    if untagged:
        headers.append((b'etag', entity_tag(recording.body)))
    if b'content-length' not in present and recording.status != NO_CONTENT:
        headers.append((b'content-length', b'%d' % len(recording.body)))
    return Entry(
        key=key,
        status=recording.status,
        headers=tuple(headers),
        body=recording.body,
        # It has been on its way before (RFC 9111 §4.2.3).
        stored_at=now - min(received_age(recording.headers, now), OLDEST),
        lifetime=storable.lifetime,
        made=made.less(left_out_names) if made.by_others else made,
        stale_while_revalidate=storable.stale_while_revalidate,
        stale_if_error=storable.stale_if_error,
        stale_if_accepted=storable.stale_if_accepted,
        must_validate=storable.must_validate,
        lifetime_was_chosen=storable.lifetime_was_chosen,
        tag_is_ours=untagged if confirmed is None else confirmed.tag_is_ours,
        windowed=storable.window > 0,
        names=names,
        marks=marks,
    )
