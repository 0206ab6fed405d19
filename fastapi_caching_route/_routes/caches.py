"""The caches of an app, for a `CacheContext`, which has none at hand.

Knows where decorations are, and not how anything is stored.
"""

import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from fastapi_caching_route._fastapi.endpoints import INVALIDATES, left_on
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route.errors import ConfigurationError

if TYPE_CHECKING:
    from fastapi_caching_route._store.visit import Store
    from fastapi_caching_route.cache import FastAPICache

Targets = list[tuple['Store', tuple[str, ...]]]
"""Names to invalidate, with the store in which they are to be invalidated."""

_alive: 'weakref.WeakSet[FastAPICache]' = weakref.WeakSet()
_known: 'dict[int, tuple[weakref.ref[Any], int, list[Store]]]' = {}
"""By the identity of an app: how many routes it had, and which stores they use."""
_lock = Lock()


def note_alive(cache: 'FastAPICache') -> None:
    """Remember a cache for as long as somebody holds it."""
    with _lock:
        _alive.add(cache)
        _known.clear()


def caches_of(app: Any) -> list['FastAPICache']:
    """The caches that the routes of an app use, mounts included, one for each backend; all of this process, if none."""
    found = caches_in(app) or caches_in(None)
    return list({id(cache.backend): cache for cache in found}.values())


def caches_in(app: Any) -> list['FastAPICache']:
    """The caches that the routes of an app use, mounts included; those of this process for None."""
    used = None if app is None else _stores_in(app)
    with _lock:
        return [cache for cache in _alive if used is None or cache.store in used]


def look_for_unmet(app: Any) -> None:
    """Warn, once, of decorations that come to nothing in an app which now gets a request."""
    for cache in caches_in(app) if app is not None else ():
        cache.unmet.look(app)


def _stores_in(app: Any) -> list['Store']:
    """The stores that the routes of an app use, remembered until it has more routes, or there is one more cache."""
    count, known = len(getattr(app, 'routes', ())), _known.get(id(app))
    if known is not None and known[0]() is app and known[1] == count:
        return known[2]
    stores: dict[Store, None] = {}
    with suppress(Exception):  # of odd things that are mounted: they are not to be the end of a request
        for _, route in routes_in(app):
            endpoint = getattr(route, 'endpoint', None)
            decoration, writes = left_on(endpoint), left_on(endpoint, INVALIDATES)
            found = [*([] if decoration is None else [decoration.cache.store]), *(it.store for it in writes or ())]
            stores.update(dict.fromkeys(found))
    with suppress(TypeError):  # not everything can be referred to weakly
        _known[id(app)] = (weakref.ref(app), count, list(stores))
    return list(stores)


def targets_in(
    app: Any,
    tags: Collection[str] | None,
    endpoints: Collection[Callable[..., Any]] | None,
    paths: Collection[str] | None,
) -> Targets:
    """What is meant in each cache of an app: tags and paths in all, endpoints in those that cache them.

    Raises:
        ConfigurationError: an argument is not of its kind, or an endpoint is not cached.

    """
    owners = [] if endpoints is None else [_owner(it) for it in checked_endpoints(endpoints)]
    targets: Targets = []
    if tags is not None or paths is not None or endpoints is None:
        targets += [(cache.store, cache.named(tags, None, paths)) for cache in caches_of(app)]
    for endpoint, owner in zip(endpoints or (), owners, strict=True):
        targets.append((owner.store, owner.named(None, [endpoint], None)))
    return targets


def checked_endpoints(endpoints: Any) -> Collection[Callable[..., Any]]:
    """Several endpoints.

    Raises:
        ConfigurationError: they are something else.

    """
    if not isinstance(endpoints, list | tuple | set | frozenset):
        msg = f'endpoints must be a list of endpoints, like [get_user], got {endpoints!r}'
        raise ConfigurationError(msg)
    return endpoints


def _owner(endpoint: Any) -> 'FastAPICache':
    decoration = left_on(endpoint)
    if decoration is None:
        name = getattr(endpoint, '__qualname__', repr(endpoint))
        msg = f'{name} is not decorated with a cache, so nothing of it is stored; decorate it with @cache(...)'
        raise ConfigurationError(msg)
    owner: FastAPICache = decoration.cache
    return owner
