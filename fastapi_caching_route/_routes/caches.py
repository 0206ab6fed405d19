"""The caches of an app, by their settings, for a `CacheContext`, which has none at hand.

Knows where decorations are, and not how anything is stored.
"""

import weakref
from contextlib import suppress
from threading import Lock
from typing import Any

from fastapi_caching_route._fastapi.endpoints import INVALIDATES, attached_to
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.visit import Store

_alive: weakref.WeakSet[Settings] = weakref.WeakSet()
_known: dict[int, tuple[weakref.ref[Any], int, list[Store]]] = {}
"""By the identity of an app: how many routes it had, and which stores they use."""
_lock = Lock()


def note_alive(settings: Settings) -> None:
    """Remember a cache for as long as somebody holds it."""
    with _lock:
        _alive.add(settings)
        _known.clear()


def caches_of(app: Any) -> list[Settings]:
    """The caches that the routes of an app use, mounts included, one for each backend; all of this process, if none."""
    found = caches_in(app) or caches_in(None)
    return list({id(it.backend): it for it in found}.values())


def caches_in(app: Any) -> list[Settings]:
    """The caches that the routes of an app use, mounts included; those of this process for None."""
    used = None if app is None else _stores_in(app)
    with _lock:
        return [it for it in _alive if used is None or it.store in used]


def warn_of_unserved(app: Any) -> None:
    """Warn, once, of decorations that come to nothing in an app which now gets a request."""
    for settings in caches_in(app) if app is not None else ():
        settings.unserved.warn(app)


def _stores_in(app: Any) -> list[Store]:
    """The stores that the routes of an app use, remembered until it has more routes, or there is one more cache."""
    count, known = len(getattr(app, 'routes', ())), _known.get(id(app))
    if known is not None and known[0]() is app and known[1] == count:
        return known[2]
    stores: dict[Store, None] = {}
    with suppress(Exception):  # of odd things that are mounted: they are not to be the end of a request
        for _, route in routes_in(app):
            endpoint = getattr(route, 'endpoint', None)
            decoration, writes = attached_to(endpoint), attached_to(endpoint, INVALIDATES)
            found = [*([] if decoration is None else [decoration.settings.store]), *(it.store for it in writes or ())]
            stores.update(dict.fromkeys(found))
    with suppress(TypeError):  # not everything can be referred to weakly
        _known[id(app)] = (weakref.ref(app), count, list(stores))
    return list(stores)
