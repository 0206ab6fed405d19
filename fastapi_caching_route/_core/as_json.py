"""Values as JSON, for programs and pages. Pure.

A number that JSON does not have is null. All text is ASCII, so that any str can be written.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import Any


def as_json(value: Any, *, indent: int | None = None) -> str:
    """A record, or plain values."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    match value:
        case Mapping():
            return {str(name): _plain(it) for name, it in value.items()}
        case list() | tuple():
            return [_plain(it) for it in value]
        case float() if not isfinite(value):
            return None
    return value
