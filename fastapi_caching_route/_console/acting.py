"""Invalidation on behalf of the console."""

import logging
from collections.abc import Iterator
from typing import Any

from fastapi import HTTPException
from msgspec import Struct

from fastapi_caching_route._core.names import EVERYTHING, names_of_tags, namespace_name, shown
from fastapi_caching_route._routes.decoration import decorations_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._routes.targets import endpoints_named, names_of_endpoint, names_of_path
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import InvalidationError

logger = logging.getLogger('fastapi_caching_route')


class Invalidation(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be invalidated."""

    tags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    prefix: bool = False
    """Whether also all paths below these."""
    endpoints: tuple[str, ...] = ()
    """Their names, as `explain` shows them, or the last part of them."""
    namespaces: tuple[str, ...] = ()
    all: bool = False
    soft: bool = False
    """Whether entries with a stale window become stale, instead of being used no more."""


async def invalidate(cache: FastAPICache, app: Any, asked: Invalidation) -> dict[str, Any]:
    """Invalidate it. `pending` says that the store has not taken it yet.

    Raises:
        HTTPException: nothing is named, or an endpoint that there is not.
        ConfigurationError: a name is not valid.

    """
    settings = cache._settings  # noqa: SLF001, of the package
    names = tuple(dict.fromkeys(_names(settings, app, asked)))
    if not names:
        raise HTTPException(422, 'name tags, paths, endpoints or namespaces, or say all')
    pending = False
    try:
        await settings.store.invalidate(names, soft_at=settings.runtime.clock() if asked.soft else None)
    except InvalidationError:
        pending = True
    logger.info('the console has %s %s', 'made stale' if asked.soft else 'invalidated', shown(names))
    return {'invalidated': True, 'soft': asked.soft, 'pending': pending}


def _names(settings: Settings, app: Any, asked: Invalidation) -> Iterator[str]:
    """All names are resolved before anything is invalidated."""
    if '' in asked.tags:
        raise HTTPException(422, 'a tag must not be empty')
    yield from names_of_tags(asked.tags)
    for path in asked.paths:
        yield from names_of_path(path, prefix=asked.prefix)
    for name in asked.endpoints:
        yield from names_of_endpoint(_endpoint(settings, app, name), {}, settings)
    for namespace in asked.namespaces:
        if not namespace:
            raise HTTPException(422, 'a namespace must not be empty; say all')
        yield namespace_name(settings.full_namespace(namespace))
    if asked.all:
        yield EVERYTHING


def _endpoint(settings: Settings, app: Any, name: str) -> Any:
    found = {
        full: endpoint
        for full, endpoint in endpoints_named(name, app).items()
        if any(it.settings is settings for it in decorations_of(endpoint))
    }
    if len(found) != 1:
        which = f'there are several: {", ".join(sorted(found))}' if found else 'this cache caches no endpoint with it'
        raise HTTPException(422, f'the name {name!r}: {which}')
    return next(iter(found.values()))
