"""What is known of a decorated route before any request comes is put together: from its decorator, its declaration and its cache."""

from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._core.inputs import METHODS_BY_THE_BOOK
from fastapi_caching_route._core.key import Keys
from fastapi_caching_route._core.labels import Labels
from fastapi_caching_route._core.names import Naming
from fastapi_caching_route._exchange.plan import Herds, Hooks, Plan, tell
from fastapi_caching_route._fastapi.declared import Declarations
from fastapi_caching_route._fastapi.endpoints import name_of
from fastapi_caching_route._fastapi.handlers import watching_handlers
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._http.conditional import PRECONDITIONS
from fastapi_caching_route._routes.decoration import Decoration, key_rules
from fastapi_caching_route._routes.description import description_of, outlines_of
from fastapi_caching_route._routes.targets import places_of
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.params import CachedResponse
from fastapi_caching_route.policy import Skip, StoreIf


def plan_of(
    decoration: Decoration, effective: Any, parameters: PathParameters, *, number: int | str, raw: bool
) -> Plan:
    """All that is known of a decorated route before a request comes."""
    settings, policy = decoration.settings, decoration.policy
    build, who, skip, tags = policy.key_builder, policy.identity, policy.skip, policy.tags
    # Of other methods, the endpoint gets the preconditions as the client sent them (RFC 9110 §13.2.1), so there they count.
    others = settings.methods.intersection(effective.methods) - METHODS_BY_THE_BOOK
    asks_itself = (policy.revalidate or settings.by_the_book) and not others
    answered = frozenset(name.decode('ascii') for name in PRECONDITIONS) if asks_itself else frozenset()
    identity = (*description_of(decoration, effective), number, *outlines_of(effective))
    namespace = settings.full_namespace(policy.namespace)
    declared = Declarations(
        effective,
        partial(Keys, identity, namespace),
        policy.dependencies,
        key_rules(policy, settings.left_out, raw=raw, answered=answered),
        has_key_builder=build is not None,
        explicit_before_key=build is not None or callable(who) or skip is not None,
        guards_include_unnamed=policy.route_dependencies == 'always',
    )
    told: set[str] = set()
    return Plan(
        runtime=settings.runtime,
        hooks=Hooks(
            key_builder=None if build is None else lambda scope: build(Request(scope)),
            identity=None if not callable(who) else lambda scope: who(Request(scope)),
            skip=None if skip is None else skip_of(skip),
            tags=None if not callable(tags) else lambda scope: tags(Request(scope)),
            store_if=None if policy.store_if is None else store_if_of(policy.store_if, effective.path_format, told),
        ),
        namespace=namespace,
        declared=declared,
        naming=Naming(
            endpoint=name_of(effective.endpoint),
            places=places_of(effective),
            namespace=None if policy.namespace is None else namespace,
            values=parameters.values,
            parameters=parameters.names,
            tags=() if callable(tags) else tuple(tags),
        ),
        terms=settings.terms(policy),
        herds=Herds(
            policy.collapse, policy.collapse_timeout, policy.lock, policy.eager_refresh, policy.endpoint_timeout
        ),
        labels=Labels(
            name=settings.status_name,
            hit=settings.hit,
            miss=settings.miss,
            cache_control=emitted(policy.cache_control, policy.cdn_cache_control),
            cache_control_for_one=emitted(*map(for_one_client, (policy.cache_control, policy.cdn_cache_control))),
        ),
        methods=settings.methods,
        heeds_demands=settings.by_the_book or policy.client_cache_control,
        ttl_jitter=policy.ttl_jitter,
        watch=watching_handlers,
        told=told,
    )


def skip_of(skip: Skip) -> Callable[[Scope], Coroutine[Any, Any, bool]]:
    """What says of a request whether the user wants it to bypass the cache."""

    async def skipped(scope: Scope) -> bool:
        said = skip(Request(scope))
        return bool(await said if isawaitable(said) else said)

    return skipped


def store_if_of(store_if: StoreIf, path: str, told: set[str]) -> Callable[[Recording], bool]:
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


def emitted(control: object, for_cdns: object) -> list[tuple[bytes, bytes]]:
    """The fields that say how others may store an answer."""
    both = ((b'cache-control', control), (b'cdn-cache-control', for_cdns))
    return [(name, str(it).encode('ascii')) for name, it in both if it is not None]


def for_one_client(control: object) -> object:
    """What is said of an answer that others must not get."""
    return control.for_one_client() if isinstance(control, CacheControl) else None
