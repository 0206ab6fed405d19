"""Durations as users write them: seconds, a `timedelta`, or a text like `'1h30m'`. Pure."""

import math
import re
from datetime import timedelta

from fastapi_caching_route.errors import ConfigurationError

Seconds = float | timedelta | str
"""A duration: a number of seconds, a `timedelta`, or a text like `'90s'`, `'5m'`, `'1h30m'` or `'7d'`."""

_UNITS = {'w': 604_800.0, 'd': 86_400.0, 'h': 3600.0, 'm': 60.0, 's': 1.0, 'ms': 0.001}
_NUMBER = r'(\d+(?:\.\d+)?)'
_TEXT = re.compile(r'\s*'.join(rf'(?:{_NUMBER}\s*{unit}(?![a-z]))?' for unit in _UNITS), re.ASCII)
WANTED = "must be a number of seconds, a timedelta, or a text like '90s', '5m', '1h30m' or '7d', and not negative"


def in_seconds(span: Seconds) -> float:
    """The duration in seconds; its sign is not checked. A number is returned unchanged.

    Raises:
        ValueError: this is not a duration.

    """
    if isinstance(span, timedelta):
        return span.total_seconds()
    if isinstance(span, str):
        found = _TEXT.fullmatch(span.strip())
        given = (
            []
            if found is None
            else [(number, unit) for number, unit in zip(found.groups(), _UNITS, strict=True) if number]
        )
        if not given:
            raise ValueError(WANTED)
        return math.fsum(float(number) * _UNITS[unit] for number, unit in given)
    if not isinstance(span, int | float) or isinstance(span, bool) or math.isnan(span):
        raise ValueError(WANTED)
    return span


def seconds_or_none(span: Seconds | None) -> float | None:
    """The duration in seconds; None for None."""
    return None if span is None else in_seconds(span)


def checked_seconds(option: str, span: object) -> float:
    """The value of an option in seconds.

    Raises:
        ConfigurationError: it is not a duration, or is negative.

    """
    try:
        seconds = in_seconds(span) if isinstance(span, int | float | timedelta | str) else -1.0
    except (ValueError, OverflowError):
        seconds = -1.0
    if seconds < 0:
        msg = f'{option} {WANTED}, got {span!r}'
        raise ConfigurationError(msg)
    return seconds
