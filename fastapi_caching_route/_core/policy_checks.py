"""Checks the options of a `CachePolicy`, except for those that are brought into another form."""

from typing import Any

from fastapi_caching_route._core.checks import (
    are_depends,
    are_field_names,
    are_functions,
    check_flag,
    check_fraction,
    check_option,
    check_size,
    is_plain_function,
)
from fastapi_caching_route.errors import ConfigurationError


def check_choices(policy: Any) -> None:
    """Check callables, lists, and options of a few values."""
    identity, builder = policy.identity, policy.key_builder
    a_callable = 'must be a callable of the request'
    for option, holds, wanted in (
        ('key_builder', builder is None or callable(builder), a_callable),
        ('key', policy.key is None or callable(policy.key), a_callable),
        ('skip', policy.skip is None or callable(policy.skip), a_callable),
        (
            'store_if',
            policy.store_if is None or is_plain_function(policy.store_if),
            'must be a plain function of the response, not async',
        ),
        (
            'identity',
            identity in ('auto', 'shared') or callable(identity) or are_depends([identity]),
            "must be 'auto', 'shared', a callable of the request, or a Depends(...)",
        ),
        ('dependencies', are_depends(policy.dependencies), 'must be a list like [Depends(check)]'),
        ('on_miss_only', are_functions(policy.on_miss_only), 'must be a list of dependencies like [get_session]'),
        ('vary_headers', are_field_names(policy.vary_headers), "must be a list of names, like ['accept-language']"),
    ):
        check_option(option, getattr(policy, option), holds=holds, wanted=wanted)
    if builder is not None and (policy.key is not None or policy.host):
        option = 'host' if policy.key is None else 'key'
        msg = f'{option} has no effect with key_builder, which makes the whole key: read it there, or use key alone'
        raise ConfigurationError(msg)


_CHOICES = {
    'reads': ('noted', 'declared', 'all'),
    'route_dependencies': ('always', 'on_miss', 'all'),
    'body_key': ('bytes', 'json'),
    'key_values': ('exact', 'equal'),
}


def check_values(policy: Any) -> None:
    """Check flags, options of a few values, fractions and sizes."""
    for option, choices in _CHOICES.items():
        *others, last = map(repr, choices)
        value = getattr(policy, option)
        check_option(option, value, holds=value in choices, wanted=f'must be {", ".join(others)} or {last}')
    for option in ('host', 'revalidate', 'store', 'collapse', 'lock'):
        check_flag(option, getattr(policy, option))
    if policy.client_cache_control is not None:
        check_flag('client_cache_control', policy.client_cache_control)
    check_fraction('eager_refresh', policy.eager_refresh, may_be_zero=False)
    check_fraction('ttl_jitter', policy.ttl_jitter, may_be_zero=True)
    check_size('max_body_size', policy.max_body_size)
