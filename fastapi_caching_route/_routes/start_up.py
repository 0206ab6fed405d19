"""What is wrong as an app starts: endpoints without their route, workers without a shared store, and the store itself.

Knows neither requests nor the commands of a store.
"""

import logging
from typing import Any

from fastapi_caching_route._concurrency.workers import ONE_OF_SEVERAL, is_one_of_several, tell_of_workers
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')


async def check_start(settings: Settings, app: Any = None) -> None:
    """Warn of everything that is wrong, with the app if it is known.

    Raises:
        ConfigurationError: something is, and the cache is strict.

    """
    found = settings.unserved.found(app)
    faults = await settings.store.faults()
    for message in [*found, *faults.warnings]:
        logger.warning(message)
    is_alone = not settings.store.is_shared and is_one_of_several()
    tell_of_workers(is_shared=settings.store.is_shared)
    wrong = [*found, *faults.errors, *faults.warnings, *([ONE_OF_SEVERAL] if is_alone else [])]
    if settings.strict and wrong:
        raise ConfigurationError('the app must not start like this (strict=True): ' + '; '.join(wrong))
