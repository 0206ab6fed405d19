"""How the log tells of a store in trouble: which one it is, and what is wrong with it. No credentials."""

import re
from typing import Any

_CREDENTIALS = re.compile(r'://[^/\s]*@')
"""In a URL, which may stand in the text of an error."""


def in_words(error: BaseException) -> str:
    """The type of an error and its text."""
    text = _CREDENTIALS.sub('://', str(error))
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


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
