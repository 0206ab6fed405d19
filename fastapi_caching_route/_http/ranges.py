"""Range requests (RFC 9110 §14) on a complete stored response: one range at a time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi_caching_route._http.dates import timestamp
from fastapi_caching_route._http.fields import RawHeaders, lines

_RANGE = re.compile(rb'bytes=[ \t]*(?P<first>\d*)-(?P<last>\d*)[ \t]*', re.IGNORECASE)

WITH_RANGES = frozenset(('GET', 'QUERY'))
"""Methods for which a range is defined (RFC 9110 §14.2, RFC 10008)."""

LONGEST = 19
"""Digits of a position: more than the size of any file has."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a body from byte `start` up to, not including, byte `end`."""

    start: int
    end: int


UNSATISFIABLE = Part(0, 0)


def part(request: RawHeaders, response: RawHeaders, size: int, now: float) -> Part | None:
    """The part of a 200 that a GET asks for; `UNSATISFIABLE` if the body has no such part, None for the whole (§14.2).

    Several ranges, other units and invalid ranges are ignored, as a server may ignore any range.
    """
    asked = lines(request, b'range')
    if len(asked) != 1 or not _same(request, response, now):
        return None
    found = _RANGE.fullmatch(asked[0].strip(b' \t'))
    if found is None or not (found['first'] or found['last']) or max(len(found['first']), len(found['last'])) > LONGEST:
        return None
    last = int(found['last']) if found['last'] else None
    if not found['first']:  # the last so many bytes
        return Part(max(0, size - (last or 0)), size) if last and size else UNSATISFIABLE
    first = int(found['first'])
    if last is not None and last < first:
        return None
    return Part(first, size if last is None else min(last + 1, size)) if first < size else UNSATISFIABLE


def is_valid(asked: Sequence[bytes]) -> bool:
    """Whether these Range lines are one valid set of byte ranges (§14.1.1); an invalid one may be ignored (§14.2)."""
    unit, _, ranges = b''.join(asked).partition(b'=')
    return len(asked) == 1 and unit.strip(b' \t').lower() == b'bytes' and all(map(_is_range, ranges.split(b',')))


def _is_range(text: bytes) -> bool:
    first, dash, last = (it.strip(b' \t') for it in text.partition(b'-'))
    if not dash or not (first or last) or not (first + last).isdigit() or max(len(first), len(last)) > LONGEST:
        return False
    return not (first and last) or int(first) <= int(last)


def _same(request: RawHeaders, response: RawHeaders, now: float) -> bool:
    """Whether If-Range is absent or matches this response, by a strong tag or its exact date (§13.1.5)."""
    named = lines(request, b'if-range')
    if not named:
        return True
    if len(named) > 1:  # it is one value, so this is no match (§5.3)
        return False
    if b'"' in named[0]:
        return not named[0].startswith(b'W/') and named[0] in lines(response, b'etag')[:1]
    modified, date = lines(response, b'last-modified'), lines(response, b'date')
    if named[0] not in modified[:1] or not date:
        return False
    modified_at, date_at = timestamp(modified[0], now), timestamp(date[0], now)
    return modified_at is not None and date_at is not None and date_at - modified_at >= 1  # else it is weak (§8.8.2.2)


def content_range(part: Part, size: int) -> bytes:
    """The Content-Range of a part, or of a 416 (§14.4)."""
    return b'bytes */%d' % size if part is UNSATISFIABLE else b'bytes %d-%d/%d' % (part.start, part.end - 1, size)
