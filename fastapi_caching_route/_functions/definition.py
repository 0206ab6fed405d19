"""One cached function: what is known of it, as soon as it can be known, and how its calls begin."""

import logging
from collections.abc import Callable
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import Any, get_type_hints

from msgspec import Struct

from fastapi_caching_route._core.key import KeyPair
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._core.names import Named
from fastapi_caching_route._functions.asking import FunctionCall, RunResult
from fastapi_caching_route._functions.binding import Arguments, arguments_of
from fastapi_caching_route._functions.planning import Planned, planned
from fastapi_caching_route._functions.results import Results, results_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.policy import CachePolicy

logger = logging.getLogger('fastapi_caching_route')

_NOT_KEPT = (
    'its result is not stored, because it would not come back as it is: it does not fit the return annotation, or JSON '
    'cannot keep it'
)


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
        names = partial(self._names, args, kwargs)
        run = partial(self.function, *args, **kwargs)
        return FunctionCall(plan, scope, names, run, self)

    def _names(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Named:
        return self.planned.names_of(self.arguments.tags_of(args, kwargs))

    def made(self, result: object) -> RunResult:
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

    async def forget(self, key: str) -> None:
        """Forget what cannot be read, and tell of it once."""
        self._warn('unreadable', 'what is stored is no result of it as it is annotated now, and is ignored')
        await self.settings.store.visit().forget(key)

    async def invalidate(self, keys: KeyPair) -> None:
        """Invalidate the result of one call."""
        await self.settings.store.invalidate((key_name(keys[1]),), keys=keys[1:])

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


class Callee(Struct, frozen=True):
    """A function, or a method of an object or a class, as it is called."""

    definition: Definition
    first: tuple[Any, ...] = ()
    """The object or the class, for a method."""

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionCall:
        """One call."""
        return self.definition.call((*self.first, *args), kwargs)

    def keys(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> KeyPair:
        """The key of a call without the namespace, and the full key."""
        return self.definition.keys((*self.first, *args), kwargs)

    async def invalidate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Invalidate the result of one call."""
        await self.definition.invalidate(self.keys(args, kwargs))

    def uncached(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the function itself returns."""
        return self.definition.function(*self.first, *args, **kwargs)

    def bound(self, instance: Any, owner: type | None) -> 'Callee | None':
        """The method of an object, or of its class; None where it is not bound, as in the class itself."""
        if self.definition.is_of_class:
            instance = type(instance) if owner is None else owner
        return None if instance is None or self.first else Callee(self.definition, (instance,))

    def lend_its_name(self, cached: Any) -> None:
        """Give what is called instead the name, the signature and the documentation of the function."""
        function = self.definition.function
        update_wrapper(cached, MethodType(function, *self.first) if self.first else function)
