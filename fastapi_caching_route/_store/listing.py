"""What is stored, page by page, for people and for erasing: heads of entries. Does not know who asks.

A listing is no snapshot: what is stored or deleted meanwhile may be in it or not.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from fastapi_caching_route._backends.commands import Commands
from fastapi_caching_route._backends.listing import pages_of
from fastapi_caching_route._core.entry import Entry, Headed
from fastapi_caching_route._core.variants import StoredRecord, Variants
from fastapi_caching_route._store.parts import Parts
from fastapi_caching_route._store.visit import Described, ListedPage

PAGE = 100
"""How many keys are looked at together."""

PAGE_SECONDS = 5.0
"""How long a page may take: it is for people, who wait longer than a request."""


async def listed_remotely(parts: Parts, prefix: str, after: int) -> AsyncGenerator[ListedPage, None]:
    """What a cache has stored under keys with a prefix, from some page on.

    Raises:
        NotImplementedError: the backend cannot list its keys.

    """
    async for keys, following in pages_of(parts.backend.driver(), prefix, PAGE, after):
        yield await described_remotely(parts, keys), following


async def described_remotely(parts: Parts, keys: Sequence[str]) -> Described:
    """What is stored under these keys. Others may have something there: what nothing proves to be ours is told apart.

    Raises whatever a client library raises.
    """
    commands, beside = Commands(parts.backend, PAGE_SECONDS), parts.ledger.beside
    found = await commands.heads(keys)
    seen = await parts.ledger.see(commands, await commands.get(beside))  # later: it knows all that came before
    described = Described({}, {}, set())
    for key, stored in zip(keys, map(_head_of, found), strict=True):
        if isinstance(stored, StoredRecord) and stored.record.key == key:
            described.records[key] = stored
        elif isinstance(stored, Headed) and stored.entry.key == key:
            entry, stale_at = stored.entry, await parts.ledger.stale_at(commands, stored.entry, seen)
            owed = parts.debts.include(entry.names, key) or parts.withdrawals.includes(key, entry.stored_at)
            if stored.is_own or stale_at is not None or parts.ledger.has_known(entry, seen):
                described.entries[key] = stored, None if owed else stale_at
            else:
                described.others.add(key)
    return described


def _head_of(stored: object) -> object:
    """What a head tells; of a whole object, which does not tell whose it is."""
    if isinstance(stored, Entry):
        return Headed(stored, len(stored.content))
    return StoredRecord(stored) if isinstance(stored, Variants) else stored


async def pages_in_memory(keys: Sequence[str], prefix: str, after: int) -> AsyncGenerator[tuple[list[str], int], None]:
    """The keys with a prefix, without the first ones. Between two pages, others may go on."""
    own = [it for it in keys if str(it).startswith(prefix)]
    for begin in range(after, len(own), PAGE):
        end = begin + PAGE
        yield own[begin:end], end if end < len(own) else 0
        await asyncio.sleep(0)
