"""The keys of a backend, page by page, where it can list them: LMDB and Redis."""

import re
from collections.abc import AsyncGenerator
from typing import Any

from fastapi_caching_route._backends.drivers import Driver
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver

_SPECIAL = re.compile(r'([*?\[\]\\^])')
"""What is a pattern in Redis."""


async def pages_of(driver: Driver, prefix: str, size: int) -> AsyncGenerator[list[str], None]:
    """The keys with a prefix; a key may come twice.

    Raises:
        NotImplementedError: the backend cannot list its keys.

    """
    client: Any = getattr(driver, 'client', None)
    if isinstance(driver, LMDBDriver):
        after = ''
        while page := driver.keys_after(prefix, after, size):
            yield page
            after = page[-1]
    elif hasattr(client, 'scan_iter'):
        page = []
        async for key in client.scan_iter(match=_SPECIAL.sub(r'\\\1', prefix) + '*', count=size):
            page.append(key.decode(errors='replace') if isinstance(key, bytes) else str(key))
            if len(page) == size:
                yield page
                page = []
        yield page
    else:
        msg = 'this backend cannot list its keys'
        raise NotImplementedError(msg)
