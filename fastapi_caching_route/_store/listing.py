"""What is stored, page by page, for people and for erasing: heads of entries. Does not know who asks.

A listing is no snapshot: what is stored or deleted meanwhile may be in it or not.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from fastapi_caching_route._backends.commands import Commands
from fastapi_caching_route._backends.listing import pages_of
from fastapi_caching_route._core.entry import Entry, Headed
from fastapi_caching_route._store.remote_visit import Parts
from fastapi_caching_route._store.visit import Listed, ListedPage

PAGE = 100
"""How many keys are looked at together."""

PAGE_SECONDS = 5.0
"""How long a page may take: it is for people, who wait longer than a request."""


async def listed_remotely(parts: Parts, prefix: str, after: int) -> AsyncGenerator[ListedPage, None]:
    """The entries of a cache under keys with a prefix, from some page on.

    Others may have entries under such keys: where nothing proves whose an entry is, it is left out.

    Raises:
        NotImplementedError: the backend cannot list its keys.

    """
    async for keys, following in pages_of(parts.backend.driver(), prefix, PAGE, after):
        commands, beside = Commands(parts.backend, PAGE_SECONDS), parts.ledger.beside
        found = await commands.heads(keys)
        seen = await parts.ledger.see(commands, await commands.get(beside))  # later: it knows all that came before
        page: list[Listed] = []
        for key, stored in zip(keys, found, strict=True):
            headed = Headed(stored, len(stored.content)) if isinstance(stored, Entry) else stored
            if isinstance(headed, Headed) and headed.entry.key == key:
                entry, stale_at = headed.entry, await parts.ledger.stale_at(commands, headed.entry, seen)
                owed = parts.debts.include(entry.names, key) or parts.withdrawals.includes(key, entry.stored_at)
                if headed.is_own or stale_at is not None or parts.ledger.has_known(entry, seen):
                    page.append((headed, None if owed else stale_at))
        yield page, following


async def pages_in_memory(keys: Sequence[str], prefix: str, after: int) -> AsyncGenerator[tuple[list[str], int], None]:
    """The keys with a prefix, without the first ones. Between two pages, others may go on."""
    own = [it for it in keys if str(it).startswith(prefix)]
    for begin in range(after, len(own), PAGE):
        end = begin + PAGE
        yield own[begin:end], end if end < len(own) else 0
        await asyncio.sleep(0)
