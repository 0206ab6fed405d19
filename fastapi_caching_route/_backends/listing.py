"""The keys of a backend, page by page, where it can list them: LMDB and Redis."""

from collections.abc import AsyncGenerator
from typing import Any

from fastapi_caching_route._backends.clients import look_for_nodes, pattern_of
from fastapi_caching_route._backends.drivers import AiocacheDriver, Driver
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver

MAX_SCANS = 10
"""How often Redis is asked for a page: of many keys that are not ours, a page may have few or none."""

KeyPage = tuple[list[str], int]
"""Some keys, and after how many of them, or at which cursor of Redis, the next page begins; 0 at the end."""


async def pages_of(driver: Driver, prefix: str, size: int, after: int = 0) -> AsyncGenerator[KeyPage, None]:
    """The keys with a prefix from some page on; a key may come twice.

    Raises:
        NotImplementedError: the backend cannot list its keys.

    """
    client: Any = getattr(driver, 'client', None)
    if hasattr(client, 'scan') and isinstance(driver, AiocacheDriver) and driver.builds_keys():
        msg = 'its key_builder turns keys into others'
        raise NotImplementedError(msg)
    pattern = pattern_of(prefix)
    if isinstance(driver, LMDBDriver):
        last = (driver.keys_after(prefix, '', after) or [''])[-1] if after else ''
        while page := driver.keys_after(prefix, last, size):
            after, last = after + len(page), page[-1]
            yield page, after
    elif hasattr(client, 'nodes_manager'):
        async for found in _in_cluster(client, pattern, size, after):
            yield found
    elif hasattr(client, 'scan'):
        async for found in _scanned(client, pattern, size, after):
            yield found
    else:
        msg = 'this backend cannot list its keys'
        raise NotImplementedError(msg)


async def _scanned(client: Any, pattern: str, size: int, cursor: int) -> AsyncGenerator[KeyPage, None]:
    """By the cursors of Redis: what is there all the time is in one of the pages."""
    is_over = False
    while not is_over:
        page: list[str] = []
        for _ in range(MAX_SCANS):
            cursor, keys = await client.scan(cursor, match=pattern, count=size)
            page += map(_text, keys)
            is_over = cursor == 0
            if is_over or len(page) >= size:
                break
        yield page, cursor


async def _in_cluster(client: Any, pattern: str, size: int, after: int) -> AsyncGenerator[KeyPage, None]:
    """By counting: each node has a cursor of its own."""
    look_for_nodes(client)  # no redirection has told of a node that others have added
    page: list[str] = []
    seen = 0
    async for key in client.scan_iter(match=pattern, count=size):
        seen += 1
        if seen > after:
            page.append(_text(key))
        if len(page) == size:
            yield page, seen
            page = []
    yield page, 0


def _text(key: Any) -> str:
    return key.decode(errors='replace') if isinstance(key, bytes) else str(key)
