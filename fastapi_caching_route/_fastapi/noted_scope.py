"""The scope of a request, which notes what code reads of it."""

from collections.abc import Mapping
from typing import Any

from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.read_names import (
    AUTH,
    CLIENT_AND_PORT,
    EVERYTHING,
    EXTENSIONS,
    HEADERS,
    NO_INPUT,
    OURS,
    QUERY,
    SCHEME,
    SESSION,
    STATE,
    USER,
)
from fastapi_caching_route._fastapi.noted_values import Began, shown, taken_apart


class NotedScope(dict[str, Any]):
    """A scope that notes what is read of it. All of it is in another dict, so an extension in C finds nothing here."""

    __slots__ = ('_began', '_reads', '_real')
    __repr__: Any = shown(EVERYTHING)
    __reduce_ex__: Any = taken_apart(EVERYTHING)

    def __init__(self, began: Began, real: Any, reads: ReadLog) -> None:
        """Read from `real`, and write there."""
        super().__init__()
        self._began = began
        self._real = real
        self._reads = reads

    def _note(self, key: object) -> None:
        if type(key) is not str:
            self._reads.note(EVERYTHING)
        elif key in _NAMED:
            if key not in _BY_MIDDLEWARE or self._began.is_input(key):
                self._reads.note(_NAMED[key])
        elif key not in NO_INPUT and not key.startswith(OURS) and self._began.is_input(key):
            self._reads.note(f'scope:{key}')

    @property
    def _all(self) -> Any:
        self._reads.note(EVERYTHING)
        return self._real

    def __getitem__(self, key: Any) -> Any:
        self._note(key)
        return self._real[key]

    def get(self, key: Any, default: Any = None, /) -> Any:
        self._note(key)
        return self._real.get(key, default)

    def __contains__(self, key: object) -> bool:
        self._note(key)
        return key in self._real

    def __setitem__(self, key: Any, value: Any) -> None:
        self._real[key] = value

    def __delitem__(self, key: Any) -> None:
        self._note(key)
        del self._real[key]

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        self._note(key)
        return self._real.setdefault(key, default)

    def pop(self, key: Any, /, *default: Any) -> Any:
        self._note(key)
        return self._real.pop(key, *default)

    def update(self, *others: Any, **items: Any) -> None:
        self._real.update(*others, **items)

    def __ior__(self, other: Any) -> Any:
        self._real.update(other)
        return self

    def popitem(self) -> Any:
        return self._all.popitem()

    def clear(self) -> None:
        self._real.clear()

    def copy(self) -> dict[str, Any]:
        return dict(self._all)

    def keys(self) -> Any:
        return self._all.keys()

    def values(self) -> Any:
        return self._all.values()

    def items(self) -> Any:
        return self._all.items()

    def __iter__(self) -> Any:
        return iter(self._all)

    def __reversed__(self) -> Any:
        return reversed(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __or__(self, other: Any) -> Any:
        return {**self._all, **other}

    def __ror__(self, other: Any) -> Any:
        return {**other, **self._all}

    def __eq__(self, other: object) -> bool:
        return bool(self._all == (other._all if isinstance(other, NotedScope) else other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # as of every dict


_NAMED: Mapping[str, str] = {
    'headers': HEADERS,
    'query_string': QUERY,
    'scheme': SCHEME,
    'client': CLIENT_AND_PORT,
    'extensions': EXTENSIONS,
    'session': SESSION,
    'user': USER,
    'auth': AUTH,
    'state': STATE,
}
"""What is read under each of these items of a scope."""

_BY_MIDDLEWARE = frozenset(('session', 'user', 'auth'))
"""Those that dependencies may set, too."""
