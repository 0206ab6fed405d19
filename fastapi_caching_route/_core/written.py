"""What dependencies and endpoint write on the one `Response` that FastAPI gives them, in order: first one, then the next.

Guards write anew for each client, so what they write is not stored. What all others write is stored as the operations that
it was, between those of the guards; so the headers of a hit come about as those of the uncached route do. Pure.

    others | guard 1 | others | guard 2 | others and endpoint
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Literal

from fastapi_caching_route._http.fields import RawHeaders, field_names, lines, with_vary

OF_THE_BODY = frozenset((b'content-length', b'etag', b'transfer-encoding'))
"""Headers that say something about the body that is sent: the cache knows it, and a guard does not."""

OPERATION_BYTES = 150
"""Bytes of its objects in CPython, without name and value."""

Field = tuple[bytes, bytes]
Operation = tuple[Literal['set', 'append', 'default', 'delete'], bytes, bytes]
"""One write, with name and value of the header; what is deleted has no value."""
Operations = tuple[Operation, ...]
ByGuards = Sequence[Sequence[Operation]]
"""What each of the guards has written, in their order."""


@dataclass(slots=True)
class Written:
    """What is written on the response in one run of a route, or of its guards alone."""

    earlier: ByGuards = ()
    """What guards have written that ran by themselves before."""
    by_guards: list[list[Operation]] = field(default_factory=list)
    """What they and all later ones have written."""
    by_others: list[list[Operation]] = field(default_factory=list)
    """One more than there are guards: before the first, between two, after the last."""
    made_by_fastapi: bool = False
    """Whether the response has these headers: FastAPI has made it, and not the endpoint itself."""
    keeps_tasks: bool = False
    """Whether the background tasks of dependencies follow the response."""

    def begin(self) -> None:
        """Begin, perhaps once more."""
        self.by_guards = [list(it) for it in self.earlier]
        self.by_others = [[] for _ in range(len(self.earlier) + 1)]
        self.made_by_fastapi = self.keeps_tasks = False

    def next_guard(self) -> list[Operation]:
        """Where to note what the next guard writes."""
        self.by_guards.append([])
        self.by_others.append([])
        return self.by_guards[-1]

    def made(self) -> 'Made':
        """What is stored of it."""
        if not (self.made_by_fastapi and any(self.by_others)):
            return _made_without(self.made_by_fastapi, self.keeps_tasks)
        return Made(self.made_by_fastapi, tuple(map(tuple, self.by_others)), self.keeps_tasks)

    def less_guards(self, headers: RawHeaders) -> RawHeaders:
        """The headers of its response without what guards have written."""
        if not self.made_by_fastapi or not any(self.by_guards):
            return headers
        return in_place(headers, together(self.by_others, self.by_guards), together(self.by_others))


@dataclass(frozen=True, slots=True)
class Made:
    """How a stored response was made, as far as that decides what guards add to it on a hit."""

    made_by_fastapi: bool = True
    """Whether FastAPI made it, and so would add the headers that dependencies write."""
    by_others: tuple[Operations, ...] = ()
    """What all have written that are no guards; empty where there are no guards."""
    keeps_tasks: bool = True
    """Whether FastAPI would run the background tasks of dependencies after it."""

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, estimated from above."""
        return sum(OPERATION_BYTES + len(it[1]) + len(it[2]) for operations in self.by_others for it in operations)

    def for_one(self, headers: RawHeaders, by_guards: ByGuards, ours: bytes) -> RawHeaders:
        """The stored headers as one client gets them, for whom guards have written this, but for the one that is `ours`."""
        if not self.made_by_fastapi or not any(by_guards):
            return headers
        return in_place(headers, together(self.by_others), together(self.by_others, by_guards), OF_THE_BODY | {ours})

    def less(self, left_out: Collection[bytes]) -> 'Made':
        """The same without what is written on headers that are not stored."""
        by_others = tuple(tuple(it for it in operations if it[1] not in left_out) for operations in self.by_others)
        return replace(self, by_others=by_others)

    def renewed(self, given: RawHeaders) -> 'Made':
        """The same when a 304 has given these headers in the place of those of before."""
        if not self.by_others:
            return self
        *before, last = self.less({name for name, _ in given}).by_others
        return replace(self, by_others=(*before, (*last, *(('append', name, value) for name, value in given))))


MADE_BY_FASTAPI = Made()


@lru_cache
def _made_without(made_by_fastapi: bool, keeps_tasks: bool) -> Made:  # noqa: FBT001
    """A response on which only guards write: most entries share one object."""
    return Made(made_by_fastapi, (), keeps_tasks)


def apply(operations: Collection[Operation], headers: list[Field]) -> None:
    """Write on the headers, as Starlette's `MutableHeaders` does."""
    for kind, name, value in operations:
        at = [index for index, it in enumerate(headers) if it[0] == name]
        if kind == 'append' or (kind in {'set', 'default'} and not at):
            headers.append((name, value))
        elif kind != 'default':
            if kind == 'set':
                headers[at.pop(0)] = (name, value)
            for index in reversed(at):
                del headers[index]


def together(by_others: Sequence[Sequence[Operation]], by_guards: ByGuards = ()) -> list[Field]:
    """The headers that all these writes come to; without those of guards, what the others write."""
    headers: list[Field] = []
    for others, guard in zip_longest(by_others, by_guards, fillvalue=()):
        apply(others, headers)
        apply(guard, headers)
    return headers


def in_place(headers: RawHeaders, old: RawHeaders, new: RawHeaders, left: Collection[bytes] = ()) -> RawHeaders:
    """The headers of a response with the new written headers in the place of the old ones, where these differ in a name.

    Headers that are `left` stay as they are, and Vary only grows.
    """
    if old == new:
        return headers
    changed = {name for name, _ in chain(old, new) if name not in left and lines(old, name) != lines(new, name)}
    selecting = field_names(new, b'vary') if b'vary' in changed else ()
    changed.discard(b'vary')
    kept = list(headers)
    gone = [it for it in old if it in headers and it[0] != b'vary']
    for it in reversed(gone):  # the last of equal ones: FastAPI writes them behind its own
        del kept[len(kept) - 1 - kept[::-1].index(it)]
    given = [it for it in new if it[0] in changed or it in gone]
    return with_vary([*kept, *given], selecting)


def missed(expected: list[Field], found: list[Field]) -> list[Operation]:
    """The operations that make of the expected headers those that were found: somebody has written on the list itself."""
    if found[: len(expected)] == expected:
        return [('append', *it) for it in found[len(expected) :]]
    operations: list[Operation] = []
    for name in dict.fromkeys(name for name, _ in chain(expected, found)):
        old, new = lines(expected, name), lines(found, name)
        if new[: len(old)] != old:
            operations.append(('delete', name, b''))
            old = []
        operations += [('append', name, value) for value in new[len(old) :]]
    return operations


def without_cookies(by_guards: ByGuards) -> list[list[Operation]]:
    """The operations without those on cookies."""
    return [[it for it in guard if it[1] != b'set-cookie'] for guard in by_guards]
