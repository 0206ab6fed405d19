"""Callables of the user's, called for a request; and what the log is told, once, of them and of a route."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from inspect import isawaitable
from traceback import format_tb
from weakref import WeakSet

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.entry import Recording

logger = logging.getLogger('fastapi_caching_route')

MAX_NAMED = 8
"""The most names in one line of the log."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The callables of the user's, each given a scope; None where there is none.

    What they return may have to be awaited.
    """

    key_builder: Callable[[Scope], object] | None = None
    key: Callable[[Scope], object] | None = None
    """Returns what a request adds to its key."""
    identity: Callable[[Scope], object] | None = None
    """Names the clients with whom a request shares."""
    skip: Callable[[Scope], Awaitable[bool]] | None = None
    """Says whether a request bypasses the cache."""
    tags: Callable[[Scope], object] | None = None
    store_if: Callable[[Recording], bool] | None = None
    """Says whether a complete response that may be stored is stored."""


async def call_hook(named: Callable[[Scope], object], scope: Scope) -> object:
    """The result of a callable of the user's for a request; None if it raises."""
    try:
        made = named(scope)
        return await made if isawaitable(made) else made
    except Exception as error:  # noqa: BLE001, the user's
        tell_raised(named, error)
        return None


def tell_raised(named: Callable[..., object], error: Exception) -> None:
    """Log where a callable of the user's has raised an exception, the first time.

    The text of the exception is left out: it may hold what the callable has read, such as a credential.
    """
    if named not in _raised:
        _raised.add(named)
        places = ''.join(format_tb(error.__traceback__))
        logger.warning('a callable of a cached route raised %s:\n%s', type(error).__qualname__, places)


_raised: WeakSet[Callable[..., object]] = WeakSet()


def tell(reason: reasons.Reason, path: str, told: set[str], level: int | None = None, of: Collection[str] = ()) -> None:
    """Log a reason, the first time that it applies on a route; `of` names what it is about."""
    if reason.name not in told:
        told.add(reason.name)
        usual = logging.WARNING if reason.is_mistake else logging.INFO
        named = f' ({", ".join(map(ascii, [*of][:MAX_NAMED]))})' if of else ''
        logger.log(level or usual, '%r %s: %s%s', path, reason.effect, reason.text, named)
