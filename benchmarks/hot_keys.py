"""How a `MemoryCache` and an `LMDBCache` keep what is asked for often, while a million others are asked for once each.

Prints the hit ratio of 100 hot keys, how much the entries take, and how much memory the process takes. One in ten
look-ups is of a hot key. The last store has room for 500 entries.
Usage: python benchmarks/hot_keys.py [how many other keys] [bytes of a value]
"""

import asyncio
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

from fastapi_caching_route import LMDBCache, MemoryCache

HOT = 100
MAX_BYTES = 64 * 1024 * 1024

Ask = Callable[[str], Awaitable[bool]]


async def measure(name: str, others: int, ask: Ask, taken: Callable[[], str]) -> None:
    """Ask for the keys, and print a line for each tenth of them."""
    dice, hits, asked = random.Random(1), 0, 0
    for part in range(10):
        began = time.perf_counter()
        for first in range(part * others // 10, (part + 1) * others // 10, 90):
            hot = [f'hot{dice.randrange(HOT)}' for _ in range(10)]
            once = [f'once{number}' for number in range(first, first + 90)]
            keys = dice.sample([*hot, *once], 100)
            found = dict(zip(keys, await asyncio.gather(*map(ask, keys)), strict=True))
            hits, asked = hits + sum(found[it] for it in hot), asked + 10
        await asyncio.sleep(0)
        print(
            f'{name:24}{(part + 1) * others // 10:9} keys  hit ratio of hot keys {hits / asked:.4f}  {taken()}'
            f'  process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.1f} MiB at most'
            f'  {(time.perf_counter() - began) / others * 1e7:5.1f} us for each key'
        )


async def in_memory(name: str, others: int, size: int, memory: MemoryCache) -> None:
    """Measure a cache in the memory of this process."""

    async def ask(key: str) -> bool:
        found = memory.read(key)
        return found is not None or not memory.write(key, bytes(size), 3600)

    def taken() -> str:
        stats = memory.stats()
        return f'entries {stats.bytes / 2**20:6.1f} MiB, {stats.entries:6}'

    await measure(name, others, ask, taken)


async def in_lmdb(others: int, size: int) -> None:
    """Measure a cache in a folder."""
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        store = LMDBCache(folder, max_bytes=MAX_BYTES).store

        async def ask(key: str) -> bool:
            found = store.read([key])[0]
            if found is None:
                await store.put(key, bytes(size), 3600)
            return found is not None

        def taken() -> str:
            entries, file = store.look(lambda table: table.taken()), store.environment.size()
            return f'entries {entries / 2**20:6.1f} MiB, file {file / 2**20:6.1f} MiB'

        await measure('LMDB', others, ask, taken)


async def main() -> None:
    others, size = (*map(int, sys.argv[1:]), *(1_000_000, 2000)[len(sys.argv) - 1 :])
    await in_memory('memory', others, size, MemoryCache(max_bytes=MAX_BYTES))
    await in_memory('memory, 500 entries', others, size, MemoryCache(max_entries=500))
    await in_lmdb(others, size)


asyncio.run(main())
