"""The callables of one policy in the form in which a plan has them: each is given a scope. Does not know when they are asked."""

from collections.abc import Callable, Coroutine
from inspect import isawaitable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._exchange.plan import Hooks, tell
from fastapi_caching_route.params import CachedResponse
from fastapi_caching_route.policy import CachePolicy, Skip, StoreIf


def hooks_of(policy: CachePolicy, path: str, told: set[str]) -> Hooks:
    """The callables of the user's in this policy, for a route of this path; `told` are the reasons that the log has told of it."""
    build, identity, tags = policy.key_builder, policy.identity, policy.tags
    return Hooks(
        key_builder=None if build is None else lambda scope: build(Request(scope)),
        identity=None if not callable(identity) else lambda scope: identity(Request(scope)),
        skip=None if policy.skip is None else _skip(policy.skip),
        tags=None if not callable(tags) else lambda scope: tags(Request(scope)),
        store_if=None if policy.store_if is None else _store_if(policy.store_if, path, told),
    )


def _skip(skip: Skip) -> Callable[[Scope], Coroutine[Any, Any, bool]]:
    """What says of a request whether the user wants it to bypass the cache."""

    async def skipped(scope: Scope) -> bool:
        said = skip(Request(scope))
        return bool(await said if isawaitable(said) else said)

    return skipped


def _store_if(store_if: StoreIf, path: str, told: set[str]) -> Callable[[Recording], bool]:
    """What says of a complete answer whether the user wants it kept; not, if that cannot be told."""

    def wanted(recording: Recording) -> bool:
        response = CachedResponse(recording.body, recording.status, Headers(raw=list(recording.headers)))
        try:
            said = store_if(response)
            if not isawaitable(said):
                return bool(said)
            getattr(said, 'close', bool)()  # a coroutine that nobody awaits would warn of it
        except Exception:  # noqa: BLE001, S110, the user's: the answer must not suffer
            pass
        tell(reasons.STORE_IF, path, told)
        return False

    return wanted
