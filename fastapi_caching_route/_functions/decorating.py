"""`cache.function`: the options of a cached function, checked. Knows which functions can be cached."""

import inspect
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex
from types import CodeType, FunctionType, MethodType
from typing import Annotated, Any, TypeVar, overload
from weakref import WeakKeyDictionary, ref

from typing_extensions import Doc, ParamSpec, Self, TypedDict, Unpack

from fastapi_caching_route._core.checks import check_option, checked_templates, is_plain_function
from fastapi_caching_route._core.durations import Seconds
from fastapi_caching_route._functions.cached import CachedFunction, CachedMethod, CachedSyncFunction
from fastapi_caching_route._functions.definition import Callee, Definition, Said
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')

P = ParamSpec('P')
R = TypeVar('R')


class FunctionOptions(TypedDict, total=False):
    """The options of `@cache.function(...)`. Those that are omitted come from the `policy` of the cache."""

    ttl: Annotated[Seconds | None, Doc('For how many seconds a result is fresh, as for routes.')]
    tags: Annotated[
        Collection[str] | Callable[..., Collection[str]],
        Doc(
            'Names to invalidate by: a list of str, with parameters in braces (`user:{user_id}`), or a plain function '
            'of the arguments that returns one.'
        ),
    ]
    key: Annotated[
        Callable[..., object] | Mapping[str, Callable[[Any], object]],
        Doc(
            'What stands for the arguments in the key: a plain function of all of them, or functions of some of them '
            'by their names, like `{"self": lambda it: it.tenant}`.'
        ),
    ]
    namespace: Annotated[str, Doc('Prefix of the cache keys, as for routes.')]
    stale_while_revalidate: Annotated[
        Seconds, Doc('Seconds after expiry in which a stale result is returned at once, while one call renews it.')
    ]
    stale_if_error: Annotated[
        Seconds, Doc('Seconds after expiry in which a stale result is returned if the function raises an exception.')
    ]
    lock: Annotated[bool, Doc('Whether calls in all processes wait for one run, with a lock in the backend.')]
    condition: Annotated[
        Callable[[Any], object], Doc('A plain function of the result: if it returns a false value, it is not stored.')
    ]


OF_THE_POLICY = ('ttl', 'namespace', 'stale_while_revalidate', 'stale_if_error', 'lock')


@dataclass(slots=True)
class _First:
    """The first function of a name. What it returned may be stored for longer than it lives."""

    function: 'ref[FunctionType]'
    code: CodeType
    captures: bool
    """Whether it takes variables from around it, so that another function of the same code is another one."""
    has_namesakes: bool = False
    """Whether a warning has said that there are others."""

    @classmethod
    def of(cls, function: FunctionType) -> Self:
        """Remember a function."""
        return cls(ref(function), function.__code__, function.__closure__ is not None)

    def is_same(self, function: FunctionType) -> bool:
        """Whether this is that function, or the same one, as if a module was loaded again."""
        captures = self.captures or function.__closure__ is not None
        return self.function() is function or (not captures and self.code == function.__code__)


_known: 'WeakKeyDictionary[Settings, dict[object, _First]]' = WeakKeyDictionary()
"""The first function of each name and namespace, for each cache."""


class FunctionDecorator:
    """What `cache.function(...)` returns: it decorates async functions, plain functions, and methods."""

    def __init__(self, settings: Settings, **options: Unpack[FunctionOptions]) -> None:
        """Check the options.

        Raises:
            ConfigurationError: one is not valid, or there is no such option.

        """
        unknown = sorted(set(options) - set(FunctionOptions.__annotations__))
        if unknown:
            msg = f'@cache.function has no option {", ".join(unknown)}'
            raise ConfigurationError(msg)
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        self._settings = settings
        self._policy = replace(settings.policy, **{name: given[name] for name in OF_THE_POLICY if name in given})
        settings.full_namespace(self._policy.namespace)  # refuses a wrong one
        settings.check_lock(self._policy)
        settings.note_limit(self._policy)
        self._tags, self._key, self._condition = given.get('tags', ()), given.get('key'), given.get('condition')
        for option in ('condition', 'tags', 'key'):
            value = given.get(option)
            holds = not callable(value) or is_plain_function(value)
            check_option(option, value, holds=holds, wanted='must be a plain function, not async')
        check_option('condition', self._condition, holds=_is_function_or_none(self._condition), wanted=_A_FUNCTION)
        if not callable(self._tags):
            self._tags = checked_templates('tags', self._tags)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is also a result
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CachedFunction[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> CachedSyncFunction[P, R]: ...

    def __call__(self, function: Any, /) -> Any:
        """Cache what a function returns. An async function stays async, and a plain one plain.

        Raises:
            ConfigurationError: it is not a function, or an option does not suit it.

        """
        if isinstance(function, staticmethod):
            return staticmethod(self(function.__func__))
        if isinstance(function, MethodType):
            cached: Any = self(function.__func__)
            bound = getattr(type(cached), '__get__', CachedMethod.__get__)
            return bound(cached, function.__self__)
        is_of_class = isinstance(function, classmethod)
        inside = function.__func__ if is_of_class else function
        try:
            _check_function(inside)
            kind: Any = _kind_of(inside)
            return kind(Callee(self._definition(inside, is_of_class=is_of_class)))
        except ConfigurationError as error:
            msg = f'@cache.function on {getattr(inside, "__qualname__", repr(inside))}: {error}'
            raise ConfigurationError(msg) from None

    def _definition(self, function: Any, *, is_of_class: bool) -> Definition:
        settings = self._settings
        name = f'{function.__module__}.{function.__qualname__}', self._policy.namespace
        first = _known.setdefault(settings, {}).setdefault(name, _First.of(function))
        number = '' if first.is_same(function) else token_hex(8)
        if number and not callable(self._key) and not first.has_namesakes:
            first.has_namesakes = True
            logger.warning(_NAMESAKES, name[0])
        said = Said(self._key, self._tags, self._condition, is_of_class, number)
        definition = Definition(settings, self._policy, function, said)
        with suppress(NameError):  # a class in the annotation may be defined below the function
            definition.results  # noqa: B018, refuses a type that cannot be stored
        return definition


def _kind_of(function: FunctionType) -> type[Any]:
    if not inspect.iscoroutinefunction(function):
        return CachedSyncFunction
    around = function.__qualname__.rpartition('.')[0]
    return CachedMethod if around and not around.endswith('<locals>') else CachedFunction


_A_FUNCTION = 'must be a function of the result'
_NAMESAKES = (
    'there are several functions named %s, which may return different things: this one shares its results with no '
    'other process; give each a namespace of its own'
)


def _is_function_or_none(value: object) -> bool:
    return value is None or callable(value)


def _check_function(function: Any) -> None:
    """See that this is a function whose results can be cached.

    Raises:
        ConfigurationError: it is not.

    """
    if not isinstance(function, FunctionType):
        msg = f'it takes functions and methods, got {function!r}; to cache a class or an object, decorate its method'
        raise ConfigurationError(msg)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        msg = 'a generator cannot be cached; return a list'
        raise ConfigurationError(msg)
