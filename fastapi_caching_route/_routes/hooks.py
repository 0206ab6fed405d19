"""The user's callables of one policy, wrapped so that each takes a scope. Does not know when they are called."""

from collections.abc import Callable, Coroutine, Sequence
from inspect import isawaitable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._exchange.user_code import Hooks, tell, tell_raised
from fastapi_caching_route._fastapi.option_dependencies import depends_of, given_identity
from fastapi_caching_route._fastapi.own import name_by
from fastapi_caching_route.callables import Skip, StoreIf
from fastapi_caching_route.params import CachedResponse
from fastapi_caching_route.policy import CachePolicy


def hooks_of(policy: CachePolicy, path: str, told: set[str], naming: Sequence[Any] = ()) -> Hooks:
    """The hooks of a policy, for a route with this path. `told` holds the reasons already logged for the route.

    `naming` are dependencies that name clients for its key.
    """
    build, key, identity, tags = policy.key_builder, policy.key, policy.identity, policy.tags
    if naming:
        identity = name_by(naming)
    elif depends_of(identity) is not None:
        identity = given_identity
    return Hooks(
        key_builder=None if build is None else lambda scope: build(Request(scope)),
        key=None if key is None else lambda scope: key(Request(scope)),
        identity=None if not callable(identity) else lambda scope: identity(Request(scope)),
        skip=None if policy.skip is None else _skip(policy.skip),
        tags=None if not callable(tags) else lambda scope: tags(Request(scope)),
        store_if=None if policy.store_if is None else _store_if(policy.store_if, path, told),
    )


def _skip(skip: Skip) -> Callable[[Scope], Coroutine[Any, Any, bool]]:
    """A function that returns whether a request bypasses the cache."""

    async def skipped(scope: Scope) -> bool:
        said = skip(Request(scope))
        return bool(await said if isawaitable(said) else said)

    return skipped


def _store_if(store_if: StoreIf, path: str, told: set[str]) -> Callable[[Recording], bool]:
    """A function that returns whether a complete response is stored; False if `store_if` raises or is async."""

    def wanted(recording: Recording) -> bool:
        response = CachedResponse(recording.body, recording.status, Headers(raw=list(recording.headers)))
        try:
            said = store_if(response)
            if not isawaitable(said):
                return bool(said)
            getattr(said, 'close', bool)()  # else Python warns about a coroutine that was never awaited
        except Exception as error:  # noqa: BLE001, user code must not break the response
            tell_raised(wanted, error)
        tell(reasons.STORE_IF, path, told)
        return False

    return wanted
