"""The scope of a request, which notes what code reads of it.

An extension in C may read a dict without its methods, which cannot be noted. It finds only what is the same for all
requests of a route, and an object in the place of each other item that all requests have.
"""

import operator
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
from fastapi_caching_route._fastapi.noted_values import Began, part, shown, taken_apart


class Unread:
    """An item of the scope for code that looks it up without the methods of the scope. It is read when it is used."""

    __slots__ = ('_name', '_reads', '_real_scope')
    __reduce_ex__: Any = taken_apart()
    __class__: Any = property(lambda self: type(self._real))

    def __init__(self, name: str, real: Any, reads: ReadLog) -> None:
        """Stand for the item of this name in the `real` scope."""
        self._name = name
        self._real_scope = real
        self._reads = reads

    @property
    def _real(self) -> Any:
        self._reads.note(_NAMED.get(self._name, f'scope:{self._name}'))
        return self._real_scope[self._name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _used(use: Any) -> Any:
    def method(self: Any, *others: Any) -> Any:
        return use(self._real, *others)

    return method


for _use in (bool, len, iter, reversed, hash, bytes, str, repr, format):
    setattr(Unread, f'__{_use.__name__}__', _used(_use))
for _name in ('eq', 'ne', 'lt', 'le', 'gt', 'ge', 'add', 'mod', 'getitem', 'setitem', 'delitem', 'contains'):
    setattr(Unread, f'__{_name}__', _used(getattr(operator, _name)))


class NotedScope(dict[str, Any]):
    """A scope that notes what is read of it. What clients choose is in another dict."""

    __slots__ = ('_began', '_reads', '_real')
    __getstate__: Any = part('__getstate__', EVERYTHING)
    __repr__: Any = shown(EVERYTHING)
    __reduce_ex__: Any = taken_apart(EVERYTHING)

    def __init__(self, began: Began, real: Any, reads: ReadLog) -> None:
        """Read from `real`, and write there."""
        super().__init__({name: real[name] for name in _THE_SAME_FOR_ALL if name in real})
        super().update({name: Unread(name, real, reads) for name in _IN_ALL})
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
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self._note(key)
        del self._real[key]
        super().pop(key, None)

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        self._note(key)
        return self._real.setdefault(key, default)

    def pop(self, key: Any, /, *default: Any) -> Any:
        self._note(key)
        super().pop(key, None)
        return self._real.pop(key, *default)

    def update(self, *others: Any, **items: Any) -> None:
        given = dict(*others, **items)
        self._real.update(given)
        super().update(given)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def popitem(self) -> Any:
        key, value = self._all.popitem()
        super().pop(key, None)
        return key, value

    def clear(self) -> None:
        self._real.clear()
        super().clear()

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

_IN_ALL = ('http_version', 'scheme', 'raw_path', 'query_string', 'headers', 'client', 'server')
"""The items that a server puts in every scope."""

_THE_SAME_FOR_ALL = NO_INPUT.difference(_IN_ALL)

_BY_MIDDLEWARE = frozenset(('session', 'user', 'auth'))
"""Those that dependencies may set, too."""
