"""How an `LMDBCache` keeps what is asked for often, while a million other keys are asked for once each.

Prints the hit ratio of 100 hot keys, how large the file is, and how much memory the process takes. One in ten look-ups
is of a hot key. Usage: python benchmarks/hot_keys.py [how many other keys] [bytes of a value]
"""

import asyncio
import random
import resource
import sys
import tempfile
import time

from fastapi_caching_route import LMDBCache

HOT = 100
MAX_BYTES = 64 * 1024 * 1024


async def main() -> None:
    others, size = (*map(int, sys.argv[1:]), *(1_000_000, 2000)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        store, dice = LMDBCache(folder, max_bytes=MAX_BYTES).store, random.Random(1)
        hits = asked = 0

        async def ask(key: str) -> bool:
            found = store.read([key])[0]
            if found is None:
                await store.put(key, bytes(size), 3600)
            return found is not None

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
                f'{(part + 1) * others // 10:9} keys  hit ratio of hot keys {hits / asked:.4f}'
                f'  entries {store.look(lambda table: table.taken()) / 2**20:6.1f} MiB'
                f'  file {store.environment.size() / 2**20:6.1f} MiB'
                f'  process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.1f} MiB at most'
                f'  {(time.perf_counter() - began) / others * 1e7:5.1f} us for each key'
            )


asyncio.run(main())
