"""Checks the option `purge`. Knows what can be called; does not know when it is."""

from typing import Any

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._core.checks import is_plain_function
from fastapi_caching_route._routes.purging import Purging
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.surrogates import SurrogateKeys


def purging_of(purge: Any, surrogates: SurrogateKeys | None, flights: Flights[Any]) -> Purging | None:
    """What sends invalidations on; None if there is no cache in front.

    Raises:
        ConfigurationError: it is no async function, or finds its tags in another header than responses have.

    """
    if purge is None:
        return None
    if not callable(purge) or is_plain_function(purge):
        msg = f'purge must be an async function of a PurgeRequest, or FastlyPurge(...), got {purge!r}'
        raise ConfigurationError(msg)
    wanted = getattr(purge, 'header', None)
    if wanted is not None and (surrogates is None or surrogates.header.lower() != wanted.lower()):
        msg = f'purge={type(purge).__name__}(...) purges by tags in {wanted}: set surrogate_keys={wanted!r}, too'
        raise ConfigurationError(msg)
    return Purging(purge, surrogates or SurrogateKeys(header='Surrogate-Key'), flights)
