"""Finds the caches that an app uses, by its decorated endpoints. A `CacheContext` has no other way to find them.

Knows where decorations are, but not how entries are stored.
"""

import weakref
from collections.abc import Collection
from contextlib import suppress
from threading import Lock
from typing import Any

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.names import GROUP_INVALIDATION
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._routes.decoration import decoration_at, invalidates_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.visit import Store

_alive: weakref.WeakSet[Settings] = weakref.WeakSet()
_known: dict[int, tuple[weakref.ref[Any], int, list[Store]]] = {}
"""By the id of an app: the app, how many routes it had, and the stores that they use."""
_lock = Lock()


def note_alive(settings: Settings) -> None:
    """Remember a cache while it is referenced elsewhere."""
    with _lock:
        _alive.add(settings)
        _known.clear()


def caches_of(app: Any) -> list[Settings]:
    """The caches that the routes of an app use, mounts included, or else all of this process; one per backend."""
    found = caches_in(app) or caches_in(None)
    return list({id(it.backend or it.store): it for it in found}.values())


def caches_in(app: Any) -> list[Settings]:
    """The caches that the routes of an app use, mounts included; for None, all caches of this process."""
    used = None if app is None else _stores_in(app)
    with _lock:
        return [it for it in _alive if used is None or it.store in used]


def group_invalidations(
    scope: Scope, targets: Collection[tuple[Store, Collection[str]]], more: Collection[str]
) -> RawHeaders:
    """The Cache-Group-Invalidation of a write that invalidates these names (RFC 9875 §3), for caches in front.

    `more` are the names that its code has invalidated itself, in any of the caches.
    """
    app = scope.get('router') or scope.get('app')
    telling = (
        {it.store: it.surrogates for it in caches_in(app) if it.surrogates and it.surrogates.quoted} if app else {}
    )
    tags = [tag for store, names in targets for it in [telling.get(store)] if it for tag in it.tags(tuple(names))]
    tags += [tag for it in telling.values() for tag in it.tags(tuple(more))]
    some = next(iter(telling.values()), None)
    return [(GROUP_INVALIDATION, some.invalidation(tags))] if some and tags else ()


def warn_of_unserved(app: Any) -> None:
    """Warn, once, about decorated endpoints of this app that no `CachingRoute` serves; called at a request."""
    for settings in caches_in(app) if app is not None else ():
        settings.unserved.warn(app)


def _stores_in(app: Any) -> list[Store]:
    """The stores that the routes of an app use. They are remembered until it has more routes, or a cache is added."""
    count, known = len(getattr(app, 'routes', ())), _known.get(id(app))
    if known is not None and known[0]() is app and known[1] == count:
        return known[2]
    stores: dict[Store, None] = {}
    with suppress(Exception):  # unusual mounted objects must not break a request
        for _, route in routes_in(app):
            decoration, writes = decoration_at(route), invalidates_of(getattr(route, 'endpoint', None))
            found = [*([] if decoration is None else [decoration.settings.store]), *(it.store for it in writes)]
            stores.update(dict.fromkeys(found))
    with suppress(TypeError):  # some objects do not support weak references
        _known[id(app)] = (weakref.ref(app), count, list(stores))
    return list(stores)
