"""The headers, the query, the cookies, the URL and the state of a request, which note what code reads of them.

Each is of the class that code expects, and keeps no data of its own: whatever is not recognized here goes through the
whole data, and counts as reading everything.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.datastructures import URL, Headers, QueryParams, State

from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.read_names import HEADERS, HOST, QUERY, SCHEME, STATE

COOKIES = 'header:cookie'


def part(attribute: str, *names: str) -> Any:
    """An attribute of the real object, and what is noted for it."""

    def read(self: Any) -> Any:
        for name in names:
            self._reads.note(name)
        return getattr(self._real, attribute)

    return property(read)


def taken_apart(*names: str) -> Any:
    """What `copy` and `pickle` call: they get the real object."""

    def reduce(self: Any, protocol: Any) -> Any:
        for name in names:
            self._reads.note(name)
        return self._real.__reduce_ex__(protocol)

    return reduce


def shown(*names: str) -> Any:
    """The `repr` of the real object."""

    def show(self: Any) -> str:
        for name in names:
            self._reads.note(name)
        return repr(self._real)

    return show


def _is_of(kind: type) -> Any:
    """The class as code sees it: methods compare it, and make new objects of it."""
    return property(lambda _: kind)


class NotedHeaders(Headers):
    """Headers that note which of them are read."""

    __slots__ = ('_reads', '_real')
    __class__: Any = _is_of(Headers)
    __dict__: Any = part('__dict__', HEADERS)
    __getstate__: Any = part('__getstate__', HEADERS)
    __reduce_ex__: Any = taken_apart(HEADERS)
    __repr__: Any = shown(HEADERS)
    _list: Any = part('_list', HEADERS)

    def __init__(self, real: Headers, reads: ReadLog) -> None:
        """Read from `real`."""
        self._real = real
        self._reads = reads

    def getlist(self, key: str) -> list[str]:
        self._note(key)
        return self._real.getlist(key)

    def __getitem__(self, key: str) -> str:
        self._note(key)
        return self._real[key]

    def __contains__(self, key: Any) -> bool:
        self._note(key)
        return key in self._real

    def _note(self, key: str) -> None:
        name = key.lower()
        self._reads.note(f'header:{name}' if name.isascii() else HEADERS)


class NotedQuery(QueryParams):
    """A query that notes which of its parameters are read."""

    __slots__ = ('_reads', '_real')
    __class__: Any = _is_of(QueryParams)
    __dict__: Any = part('__dict__', QUERY)
    __getstate__: Any = part('__getstate__', QUERY)
    __reduce_ex__: Any = taken_apart(QUERY)
    __repr__: Any = shown(QUERY)
    _list: Any = part('_list', QUERY)
    _dict: Any = part('_dict', QUERY)

    def __init__(self, real: QueryParams, reads: ReadLog) -> None:
        """Read from `real`."""
        self._real = real
        self._reads = reads

    def getlist(self, key: Any) -> list[str]:
        self._note(key)
        return self._real.getlist(key)

    def __getitem__(self, key: Any) -> str:
        self._note(key)
        return self._real[key]

    def __contains__(self, key: Any) -> bool:
        self._note(key)
        return key in self._real

    def _note(self, key: object) -> None:
        self._reads.note(f'query:{key}' if type(key) is str else QUERY)


class NotedCookies(Mapping[str, str]):
    """Cookies for code that reads some of them at once. It is no dict, so no extension in C can read the others."""

    __slots__ = ('_reads', '_real')
    __getstate__: Any = part('__getstate__', COOKIES)
    __reduce_ex__: Any = taken_apart(COOKIES)
    __repr__: Any = shown(COOKIES)

    def __init__(self, real: Mapping[str, str], reads: ReadLog) -> None:
        """Read from `real`."""
        self._real = real
        self._reads = reads

    def __getitem__(self, key: str) -> str:
        self._reads.note(f'cookie:{key}' if type(key) is str else COOKIES)
        return self._real[key]

    def __iter__(self) -> Iterator[str]:
        self._reads.note(COOKIES)
        return iter(self._real)

    def __len__(self) -> int:
        self._reads.note(COOKIES)
        return len(self._real)


_ALL_OF_URL = (SCHEME, HOST, QUERY)


class NotedURL(URL):
    """A URL that notes which of its parts are read. Its path is in the key of every route."""

    __slots__ = ('_reads', '_real')
    __class__: Any = _is_of(URL)
    __dict__: Any = part('__dict__', *_ALL_OF_URL)
    __getstate__: Any = part('__getstate__', *_ALL_OF_URL)
    __reduce_ex__: Any = taken_apart(*_ALL_OF_URL)
    __repr__: Any = shown(*_ALL_OF_URL)
    _url: Any = part('_url', *_ALL_OF_URL)
    components: Any = part('components', *_ALL_OF_URL)
    path: Any = part('path')
    scheme: Any = part('scheme', SCHEME)
    is_secure: Any = part('is_secure', SCHEME)
    hostname: Any = part('hostname', HOST)
    # Where a port is usual for the scheme, the URL leaves it out.
    netloc: Any = part('netloc', HOST, SCHEME)
    port: Any = part('port', HOST, SCHEME)
    query: Any = part('query', QUERY)

    def __init__(self, real: URL, reads: ReadLog) -> None:
        """Read from `real`."""
        self._real = real
        self._reads = reads


class Began:
    """The items that middleware had left in a dict when the route began. What the route sets itself is no input."""

    __slots__ = ('_items', '_now')

    def __init__(self, items: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Compare these with what is there `now`."""
        self._items = items
        self._now = now

    def is_input(self, name: str) -> bool:
        """Whether an item, or its absence, was left by middleware."""
        if name not in self._items:
            return name not in self._now
        return name in self._now and self._now[name] is self._items[name]


class NotedState(State):
    """The state of a request, which notes what is read of that which middleware has left there."""

    __slots__ = ('_began', '_reads', '_real')
    __class__: Any = _is_of(State)
    __dict__: Any = part('__dict__', STATE)
    __getstate__: Any = part('__getstate__', STATE)
    __reduce_ex__: Any = taken_apart(STATE)
    __repr__: Any = shown(STATE)
    _state: Any = part('_state', STATE)

    def __init__(self, began: Began, real: State, reads: ReadLog) -> None:
        """Read from `real`."""
        for name, value in (('_began', began), ('_real', real), ('_reads', reads)):
            object.__setattr__(self, name, value)

    def __setattr__(self, key: Any, value: Any) -> None:
        setattr(self._real, key, value)

    def __delattr__(self, key: Any) -> None:
        self._note(key)
        delattr(self._real, key)

    def __getattr__(self, key: Any) -> Any:
        self._note(key)
        return getattr(self._real, key)

    def _note(self, key: str) -> None:
        if self._began.is_input(key):
            self._reads.note(f'state:{key}')
