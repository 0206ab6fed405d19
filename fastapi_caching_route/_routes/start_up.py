"""What is wrong as an app starts: endpoints without their route, workers without a shared store, and the store itself.

Knows neither requests nor the commands of a store.
"""

import logging
from collections.abc import Iterator
from typing import Any

from fastapi_caching_route._concurrency.workers import ONE_OF_SEVERAL, is_one_of_several, tell_of_workers
from fastapi_caching_route._core.names import fields_of
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route._routes.decoration import decoration_at, templates_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.errors import ConfigurationError

UNKNOWN = (
    '%s: the tags of its router name %s, which is not a path or query parameter here, so its responses are not stored; '
    'give it @cache(tags=...) of its own, or @cache.skip'
)

logger = logging.getLogger('fastapi_caching_route')


def _faults_by_routers(settings: Settings, app: Any) -> Iterator[str]:
    """What is wrong with the defaults of routers on some of their routes: only now, all decorators have run."""
    for prefix, route in () if app is None else routes_in(app):
        decoration = decoration_at(route)
        if decoration is not None and decoration.by_router and decoration.settings is settings:
            known = PathParameters(route).known
            unknown = {field for it in templates_of(decoration.policy) for field in fields_of(it)}.difference(known)
            if unknown:
                yield UNKNOWN % (prefix + route.path_format, ', '.join(sorted(unknown)))


async def check_start(settings: Settings, app: Any = None) -> None:
    """Warn of everything that is wrong, with the app if it is known.

    Raises:
        ConfigurationError: something is, and the cache is strict.

    """
    found = [*settings.unserved.found(app), *_faults_by_routers(settings, app)]
    faults = await settings.store.faults()
    for message in [*found, *faults.warnings]:
        logger.warning(message)
    is_alone = not settings.store.is_shared and is_one_of_several()
    tell_of_workers(is_shared=settings.store.is_shared)
    wrong = [*found, *faults.errors, *faults.warnings, *([ONE_OF_SEVERAL] if is_alone else [])]
    if settings.strict and wrong:
        raise ConfigurationError('the app must not start like this (strict=True): ' + '; '.join(wrong))
