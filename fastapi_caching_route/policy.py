"""One `@cache(...)` call: its options, checked and normalised.

Pure: knows values, and neither stores nor requests.
"""

import math
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Annotated, Any, Literal

from typing_extensions import Doc

from fastapi_caching_route._key import SEPARATOR
from fastapi_caching_route._names import fields_of
from fastapi_caching_route.control import CacheControl, parsed
from fastapi_caching_route.errors import ConfigurationError

KeyBuilder = Callable[[Any], str]
"""Makes a key from a `starlette.requests.Request`. It takes over the responsibility for what tells requests apart."""

Tags = Callable[[Any], Collection[str] | Awaitable[Collection[str]]]
"""Gives the tags of an answer, from a `starlette.requests.Request`."""

Identity = Callable[[Any], str | Awaitable[str]]
"""Names, from a `starlette.requests.Request`, with whom a request shares entries."""

DEFAULT_MAX_BODY_SIZE = 8 * 1024 * 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How the answers of a route are cached. Also the place for defaults: `FastAPICache(policy=CachePolicy(...))`.

    Raises:
        ConfigurationError: an option is out of its range; the message names it.

    """

    key_builder: Annotated[
        KeyBuilder | None,
        Doc('Makes the key from the request, in place of the declared inputs and of the rules for the raw request.'),
    ] = None
    dependencies: Annotated[
        Sequence[Any],
        Doc('A list of `Depends(...)` that run on every request, hit or miss, and may refuse it.'),
    ] = ()
    identity: Annotated[
        Literal['auto', 'shared'] | Identity,
        Doc(
            "Who shares an entry. `'auto'`: who sends the same credentials, where user code gets to see them. "
            "`'shared'`: all whom the guards let in. Or a callable of the request, plain or async, that names who "
            'shares, as a str: a role, a tenant.'
        ),
    ] = 'auto'
    route_dependencies: Annotated[
        Literal['always', 'on_miss'],
        Doc(
            "`'always'`: the dependencies without a parameter name, of route, router, include and app, run on hits "
            "too. `'on_miss'`: only those that hold a security scheme do."
        ),
    ] = 'always'
    vary_headers: Annotated[
        Collection[str],
        Doc('Request fields that tell entries apart beside the declared inputs; they are also named in `Vary`.'),
    ] = ()
    namespace: Annotated[
        str | None, Doc('Goes in front of the keys; joined to the namespace of the backend, or replacing it.')
    ] = None
    ttl: Annotated[
        float | None,
        Doc("Seconds for which an answer is fresh, at most 30 days; 0 stores nothing; None: the backend's own ttl."),
    ] = None
    tags: Annotated[
        Collection[str] | Tags,
        Doc(
            "Names to invalidate by: texts, with path parameters in braces (`'user:{user_id}'`), or a callable of the "
            'request, plain or async, that gives them.'
        ),
    ] = ()
    stale_while_revalidate: Annotated[
        float,
        Doc(
            'Seconds past the lifetime in which a stale entry answers at once, while one request renews it (RFC 5861 §3).'
        ),
    ] = 0.0
    stale_if_error: Annotated[
        float,
        Doc('Seconds past the lifetime in which a stale entry answers where the endpoint fails (RFC 5861 §4).'),
    ] = 0.0
    revalidate: Annotated[
        bool,
        Doc(
            'Whether the endpoint is asked with `If-None-Match` and `If-Modified-Since` where an entry with a validator of its '
            'own is stale; its 304 renews the entry (RFC 9111 §4.3).'
        ),
    ] = False
    client_cache_control: Annotated[
        bool, Doc('Whether the `Cache-Control` of requests counts, beyond its `no-store` (RFC 9111 §5.2.1).')
    ] = False
    cache_control: Annotated[
        str | CacheControl | None,
        Doc(
            'The `Cache-Control` that clients and caches on the way get with an answer that is stored, on misses and hits '
            'alike, if the endpoint wrote none. It counts from then on, so no `Age` is sent with it.'
        ),
    ] = None
    cdn_cache_control: Annotated[
        str | CacheControl | None, Doc('The same as `CDN-Cache-Control`, for caches in front of us (RFC 9213).')
    ] = None
    max_body_size: Annotated[int, Doc('Bytes of a body beyond which an answer is passed on and not stored.')] = (
        DEFAULT_MAX_BODY_SIZE
    )
    collapse: Annotated[
        bool,
        Doc(
            'Whether concurrent requests for an answer that is not stored have the endpoint run once, in this process.'
        ),
    ] = True
    collapse_timeout: Annotated[
        float, Doc('Seconds that a request waits for the one that runs the endpoint; then it runs it itself.')
    ] = 10.0
    lock: Annotated[
        bool,
        Doc(
            'Whether that holds across processes too, by a lock in the backend, which ends by itself after half of `collapse_timeout`.'
        ),
    ] = False
    eager_refresh: Annotated[
        float | None,
        Doc(
            'The fraction of its lifetime, like 0.9, after which an entry is renewed behind a hit, by one request at a time '
            'and not by all processes at the same moment. None: not before it is stale.'
        ),
    ] = None
    ttl_jitter: Annotated[
        float,
        Doc(
            'By which fraction, like 0.1, lifetimes are shortened at random at most, so that what was stored together does not '
            'end together.'
        ),
    ] = 0.0
    endpoint_timeout: Annotated[
        float | None,
        Doc(
            'Seconds after which an entry inside of `stale_if_error` answers in place of an endpoint that is slower; the run goes '
            'on and is stored.'
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check every option, and bring the header names into the form in which ASGI delivers them."""
        if self.key_builder is not None and not _is_plain_function(self.key_builder):
            msg = f'key_builder must be a plain function of the request, got {self.key_builder!r}'
            raise ConfigurationError(msg)
        if not isinstance(self.dependencies, list | tuple) or not all(map(_is_depends, self.dependencies)):
            msg = f'dependencies must be a list like [Depends(check)], got {self.dependencies!r}'
            raise ConfigurationError(msg)
        if self.identity not in ('auto', 'shared') and not callable(self.identity):
            msg = f"identity is 'auto', 'shared' or a callable of the request, got {self.identity!r}"
            raise ConfigurationError(msg)
        if self.route_dependencies not in {'always', 'on_miss'}:
            msg = f"route_dependencies is 'always' or 'on_miss', got {self.route_dependencies!r}"
            raise ConfigurationError(msg)
        if not isinstance(self.vary_headers, list | tuple | set | frozenset) or not all(
            map(_is_field_name, self.vary_headers)
        ):
            msg = f"vary_headers must be a list of header names, like ['accept-language'], got {self.vary_headers!r}"
            raise ConfigurationError(msg)
        if self.namespace is not None:
            check_namespace(self.namespace)
        self._check_numbers()
        _check_flags(self.revalidate, self.client_cache_control, self.collapse, self.lock)
        for option in ('cache_control', 'cdn_cache_control'):
            object.__setattr__(self, option, checked_control(option, getattr(self, option)))
        names = tuple(dict.fromkeys(name.lower() for name in self.vary_headers))
        object.__setattr__(self, 'vary_headers', names)
        if not callable(self.tags):
            object.__setattr__(self, 'tags', checked_templates('tags', self.tags))

    def _check_numbers(self) -> None:
        for option in ('ttl', 'stale_while_revalidate', 'stale_if_error', 'collapse_timeout', 'endpoint_timeout'):
            if getattr(self, option) is None and option not in {'ttl', 'endpoint_timeout'}:
                msg = f'{option} is in seconds, got None'
                raise ConfigurationError(msg)
            _check_span(option, getattr(self, option))
        _check_fraction('eager_refresh', self.eager_refresh, 'more')
        _check_fraction('ttl_jitter', self.ttl_jitter, '0')
        if not isinstance(self.max_body_size, int) or isinstance(self.max_body_size, bool) or self.max_body_size < 0:
            msg = f'max_body_size is in whole bytes and must not be negative, got {self.max_body_size!r}'
            raise ConfigurationError(msg)


def checked_templates(option: str, templates: object) -> tuple[str, ...]:
    """Texts with names of path parameters in braces.

    Raises:
        ConfigurationError: they are something else.

    """
    if not isinstance(templates, list | tuple | set | frozenset) or not all(isinstance(it, str) for it in templates):
        msg = f"{option} must be a list of texts, like ['user:{{user_id}}'], got {templates!r}"
        raise ConfigurationError(msg)
    for template in templates:
        fields_of(template)
    return tuple(dict.fromkeys(templates))


def checked_policy(policy: object) -> CachePolicy:
    """The policy, or one of all defaults.

    Raises:
        ConfigurationError: it is none.

    """
    if policy is not None and not isinstance(policy, CachePolicy):
        msg = f'policy is a CachePolicy(...), got {policy!r}'
        raise ConfigurationError(msg)
    return policy or CachePolicy()


def check_namespace(namespace: object) -> None:
    """Refuse a namespace that could run into a key.

    Raises:
        ConfigurationError: it is not a text, or holds our separator or half of it at an end.

    """
    if not isinstance(namespace, str) or SEPARATOR in namespace or namespace != namespace.strip(':'):
        msg = f'namespace must be a str without {SEPARATOR!r} in it or a colon at an end, got {namespace!r}'
        raise ConfigurationError(msg)


def checked_control(option: str, control: object) -> CacheControl | None:
    """The directives to be emitted.

    Raises:
        ConfigurationError: they are none, or contradict each other.

    """
    if control is None or isinstance(control, CacheControl):
        return control
    if not isinstance(control, str):
        msg = f"{option} is a text like 'public, max-age=60' or a CacheControl(...), got {control!r}"
        raise ConfigurationError(msg)
    return parsed(control)


def checked_paths(paths: object) -> tuple[str, ...]:
    """Templates of paths.

    Raises:
        ConfigurationError: one does not begin with a slash, or has a query.

    """
    checked = checked_templates('paths', paths)
    for path in checked:
        if not path.startswith('/') or '?' in path or '#' in path:
            msg = f"a path begins with a slash and has no query, like '/users/7', got {path!r}"
            raise ConfigurationError(msg)
    return checked


def _check_flags(*flags: object) -> None:
    if not all(isinstance(flag, bool) for flag in flags):
        msg = f'revalidate, client_cache_control, collapse and lock are True or False, got {flags!r}'
        raise ConfigurationError(msg)


def _is_number(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and not math.isnan(number)


def _check_span(option: str, span: Any) -> None:
    if span is not None and not (_is_number(span) and span >= 0):
        msg = f'{option} is in seconds and must not be negative, got {span!r}'
        raise ConfigurationError(msg)


def _check_fraction(option: str, fraction: Any, least: str) -> None:
    if fraction is not None and not (_is_number(fraction) and 0 <= fraction < 1 and (fraction or least == '0')):
        msg = f'{option} is a fraction of the lifetime, like 0.9 or 0.1, got {fraction!r}'
        raise ConfigurationError(msg)


def _is_plain_function(builder: object) -> bool:
    if not callable(builder):
        return False
    return not (iscoroutinefunction(builder) or iscoroutinefunction(getattr(builder, '__call__', None)))  # noqa: B004, an object may be called through it


def _is_depends(dependency: object) -> bool:
    return callable(getattr(dependency, 'dependency', None))


def _is_field_name(name: object) -> bool:
    return isinstance(name, str) and name != '*' and _TOKEN.fullmatch(name) is not None
