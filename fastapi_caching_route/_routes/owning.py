"""The route that owns a key of `CacheContext`, for responses that user code stores under it."""

from collections.abc import Collection
from typing import Any

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.entry import About
from fastapi_caching_route._core.names import MAX_TAGS
from fastapi_caching_route._fastapi.option_dependencies import depends_of
from fastapi_caching_route._routes.decoration import decoration_at
from fastapi_caching_route._store.given import KeyOwner

READS = (
    'its route takes the raw request, and its key does not show for which requests the response is; declare what it '
    'reads, or use a key_builder'
)
TAGS = 'its tags are not known by now: they come from a callable or a dependency; use templates, or a key_builder'


def owner_of(scope: Scope, tags: Collection[str]) -> KeyOwner | None:
    """The route of a request whose key is made from declared inputs. `tags` are those that its code has added."""
    route: Any = scope.get('route')
    reached = getattr(route, 'reached_by', None)
    plan, decoration = None if reached is None else reached(scope).plan, decoration_at(route)
    if plan is None or decoration is None or not (inputs := plan.declared().inputs).declared:
        return None
    given: Any = decoration.policy.tags
    named = None if callable(given) or depends_of(given) is not None else plan.names(scope, None, sorted(tags))
    reads = inputs.reading.takes_request or inputs.raw
    return KeyOwner(
        plan.runtime.store,
        () if named is None else named.names,
        plan.terms,
        About() if named is None else About(plan.counts.route, named.path, named.tags[:MAX_TAGS]),
        inputs.knows,
        plan.compression,
        READS if reads else TAGS if named is None else None,
    )
