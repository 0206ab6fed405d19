"""An entry that is kept compressed, for one client: which representation it gets.

Knows entries; does not know how they were found, nor how they are sent.
"""

from msgspec import Struct

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._http.coding import (
    AS_IT_IS,
    Accepts,
    accepts,
    as_coded,
    as_plain,
    chosen,
    forbids_transformation,
)
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route.compression import Compression


class Choice(Struct, frozen=True):
    """The representation of an entry for one request."""

    request: RawHeaders
    """What the request asks of it."""
    headers: RawHeaders
    content: bytes
    needs_decoding: bool
    """Whether the content is yet to be decoded for that."""


def accepted_of(asked: RawHeaders, entry: Entry, *, sends_plain: bool) -> Accepts:
    """What a client accepts of the representations of an entry; only what is plain if the route `sends_plain`."""
    coding = '' if sends_plain or entry.coded is None else entry.coded.coding
    return accepts(asked, coding.encode('ascii')) if coding else AS_IT_IS


def refuses_plain(asked: RawHeaders, whole: RawHeaders, compression: Compression) -> bool:
    """Whether a client accepts what is compressed, and nothing else: then even the first response is compressed."""
    accepted = accepts(asked, compression.coding.encode('ascii'))
    return accepted.coded and not accepted.plain and not forbids_transformation(whole)


def headers_in(entry: Entry, whole: RawHeaders, *, coded: bool) -> RawHeaders:
    """The headers of a representation of an entry; `whole` are those of the plain one for this client."""
    it = entry.coded
    if it is None or not coded:
        return whole if it is None else as_plain(whole)
    return as_coded(whole, it.coding.encode('ascii'), it.tag, len(entry.content))


def choice_of(
    method: str, asked: RawHeaders, entry: Entry, whole: RawHeaders, now: float, *, sends_plain: bool
) -> Choice:
    """The representation for a request; `whole` are the headers of the plain one for its client.

    It is the plain one if the route `sends_plain`, or if a guard has forbidden to transform the response.
    """
    coded = entry.coded
    if coded is None:
        return Choice(asked, whole, entry.content, needs_decoding=False)
    sends_plain = sends_plain or (whole is not entry.headers and forbids_transformation(whole))
    accepted, size = accepted_of(asked, entry, sends_plain=sends_plain), entry.body_bytes
    found = chosen(method, asked, accepted, entry.status, whole, tag=coded.tag, size=size, now=now)
    is_sent = method != 'HEAD' and not found.is_unchanged
    needs_decoding = is_sent and bool(coded.coding) and not found.is_coded
    return Choice(found.request, headers_in(entry, whole, coded=found.is_coded), entry.content, needs_decoding)
