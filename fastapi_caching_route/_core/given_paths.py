"""Paths as users give them to invalidate: decoded, but for `?` and `#`, which would begin a query. Pure."""

import re
from itertools import product
from urllib.parse import unquote

MAX_ENCODED = 4
"""In how many places of a path a `?` or `#` is told from its encoded form: twice as many names for each."""

_ENCODED = re.compile('(%3[Ff]|%23)')


def meant_by(path: str) -> tuple[str, ...]:
    """The paths that a given one stands for: each `%3F` and `%23` in it is a `?` or `#`, or these three characters.

    Where there are many of them, it stands for all paths below its last segment without one.
    """
    parts = _ENCODED.split(path)
    if len(parts) > 2 * MAX_ENCODED + 1:
        return (f'{parts[0].rpartition("/")[0]}/*',)
    return tuple(map(''.join, product(*((it,) if it not in parts[1::2] else (it, unquote(it)) for it in parts))))
