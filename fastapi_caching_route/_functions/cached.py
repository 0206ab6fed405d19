"""Cached functions, as users call them: async ones and plain ones. Knows neither arguments nor results."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar, overload

from typing_extensions import ParamSpec, Self

from fastapi_caching_route._core.key import EntryKey
from fastapi_caching_route._functions.asking import answer_at_once
from fastapi_caching_route._functions.calling import (
    again_in_task,
    again_in_thread,
    result_in_task,
    result_in_thread,
)
from fastapi_caching_route._functions.definition import Callee
from fastapi_caching_route._functions.results import UnreadableError
from fastapi_caching_route._functions.threads import wait_for

P = ParamSpec('P')
Q = ParamSpec('Q')
R = TypeVar('R')


class CachedFunction(Generic[P, R]):
    """An async function whose results are cached. It is called like the function itself.

    Anything may call it: endpoints, dependencies (`Depends(function)`), background tasks, scripts.
    """

    def __init__(self, callee: Callee) -> None:
        """Cache what this returns."""
        self._callee = callee
        callee.lend_its_name(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result for these arguments: stored, of a concurrent call, or of a new run.

        Raises:
            ConfigurationError: an argument cannot be in a cache key. The message names it.
            Exception: what the function raises; it is not stored.

        """
        call = self._callee.call(args, kwargs)
        looked, body = answer_at_once(call)
        result: R
        try:
            result = await result_in_task(call, looked) if body is None else call.definition.results.loaded(body)
        except UnreadableError:
            result = await again_in_task(call)
        return result

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> Self: ...

        @overload
        def __get__(
            self: 'CachedFunction[Concatenate[Any, Q], R]', instance: object, owner: type | None = None
        ) -> 'CachedFunction[Q, R]': ...

        def __get__(self, instance: Any, owner: type | None = None) -> Any: ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Invalidate the result for these arguments. When it returns, no process gets a result from before the call.

        Raises:
            InvalidationError: as for `FastAPICache.invalidate_cached`.

        """
        await self._callee.invalidate(args, kwargs)

    async def invalidate_all(self, *, soft: bool = False) -> None:
        """Invalidate all results of the function. With `soft`, those with a stale window become stale.

        Raises:
            InvalidationError: as for `FastAPICache.invalidate_cached`.

        """
        await self._callee.definition.invalidate_all(soft=soft)

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run the function itself: nothing is looked up or stored."""
        made: Coroutine[Any, Any, R] = self._callee.uncached(args, kwargs)
        return made

    def key(self, *args: P.args, **kwargs: P.kwargs) -> EntryKey:
        """The cache key of a call with these arguments, for `invalidate_cached` and for what observers tell.

        Raises:
            ConfigurationError: an argument cannot be in a cache key. The message names it.

        """
        return EntryKey.of(*self._callee.keys(args, kwargs))


class CachedMethod(CachedFunction[P, R]):
    """One in the body of a class. Only these are descriptors: older releases of FastAPI take descriptors for plain."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an object."""
        method = self._callee.bound(instance, owner)
        return self if method is None else CachedFunction(method)


class CachedSyncFunction(Generic[P, R]):
    """A plain function whose results are cached. It is called like the function itself, and blocks its thread.

    The function runs in the thread that calls it. The cache is asked in the event loop of the app if that runs a `def`
    endpoint or dependency in this thread, else in one that runs in a thread of its own.
    """

    def __init__(self, callee: Callee) -> None:
        """Cache what this returns."""
        self._callee = callee
        callee.lend_its_name(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result for these arguments: stored, of a concurrent call, or of a new run.

        Raises:
            ConfigurationError: an argument cannot be in a cache key. The message names it.
            Exception: what the function raises; it is not stored.

        """
        call = self._callee.call(args, kwargs)
        looked, body = answer_at_once(call)
        result: R
        try:
            result = result_in_thread(call, looked) if body is None else call.definition.results.loaded(body)
        except UnreadableError:
            result = again_in_thread(call)
        return result

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(
        self: 'CachedSyncFunction[Concatenate[Any, Q], R]', instance: object, owner: type | None = None
    ) -> 'CachedSyncFunction[Q, R]': ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an object."""
        method = self._callee.bound(instance, owner)
        return self if method is None else CachedSyncFunction(method)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Invalidate the result for these arguments, as `CachedFunction.invalidate` does. Blocks until that is done."""
        wait_for(self._callee.invalidate(args, kwargs))

    def invalidate_all(self, *, soft: bool = False) -> None:
        """Invalidate all results of the function, as `CachedFunction.invalidate_all` does. Blocks until it is done."""
        wait_for(self._callee.definition.invalidate_all(soft=soft))

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function itself: nothing is looked up or stored."""
        made: R = self._callee.uncached(args, kwargs)
        return made

    def key(self, *args: P.args, **kwargs: P.kwargs) -> EntryKey:
        """The cache key of a call with these arguments, as `CachedFunction.key` gives it."""
        return EntryKey.of(*self._callee.keys(args, kwargs))
