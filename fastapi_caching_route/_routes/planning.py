"""Builds the plan of a decorated route from its decorator, its declaration and its cache, before any request."""

from dataclasses import replace
from functools import partial
from typing import Any

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.durations import in_seconds, seconds_or_none
from fastapi_caching_route._core.key import Keys
from fastapi_caching_route._core.labels import Labels
from fastapi_caching_route._core.names import Naming, fields_of
from fastapi_caching_route._exchange.plan import Plan, RunOptions
from fastapi_caching_route._fastapi.endpoints import name_of
from fastapi_caching_route._fastapi.handlers import watching_handlers
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._routes.decoration import (
    Decoration,
    declarations_of,
    naming_of,
    says_public,
    templates_of,
)
from fastapi_caching_route._routes.description import description_of, outlines_of
from fastapi_caching_route._routes.hooks import hooks_of
from fastapi_caching_route._routes.targets import places_of
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.control import COUNTED, TTL, CacheControl
from fastapi_caching_route.policy import CachePolicy


def plan_of(
    decoration: Decoration, effective: Any, parameters: PathParameters, *, raw: bool, among: Parts = ()
) -> Plan:
    """The plan of a decorated route: everything that is known before any request.

    `among` identifies it among routes with the same description.
    """
    settings, policy, told = decoration.settings, decoration.policy, set[str]()
    namespace = settings.full_namespace(policy.namespace)
    described = (*description_of(decoration, effective), among, *outlines_of(effective))
    return Plan(
        runtime=settings.runtime,
        hooks=hooks_of(policy, effective.path_format, told, naming_of(policy, effective)),
        namespace=namespace,
        declared=declarations_of(decoration, effective, partial(Keys, described, namespace), raw=raw).current,
        naming=_naming(decoration, effective, parameters),
        terms=settings.terms(policy),
        run_options=_run_options(policy),
        labels=_labels(decoration),
        methods=decoration.methods if policy.store else frozenset(),
        labelled=frozenset() if policy.store else decoration.methods,
        heeds_demands=settings.heeds_demands(policy),
        ttl_jitter=policy.ttl_jitter,
        watch=watching_handlers,
        told=told,
        surrogates=settings.surrogates,
        stores=policy.store,
        compression=_compression(decoration),
        sends_plain=_sends_plain(decoration.policy),
        set_by_middleware=settings.context_variables.set_by_middleware,
        learned_variables=settings.learned.setdefault(('context variables', effective.path_format), set()),
        learned=settings.learned.setdefault((name_of(effective.endpoint), effective.path_format), set()),
        counts=settings.runtime.counts_of(effective.path_format, '.'.join(name_of(effective.endpoint))),
    )


def _run_options(policy: CachePolicy) -> RunOptions:
    return RunOptions(
        collapse=policy.collapse,
        collapse_timeout=in_seconds(policy.collapse_timeout),
        lock=policy.lock,
        eager_refresh=policy.eager_refresh,
        endpoint_timeout=seconds_or_none(policy.endpoint_timeout),
    )


def _naming(decoration: Decoration, effective: Any, parameters: PathParameters) -> Naming:
    policy = decoration.policy
    full_namespace = decoration.settings.full_namespace(policy.namespace)
    return Naming(
        endpoint=name_of(effective.endpoint),
        places=places_of(effective),
        namespace=None if policy.namespace is None else full_namespace,
        values=parameters.values,
        parameters=parameters.names | parameters.query_names,
        queries=parameters.query_values(field for it in templates_of(policy) for field in fields_of(it)),
        tags=templates_of(policy),
    )


def _labels(decoration: Decoration) -> Labels:
    settings, controls = decoration.settings, (decoration.policy.cache_control, decoration.policy.cdn_cache_control)
    counted = [getattr(it, name) for it in controls if it is not None for name in COUNTED]
    return Labels(
        name=settings.status_name,
        cache_header=settings.cache_header,
        hit=settings.hit,
        miss=settings.miss,
        cache_control=_emitted(*controls),
        cache_control_for_one=_emitted(*map(_for_one_client, controls)),
        cache_control_to_validate=_emitted(*map(_to_validate, controls)),
        counts_down=TTL in counted,
        says_public=says_public(decoration.policy),
    )


def _compression(decoration: Decoration) -> Compression | None:
    """How responses are kept compressed: not if the route itself tells others not to transform them."""
    policy = decoration.policy
    return None if _sends_plain(policy) or not policy.store else decoration.settings.compression


def _sends_plain(policy: CachePolicy) -> bool:
    return any(getattr(it, 'no_transform', False) for it in (policy.cache_control, policy.cdn_cache_control))


def _emitted(control: object, for_cdns: object) -> list[tuple[bytes, bytes]]:
    """The headers that say how other caches may store a response."""
    both = ((b'cache-control', control), (b'cdn-cache-control', for_cdns))
    return [(name, str(it).encode('ascii')) for name, it in both if it is not None]


def _for_one_client(control: object) -> object:
    """The directives for a response that other clients must not get."""
    return control.for_one_client() if isinstance(control, CacheControl) else None


def _to_validate(control: object) -> object:
    """The directives for a response that its own client must not use again without asking."""
    if not isinstance(control, CacheControl):
        return None
    own = control.for_one_client()
    return replace(own, no_cache=True, max_age=None, immutable=False, stale_while_revalidate=None, stale_if_error=None)
