"""The settings of one `FastAPICache`, checked. Knows neither endpoints nor routes."""

from inspect import iscoroutinefunction

from fastapi_caching_route.errors import ConfigurationError


def check_cache(namespace_policy: object, clock: object, version: object, mode: object) -> None:
    """Refuse what is not a policy of namespaces, a clock, a version."""
    if namespace_policy not in ('concat', 'replace'):
        msg = f"namespace_policy is 'concat' or 'replace', got {namespace_policy!r}"
        raise ConfigurationError(msg)
    if mode not in ('policy', 'rfc9111'):
        msg = f"mode is 'policy' or 'rfc9111', got {mode!r}"
        raise ConfigurationError(msg)
    now = clock() if callable(clock) and not iscoroutinefunction(clock) else None
    if not isinstance(now, int | float):
        msg = f'clock is a function that gives seconds since the epoch, got {clock!r}'
        raise ConfigurationError(msg)
    if not isinstance(version, str):
        msg = f'version is a str, got {version!r}'
        raise ConfigurationError(msg)
