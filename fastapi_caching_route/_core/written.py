"""The headers that dependencies and the endpoint write on the `Response` that FastAPI gives them, in order. Pure.

Guards run for each client, so their headers are not stored. The writes of all others are stored as operations, grouped
by the guards between them. On a hit, both are applied in order, so the headers are those of the uncached route.

    others | guard 1 | others | guard 2 | others and endpoint
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Literal

from msgspec import Struct, field

from fastapi_caching_route._http.fields import Field, RawHeaders, field_names, lines, with_vary

OF_THE_BODY = frozenset((b'content-length', b'etag', b'transfer-encoding'))
"""Headers that describe the body: the cache knows the body that is sent, and a guard does not."""

OPERATION_BYTES = 150
"""Bytes of the objects of an operation in CPython, without name and value."""

Operation = tuple[Literal['set', 'append', 'default', 'delete'], bytes, bytes]
"""One write, with name and value of the header; the value is empty for 'delete'."""
Operations = tuple[Operation, ...]
ByGuards = Sequence[Sequence[Operation]]
"""The operations of each guard, in the order of the guards."""


class Written(Struct):
    """The headers that are written on the response in one run of a route, or of its guards alone."""

    earlier: ByGuards = ()
    """The operations of guards that ran before the route."""
    by_guards: list[list[Operation]] = field(default_factory=list)
    """The operations of these guards and of all later ones."""
    by_others: list[list[Operation]] = field(default_factory=list)
    """The operations of everything else: before the first guard, between guards, after the last guard."""
    made_by_fastapi: bool = False
    """Whether FastAPI made the response and added these headers, and not the endpoint itself."""
    keeps_tasks: bool = False
    """Whether the background tasks of dependencies run after the response."""
    is_whole: bool = False
    """Whether the whole body follows the start of the response without waiting for anything."""

    def begin(self) -> None:
        """Begin a run; a later run starts over."""
        self.by_guards = [list(it) for it in self.earlier]
        self.by_others = [[] for _ in range(len(self.earlier) + 1)]
        self.made_by_fastapi = self.keeps_tasks = self.is_whole = False

    def next_guard(self) -> list[Operation]:
        """The list for the operations of the next guard."""
        self.by_guards.append([])
        self.by_others.append([])
        return self.by_guards[-1]

    def made(self) -> 'Made':
        """The part that is stored."""
        if not (self.made_by_fastapi and any(self.by_others)):
            return _made_without(self.made_by_fastapi, self.keeps_tasks)
        return Made(self.made_by_fastapi, tuple(map(tuple, self.by_others)), self.keeps_tasks)

    def less_guards(self, headers: RawHeaders) -> RawHeaders:
        """The headers of the response without those that guards wrote."""
        if not self.made_by_fastapi or not any(self.by_guards):
            return headers
        return in_place(headers, together(self.by_others, self.by_guards), together(self.by_others))


@dataclass(frozen=True, slots=True)
class Made:
    """How a stored response was made, which decides what guards add to it on a hit."""

    made_by_fastapi: bool = True
    """Whether FastAPI made it, and so added the headers that dependencies wrote."""
    by_others: tuple[Operations, ...] = ()
    """The operations of everything but guards; empty if the route has no guards."""
    keeps_tasks: bool = True
    """Whether FastAPI runs the background tasks of dependencies after it."""

    @property
    def size(self) -> int:
        """Bytes in memory, an upper estimate."""
        if not self.by_others:
            return 0
        return sum(OPERATION_BYTES + len(it[1]) + len(it[2]) for operations in self.by_others for it in operations)

    def for_one(self, headers: RawHeaders, by_guards: ByGuards, ours: bytes) -> RawHeaders:
        """The stored headers for one client, with the headers that guards wrote for it; `ours` stays as it is."""
        if not self.made_by_fastapi or not any(by_guards):
            return headers
        return in_place(headers, together(self.by_others), together(self.by_others, by_guards), OF_THE_BODY | {ours})

    def less(self, left_out: Collection[bytes]) -> 'Made':
        """The same without operations on headers that are not stored."""
        by_others = tuple(tuple(it for it in operations if it[1] not in left_out) for operations in self.by_others)
        return replace(self, by_others=by_others)

    def renewed(self, given: RawHeaders) -> 'Made':
        """The same after a 304 has replaced these headers."""
        if not self.by_others:
            return self
        *before, last = self.less({name for name, _ in given}).by_others
        return replace(self, by_others=(*before, (*last, *(('append', name, value) for name, value in given))))


MADE_BY_FASTAPI = Made()


@lru_cache
def _made_without(made_by_fastapi: bool, keeps_tasks: bool) -> Made:  # noqa: FBT001
    """A response on which only guards wrote. Most entries share one object."""
    return Made(made_by_fastapi, (), keeps_tasks)


def apply(operations: Collection[Operation], headers: list[Field]) -> None:
    """Apply the operations to the headers, as Starlette's `MutableHeaders` does."""
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
    """The headers that result from all operations in their order."""
    headers: list[Field] = []
    for others, guard in zip_longest(by_others, by_guards, fillvalue=()):
        apply(others, headers)
        apply(guard, headers)
    return headers


def in_place(headers: RawHeaders, old: RawHeaders, new: RawHeaders, left: Collection[bytes] = ()) -> RawHeaders:
    """The headers of a response with the old written headers replaced by the new ones.

    Only names whose values differ change. Headers in `left` stay as they are, and Vary only grows.
    """
    if old == new:
        return headers
    changed = {name for name, _ in chain(old, new) if name not in left and lines(old, name) != lines(new, name)}
    selecting = field_names(new, b'vary') if b'vary' in changed else ()
    changed.discard(b'vary')
    kept = list(headers)
    gone = [it for it in old if it in headers and it[0] != b'vary']
    for it in reversed(gone):  # the last of equal headers: FastAPI adds them after its own
        del kept[len(kept) - 1 - kept[::-1].index(it)]
    given = [it for it in new if it[0] in changed or it in gone]
    return with_vary([*kept, *given], selecting)


def missed(expected: list[Field], found: list[Field]) -> list[Operation]:
    """The operations that turn `expected` into `found`, when code changed the header list directly."""
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
