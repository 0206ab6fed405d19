"""What a store in trouble says, and how the log tells of it: which one it is, and what is wrong with it. No credentials."""

import re
from typing import Any

_CREDENTIALS = re.compile(r'://[^/\s]*@')
"""In a URL, which may stand in the text of an error."""


def in_words(error: BaseException) -> str:
    """The type of an error and its text."""
    text = _CREDENTIALS.sub('://', str(error))
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def is_too_large(error: Exception) -> bool:
    """Whether a store has refused something for its size: memcached takes 1 MB, or as its option -I says."""
    return 'too large' in str(error)


def is_full(error: Exception) -> bool:
    """Whether a store has refused something since it has no room: a Redis under `noeviction`, or a memcached under `-M`."""
    return any(it in repr(error) for it in ('OutOfMemoryError', "used memory > 'maxmemory'", 'out of memory storing'))


def address_of(client: Any) -> str:
    """Where a client connects to: host and port, the path of a socket, or the name of a service; empty if that is not known."""
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
