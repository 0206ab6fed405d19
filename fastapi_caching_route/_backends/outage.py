"""What the errors of a backend mean, and how the log names the backend and its error: without credentials."""

import re
import sys
from typing import Any

_CREDENTIALS = re.compile(r'://\S*@')
"""Those of a URL, which the text of an error may contain. A password may contain slashes, too."""

_OPTIONS = re.compile(r"""(?i)((?:username|password)["']?\s*[=:]\s*["']?)[^&\s,)"']+""")
"""Credentials as an option in a URL, or as a keyword or a key in a repr."""

_PLAIN = (type(None), bool, int, float)


def shown(value: object) -> str:
    """A wrong argument in the words of an error message: the contents of an object may include credentials."""
    if isinstance(value, _PLAIN):
        return repr(value)
    return f'the class {value.__qualname__}' if isinstance(value, type) else f'an object of {type(value).__qualname__}'


def in_words(error: BaseException) -> str:
    """The type and the text of an error, without credentials."""
    text = _OPTIONS.sub(r'\1...', _CREDENTIALS.sub('://', str(error)))
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def is_too_large(error: Exception) -> bool:
    """Whether a value was refused for its size. memcached takes 1 MB, or what its option -I says; DynamoDB 400 KB."""
    return any(it in str(error) for it in ('too large', 'Item size has exceeded'))


def is_full(error: Exception) -> bool:
    """Whether a value was refused for lack of memory: by Redis with `noeviction`, or by memcached with `-M`."""
    return any(it in repr(error) for it in ('OutOfMemoryError', "used memory > 'maxmemory'", 'out of memory storing'))


def refusals() -> tuple[type[Exception], ...]:
    """The errors for a command that Redis has answered and did not run, as without the permission for it."""
    errors = sys.modules.get('redis.exceptions')
    return () if errors is None else (errors.ResponseError,)


def address_of(client: Any) -> str:
    """Where a client connects to: host and port, a socket path, or a Sentinel service. Empty if unknown."""
    pool = getattr(client, 'connection_pool', None)  # of redis-py
    settings = getattr(pool, 'connection_kwargs', {})
    if 'path' in settings:
        return str(settings['path'])
    nodes = getattr(getattr(client, 'nodes_manager', None), 'startup_nodes', None)  # of a cluster
    if nodes:
        return ', '.join(sorted(map(str, nodes)))
    service = getattr(pool, 'service_name', None)  # of Sentinel
    if service is not None:
        return f'{service} (Sentinel)'
    others = getattr(client, '_pool', None)  # of aiomcache
    host, port = (
        settings.get('host', getattr(others, '_host', None)),
        settings.get('port', getattr(others, '_port', None)),
    )
    return '' if host is None else f'{host}:{port}'
