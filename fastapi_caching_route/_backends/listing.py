"""The keys of a backend, page by page, where it can list them: LMDB and Redis."""

import re
from collections.abc import AsyncGenerator
from typing import Any

from fastapi_caching_route._backends.drivers import Driver
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver

_SPECIAL = re.compile(r'([*?\[\]\\^])')
"""What is a pattern in Redis."""


LOOKED_AT = 1000
"""How many keys Redis looks at for one reply: enough that round trips cost little, and too few to stop others."""


async def pages_of(driver: Driver, prefix: str, size: int, skip: int = 0) -> AsyncGenerator[list[str], None]:
    """The keys with a prefix, without the first ones; a key may come twice. Each page but the last is full.

    Raises:
        NotImplementedError: the backend cannot list its keys.

    """
    client: Any = getattr(driver, 'client', None)
    if isinstance(driver, LMDBDriver):
        after = (driver.keys_after(prefix, '', skip) or [''])[-1] if skip else ''
        while page := driver.keys_after(prefix, after, size):
            yield page
            after = page[-1]
    elif hasattr(client, 'scan_iter'):
        page, left_out = [], 0
        async for key in client.scan_iter(match=_SPECIAL.sub(r'\\\1', prefix) + '*', count=LOOKED_AT):
            if left_out < skip:
                left_out += 1
                continue
            page.append(key.decode(errors='replace') if isinstance(key, bytes) else str(key))
            if len(page) == size:
                yield page
                page = []
        yield page
    else:
        msg = 'this backend cannot list its keys'
        raise NotImplementedError(msg)
