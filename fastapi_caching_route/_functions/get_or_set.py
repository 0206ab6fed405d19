"""`cache.get_or_set`: values under keys of the user, made by a function without arguments."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, get_type_hints

from typing_extensions import Doc, TypedDict

from fastapi_caching_route._core.checks import checked_templates
from fastapi_caching_route._core.durations import Seconds
from fastapi_caching_route._core.key import full_key, user_key
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._core.names import Named, fields_of
from fastapi_caching_route._functions.asking import FunctionCall, RunResult, answer_at_once
from fastapi_caching_route._functions.calling import again_in_task, result_in_task
from fastapi_caching_route._functions.planning import Planned, planned
from fastapi_caching_route._functions.results import Results, UnreadableError, results_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.errors import ConfigurationError

NAME = 'get_or_set'


class ValueOptions(TypedDict, total=False):
    """The options of `cache.get_or_set(...)`, besides its ttl."""

    tags: Annotated[Collection[str], Doc('Names to invalidate by.')]
    namespace: Annotated[str, Doc('Prefix of the cache key, as for routes.')]
    returns: Annotated[Any, Doc('The type of the value, if the factory has no return annotation, as a lambda.')]


class Value:
    """A value under a key of the user."""

    def __init__(
        self,
        settings: Settings,
        key: str,
        factory: Callable[[], Any],
        *,
        ttl: Seconds | None = None,
        tags: Collection[str] = (),
        namespace: str | None = None,
        returns: Any = None,
    ) -> None:
        """Describe the value.

        Raises:
            ConfigurationError: an argument is not valid.

        """
        if not isinstance(key, str) or not callable(factory):
            msg = f'get_or_set takes a key, a str, and a function without arguments, got {key!r} and {factory!r}'
            raise ConfigurationError(msg)
        given: dict[str, Any] = {'ttl': ttl, 'namespace': namespace}
        policy = replace(settings.policy, **{name: it for name, it in given.items() if it is not None})
        self._settings = settings
        self._factory = factory
        self._tags = checked_templates('tags', tags)
        if any(map(fields_of, self._tags)):
            msg = (
                f'the tags of get_or_set must have no placeholders, because its factory has no arguments; got {tags!r}'
            )
            raise ConfigurationError(msg)
        self.results: Results = results_of(_type_of(factory) if returns is None else returns)
        self._planned: Planned = planned(settings, policy, NAME, NAME, (self.results.outline,))
        self._scope = self._planned.scope(ascii(key))
        self._user_key = full_key(settings.full_namespace(policy.namespace), user_key(key))

    async def get(self) -> Any:
        """The stored value, or a new one."""
        call = FunctionCall(self._planned, self._scope, self._names, self._factory, self)
        looked, body = answer_at_once(call)
        try:
            return await result_in_task(call, looked) if body is None else self.results.loaded(body)
        except UnreadableError:
            return await again_in_task(call)

    async def forget(self, key: str) -> None:
        await self._settings.store.visit().forget(key)

    def _names(self) -> Named:
        """The names of the entry: `invalidate_cached` finds it by the key of the user."""
        return self._planned.names_of(self._tags, (key_name(self._user_key),))

    def made(self, value: object) -> RunResult:
        body = self.results.dumped(value)
        return RunResult(value, b'' if body is None else body, 'result' if body is None else None)


def _type_of(factory: Callable[[], Any]) -> Any:
    """What a function says that it returns; anything that JSON keeps, if it says nothing."""
    inside = factory.func if isinstance(factory, partial) else factory
    return get_type_hints(inside, include_extras=True).get('return', Any) if inspect.isroutine(inside) else Any
