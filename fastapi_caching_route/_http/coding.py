"""Which representation of a response a client gets, if there is a compressed one besides (RFC 9110 §8.4, §12.5.3).

*Plain* is the representation without a coding of ours. Both have the same URL, so each has an ETag of its own (§8.8.3),
and both say `Vary: Accept-Encoding`.
"""

import re
from functools import lru_cache

from msgspec import Struct

from fastapi_caching_route._http import ranges
from fastapi_caching_route._http.conditional import CONDITIONAL, OF_ONE_CLIENT, client_has
from fastapi_caching_route._http.fields import Field, RawHeaders, lines, members_of, with_vary, without
from fastapi_caching_route._http.representation import OF_THE_WHOLE

ACCEPT_ENCODING = (b'accept-encoding',)

OF_THE_CONTENT = frozenset((b'content-encoding', b'content-length', b'etag', b'repr-digest', *OF_THE_WHOLE))
"""Headers that are true only of content in one coding."""

COMPRESSIBLE = frozenset(
    b'application/ecmascript application/graphql application/javascript application/json application/jsonl '
    b'application/rtf application/sql application/toml application/vnd.ms-fontobject application/wasm '
    b'application/x-javascript application/x-ndjson application/x-www-form-urlencoded application/x-yaml '
    b'application/xml application/yaml font/otf font/ttf'.split()
)
"""Media types whose content gets smaller, besides those of text and those that end like these."""

ENDINGS = (b'+json', b'+xml', b'+yaml')

_WEIGHT = re.compile(rb'0(?:\.\d{0,3})?|1(?:\.0{0,3})?')

ABOUT_TRANSFORMING = frozenset((b'cache-control', b'cdn-cache-control'))

LONGEST = 512
"""Bytes of an Accept-Encoding of which it is remembered what it says."""


class Accepts(Struct, frozen=True):
    """What a client accepts of two representations."""

    coded: bool
    plain: bool
    prefers_coded: bool


AS_IT_IS = Accepts(coded=False, plain=True, prefers_coded=False)


def accepts(request: RawHeaders, coding: bytes) -> Accepts:
    """What a client accepts, by its weights, of content in this coding and of content without one (§12.5.3).

    A client that does not say anything, or that wants no transformation (RFC 9111 §5.2.1.6), gets what is plain. So
    does one that accepts neither: what it says can only be disregarded (RFC 9110 §12.1).
    """
    given: tuple[bytes, ...] = ()
    for name, value in request:
        if name == b'accept-encoding':
            given = (*given, value)
        elif name == b'cache-control' and b'no-transform' in value.lower():
            return AS_IT_IS
    if not given:
        return AS_IT_IS
    return _remembered(given, coding) if sum(map(len, given)) <= LONGEST else _accepts(given, coding)


def _accepts(given: tuple[bytes, ...], coding: bytes) -> Accepts:
    weights = _weights(given)
    others = weights.get(b'*')
    of_plain = weights.get(b'identity')
    of_coded = weights.get(coding, others or 0.0)
    is_plain_accepted = of_plain != 0 and not (of_plain is None and others == 0)
    if not of_coded:
        return AS_IT_IS
    return Accepts(
        coded=True, plain=is_plain_accepted, prefers_coded=not is_plain_accepted or of_coded >= (of_plain or 0.0)
    )


_remembered = lru_cache(512)(_accepts)


def _weights(given: tuple[bytes, ...]) -> dict[bytes, float]:
    """The weight of each coding, of which the lowest counts. With a weight that cannot be read, it is not accepted."""
    weights: dict[bytes, float] = {}
    for member in members_of(given):
        name, *parameters = (part.strip(b' \t').lower() for part in member.split(b';'))
        name = name.removeprefix(b'x-') if name == b'x-gzip' else name  # §8.4.1.3
        weight = _weight(parameters)
        if weight is not None or name != b'identity':
            weights[name] = min(weight or 0.0, weights.get(name, 1.0))
    return weights


def _weight(parameters: list[bytes]) -> float | None:
    """The weight that is the only parameter of a coding (§12.4.2); None if it cannot be read."""
    if not parameters:
        return 1.0
    (first, *more) = parameters
    is_legal = not more and first.startswith(b'q=') and _WEIGHT.fullmatch(first[2:])
    return float(first[2:]) if is_legal else None


def may_be_coded(status: int, response: RawHeaders) -> bool:
    """Whether a response, by its head, may be compressed: its content gets smaller, and nobody forbids it."""
    types = lines(response, b'content-type')
    if len(types) != 1 or status in {204, 206, 304} or not _gets_smaller(types[0]):
        return False
    if any(name in {b'content-encoding', b'content-range'} for name, _ in response):
        return False
    return not forbids_transformation(response)


def forbids_transformation(response: RawHeaders) -> bool:
    """Whether a response says that nobody may transform its content (RFC 9110 §7.7, RFC 9111 §5.2.2.6; RFC 9213)."""
    return any(name in ABOUT_TRANSFORMING and b'no-transform' in value.lower() for name, value in response)


def _gets_smaller(content_type: bytes) -> bool:
    media_type = content_type.partition(b';')[0].strip(b' \t').lower()
    return media_type.startswith(b'text/') or media_type in COMPRESSIBLE or media_type.endswith(ENDINGS)


def as_plain(response: RawHeaders) -> list[Field]:
    """The headers of the plain representation, beside which there is a coded one, or will be."""
    return with_vary(response, ACCEPT_ENCODING)


def as_coded(response: RawHeaders, coding: bytes, tag: bytes, size: int) -> list[Field]:
    """The headers of the coded representation of a response, whose content has this tag and so many bytes.

    It has an ETag if the plain one has.
    """
    tagged = [(b'etag', tag)] if lines(response, b'etag') else []
    kept = without(response, OF_THE_CONTENT)
    return with_vary(
        [*kept, (b'content-encoding', coding), *tagged, (b'content-length', b'%d' % size)], ACCEPT_ENCODING
    )


class Chosen(Struct, frozen=True):
    """The representation for a request."""

    is_coded: bool
    request: RawHeaders
    """What the request still asks of it."""
    is_unchanged: bool = False
    """Whether the client has it already."""


def chosen(
    method: str,
    request: RawHeaders,
    accepted: Accepts,
    status: int,
    plain: RawHeaders,
    *,
    tag: bytes,
    size: int,
    now: float,
) -> Chosen:
    """The representation for a request: the one that the client has, or of which it has a part, if it accepts that.

    `plain` are the headers of the plain one, whose content has `size` bytes; `tag` is that of the coded one.
    A cache in front may ask for one client whether the response of another one will do. So a tag of what this client
    does not accept matches nothing: test_a_tag_of_a_coding_that_the_client_does_not_accept_matches_nothing.
    """
    if status != 200 or OF_ONE_CLIENT.isdisjoint(dict(request)):
        return Chosen(accepted.prefers_coded, request)
    own_tag = b''.join(lines(plain, b'etag')[:1])
    named = lines(request, b'if-none-match') if method in CONDITIONAL else []
    tags = [(accepted.plain, False, own_tag), (accepted.coded, True, tag if own_tag else b'')]
    for is_accepted, is_coded, its_tag in reversed(tags) if accepted.prefers_coded else tags:
        if is_accepted and named and client_has(named, its_tag):
            return Chosen(is_coded, request, is_unchanged=True)
    if method in ranges.WITH_RANGES and lines(request, b'range'):
        return _chosen_part(request, accepted, tag if own_tag else b'', size, now)
    return Chosen(accepted.prefers_coded, request)


def _chosen_part(request: RawHeaders, accepted: Accepts, tag: bytes, size: int, now: float) -> Chosen:
    """The representation of which a part is sent: the plain one, unless the client has the beginning of the coded one.

    A date does not tell which of the two the client has a part of (§8.8.2.2), and neither does the tag of another one.
    """
    if_range = lines(request, b'if-range')
    if tag and accepted.coded and if_range == [tag]:
        return Chosen(is_coded=True, request=request)
    if if_range:
        whole = without(request, (b'if-range', b'range')) if accepted.prefers_coded else request
        return Chosen(accepted.prefers_coded, whole)
    is_part = ranges.part(request, (), size, now) is not None
    return Chosen(not accepted.plain if is_part else accepted.prefers_coded, request)
