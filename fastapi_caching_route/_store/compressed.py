"""Compresses entries before they are stored, or stored once more. Knows entries, and no requests."""

import asyncio
from typing import Protocol

from fastapi_caching_route._backends.commands import Commands
from fastapi_caching_route._core.codings import encoded
from fastapi_caching_route._core.entry import NOT_YET_CODED, Coded, Entry, Headed
from fastapi_caching_route._http.coding import may_be_coded
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route.compression import Compression

COMPRESSED_IN_THE_LOOP = 8 * 1024
"""Bytes that are compressed while the event loop waits; more are compressed in a thread."""

WORTH_IT = 0.9
"""Content that is not smaller than this part of its body is kept as it is."""


def coded_later(compression: Compression | None, status: int, headers: RawHeaders, size: int) -> Coded | None:
    """What an entry says that is to be compressed; None if it is not."""
    if compression is None or size < compression.min_size or not may_be_coded(status, headers):
        return None
    return NOT_YET_CODED


async def compressed(compression: Compression, entry: Entry) -> Entry:
    """The entry with its content compressed; itself if that would not make it smaller."""
    coding, body = compression.coding, entry.content
    if len(body) <= COMPRESSED_IN_THE_LOOP:
        content = encoded(coding, body)
    else:
        content = await asyncio.get_running_loop().run_in_executor(None, encoded, coding, body)
    return entry.compressed(coding, content) if len(content) < len(body) * WORTH_IT else entry


class CopiesEntries(Protocol):
    """Keeps copies of what is stored, see `copies`."""

    def keep(self, stored: Entry, /) -> None: ...


async def replaced(old: Entry, new: Entry, span: float, copies: CopiesEntries | None, commands: Commands) -> bool:
    """Store an entry for `span` seconds in place of another one; return False if that is not there any more."""
    [stored] = await commands.heads((old.key,))
    is_there = old.is_still(stored.entry if isinstance(stored, Headed) else stored)
    is_stored = is_there and await commands.set(new.key, new, min(span, FOREVER))
    if is_stored and copies is not None:
        copies.keep(new)
    return is_stored
