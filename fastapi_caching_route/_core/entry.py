"""A stored response: complete and immutable.

Pure: knows headers and bytes; does not know stores, clocks or the framework.
"""

from msgspec import Struct
from msgspec.structs import replace

from fastapi_caching_route._core.codings import decoded
from fastapi_caching_route._core.written import MADE_BY_FASTAPI, Made
from fastapi_caching_route._http.conditional import entity_tag
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._http.freshness import received_age
from fastapi_caching_route._http.sending import NO_CONTENT
from fastapi_caching_route._http.storing import Storable, Told, told_by

OLDEST = 2.0**31
"""Seconds; the largest age of a response (RFC 9111 §1.2.2)."""


ENTRY_BYTES, FIELD_BYTES, TEXT_BYTES = 760, 130, 60
"""Bytes of the objects in CPython without their text: an entry with its numbers and with what is told about it, a
header with name and value, a str."""

WIDEST = 4
"""Bytes of a character, if one of its text needs so many."""


class Position(Struct, frozen=True):
    """A place in the journal of invalidations of a store, see `_store/ledger.py`."""

    epoch: str
    place: int


HeldMarks = int | Position | tuple[str, ...]
"""What an entry keeps, by which a store tells whether it was invalidated: a moment of this process, a place in the
journal of the store, or marks of its names."""


class About(Struct, frozen=True):
    """A description of an entry for people. Nothing of it decides whether the entry may be used.

    Its headers tell the content coding, and `Entry.read` with Vary by what it is selected.
    """

    route: str = ''
    """The path template; empty if user code has stored it itself."""
    path: str = ''
    """Of the request, as the routes see it."""
    tags: tuple[str, ...] = ()
    """As they were given: names are escaped and, if there are many, only those of groups."""
    seconds: float = 0.0
    """How long the endpoint took for it; 0 if that is not known."""


NOTHING_TOLD = About()


class Coded(Struct, frozen=True):
    """The compressed representation of a response, beside the plain one; or that there is to be one."""

    coding: str = ''
    """The coding of the content that is kept, as in Content-Encoding; empty as long as it is plain."""
    tag: bytes = b''
    """A strong entity tag, made from the bytes of the coded content."""
    body_bytes: int = 0
    """The size of the plain body."""


NOT_YET_CODED = Coded()


def as_utf8(text: str) -> str:
    """The text, with what UTF-8 cannot say escaped: a tag may have any characters."""
    return text if text.isascii() else text.encode('utf-8', 'backslashreplace').decode()


class Entry(Struct, frozen=True, weakref=True):
    """A stored response. Everything in it is immutable, so many requests can use one object at once."""

    key: str
    """The full key under which it was stored. An entry that is found under another key is a miss."""
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """As the endpoint gave them, with ETag, Content-Length and one merged Vary; without Age, X-Cache and headers of
    guards. They are those of the plain representation."""
    content: bytes
    """The body; compressed, if `coded` says so."""
    stored_at: float
    """When the endpoint began its response, in seconds since the epoch."""
    lifetime: float
    """Seconds of freshness from `stored_at` on."""
    made: Made = MADE_BY_FASTAPI
    """How it was made, which decides what guards add to it."""
    stale_while_revalidate: float = 0.0
    """Seconds past the lifetime for which it is served while one request renews it (RFC 5861 §3)."""
    stale_if_error: float = 0.0
    """Seconds past the lifetime for which it is served if the endpoint fails (RFC 5861 §4)."""
    stale_if_accepted: bool = False
    """Whether it may be served stale to a client that accepts that (RFC 9111 §4.2.4)."""
    must_validate: bool = False
    """Whether it must be validated by the endpoint each time (`no-cache`)."""
    lifetime_was_chosen: bool = False
    """Whether the endpoint itself chose the lifetime."""
    tag_is_ours: bool = False
    """Whether its ETag was made here, so that it means nothing to the endpoint."""
    windowed: bool = False
    """Whether it may be served when it is stale."""
    names: tuple[str, ...] = ()
    """The names by which it can be invalidated."""
    marks: HeldMarks = ()
    """They tell whether one of the names was invalidated since the endpoint began: see `_store/marks.py` and
    `moments.py`."""
    read: tuple[str, ...] = ()
    """The names of all that was read of the raw request to make it, see `_core/read_names`."""
    about: About = NOTHING_TOLD
    coded: Coded | None = None
    """The compressed representation; None if there is only the plain one. Clients are sent what they accept."""

    @property
    def body(self) -> bytes:
        """The plain body, decoded each time.

        Raises:
            UndecodableError: it cannot be decoded.

        """
        coded = self.coded
        is_plain = coded is None or not coded.coding
        return self.content if coded is None or is_plain else decoded(coded.coding, self.content, coded.body_bytes)

    @property
    def body_bytes(self) -> int:
        """The size of the plain body."""
        return self.coded.body_bytes if self.coded is not None and self.coded.coding else len(self.content)

    @property
    def size(self) -> int:
        """Bytes in memory, an upper estimate."""
        path, tags = self.about.path, self.about.tags
        size = ENTRY_BYTES + len(self.key) + len(self.content) + self.made.size + WIDEST * len(path)
        size += FIELD_BYTES * len(self.headers) + TEXT_BYTES * (len(self.names) + len(self.read) + len(tags))
        for name, value in self.headers:
            size += len(name) + len(value)
        return size + sum(map(len, self.names)) + WIDEST * sum(map(len, tags))

    def for_one(self, own: RawHeaders, made: Made) -> 'Entry':
        """The entry as the client of the first response gets it: with the headers that are for this client alone."""
        return replace(self, headers=(*without(self.headers, dict(own)), *own), made=made) if own else self

    def is_still(self, other: object) -> bool:
        """Whether the other object is this entry, compressed or not, or its head."""
        return isinstance(other, Entry) and replace(other, content=self.content, coded=self.coded) == self

    def compressed(self, coding: str, content: bytes) -> 'Entry':
        """The same, kept in a coding."""
        return replace(self, content=content, coded=Coded(coding, entity_tag(content), len(self.content)))


class Headed(Struct, frozen=True):
    """All of a stored response but its body."""

    entry: Entry
    """With empty content."""
    content_bytes: int
    is_own: bool = False
    """Whether its bytes say that the cache that has read them has stored it. False of old ones, which do not tell."""


class Recording(Struct):
    """A complete response as the endpoint sent it."""

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
    delay: float = 0.0,
    names: tuple[str, ...],
    marks: HeldMarks = (),
    made: Made = MADE_BY_FASTAPI,
    tagged: bool = True,
    confirmed: Entry | None = None,
    told: Told | None = None,
    read: tuple[str, ...] = (),
    about: About = NOTHING_TOLD,
) -> Entry:
    """The recording as it is stored and sent: with Content-Length, without headers that are not stored.

    It came `now`, so many seconds (`delay`) after it was asked for. If `tagged`, a response without ETag gets one. If
    `confirmed` is given, that one was updated by a 304.
    `told` is what its headers tell, if that is known.
    """
    told = told or told_by(recording.headers)
    headers = [field for field in recording.headers if field[0] not in told.not_stored and field[0] != left_out]
    present = dict(headers)
    untagged = tagged and b'etag' not in present
    if untagged:
        headers.append((b'etag', entity_tag(recording.body)))
    if b'content-length' not in present and recording.status != NO_CONTENT:
        headers.append((b'content-length', b'%d' % len(recording.body)))
    return Entry(
        key=key,
        status=recording.status,
        headers=tuple(headers),
        content=recording.body,
        # It has been on its way before (RFC 9111 §4.2.3), for which there is a header, or only the delay.
        stored_at=now - min(received_age(recording.headers, now, delay) if told.is_decisive else delay, OLDEST),
        lifetime=storable.lifetime,
        made=made.less(dict(recording.headers).keys() - present.keys()) if made.by_others else made,
        stale_while_revalidate=storable.stale_while_revalidate,
        stale_if_error=storable.stale_if_error,
        stale_if_accepted=storable.stale_if_accepted,
        must_validate=storable.must_validate,
        lifetime_was_chosen=storable.lifetime_was_chosen,
        tag_is_ours=untagged if confirmed is None else confirmed.tag_is_ours,
        windowed=storable.window > 0,
        names=names,
        marks=marks,
        read=read,
        about=about,
    )
