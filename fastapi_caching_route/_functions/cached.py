"""Cached functions, as users call them: async ones and plain ones. Knows arguments, results, and how a call is made."""

import logging
from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, TypeVar, get_type_hints, overload

from msgspec import Struct
from typing_extensions import ParamSpec, Self

from fastapi_caching_route._core.key import EntryKey, KeyPair
from fastapi_caching_route._core.names import Named, key_name
from fastapi_caching_route._functions.asking import FunctionCall, RunResult, answer_at_once, ask, ask_in_thread
from fastapi_caching_route._functions.binding import Arguments, arguments_of
from fastapi_caching_route._functions.planning import Planned, planned
from fastapi_caching_route._functions.results import Results, UnreadableError, results_of
from fastapi_caching_route._functions.threads import wait_for
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.policy import CachePolicy

logger = logging.getLogger('fastapi_caching_route')

_NOT_KEPT = (
    'its result is not stored, because it would not come back as it is: it does not fit the return annotation, or JSON '
    'cannot keep it'
)

P = ParamSpec('P')
Q = ParamSpec('Q')
R = TypeVar('R')


class Definition:
    """One cached function: what is known of it, as soon as it can be known."""

    def __init__(self, settings: Settings, policy: CachePolicy, function: FunctionType, options: 'Said') -> None:
        """Take a function with its options."""
        self.settings = settings
        self.function = function
        self.in_words: str = f'{function.__module__}.{function.__qualname__}'
        self.arguments: Arguments = arguments_of(function, self.in_words, options.key, options.tags)
        self.is_of_class: bool = options.is_of_class
        self._number = options.number
        self._policy = policy
        self._condition = options.condition
        self._results: Results | None = None
        self._planned: Planned | None = None
        self._told: set[str] = set()

    @property
    def results(self) -> Results:
        """How its results are written. An annotation may name a class that is defined below the function."""
        if self._results is None:
            annotation = get_type_hints(self.function, include_extras=True).get('return', Any)
            self._results = results_of(annotation)
        return self._results

    @property
    def planned(self) -> Planned:
        """Its plan. A backend that is set later has a namespace of its own."""
        found = self._planned
        if found is None:
            tags = self.arguments.tags
            parts = (tags if isinstance(tags, tuple) else None, self.results.outline, self._number)
            title = self.function.__qualname__.replace('<locals>.', '')
            found = planned(self.settings, self._policy, self.in_words, title, parts)
            if not self.settings.runtime.switch.waits:
                self._planned = found
        return found

    def keys(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> KeyPair:
        """The key of a call without the namespace, and the full key."""
        plan = self.planned
        return plan.keys(plan.scope(self.arguments.parts(args, kwargs)))

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionCall:
        """One call."""
        plan = self.planned
        scope = plan.scope(self.arguments.parts(args, kwargs))
        names = partial(self._names, scope, args, kwargs)
        return FunctionCall(plan, scope, names, partial(self.function, *args, **kwargs), self._made)

    def _names(self, scope: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Named:
        return self.planned.names_of(self.planned.keys(scope), self.arguments.tags_of(args, kwargs))

    def _made(self, result: object) -> RunResult:
        """What a result comes to."""
        if self._condition is not None and not self._condition(result):
            return RunResult(result, b'', 'condition')
        body = self.results.dumped(result)
        if body is not None:
            return RunResult(result, body, None)
        self._warn('result', _NOT_KEPT)
        return RunResult(result, b'', 'result')

    def _warn(self, about: str, text: str) -> None:
        """Log a warning about the function, once."""
        if about not in self._told:
            self._told.add(about)
            logger.warning('%s: %s', self.in_words, text)

    def unreadable(self) -> None:
        """What is stored cannot be read: tell of it, once."""
        self._warn('unreadable', 'what is stored is no result of it as it is annotated now, and is ignored')

    async def invalidate(self, keys: KeyPair) -> None:
        """Invalidate the result of one call."""
        await self.settings.store.invalidate((key_name(keys[1]),), key=keys[1])

    async def invalidate_all(self, *, soft: bool) -> None:
        """Invalidate all of its results."""
        now = self.settings.runtime.clock()
        await self.settings.store.invalidate((self.planned.names[-1],), soft_at=now if soft else None)


class Said(Struct, frozen=True):
    """What the decorator says besides the policy."""

    key: Any
    tags: Any
    condition: Callable[[Any], object] | None
    is_of_class: bool
    """Whether it is a class method."""
    number: str
    """What distinguishes it from another function with its name; empty for the first one."""


class CachedFunction(Generic[P, R]):
    """An async function whose results are cached. It is called like the function itself.

    Anything may call it: endpoints, dependencies (`Depends(function)`), background tasks, scripts.
    """

    def __init__(self, definition: Definition, instance: Any = None, *, is_bound: bool = False) -> None:
        """Cache this function, as a method of an `instance` if it `is_bound`."""
        self._definition = definition
        self._first = (instance,) if is_bound else ()
        update_wrapper(self, MethodType(definition.function, instance) if is_bound else definition.function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result for these arguments: stored, of a concurrent call, or of a new run.

        Raises:
            ConfigurationError: an argument cannot be in a cache key. The message names it.
            Exception: what the function raises; it is not stored.

        """
        definition = self._definition
        call = definition.call((*self._first, *args), kwargs)
        looked, body = answer_at_once(call)
        if body is None:
            heard = await ask(call, looked)
            if heard is None or heard.is_nothing:
                return await self.uncached(*args, **kwargs)
            body = heard.body
            if body is None:
                result: R = heard.result()
                return result
        try:
            found: R = definition.results.loaded(body)
        except UnreadableError:
            definition.unreadable()
            await definition.settings.store.visit().forget(definition.planned.keys(call.scope)[1])
            return await self.uncached(*args, **kwargs)
        return found

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
        await self._definition.invalidate(self._definition.keys((*self._first, *args), kwargs))

    async def invalidate_all(self, *, soft: bool = False) -> None:
        """Invalidate all results of the function. With `soft`, those with a stale window become stale.

        Raises:
            InvalidationError: as for `FastAPICache.invalidate_cached`.

        """
        await self._definition.invalidate_all(soft=soft)

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run the function itself: nothing is looked up or stored."""
        made: Coroutine[Any, Any, R] = self._definition.function(*self._first, *args, **kwargs)
        return made

    def key(self, *args: P.args, **kwargs: P.kwargs) -> EntryKey:
        """The cache key of a call with these arguments, for `invalidate_cached` and for what observers tell.

        Raises:
            ConfigurationError: an argument cannot be in a cache key. The message names it.

        """
        return EntryKey.of(*self._definition.keys((*self._first, *args), kwargs))


class CachedMethod(CachedFunction[P, R]):
    """One in the body of a class. Only these are descriptors: older releases of FastAPI take descriptors for plain."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an object."""
        if self._definition.is_of_class:
            instance = type(instance) if owner is None else owner
        if instance is None:
            return self
        return CachedFunction(self._definition, instance, is_bound=True)


class CachedSyncFunction(Generic[P, R]):
    """A plain function whose results are cached. It is called like the function itself, and blocks its thread.

    The function runs in the thread that calls it. The cache is asked in the event loop of the app if that runs a `def`
    endpoint or dependency in this thread, else in one that runs in a thread of its own.
    """

    def __init__(self, definition: Definition, instance: Any = None, *, is_bound: bool = False) -> None:
        """Cache this function, as a method of an `instance` if it `is_bound`."""
        self._definition = definition
        self._first = (instance,) if is_bound else ()
        update_wrapper(self, MethodType(definition.function, instance) if is_bound else definition.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result for these arguments: stored, of a concurrent call, or of a new run.

        Raises:
            ConfigurationError: an argument cannot be in a cache key. The message names it.
            Exception: what the function raises; it is not stored.

        """
        definition = self._definition
        call = definition.call((*self._first, *args), kwargs)
        looked, body = answer_at_once(call)
        if body is None:
            heard = ask_in_thread(call, looked)
            if heard.is_nothing:
                return self.uncached(*args, **kwargs)
            body = heard.body
            if body is None:
                result: R = heard.result()
                return result
        try:
            found: R = definition.results.loaded(body)
        except UnreadableError:
            definition.unreadable()
            wait_for(_forgotten(definition, definition.planned.keys(call.scope)[1]))
            return self.uncached(*args, **kwargs)
        return found

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(
        self: 'CachedSyncFunction[Concatenate[Any, Q], R]', instance: object, owner: type | None = None
    ) -> 'CachedSyncFunction[Q, R]': ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an object."""
        if self._definition.is_of_class:
            instance = type(instance) if owner is None else owner
        if instance is None or self._first:
            return self
        return CachedSyncFunction(self._definition, instance, is_bound=True)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Invalidate the result for these arguments, as `CachedFunction.invalidate` does. Blocks until that is done."""
        wait_for(self._definition.invalidate(self._definition.keys((*self._first, *args), kwargs)))

    def invalidate_all(self, *, soft: bool = False) -> None:
        """Invalidate all results of the function, as `CachedFunction.invalidate_all` does. Blocks until it is done."""
        wait_for(self._definition.invalidate_all(soft=soft))

    def uncached(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function itself: nothing is looked up or stored."""
        made: R = self._definition.function(*self._first, *args, **kwargs)
        return made

    def key(self, *args: P.args, **kwargs: P.kwargs) -> EntryKey:
        """The cache key of a call with these arguments, as `CachedFunction.key` gives it."""
        return EntryKey.of(*self._definition.keys((*self._first, *args), kwargs))


async def _forgotten(definition: Definition, key: str) -> None:
    await definition.settings.store.visit().forget(key)
