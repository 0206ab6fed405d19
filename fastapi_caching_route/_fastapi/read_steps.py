"""Dependencies around guards whose reads of the raw request do not count: `identity` says which clients share."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant

from fastapi_caching_route._core.asgi import READ_LOG
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._fastapi.effective import tree

Step = tuple[Dependant, bool]
"""A dependency, and whether it is a guard."""


def with_read_steps(steps: Sequence[Step], path: str) -> Iterator[Step]:
    """The dependencies of a route, with ours around the guards.

    What a guard without a parameter name reads is handed to nobody, unless another dependency gets a value from it.
    What a guard with a name reads counts, except what names a person.
    """
    handed = {id(it.call) for node, _ in steps if node.name is not None for it in tree(node, {})}
    for node, is_guard in steps:
        is_quiet = node.name is None and handed.isdisjoint(id(it.call) for it in tree(node, {}))
        if is_guard and (is_quiet or node.name is not None):
            begin = _quiet if is_quiet else _impersonal
            yield get_dependant(path=path, call=begin, use_cache=False), False
            yield node, is_guard
            yield get_dependant(path=path, call=_usual, use_cache=False), False
        else:
            yield node, is_guard


def _set(request: Any, *, is_quiet: bool, is_personal: bool) -> None:
    reads: ReadLog | None = request.scope.get(READ_LOG)
    if reads is not None:
        reads.is_quiet, reads.is_personal = is_quiet, is_personal


async def _quiet(request: Request) -> None:
    _set(request, is_quiet=True, is_personal=True)


async def _impersonal(request: Request) -> None:
    _set(request, is_quiet=False, is_personal=False)


async def _usual(request: Request) -> None:
    _set(request, is_quiet=False, is_personal=True)
