"""What the decorators attach to an endpoint. A `CachingRoute` uses it, and a plain route ignores it."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.inputs import METHODS_BY_THE_BOOK, Inputs
from fastapi_caching_route._core.key import Keys
from fastapi_caching_route._core.lifespan_state import LifespanState
from fastapi_caching_route._core.names import fields_of
from fastapi_caching_route._fastapi.declared import Declarations
from fastapi_caching_route._fastapi.documenting import document, undocument
from fastapi_caching_route._fastapi.effective import qualified
from fastapi_caching_route._fastapi.endpoints import INVALIDATES, SKIPPED, attached_to, name_of, routes_of
from fastapi_caching_route._fastapi.key_rules import KeyRules
from fastapi_caching_route._fastapi.option_dependencies import depends_of
from fastapi_caching_route._fastapi.own import naming_in
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._http.conditional import PRECONDITIONS
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._routes.writes import REMEDY, Invalidates
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.policy import CachePolicy

BY_ROUTER: Final = '_by_router'
"""The attribute of a route class that holds the `Decoration` of its routes without a decorator of their own."""

BY_ENDPOINT: Final = '_by_endpoint'
"""The attribute of a route that holds the `Decoration` with which it was served first."""

READ_BY_ROUTER = frozenset({'GET', 'HEAD'})
"""The methods that a router caches. Others may write, or have a body, and are cached only if a decorator says so."""

ADD_IT = 'for another value, add the tag to context.tags of a CacheContext in the endpoint, or let a callable return it'


@dataclass(frozen=True, slots=True)
class Decoration:
    """What `@cache(...)` attaches to an endpoint, or a router to its routes."""

    settings: Settings
    policy: CachePolicy
    by_router: bool = False
    """Whether it is of the router, for routes without a decorator of their own."""

    @property
    def methods(self) -> frozenset[str]:
        """The methods whose responses are cached."""
        return self.settings.methods & READ_BY_ROUTER if self.by_router else self.settings.methods

    @property
    def distinction(self) -> Parts:
        """What distinguishes the routes of one endpoint on several routers; empty if the endpoint itself is decorated.

        It is equal in every process that runs this code.
        """
        names = [it.name for it in fields(CachePolicy) if it.name != 'on_miss_only']  # which may be a set, in any order
        return tuple(qualified(getattr(self.policy, name)) for name in names) if self.by_router else ()


def decoration_of(endpoint: object) -> Decoration | None:
    """What `@cache(...)` has attached to an endpoint, or None."""
    found: Decoration | None = attached_to(endpoint)
    return found


def decoration_at(effective: Any) -> Decoration | None:
    """What caches a route: the decorator of its endpoint, or else its router; None if it is not cached.

    A router does not cache an endpoint that invalidates, because hits would not run it.
    """
    endpoint, route = getattr(effective, 'endpoint', None), getattr(effective, 'original_route', effective)
    own, first = decoration_of(endpoint), getattr(route, BY_ENDPOINT, None)
    if own is not None:
        return own if first is None or first.settings is own.settings else first
    by_router: Decoration | None = getattr(route, BY_ROUTER, None)
    if by_router is None or 'GET' not in route.methods or invalidates_of(endpoint):
        return None
    return None if by_router.settings in skipped_by(endpoint) else by_router


def decorations_of(endpoint: object) -> list[Decoration]:
    """What caches an endpoint, on any of its routes."""
    found = [decoration_of(endpoint), *map(decoration_at, routes_of(endpoint))]
    return list({id(it): it for it in found if it is not None}.values())


def keep_decoration(route: Any, decoration: Decoration) -> None:
    """Let a route that is served keep its cache, whatever other caches decorate its endpoint later."""
    if not decoration.by_router:
        setattr(route, BY_ENDPOINT, decoration)


def skipped_by(endpoint: object) -> tuple[Settings, ...]:
    """The caches whose `@cache.skip` is on an endpoint."""
    found: tuple[Settings, ...] | None = attached_to(endpoint, SKIPPED)
    return found or ()


def invalidates_of(endpoint: object) -> tuple[Invalidates, ...]:
    """What `@cache.invalidates(...)` has attached to an endpoint."""
    found: tuple[Invalidates, ...] | None = attached_to(endpoint, INVALIDATES)
    return found or ()


def check_decorated(endpoint: Any) -> None:
    """Refuse decorations that cannot work on the routes of this endpoint. Each route and each decorator calls this.

    Raises:
        ConfigurationError: a template names a parameter that is not in the path of
            its route, or `public` and `s-maxage` are wrong there.

    """
    name, decoration = '.'.join(name_of(endpoint)), decoration_of(endpoint)
    for it in decorations_of(endpoint):
        it.settings.namesakes.of_endpoint(endpoint)
    written = [template for said in invalidates_of(endpoint) for template in said.templates]
    for route in routes_of(endpoint):
        known = PathParameters(route).known
        check_templates(name, written, known, REMEDY)
        if decoration is not None:
            check_templates(name, templates_of(decoration.policy), known, ADD_IT)
            check_public(name, decoration, route)


def templates_of(policy: CachePolicy) -> tuple[str, ...]:
    """The tags that are templates."""
    tags: Any = policy.tags
    return () if callable(tags) or depends_of(tags) is not None else tuple(tags)


def document_decorated(endpoint: Any) -> None:
    """Describe in OpenAPI what the cache does on the routes of an endpoint, if its cache has `document=True`."""
    for route in routes_of(endpoint):
        decoration = decoration_at(route)
        if decoration is None or not decoration.settings.document:
            undocument(route)
            continue
        document(
            route,
            cache_status=decoration.settings.status_name is not None,
            cache_control=decoration.policy.cache_control is not None,
        )


def check_public(name: str, decoration: Decoration, route: Any) -> None:
    """Refuse to let caches in front share responses that only this cache can distinguish.

    Raises:
        ConfigurationError: the policy has `public` or `s-maxage`, and the cache key contains more than URL and `Vary`.

    """
    if not says_public(decoration.policy):
        return
    declarations = declarations_of(decoration, route, partial(Keys, (), ''), raw=route.reads_raw)
    wrong = not_for_all(decoration.policy, declarations.current().inputs)
    if wrong is not None:
        msg = f'{name}: {wrong}'
        raise ConfigurationError(msg)


def declarations_of(
    decoration: Decoration, effective: Any, keys_of: Callable[[Inputs], Keys], *, raw: bool
) -> Declarations:
    """The declarations of a decorated route; `raw` says whether its class can read the raw request."""
    settings, policy = decoration.settings, decoration.policy
    # For other methods, the endpoint gets the preconditions of the client (RFC 9110 §13.2.1), so they are in the key.
    others = decoration.methods.intersection(effective.methods) - METHODS_BY_THE_BOOK
    asks_itself = (policy.revalidate or settings.by_the_book) and not others
    rules = key_rules(
        policy,
        settings.left_out,
        settings.lifespan_state,
        raw=raw,
        answered=frozenset(name.decode('ascii') for name in PRECONDITIONS) if asks_itself else frozenset(),
        methods=effective.methods,
        names=bool(naming_of(policy, effective)),
    )
    return Declarations(
        effective,
        keys_of,
        explicit_of(policy),
        rules,
        has_key_builder=policy.key_builder is not None,
        explicit_before_key=comes_before_key(policy),
        identity=depends_of(policy.identity),
        tags=depends_of(policy.tags),
        on_hits=policy.route_dependencies,
        on_miss_only=policy.on_miss_only,
    )


def doubts(policy: CachePolicy, declared: Declared) -> Iterator[str]:
    """Warnings about what is valid on a route, with its includes, but probably not intended; each with the remedy."""
    wrong = not_for_all(policy, declared.inputs)
    if wrong is not None:
        yield f'{wrong}; private is sent instead'
    for name in dict.fromkeys(declared.refusing):
        yield (
            f'{name} refuses requests but does not run on hits, so clients that it would refuse get stored responses; '
            'to run it on every request, put it into dependencies=[...] of the route, or let it take the Request or a '
            'security scheme'
        )


def key_rules(
    policy: CachePolicy,
    left_out: frozenset[bytes],
    lifespan_state: LifespanState,
    *,
    raw: bool,
    answered: frozenset[str],
    methods: Collection[str],
    names: bool,
) -> KeyRules:
    """The rules by which a route with this policy chooses the inputs of its cache key."""
    return KeyRules(
        vary=tuple(name.encode('ascii') for name in policy.vary_headers),
        left_out=left_out,
        raw=raw,
        shared=policy.identity != 'auto',
        extended=policy.key is not None,
        host=policy.host,
        json=policy.body_key == 'json',
        equal=policy.key_values == 'equal',
        reads=policy.reads,
        gets='GET' in methods or 'HEAD' in methods,
        queries='QUERY' in methods,
        early=comes_before_key(policy),
        answered=answered,
        public=says_public(policy),
        guards_select=policy.identity not in ('auto', 'shared') or names,
        skips=policy.skip is not None,
        is_of_lifespan=lifespan_state.includes,
    )


def comes_before_key(policy: CachePolicy) -> bool:
    """Whether explicit dependencies run before the key is made: callables for it may read what they set."""
    if policy.identity not in ('auto', 'shared'):
        return True
    return policy.key_builder is not None or policy.key is not None or policy.skip is not None


def explicit_of(policy: CachePolicy) -> list[Any]:
    """The explicit dependencies of a policy, and the one that gives the identity."""
    giving = depends_of(policy.identity)
    return [*policy.dependencies, *(() if giving is None else (giving,))]


def naming_of(policy: CachePolicy, route: Any) -> list[Any]:
    """The dependencies of a route that name clients for its key; none where something else is said to name them."""
    if policy.identity != 'auto' or policy.key_builder is not None:
        return []
    return naming_in(route, policy.dependencies)


def says_public(policy: CachePolicy) -> bool:
    """Whether the policy explicitly lets caches in front share responses."""
    controls = [it for it in (policy.cache_control, policy.cdn_cache_control) if isinstance(it, CacheControl)]
    return any(it.public or it.s_maxage is not None for it in controls)


def not_for_all(policy: CachePolicy, inputs: Inputs) -> str | None:
    """Why `public` or `s-maxage` is wrong on a route with these inputs, and the remedy; None if it is not wrong."""
    if inputs.for_all or not says_public(policy):
        return None
    return (
        f'cache_control has public or s-maxage, but a cache in front cannot tell the responses apart: they depend on '
        f'{", ".join(inputs.unsaid)}, and neither the URL nor Vary shows that; remove it, use private, or send '
        'Cache-Control from the endpoint'
    )


def check_templates(name: str, templates: Iterable[str], known: Collection[str], remedy: str) -> None:
    """Refuse templates that name a parameter which the route does not have."""
    for template in templates:
        unknown = fields_of(template) - set(known)
        if unknown:
            msg = (
                f'{name}: {template!r} names {", ".join(sorted(unknown))}, which is not a path or query parameter of '
                f'its route; its parameters: {", ".join(sorted(known)) or "none"}; {remedy}'
            )
            raise ConfigurationError(msg)
