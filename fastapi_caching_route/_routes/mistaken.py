"""Warns of names to invalidate that are probably not the ones that were meant. Each name is told once."""

import logging
import re
from collections.abc import Iterable, Iterator

from fastapi_caching_route._routes.settings import Settings

logger = logging.getLogger('fastapi_caching_route')

MAX_TOLD = 1000
"""Names that are told in all, in one process: names may hold what clients send."""

_LEFT = re.compile(r'{\w+(:\w+)?}')


def warn_of_mistaken(settings: Settings, tags: Iterable[str] = (), paths: Iterable[str] = ()) -> None:
    """Warn of tags and paths that no response is likely to have."""
    for text, why in (*_mistaken_tags(tags), *_mistaken_paths(settings, paths)):
        _tell(settings, text, why)


def warn_of_namespace(settings: Settings, namespace: str) -> None:
    """Warn if this is the namespace of the backend and routes have others below it."""
    root = settings.store.namespace.strip(':')
    if settings.joins_namespaces and namespace.strip(':') == root:
        _tell(settings, namespace, f"this is the namespace of the backend, and means '{root}:{root}' here; use clear()")


def _mistaken_tags(tags: Iterable[str]) -> Iterator[tuple[str, str]]:
    for tag in tags:
        if _LEFT.search(tag):
            yield tag, 'it contains a placeholder, which only decorators fill in; pass the tag with its values'


def _mistaken_paths(settings: Settings, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        root = next((it for it in settings.root_paths if path == it or path.startswith(f'{it}/')), None)
        if _LEFT.search(path):
            yield path, 'it contains a placeholder; pass the path of a request, or use invalidate_endpoint'
        elif root is not None:
            yield path, f'it begins with the root path of the server, {root}; pass the path as the app sees it, without'


def _tell(settings: Settings, text: str, why: str) -> None:
    told = settings.runtime.told
    if text not in told and len(told) < MAX_TOLD:
        told.add(text)
        logger.warning('%r is probably not what was meant: %s', text, why)
