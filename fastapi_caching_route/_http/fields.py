"""The fields of a message (RFC 9110 §5): find them, split lists, leave some out.

Names are expected in lower case, as ASGI delivers them.
"""

import re
from collections.abc import Collection, Sequence

Field = tuple[bytes, bytes]
"""Name and value."""

RawHeaders = Sequence[Field]

Selected = tuple[tuple[bytes, tuple[bytes, ...] | None], ...]
"""Fields by name, each with its values; None for an absent one, where absent and empty differ."""

HOP_BY_HOP = frozenset(
    (
        b'connection',
        b'keep-alive',
        b'proxy-authenticate',
        b'proxy-authentication-info',
        b'proxy-authorization',
        b'proxy-connection',
        b'te',
        b'trailer',
        b'transfer-encoding',
        b'upgrade',
    )
)
"""Fields about one connection, which a cache does not store (RFC 9110 §7.6.1, RFC 9111 §3.1)."""


TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a field, as text (RFC 9110 §5.6.2)."""

_MEMBER = re.compile(rb'(?:[^,"]+|"(?:[^"\\]+|\\.?)*"?)+', re.DOTALL)
"""A list member; commas inside quoted strings do not separate (RFC 9110 §5.6.4)."""

_SIGN = re.compile(rb'([;=])')
"""Separates the parts of a member."""

LARGEST, DIGITS = 2**31, len(str(2**31))
"""A larger number counts as this one: enough for delta-seconds (RFC 9111 §1.2.2) and for any body held in memory."""


_COMMON = tuple(b'cache-control content-language content-length content-type date etag last-modified vary'.split())
interned = {name: name for name in _COMMON}.get
"""Given a name twice, returns the name; for common ones, one object that all stored responses share."""

MAX_REMEMBERED = 2048
"""The most bytes in the values of headers for which it is remembered what they say."""


SOME_LENGTH = (b'content-length', b'0')


def usual_form(headers: RawHeaders) -> tuple[Field, ...] | None:
    """The headers with one number for all lengths: many responses have them in common, so what they say is remembered.

    None for headers that nobody is to remember: those with cookies, and very long ones.
    """
    form, size = [], 0
    for field in headers:
        name, value = field
        if name == b'content-length' and value.isdigit():
            form.append(SOME_LENGTH)
            continue
        form.append(field)
        size += MAX_REMEMBERED if name == b'set-cookie' else len(value)
    return tuple(form) if size < MAX_REMEMBERED else None


def lines(headers: RawHeaders, name: bytes) -> list[bytes]:
    """Every value of the field, one item per line, in order."""
    return [value for field, value in headers if field == name]


def members(headers: RawHeaders, name: bytes) -> list[bytes]:
    """The members of a list field over all its lines, stripped, without empty ones (RFC 9110 §5.6.1)."""
    return members_of(lines(headers, name))


def members_of(values: Sequence[bytes]) -> list[bytes]:
    """The same for the given lines of one field."""
    found = (member.strip(b' \t') for line in values for member in _MEMBER.findall(line))
    return [member for member in found if member]


IN_ANY_CASE = frozenset((b'accept', b'accept-charset', b'accept-encoding', b'accept-language'))
"""Lists whose members are case-insensitive (RFC 9110 §12.5, RFC 5646 §2.1.1)."""

IN_ANY_ORDER = frozenset((b'accept-charset', b'accept-encoding', b'accept-language'))
"""Lists in which the weights of the members count, and not their order (RFC 9110 §12.5.2 to §12.5.4).

Accept is not among them: which of two media types is preferred depends on more than their weights (§12.5.1), and many
servers take the first.
"""

NO_LISTS = frozenset((b'authorization', b'cookie', b'user-agent'))
"""Fields that are not lists: every character may matter."""


def normalized(name: bytes, values: Sequence[bytes]) -> tuple[bytes, ...] | None:
    """The lines of a field in one form for all that mean the same (RFC 9111 §4.1); None if the field is absent."""
    if not values:
        return None
    if name in NO_LISTS or any(b'"' in line for line in values):
        return tuple(values)
    found = members_of(values)
    if name not in IN_ANY_CASE:
        return tuple(found)
    # Blanks are stripped afterwards: a pattern that includes blanks around the sign takes quadratic time.
    parts = ((part.strip(b' \t') for part in _SIGN.split(member)) for member in found)
    written = (b''.join(it).lower() for it in parts)
    return tuple(sorted(written) if name in IN_ANY_ORDER else written)


def selected(headers: RawHeaders, selecting: Sequence[bytes], *, normalised: bool = False) -> Selected:
    """The values of the selecting fields, every line of each (RFC 9111 §4.1).

    If `normalised`, several lines are one list, and blanks around its members are ignored.
    """
    given: dict[bytes, list[bytes]] = {name: [] for name in selecting}
    for name, value in headers:  # one pass, because an endpoint may name any number of headers in Vary
        if name in given:
            given[name].append(value)
    return tuple((name, normalized(name, given[name]) if normalised else tuple(given[name])) for name in selecting)


def field_names(headers: RawHeaders, name: bytes) -> set[bytes]:
    """The members of a list of field names, in lower case (Vary, Connection)."""
    return {member.lower() for member in members(headers, name)}


def without(headers: RawHeaders, left_out: Collection[bytes]) -> list[Field]:
    """The fields whose names are not in `left_out`."""
    return [field for field in headers if field[0] not in left_out]


def with_vary(headers: RawHeaders, selecting: Collection[bytes]) -> list[Field]:
    """The fields with one Vary line: the selecting fields of the response and ours, each once.

    `Vary: *` stays as it is, because it already says more (RFC 9110 §12.5.5).
    """
    if not selecting and b'vary' not in dict(headers):
        return list(headers)
    merged = dict.fromkeys(member.lower() for member in members(headers, b'vary'))
    if b'*' in merged:
        return list(headers)
    merged.update(dict.fromkeys(selecting))
    if not merged:
        return list(headers)
    return [*without(headers, (b'vary',)), (b'vary', b', '.join(merged))]


def whole_number(text: bytes) -> int | None:
    """The number, at most `LARGEST`; None if the text is not all digits."""
    if not text.isdigit():
        return None
    digits = text.lstrip(b'0') or b'0'
    # Check the length first: int() is slow for many digits, and raises for more than 4300.
    return LARGEST if len(digits) > DIGITS else min(int(digits), LARGEST)
